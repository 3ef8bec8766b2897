package enrich

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
)

// This file holds the requirements that read the request. They are evaluated
// on every request, and those that read its path for every reading of it.

// requestRequirement is a requirement that reads request.*.
type requestRequirement struct {
	*oktael.Program

	// readings are those for which it must come to one result; nothing is
	// read of them where it does not read the path.
	readsPath bool
	readings  pathreading.Set
}

// newRequestRequirement tells how a requirement reads the path. Letters are
// folded only where the path is compared with literals that allow it.
func newRequestRequirement(program *oktael.Program, set pathreading.Set) requestRequirement {
	q := requestRequirement{Program: program, readsPath: program.ReadsMember("request", "path"), readings: set}
	literals, only := program.MemberLiterals("request", "path")
	if !only || slices.ContainsFunc(literals, func(l string) bool { return !pathreading.FoldsLetters(l) }) {
		q.readings &^= pathreading.LetterCase
	}
	return q
}

// checkRequest refuses a request that requirements cannot judge: its path leads
// elsewhere in one reading, or its method is not what the application may take
// it for (P55, P64). Its error is a *Refusal.
func (p *Policy) checkRequest(r *http.Request) error {
	if err := CheckPath(r); err != nil {
		return err
	}
	if !p.readsMethod {
		return nil
	}
	if strings.Trim(r.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" {
		return refuse(KindMalformedRequest, fmt.Errorf("%w: found other characters than A to Z, - and _", ErrMethod))
	}
	if overridesMethod(r.Header) {
		return refuse(KindMalformedRequest, fmt.Errorf("%w: a header overrides it", ErrMethod))
	}
	return nil
}

// overridesMethod reports whether a header is there that applications take for
// the method, in any spelling that may reach them as one.
func overridesMethod(header http.Header) bool {
	for name := range header {
		switch len(name) {
		case len("x-http-method"), len("x-method-override"), len("x-http-method-override"):
			switch forward.Fold(name) {
			case "x-http-method", "x-method-override", "x-http-method-override":
				return true
			}
		}
	}
	return false
}

// requestRoot is what a requirement reads as request.*, but for the path.
func requestRoot(r *http.Request, from RequestInfo) map[string]any {
	return map[string]any{"method": r.Method, "host": requestHost(r.Host), "client_ip": from.ClientIP}
}

// requestHost is the host of a Host header: lower case, without port and last
// dot (P64).
func requestHost(host string) string {
	u := url.URL{Host: host}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
}

// requireRequest evaluates the requirements that read the request. One that is
// true in one reading of the path and not in another makes the request a
// malformed one (P55).
func (p *Policy) requireRequest(r *http.Request, c *oktael.Context, d *Decision, root map[string]any, list []requestRequirement) error {
	if len(list) == 0 {
		return nil
	}
	with := *c
	with.Request = root
	for i, q := range list {
		paths := []string{r.URL.Path}
		if q.readsPath {
			var err error
			if paths, err = PathReadings(r, q.readings); err != nil {
				return err
			}
		}
		if err := p.requireIn(paths, i, q, &with, d); err != nil {
			return err
		}
	}
	return nil
}

// requireIn evaluates one requirement for each of the paths.
func (p *Policy) requireIn(paths []string, i int, q requestRequirement, c *oktael.Context, d *Decision) error {
	var denied *Refusal
	takes, leaves := -1, -1
	for n, path := range paths {
		if !strings.HasPrefix(path, "/") {
			path = "/" + path // of OPTIONS * and CONNECT
		}
		c.Request["path"] = path
		if refusal := p.requireOne(i, q.Program, c, d); refusal == nil {
			takes = n
		} else if denied == nil {
			denied, leaves = refusal, n
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

// denies reports whether an error of requireRequest says that a requirement is
// not true, and not that it could not be judged.
func denies(err error) bool {
	var refusal *Refusal
	return errors.As(err, &refusal) && refusal.Kind == KindDenied
}
