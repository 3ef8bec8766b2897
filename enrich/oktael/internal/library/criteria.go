package library

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/object"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Criteria: which of the user's groups user.getGroups and user.isMemberOf mean.
// A group has to fit all criteria, and of each criterion all keys:
//
//	user.getGroups({'group.type': {'OKTA_GROUP', 'APP_GROUP'}, 'group.profile.name': 'IT'})
//
// Literal criteria are checked when the expression is compiled, all of them again
// when it is evaluated, because a criterion may also come from an attribute.

// The keys of a criterion.
const (
	criterionID       = "group.id"
	criterionSource   = "group.source.id"
	criterionType     = "group.type"
	criterionName     = "group.profile.name"
	criterionOperator = "operator"
)

var criterionKeys = []string{criterionID, criterionSource, criterionType, criterionName, criterionOperator}

// The operators of group.profile.name.
const (
	operatorExact      = "EXACT"
	operatorStartsWith = "STARTS_WITH"
)

var (
	errOperator  = fmt.Errorf("operator needs %s", criterionName)
	errCriterion = errors.New("a criterion is empty")
)

// checkCriteria refuses literal keys and operators that do not exist, and
// criteria that their keys make senseless.
func checkCriteria(c Checker, name *syntax.Node, args []*syntax.Node) (any, error) {
	for _, arg := range args[1:] {
		if arg.Op != syntax.OpMap {
			continue
		}
		if len(arg.Kids) == 0 {
			return nil, c.Fail(arg.Offset, "%s: %v", name.Text, errCriterion)
		}
		var operator *syntax.Node
		named := false
		for i := 0; i < len(arg.Kids); i += 2 {
			key := arg.Kids[i]
			if !key.IsText() {
				named = true // by a name that is computed, perhaps
				continue
			}
			switch key.Value {
			case criterionOperator:
				operator = key
			case criterionName:
				named = true
			}
			k := key.Value.(string)
			if !slices.Contains(criterionKeys, k) {
				return nil, c.Fail(key.Offset, "%s: unknown criterion %q%s", name.Text, k, suggest.DidYouMean(k, criterionKeys))
			}
			if k == criterionType {
				warnType(c, arg.Kids[i+1])
			}
			if v := arg.Kids[i+1]; k == criterionOperator && v.IsText() {
				if o := v.Value.(string); o != operatorExact && o != operatorStartsWith {
					return nil, c.Fail(v.Offset, "%s: unknown operator %q (want EXACT or STARTS_WITH)", name.Text, o)
				}
			}
		}
		if operator != nil && !named {
			return nil, c.Fail(operator.Offset, "%s: %v", name.Text, errOperator)
		}
	}
	return nil, nil
}

// groupTypes are the types that a group can have.
var groupTypes = []string{identity.GroupTypeOkta, identity.GroupTypeApp, identity.GroupTypeBuiltIn}

// warnType warns of literal group types that do not exist.
func warnType(c Checker, s *syntax.Node) {
	if s.Op == syntax.OpList {
		for _, kid := range s.Kids {
			warnType(c, kid)
		}
	}
	if t, ok := s.Value.(string); ok && s.IsText() && !slices.Contains(groupTypes, t) {
		c.Warn(s.Offset, "unknown group type %q (want %s)%s", t, suggest.JoinOr(groupTypes), suggest.DidYouMean(t, groupTypes))
	}
}

// The positions of the keys in criterionKeys.
const (
	byID = iota
	bySource
	byType
	byName
)

// criterion is one map of criteria, read.
type criterion struct {
	// accepts are, by position of the key, the values of which one must fit; nil
	// where the criterion does not have the key.
	accepts [4][]string

	// exact compares whole names instead of prefixes.
	exact bool
}

// matchGroups calls found for each group that fits all criteria, until it
// returns false. The first argument is the user.
func (e *Env) matchGroups(args []any, found func(*identity.Group) bool) error {
	if err := e.refuseLinked(args[0]); err != nil {
		return err
	}
	groups, err := e.Groups()
	if err != nil {
		return err
	}
	criteria := make([]criterion, len(args)-1)
	values := 1
	for i, arg := range args[1:] {
		if err := e.readCriterion(arg.(map[string]any), &criteria[i]); err != nil {
			return err
		}
		for _, accepts := range criteria[i].accepts {
			values += len(accepts)
		}
	}
	if err := e.Consume(len(groups)*values, value.ListPerStep); err != nil {
		return err
	}
next:
	for i := range groups {
		var unavailable identity.Facts
		for j := range criteria {
			unknown := e.Context.Unavailable & criteria[j].facts(&groups[i])
			if !criteria[j].without(unknown).fits(&groups[i]) {
				continue next
			}
			unavailable |= unknown
		}
		if err := e.Context.UnavailableError(unavailable); err != nil {
			return err // all that is known of the group fits
		}
		if !found(&groups[i]) {
			return nil
		}
	}
	return nil
}

// readCriterion reads one map of criteria. Unlike the check of literals it names
// no key or value in its errors: they may come from a profile.
func (e *Env) readCriterion(m map[string]any, c *criterion) (err error) {
	for key, v := range m {
		at := slices.Index(criterionKeys, key)
		switch {
		case at < 0:
			return errors.New("unknown criterion")
		case key != criterionOperator:
			if c.accepts[at], err = e.wanted(v); err != nil {
				return err
			}
		case v == operatorExact:
			c.exact = true
		case v != operatorStartsWith:
			return errors.New("unknown operator (want EXACT or STARTS_WITH)")
		}
	}
	names := c.accepts[byName]
	if _, ok := m[criterionOperator]; ok && names == nil {
		return errOperator
	}
	if len(m) == 0 {
		return errCriterion
	}
	if c.exact {
		return nil
	}
	for i, name := range names {
		// The wildcard of older expressions: a prefix is what it meant.
		if prefix, ok := strings.CutSuffix(name, "*"); ok {
			names[i] = strings.TrimSuffix(prefix, ".")
		}
	}
	return nil
}

// wanted reads the values of a criterion: a string, or a list of strings. Null
// fits no group.
func (e *Env) wanted(v any) ([]string, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	out := make([]string, 0, len(list))
	for _, element := range list {
		if element == nil {
			continue
		}
		s, err := e.Text(element)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// facts returns what the criterion asks of a group and the group does not show.
func (c *criterion) facts(g *identity.Group) (facts identity.Facts) {
	if c.accepts[bySource] != nil {
		facts |= object.FactsOf(g, "source")
	}
	if c.accepts[byType] != nil {
		facts |= object.FactsOf(g, "type")
	}
	return facts
}

// without returns the criterion without what it asks of the facts.
func (c *criterion) without(facts identity.Facts) *criterion {
	if facts == 0 {
		return c
	}
	rest := *c
	if facts&identity.FactGroupSource != 0 {
		rest.accepts[bySource] = nil
	}
	if facts&identity.FactGroupType != 0 {
		rest.accepts[byType] = nil
	}
	return &rest
}

// fits reports whether a group has what the criterion asks for. What a group
// does not have fits nothing.
func (c *criterion) fits(g *identity.Group) bool {
	ids, sources, types, names := c.accepts[byID], c.accepts[bySource], c.accepts[byType], c.accepts[byName]
	return (ids == nil || g.ID != "" && slices.Contains(ids, g.ID)) &&
		(sources == nil || g.Source != "" && slices.Contains(sources, g.Source)) &&
		(types == nil || g.Type != "" && slices.Contains(types, g.Type)) &&
		(names == nil || c.fitsName(g.MatchName()))
}

// fitsName reports whether one of the names of the criterion is this name, or
// begins it.
func (c *criterion) fitsName(name string) bool {
	return name != "" && slices.ContainsFunc(c.accepts[byName], func(wanted string) bool {
		return wanted == name || !c.exact && strings.HasPrefix(name, wanted)
	})
}
