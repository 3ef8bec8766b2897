package enrich

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// This file holds the stages between a verified token and its decision. They
// need no request, so their outcome can be cached. Enrich and Explain both run
// this list.

// stages are in the order in which they run; the first error ends the list.
// Each error is a *Refusal, and its kind says whether it is a decision (see
// Kind.decides) or whether nothing could be decided.
var stages = [...]func(*evaluation, context.Context) error{
	(*evaluation).lookUp,
	(*evaluation).applyDirectoryState,
	(*evaluation).compute,
	(*evaluation).redactPartialGroups,
	(*evaluation).checkRequirements,
	(*evaluation).render,
}

// evaluation is the scratch of one verified token under one policy. Each stage
// reads what the stages before it found and adds its own. After an error it
// still holds what was found until then, for Explain.
type evaluation struct {
	gateway  *Gateway
	policy   *Policy
	verified *issuer.Verified
	now      time.Time // when the evaluation began
	token    string    // as it was sent, for directories that ask with it; empty for a session
	app      string    // the id of the protected app; may be empty

	record    LookupResult
	lookupErr error         // why a part of the record failed
	status    string        // see Decision.Status
	missing   oktael.Inputs // what the policy goes on without; no rule may read it

	context  *oktael.Context // what expressions read; nil before compute
	rules    claim.Result    // of compute; after its error only the outcomes
	claims   map[string]any  // see Decision.Claims
	rendered *forward.RenderedHeaders
}

// newEvaluation returns the evaluation of a verified token before its first
// stage.
func (g *Gateway) newEvaluation(p *Policy, v *issuer.Verified, token string, now time.Time) *evaluation {
	e := &evaluation{gateway: g, policy: p, verified: v, now: now, token: token, app: p.definition.App}
	e.app = cmp.Or(e.app, v.Principal.Client)
	return e
}

// run takes the evaluation through the stages.
func (e *evaluation) run(ctx context.Context) error {
	for _, stage := range stages {
		if err := stage(e, ctx); err != nil {
			return err
		}
	}
	return nil
}

// lookUp reads the record from memory, Redis or the directory. Parts that
// failed are left to applyDirectoryState; only a request that has ended is an
// error.
func (e *evaluation) lookUp(ctx context.Context) error {
	e.status = identity.Fresh.String()
	l := e.gateway.Lookup
	if l == nil {
		return nil
	}
	q := directory.Query{Principal: e.verified.Principal, Token: e.token}
	e.record, e.lookupErr = l.record(ctx, q, e.app, e.policy.reads)
	if ctx.Err() != nil {
		return refuse(KindUnavailable, ctx.Err())
	}
	return nil
}

// directoryRoots are the roots that a person brings.
const directoryRoots = oktael.InputUser | oktael.InputGroups | oktael.InputLinked | oktael.InputAppUsers

// applyDirectoryState applies the policy to the states of the record's parts:
// an account that is disabled, unknown or could not be looked up is refused,
// or the policy goes on without it and the decision is degraded.
func (e *evaluation) applyDirectoryState(context.Context) error {
	p, r := e.policy, &e.record
	if r.PersonState == identity.Stale || r.AppState == identity.Stale || r.AppUserState == identity.Stale {
		e.status = identity.Stale.String()
	}
	switch r.PersonState {
	case identity.Failed:
		// A subject that names two users identifies no one, so it is not an
		// unknown user.
		if !p.definition.ContinueDirectoryError || errors.Is(e.lookupErr, directory.ErrAmbiguous) {
			return e.directoryFailed()
		}
		e.missing |= directoryRoots
	case identity.Missing:
		if !p.definition.ContinueMissingUser {
			return refuse(KindMissingUser, errUnknownUser)
		}
		e.missing |= directoryRoots | oktael.InputAppUser
	case identity.Unasked: // a service account, or no directory answers for its issuer
		r.Person = personOfToken(e.verified.Principal, p.reads)
	default:
		if u := r.Person.User; u != nil && u.Disabled() {
			return refuse(KindDenied, &accountError{u.Status})
		}
	}
	for _, part := range []struct {
		state identity.State
		root  oktael.Inputs
	}{{r.AppState, oktael.InputApp}, {r.AppUserState, oktael.InputAppUser}} {
		if part.state != identity.Failed {
			continue
		}
		if !p.definition.ContinueDirectoryError {
			return e.directoryFailed()
		}
		e.missing |= part.root
	}
	if e.missing != 0 {
		e.status = statusDegraded
	}
	e.gateway.logUnknownGroups(p, r.Person)
	return nil
}

func (e *evaluation) directoryFailed() error {
	return refuse(KindUnavailable, fmt.Errorf("%w: %w", errDirectory, e.lookupErr))
}

// personOfToken returns what is known of a principal for whom no directory
// answers: the groups that the token itself brings. A service account is in no
// group unless its token says so; that is known, not unknown. Where the policy
// reads no groups, none are made: they are the largest part of a decision.
func personOfToken(p *identity.Principal, reads oktael.Inputs) *identity.Person {
	none := p.ServiceAccount && !p.GroupsPartial && p.Claims[p.GroupsClaim] == nil
	person := &identity.Person{GroupsKnown: p.GroupsKnown || none}
	if p.GroupsUnknown != "" {
		person.GroupsUnknown = fmt.Sprintf("issuer %q: claim %q: %s", p.IssuerName, p.GroupsClaim, p.GroupsUnknown)
	}
	if len(p.Groups) == 0 || reads&oktael.InputGroups == 0 {
		return person
	}
	person.Groups = make([]identity.Group, len(p.Groups))
	for i, name := range p.Groups {
		person.Groups[i] = identity.Group{ID: name, Name: name}
	}
	return person
}

// logUnknownGroups logs why a person's groups are unknown that the policy
// reads, once for each reason: the cause is in the configuration of an issuer or a
// directory and is the same for every such person.
func (g *Gateway) logUnknownGroups(p *Policy, who *identity.Person) {
	if who == nil || who.GroupsUnknown == "" || p.reads&oktael.InputGroups == 0 {
		return
	}
	if _, logged := g.loggedReasons.LoadOrStore(who.GroupsUnknown, true); !logged {
		g.Logger.Warn("groups are unknown: rules and requirements that read them fail", "reason", who.GroupsUnknown, "policy", p.name)
	}
}

// compute evaluates the claim rules and merges their claims with the token's.
func (e *evaluation) compute(context.Context) error {
	e.context = e.expressionContext()
	result, err := e.policy.rules.Eval(e.context, e.missing)
	if err != nil {
		e.rules.Outcomes = result.Outcomes
		return refuse(KindClaim, err)
	}
	e.rules = *result
	e.claims = mergeClaims(e.verified.Principal.Claims, result)
	e.context.Claims = result.Claims
	return nil
}

// mergeClaims returns the token's claims with the computed ones in place of
// those of the same name. A rule replaces the token's claim also where it
// emitted nothing. Neither argument is changed.
func mergeClaims(token map[string]any, result *claim.Result) map[string]any {
	if len(result.Computed) == 0 {
		return token
	}
	size := len(token) // exactly: a map that is one too large is twice as large
	for name := range result.Claims {
		if _, ok := token[name]; !ok {
			size++
		}
	}
	all := make(map[string]any, size)
	for name, v := range token {
		if !result.Computed[name] {
			all[name] = v
		}
	}
	maps.Copy(all, result.Claims)
	return all
}

// redactPartialGroups keeps a groups claim that the token brings in part from
// being handed on as if it were the whole. A header or a signed token that
// would carry it is an error, as in a rule that reads it, and placeholders
// find nothing. A rule of that name replaces the claim, which needs no
// redaction then.
func (e *evaluation) redactPartialGroups(context.Context) error {
	p, name := e.policy, e.verified.Principal.PartialGroupsClaim()
	if name == "" || e.rules.Computed[name] {
		return nil
	}
	if p.headerPlan.Shows(name) || slices.ContainsFunc(p.tokens, func(t signedToken) bool { return t.template.Carries(name) }) {
		return refuse(KindClaim, fmt.Errorf("the token's claim %q: %w: %s", name, oktael.ErrGroupsUnknown, e.verified.Principal.GroupsUnknown))
	}
	if _, ok := e.claims[name]; ok {
		e.claims = maps.Clone(e.claims) // may be the token's own
		delete(e.claims, name)
	}
	return nil
}

// checkRequirements checks the required scopes and the requirements that do
// not read the request.
func (e *evaluation) checkRequirements(context.Context) error {
	required := e.policy.definition.RequireScope
	for _, scope := range required {
		if !e.verified.Principal.HasScope(scope) {
			r := refuse(KindInsufficientScope, errScope)
			r.Scopes = required
			return r
		}
	}
	return e.requirementInput().checkAll(e.policy.requirements.decision)
}

// requirementInput returns what requirements read of the evaluation.
func (e *evaluation) requirementInput() requirementInput {
	in := requirementInput{context: e.context, missing: e.missing}
	if len(e.rules.Unknown) > 0 {
		in.missing |= oktael.InputClaims
	}
	return in
}

// render renders the headers that the application will receive.
func (e *evaluation) render(context.Context) error {
	var err error
	if e.rendered, err = e.policy.headerPlan.Render(e.claims); err != nil {
		return refuse(KindHeader, err)
	}
	return nil
}

// decision returns the decision that an evaluation came to; err is what ended
// its stages, or nil. Where err is no decision, what is returned says whose
// token it is and no more.
func (e *evaluation) decision(err error) *Decision {
	v, p := e.verified, e.policy
	d := &Decision{
		ID: newID(), Principal: v.Principal, Claims: e.claims, status: e.status,
		verified: v, parts: e.record.Parts, app: e.app, reads: p.reads, incomplete: e.missing != 0,
		denyNames: e.gateway.denyNames(v.Principal), rendered: e.rendered,
		computed: e.rules.Claims, ruleNames: e.rules.Computed,
		minted: make([]atomic.Pointer[mintedToken], len(p.tokens)),
	}
	if refusal, ok := errors.AsType[*Refusal](err); ok && refusal.Kind.decides() {
		d.denial = refusal
	}
	d.validFrom, d.validUntil = validity(v, e.now)
	d.cost = costOf(d)
	if len(p.requirements.request) > 0 {
		// They read the record on every request. Otherwise it is not held: it
		// would outlive its place in the cache.
		d.requirements = e.requirementInput()
		d.cost += costOfRecord(&e.record)
	}
	return d
}

// expressionContext returns what expressions read of the evaluation.
func (e *evaluation) expressionContext() *oktael.Context {
	principal := e.verified.Principal
	c := &oktael.Context{
		App:     e.record.App,
		AppUser: e.record.AppUser,
		Scopes:  principal.Scopes,
		Token:   principal.Claims,
		Now:     e.gateway.Clock,

		PartialGroupsClaim: principal.PartialGroupsClaim(),
		Unavailable:        e.unavailableFacts(),
	}
	if person := e.record.Person; person != nil {
		c.User = person.User
		c.Groups, c.GroupsKnown, c.GroupsUnknown = person.Groups, person.GroupsKnown, person.GroupsUnknown
		c.Linked, c.LinkedNames, c.AppUsers = person.Linked, person.LinkedNames, person.AppUsers
		c.Index = e.record.Index
	}
	return c
}

// unavailableFacts returns the facts about the principal that no directory
// could say. That a service account has no user is known.
func (e *evaluation) unavailableFacts() identity.Facts {
	unavailable := identity.AllFacts
	if l := e.gateway.Lookup; l != nil {
		unavailable = l.unavailableFacts(e.verified.Principal)
	}
	const ofApp = identity.FactApp | identity.FactAppUser
	switch person := e.record.Person; {
	case e.verified.Principal.ServiceAccount:
		return unavailable & identity.FactApp
	case person != nil && person.User != nil:
		return unavailable&ofApp | person.Unavailable
	case person != nil: // no directory answers for the issuer
		return unavailable | identity.GroupFacts
	}
	return unavailable & ofApp
}
