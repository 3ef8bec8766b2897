package claim

import (
	"errors"
	"maps"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// Eval computes the claims for one principal and its record. Rules are tried
// in their order; each sees, as claims.<name>, the values of the rules above it.
// What c.Claims holds is not seen. c is only read.
//
// skip are the roots whose data could not be had where the policy goes on
// without them: rules that read one of them, themselves or through another
// claim, are not evaluated and are listed in Result.Unknown.
//
// A rule that fails and does not say omit ends the evaluation: the error is a
// *RuleError, and the result then has no claims, but the outcomes up to
// that rule, for explain.
func (r *Rules) Eval(c *oktael.Context, skip oktael.Inputs) (*Result, error) {
	res := &Result{
		Claims:   make(map[string]any, len(r.rules)),
		Computed: r.computed,
		Outcomes: make([]Outcome, 0, len(r.rules)),
	}
	kind := ""
	if r.byToken {
		kind = tokenKind(c.Token)
	}
	for i := range r.rules {
		rule := &r.rules[i]
		o := Outcome{Rule: rule.name, Reason: rule.gate(c, kind, skip)}
		if o.Reason != 0 {
			if o.Reason == Skipped {
				res.unknown(rule.name)
			}
			res.Outcomes = append(res.Outcomes, o)
			continue
		}
		value, field, err := rule.eval(rule.sees(c, res.Claims), &o)
		switch {
		case err == nil:
			if o.Reason = rule.outcomeOf(value); o.Reason == Emitted {
				res.Claims[rule.name] = value
			}
		case rule.omitErrors:
			o.Reason, o.Err = OmittedError, err
			if errors.Is(err, oktael.ErrGroupsUnknown) {
				res.unknown(rule.name)
			}
		default:
			o.Reason, o.Err = Failed, err
			res.Claims = nil
			res.Outcomes = append(res.Outcomes, o)
			return res, &RuleError{Rule: rule.name, Index: i, Field: field, Err: err}
		}
		res.Outcomes = append(res.Outcomes, o)
	}
	return res, nil
}

// unknown notes that the value of the claim is not known.
func (r *Result) unknown(name string) {
	if r.Unknown == nil {
		r.Unknown = make(map[string]bool)
	}
	r.Unknown[name] = true
}

// gate returns why a rule is not evaluated, or 0 where it is.
func (r *rule) gate(c *oktael.Context, kind string, skip oktael.Inputs) Reason {
	switch {
	case !r.active:
		return Inactive
	case r.token != "" && r.token != kind:
		return OtherToken
	case len(r.scopes) > 0 && !slices.ContainsFunc(r.scopes, func(s string) bool { return slices.Contains(c.Scopes, s) }):
		return ScopeNotGranted
	case r.reads&skip != 0:
		return Skipped
	}
	return 0
}

// outcomeOf returns what becomes of a value.
func (r *rule) outcomeOf(value any) Reason {
	switch v := value.(type) {
	case nil:
		return Null
	case []any:
		if len(v) == 0 && !r.emitEmpty {
			return Empty
		}
	}
	return Emitted
}

// sees returns the context with the claims so far, where the rule reads them: a
// copy, because the value of an expression may be the map itself, which is still
// to grow.
func (r *rule) sees(c *oktael.Context, above map[string]any) *oktael.Context {
	if r.reads&oktael.InputClaims == 0 {
		return c
	}
	local := *c
	local.Claims = maps.Clone(above)
	return &local
}

// eval evaluates the rule, whatever its kind. The field that it returns with
// an error is the one that failed.
func (r *rule) eval(c *oktael.Context, o *Outcome) (value any, field string, err error) {
	switch {
	case r.filter != nil:
		return r.evalFilter(c, o)
	case r.allow != nil:
		return r.evalAllowList(c, o)
	}
	value, err = r.program.Eval(c)
	return value, "expression", err
}

func (r *rule) evalFilter(c *oktael.Context, o *Outcome) (any, string, error) {
	if !c.GroupsKnown {
		return nil, "groups", c.GroupsError()
	}
	o.Groups = &GroupChoice{}
	if r.filter.types != nil {
		for i := range c.Groups {
			if c.Groups[i].Type == "" {
				if err := c.UnavailableError(identity.FactGroupType); err != nil {
					return nil, "groups.types", err
				}
			}
		}
	}
	values, err := r.filter.choose(c.Groups, o.Groups)
	if err != nil {
		return nil, "groups.limit", err
	}
	return values, "", nil
}

func (r *rule) evalAllowList(c *oktael.Context, o *Outcome) (any, string, error) {
	if !c.GroupsKnown {
		return nil, "allow_list", c.GroupsError()
	}
	o.Groups = &GroupChoice{}
	values, field, err := r.allow.eval(c, o.Groups)
	if err != nil {
		return nil, field, err
	}
	return values, "", nil
}

// idTokenClaims are the claims that only ID tokens have (OpenID Connect Core,
// sections 2 and 3.3.2.11). tokenUse is the claim by which some issuers say the
// kind of a token outright.
var idTokenClaims = [...]string{"nonce", "at_hash", "c_hash"}

const tokenUse = "token_use"

// tokenKind distinguishes ID tokens from access tokens by their claims.
func tokenKind(token map[string]any) string {
	for _, name := range idTokenClaims {
		if _, ok := token[name]; ok {
			return TokenID
		}
	}
	if use, ok := token[tokenUse].(string); ok && use == TokenID {
		return TokenID
	}
	return TokenAccess
}
