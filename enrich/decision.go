package enrich

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// Decision is the outcome for one principal under one policy: allow with
// claims, or deny with a reason. It is shared by all requests that it answers
// and never changed but for the tokens that it minted.
type Decision struct {
	// ID names the decision in logs and placeholders.
	ID string

	// Principal is who asked; nil for an anonymous request.
	Principal *identity.Principal

	// Claims are the verified claims of the token overlaid by the computed
	// ones: what headers and placeholders read.
	Claims map[string]any

	// Computed are the claims that the rules gave.
	Computed map[string]any

	// Outcomes tells of each rule what became of it, for explain.
	Outcomes []claim.Outcome

	policy   *Policy
	verified *issuer.Verified
	app      string
	from     time.Time // not before, leeway included
	until    time.Time // when the token ends, leeway included, or its verdict
	cost     uint32
	record   LookupResult
	status   string
	refusal  *Refusal // why the decision is a denial, or nil
	skip     oktael.Roots
	ruled    map[string]bool // the names of all rules
	unknown  map[string]bool // those of rules that could not be tried
	context  *oktael.Context
	rendered *forward.Rendered // the header lines; nil for a denial
	denials  []cache.Name
	minted   []atomic.Pointer[mintedToken]
}

// mintedToken is a signed token with the value that is written.
type mintedToken struct {
	mint.Minted
	value string
}

// newDecision begins the decision about a verified token.
func newDecision(p *Policy, v *issuer.Verified, now time.Time) *Decision {
	d := &Decision{
		ID: newID(), Principal: v.Principal, policy: p, verified: v, app: p.definition.App,
		minted: make([]atomic.Pointer[mintedToken], len(p.tokens)),
	}
	if d.app == "" {
		d.app = v.Principal.Client
	}
	leeway := v.Issuer.Leeway()
	if nbf := v.Principal.NotBefore; !nbf.IsZero() {
		d.from = nbf.Add(-leeway)
	}
	// A token without an expiry (an introspection answer may lack it) ends
	// with its verdict.
	if exp := v.Principal.Expiry; !exp.IsZero() {
		d.until = exp.Add(leeway)
	}
	if !v.Until.IsZero() && (d.until.IsZero() || v.Until.Before(d.until)) {
		d.until = v.Until
	}
	if d.until.IsZero() {
		d.until = now
	}
	return d
}

// newID gives 64 random bits, enough to find a decision in a log.
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// Status tells what the decision rests on: fresh, stale, degraded (a part of
// the record is missing or failed and the policy goes on), or anonymous.
func (d *Decision) Status() string { return d.status }

// Until is when the token ends, leeway included; zero for an anonymous
// request and for a token without an expiry.
func (d *Decision) Until() time.Time {
	if d.verified == nil || d.Principal.Expiry.IsZero() {
		return time.Time{}
	}
	return d.Principal.Expiry.Add(d.verified.Issuer.Leeway())
}

// The words of Status beside those of a record's state.
const (
	statusDegraded  = "degraded"
	statusAnonymous = "anonymous"
)

// directoryRoots are the roots that a person brings.
const directoryRoots = oktael.RootUser | oktael.RootGroups | oktael.RootLinked | oktael.RootAppUsers

// weigh says what the state of a record means under the policy: a refusal, a
// degraded decision, or nothing.
func (p *Policy) weigh(d *Decision, err error) error {
	r := &d.record
	if r.PersonState == identity.Stale || r.AppState == identity.Stale || r.AppUserState == identity.Stale {
		d.status = identity.Stale.String()
	}
	switch r.PersonState {
	case identity.Failed:
		// A subject that names two users is nobody, not somebody unknown.
		if !p.definition.ContinueDirectoryError || errors.Is(err, directory.ErrAmbiguous) {
			return refuse(KindUnavailable, fmt.Errorf("%w: %w", ErrDirectory, err))
		}
		d.skip |= directoryRoots
	case identity.Missing:
		if !p.definition.ContinueMissingUser {
			d.refusal = refuse(KindMissingUser, ErrUnknownUser)
			return nil
		}
		d.skip |= directoryRoots | oktael.RootAppUser
	case identity.Unasked: // a client on its own behalf, or no directory answers for its issuer
		r.Person = personOfToken(d.Principal, p.reads)
	default:
		if r.Person.User != nil && r.Person.User.Disabled() {
			d.refusal = refuse(KindDenied, ErrAccountDisabled)
			return nil
		}
	}
	for _, part := range []struct {
		state identity.State
		root  oktael.Roots
	}{{r.AppState, oktael.RootApp}, {r.AppUserState, oktael.RootAppUser}} {
		if part.state != identity.Failed {
			continue
		}
		if !p.definition.ContinueDirectoryError {
			return refuse(KindUnavailable, fmt.Errorf("%w: %w", ErrDirectory, err))
		}
		d.skip |= part.root
	}
	if d.skip != 0 {
		d.status = statusDegraded
	}
	return nil
}

// personOfToken is what is known of a principal that no directory answers
// for: the groups that the token itself brings. A client on its own behalf is
// in no group unless its token says so; that is known, not unknown.
// Where nothing reads groups, none are made: they are the largest part of a
// decision.
func personOfToken(p *identity.Principal, reads oktael.Roots) *identity.Person {
	none := p.ServiceAccount && !p.GroupsPartial && p.Claims[p.GroupsClaim] == nil
	person := &identity.Person{GroupsKnown: p.GroupsKnown || none}
	if p.GroupsUnknown != "" {
		person.GroupsUnknown = fmt.Sprintf("issuer %q: claim %q: %s", p.IssuerName, p.GroupsClaim, p.GroupsUnknown)
	}
	if len(p.Groups) == 0 || reads&oktael.RootGroups == 0 {
		return person
	}
	person.Groups = make([]identity.Group, len(p.Groups))
	for i, name := range p.Groups {
		person.Groups[i] = identity.Group{ID: name, Name: name}
	}
	return person
}

// overlay puts the computed claims over the token's. A rule's name hides the
// token's claim also where the rule gave nothing.
func overlay(token map[string]any, result *claim.Result) map[string]any {
	if len(result.Computed) == 0 {
		return token // neither is ever changed
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

// withhold keeps what the token brings in part only from being handed on as if
// it were the whole: a header or a signed token that would show it is an error,
// as in a rule that reads it, and placeholders find nothing. A rule of that
// name stands for the claim, and all is well.
func (p *Policy) withhold(d *Decision) error {
	name := d.Principal.PartialGroupsClaim()
	if name == "" || d.ruled[name] {
		return nil
	}
	if p.contract.Shows(name) || slices.ContainsFunc(p.tokens, func(t signedToken) bool { return t.template.Carries(name) }) {
		return refuse(KindClaim, fmt.Errorf("the token's claim %q: %w: %s", name, oktael.ErrGroupsUnknown, d.Principal.GroupsUnknown))
	}
	if _, ok := d.Claims[name]; ok {
		d.Claims = maps.Clone(d.Claims) // the token's own, perhaps
		delete(d.Claims, name)
	}
	return nil
}

// judge is the sixth stage: every requirement holds, or the decision is a
// denial.
func (p *Policy) judge(d *Decision) *Refusal {
	for _, scope := range p.definition.RequireScope {
		if !d.Principal.HasScope(scope) {
			r := refuse(KindInsufficientScope, ErrScope)
			r.Scopes = p.definition.RequireScope
			return r
		}
	}
	return p.requireAll(p.require, d.context, d)
}

// requireAll evaluates requirements. One that is not true, that errors, or
// that reads what could not be had, is a denial.
func (p *Policy) requireAll(requirements []*oktael.Program, c *oktael.Context, d *Decision) *Refusal {
	for i, r := range requirements {
		if refusal := p.requireOne(i, r, c, d); refusal != nil {
			return refusal
		}
	}
	return nil
}

func (p *Policy) requireOne(i int, r *oktael.Program, c *oktael.Context, d *Decision) *Refusal {
	reads := r.Reads()
	if reads&d.skip != 0 || reads&oktael.RootClaims != 0 && len(d.unknown) > 0 {
		return refuse(KindDenied, fmt.Errorf("%w: requirement %d reads what the directory could not give", ErrRequirement, i+1))
	}
	ok, err := r.EvalBool(c)
	if err != nil {
		return refuse(KindDenied, fmt.Errorf("%w: requirement %d: %w", ErrRequirement, i+1, err))
	}
	if !ok {
		return refuse(KindDenied, fmt.Errorf("%w: requirement %d", ErrRequirement, i+1))
	}
	return nil
}
