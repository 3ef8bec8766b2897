package enrich

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
)

// This file compiles and evaluates require expressions. Those that read the
// request are evaluated on every request, and those that read its path for
// every reading of it.

// requirementRoots are what a requirement may read: all that a claim rule may,
// and the request.
const requirementInputs = oktael.AllInputs &^ oktael.InputVars

// compileRequirement compiles one require expression. claims are the names that
// it may read as claims.<name>; nil means any. Its error shows the position.
func compileRequirement(source string, claims []string) (*oktael.Program, error) {
	p, err := oktael.Compile(source, oktael.Options{Inputs: requirementInputs, Claims: claims, Result: oktael.ResultBool})
	var place *oktael.Error
	switch {
	case errors.As(err, &place):
		return nil, fmt.Errorf("requirement: %w\n%s", err, place.Caret())
	case err != nil:
		return nil, fmt.Errorf("requirement: %w", err)
	}
	return p, nil
}

// requirements are the require expressions of a policy, compiled.
type requirements struct {
	decision    []*oktael.Program    // read nothing of the request: part of the decision
	request     []requestRequirement // evaluated on every request
	readsMethod bool                 // some of request do
}

// requestRequirement is a requirement that reads request.*.
type requestRequirement struct {
	*oktael.Program

	// readings are those for which it must come to one result; nothing is
	// read of them where it does not read the path.
	readsPath bool
	readings  pathreading.Set
}

// add compiles one require expression and returns what it reads.
func (q *requirements) add(source string, claims []string, set pathreading.Set) (oktael.Inputs, error) {
	program, err := compileRequirement(source, claims)
	if err != nil {
		return 0, err
	}
	if program.Reads()&oktael.InputRequest == 0 {
		q.decision = append(q.decision, program)
	} else {
		q.request = append(q.request, newRequestRequirement(program, set))
		q.readsMethod = q.readsMethod || program.ReadsMember("request", "method")
	}
	return program.Reads(), nil
}

// newRequestRequirement finds out how a requirement reads the path. Letters are
// folded only where the path is compared with literals that allow it.
func newRequestRequirement(program *oktael.Program, set pathreading.Set) requestRequirement {
	q := requestRequirement{Program: program, readsPath: program.ReadsMember("request", "path"), readings: set}
	literals, only := program.MemberLiterals("request", "path")
	if !only || slices.ContainsFunc(literals, func(l string) bool { return !pathreading.FoldsLetters(l) }) {
		q.readings &^= pathreading.LetterCase
	}
	return q
}

// all lists both kinds.
func (q *requirements) all() []*oktael.Program {
	list := slices.Clone(q.decision)
	for _, r := range q.request {
		list = append(list, r.Program)
	}
	return list
}

// known lists the requirements that read no more of the request than host and
// path, which Explain takes from its request.
func (q *requirements) known() []requestRequirement {
	var list []requestRequirement
	for _, r := range q.request {
		if !r.ReadsMember("request", "method") && !r.ReadsMember("request", "client_ip") {
			list = append(list, r)
		}
	}
	return list
}

// requirementInput is what requirements are evaluated over.
type requirementInput struct {
	context *oktael.Context
	missing oktael.Inputs // what could not be looked up: no requirement may read it
}

// checkAll evaluates requirements that do not read the request. One that is
// not true, that errors, or that reads what could not be looked up, is a
// refusal of KindDenied.
func (in requirementInput) checkAll(programs []*oktael.Program) error {
	for i, program := range programs {
		if err := in.check(i, program); err != nil {
			return err
		}
	}
	return nil
}

// check evaluates one requirement; i is its index among those of its kind, for
// the message.
func (in requirementInput) check(i int, program *oktael.Program) error {
	if program.Reads()&in.missing != 0 {
		return refuse(KindDenied, fmt.Errorf("%w: requirement %d reads what the directory could not provide", errRequirement, i+1))
	}
	ok, err := program.EvalBool(in.context)
	if err != nil {
		return refuse(KindDenied, fmt.Errorf("%w: requirement %d: %w", errRequirement, i+1, err))
	}
	if !ok {
		return refuse(KindDenied, fmt.Errorf("%w: requirement %d", errRequirement, i+1))
	}
	return nil
}

// checkRequest evaluates requirements that read the request. One that is true
// in one reading of the path and not in another makes the request a malformed
// one (P55).
func (in requirementInput) checkRequest(r *http.Request, clientIP string, list []requestRequirement) error {
	if len(list) == 0 {
		return nil
	}
	with := *in.context
	with.Request = map[string]any{"method": r.Method, "host": requestHost(r.Host), "client_ip": clientIP}
	in.context = &with
	for i, q := range list {
		paths := []string{r.URL.Path}
		if q.readsPath {
			var err error
			if paths, err = PathReadings(r, q.readings); err != nil {
				return err
			}
		}
		if err := in.checkPaths(paths, i, q); err != nil {
			return err
		}
	}
	return nil
}

// checkPaths evaluates one requirement for each of the paths. It sets the path
// of the input's request.
func (in requirementInput) checkPaths(paths []string, i int, q requestRequirement) error {
	var denied error
	takes, leaves := -1, -1
	for n, path := range paths {
		if !strings.HasPrefix(path, "/") {
			path = "/" + path // of OPTIONS * and CONNECT
		}
		in.context.Request["path"] = path
		if err := in.check(i, q.Program); err == nil {
			takes = n
		} else if denied == nil {
			denied, leaves = err, n
		}
	}
	switch {
	case denied == nil:
		return nil
	case takes >= 0:
		return DifferentPaths(fmt.Sprintf("the requirement %s", q), paths[takes], paths[leaves])
	}
	return denied
}

// denies reports whether an error of checkRequest says that a requirement is
// not true, and not that it could not be evaluated.
func denies(err error) bool {
	var refusal *Refusal
	return errors.As(err, &refusal) && refusal.Kind == KindDenied
}

// requestHost returns the host of a Host header in lower case, without port and
// last dot (P64).
func requestHost(host string) string {
	u := url.URL{Host: host}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}
