package enrich

import (
	"crypto/rand"
	"encoding/hex"
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// Decision is the outcome for one principal under one policy: allow with
// claims, or deny with a reason. It is shared by all requests that it answers
// and is immutable, but for the signed tokens that it remembers.
type Decision struct {
	// ID names the decision in logs and placeholders: 16 hexadecimal digits.
	ID string

	// Principal is whom the verified token or session is for; nil for an anonymous request.
	Principal *identity.Principal

	// Claims are the verified claims of the token with the computed ones in
	// place of those of the same name: what headers and placeholders read. Nil
	// for an anonymous request.
	Claims map[string]any

	status string
	denial *Refusal // nil where the decision allows

	verified   *issuer.Verified
	validFrom  time.Time // the token's nbf less leeway; zero without one
	validUntil time.Time // when the token or its verdict ends, leeway included

	parts      []cache.Handle // of the record; they report whether it is still valid
	app        string         // with reads, what a refresh looks up
	reads      oktael.Inputs
	incomplete bool // a part of the record is missing, so the decision is not cached

	requirements requirementInput // of those that read the request; zero where there are none
	denyNames    []purgelog.NameHash
	rendered     *forward.RenderedHeaders // the header lines; nil for a denial
	computed     map[string]any           // what the rules emitted
	ruleNames    map[string]bool
	minted       []atomic.Pointer[mintedToken] // by the policy's tokens
	cost         uint32                        // estimated bytes
}

// mintedToken is a signed token with the value that is written.
type mintedToken struct {
	mint.Minted
	value string
}

// The values of Decision.Status beside those of a record's state.
const (
	statusDegraded  = "degraded"
	statusAnonymous = "anonymous"
)

// validity returns the times between which a decision about a verified token
// can be used. A token without an expiry, as an introspection answer may
// describe one, ends with its verdict.
func validity(v *issuer.Verified, now time.Time) (from, until time.Time) {
	leeway := v.Leeway()
	if nbf := v.Principal.NotBefore; !nbf.IsZero() {
		from = nbf.Add(-leeway)
	}
	if exp := v.Principal.Expiry; !exp.IsZero() {
		until = exp.Add(leeway)
	}
	if !v.Until.IsZero() && (until.IsZero() || v.Until.Before(until)) {
		until = v.Until
	}
	if until.IsZero() {
		until = now
	}
	return from, until
}

// newID returns 64 random bits, enough to find a decision in a log.
func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return hex.EncodeToString(b[:])
}

// Status returns what the decision rests on: fresh, stale, degraded (a part of
// the record is missing or failed and the policy goes on), or anonymous.
func (d *Decision) Status() string { return d.status }

// until returns when the token expires, leeway included, or the session ends. It is zero for an
// anonymous request and for a token without an expiry.
func (d *Decision) until() time.Time {
	if d.verified == nil || d.Principal.Expiry.IsZero() {
		return time.Time{}
	}
	return d.Principal.Expiry.Add(d.verified.Leeway())
}

// valid reports whether everything that the decision was made from is as it
// was: the token's times, the key set that verified it, and each part of the
// record with its content, its freshness and the purge log. refreshDue says
// that a part should be fetched anew behind the request. The deny list and the
// sender are checked apart, on every request.
func (d *Decision) valid(l *Lookup, now time.Time) (ok, refreshDue bool) {
	v := d.verified
	if !now.Before(d.validUntil) || now.Before(d.validFrom) || !v.Issuer.Current(v.KeySet, now) {
		return false, false
	}
	for i := range d.parts {
		ok, due := d.parts[i].Valid(now, l.ttls)
		if !ok {
			return false, false
		}
		refreshDue = refreshDue || due
	}
	return true, refreshDue
}

// signingRequest returns what a signed token is made from.
func (d *Decision) signingRequest(now time.Time) mint.Request {
	return mint.Request{
		Principal: d.Principal, Claims: d.computed, Computed: d.ruleNames, Now: now, Leeway: d.verified.Leeway(),
	}
}

// Estimates of what a decision holds on the heap beside its values, in bytes.
const (
	decisionOverhead = 1600 // the decision, the principal, the cache's own bookkeeping
	mintedOverhead   = 2048 // a signed token
	stringHeader     = 16
	groupOverhead    = 176 // an identity.Group
)

// costOf estimates a decision's bytes without a record. Values are counted
// once although the token's claims and the merged ones share them.
func costOf(d *Decision) uint32 {
	n := decisionOverhead + len(d.parts)*64 + len(d.denyNames)*16
	n += sizeOf(d.Principal.Claims)
	n += sizeOf(d.computed) + len(d.Claims)*memberOverhead + d.rendered.Weight()
	n += len(d.Principal.Groups)*stringHeader + len(d.Principal.Scopes)*stringHeader
	n += len(d.minted) * mintedOverhead
	return uint32(n) //nolint:gosec // bounded by the token's size
}

// costOfRecord estimates the bytes of a record that a decision holds. It stays
// in memory when its tier lets it go.
func costOfRecord(r *LookupResult) uint32 {
	n := 0
	if who := r.Person; who != nil {
		n += len(who.Groups) * groupOverhead
		if who.User != nil {
			n += personCodec{}.Cost(&person{Person: who})
		}
	}
	if r.App != nil {
		n += appCodec{}.Cost(r.App)
	}
	if r.AppUser != nil {
		n += appUserCodec{}.Cost(r.AppUser)
	}
	return uint32(n) //nolint:gosec // bounded by the record's size
}
