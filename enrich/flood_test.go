package enrich

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// TestARefusalSaysWhoseVerifiedTokenItIs holds that the log can tell a stranger,
// of whom it writes some lines only (P67), from a person whose denial must not
// be lost.
func TestARefusalSaysWhoseVerifiedTokenItIs(t *testing.T) {
	for name, tc := range map[string]struct {
		definition PolicyDefinition
		claims     enrichtest.Claims
		prepare    func(r *rig)
		forge      bool
		want       Kind
		stranger   bool
	}{
		"a forged token":       {forge: true, want: KindInvalidToken, stranger: true},
		"an expired one":       {claims: enrichtest.Claims{"exp": 1}, want: KindInvalidToken, stranger: true},
		"denied by its id":     {claims: enrichtest.Claims{"jti": "j-1"}, prepare: func(r *rig) { r.deny(DenyTokenID, "j-1", time.Time{}) }, want: KindInvalidToken},
		"a requirement":        {definition: PolicyDefinition{Require: []string{"false"}}, want: KindDenied},
		"of the request":       {definition: PolicyDefinition{Require: []string{`request.method == "POST"`}}, want: KindDenied},
		"a scope":              {definition: PolicyDefinition{RequireScope: []string{"admin"}}, want: KindInsufficientScope},
		"a login":              {definition: PolicyDefinition{RequireACR: []string{"mfa"}}, want: KindInsufficientAuthentication},
		"a directory that is":  {prepare: func(r *rig) { r.people.fail(errOutage) }, want: KindUnavailable},
		"a user whom it lacks": {claims: enrichtest.Claims{"sub": "00u9nobody"}, want: KindMissingUser},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			if tc.prepare != nil {
				tc.prepare(r)
			}
			text := r.token(tc.claims)
			if tc.forge {
				text = enrichtest.FlipSignature(text)
			}
			tc.definition.Claims = fromDirectory()
			p := r.policy(tc.definition)
			for range 2 { // the second may be a hit
				a := r.refused(p, text, tc.want)
				if known := a.decision != nil && a.decision.Principal != nil; known == tc.stranger {
					t.Errorf("whose token it is, is known: %t", known)
				}
			}
		})
	}
}

// TestForgedTokensFillNoMemory holds SECURITY C16 and P67 in small: whatever
// is no good token costs neither an entry of the decision cache nor of the
// record cache, nor a question to the directory, and the heap stays as it was.
func TestForgedTokensFillNoMemory(t *testing.T) {
	r := newRig(t, options{})
	p := r.usual()
	r.warm(p, r.token())
	r.Observer = enrichtest.Silent{} // the tests' own remembers
	decisions, _ := r.Decisions.Status()
	records := r.store.Status().Tiers
	asked := r.people.Persons.Load()
	good := r.token()
	head, rest, _ := strings.Cut(good, ".")
	flood := func(n int) {
		for i := range n {
			id := fmt.Sprintf("%08d", i)
			for _, raw := range []string{
				head + "." + id + rest[8:],                    // another payload each
				good[:len(good)-16] + id + good[len(good)-8:], // another signature each
				"opaque-" + id,                                //
				head + "." + id + ".." + id + "." + id,
			} {
				if d, err := r.Enrich(bearer(raw), p, RequestInfo{}); err == nil || d != nil {
					t.Fatalf("%q: %v", raw, d)
				}
			}
		}
	}
	flood(100)
	before := liveHeap()
	flood(5000)
	if after := liveHeap(); after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	if n, _ := r.Decisions.Status(); n != decisions {
		t.Errorf("%d decisions are held, before %d", n, decisions)
	}
	if got := r.store.Status().Tiers; !reflect.DeepEqual(got, records) {
		t.Errorf("the record cache holds %v, before %v", got, records)
	}
	if got := r.people.Persons.Load(); got != asked {
		t.Errorf("the directory was asked %d times, before %d", got, asked)
	}
	if _, err := r.Enrich(bearer(r.token()), p, RequestInfo{}); err != nil {
		t.Error(err)
	}
}

// countedProofs is a memory of used proofs that counts what it is given.
type countedProofs struct{ n int }

func (c *countedProofs) Seen(context.Context, [32]byte, time.Duration) (bool, error) {
	c.n++
	return false, nil
}

// A forged token is refused before its proof is looked at: it costs no entry in
// the memory of used proofs (P67). Nor does a proof that is not the token's.
func TestProofsOfForgedTokensFillNoMemory(t *testing.T) {
	used := new(countedProofs)
	r := newRig(t, options{issuer: func(c *issuer.Config) { c.DPoP = "accept" }, gateway: func(g *Gateway) { g.Proofs = &issuer.ProofMemory{Used: used} }})
	key, other := enrichtest.NewDPoPKey(t, "ES256", r.Clock), enrichtest.NewDPoPKey(t, "ES256", r.Clock)
	p := r.policy(PolicyDefinition{DPoP: true, Claims: fromDirectory()})
	good := r.token(enrichtest.Claims{"cnf": key.Confirmation()})
	send := func(token string, with *enrichtest.DPoPKey) answer {
		req := bearer("")
		req.Header.Set("Authorization", "DPoP "+token)
		req.Header.Set("DPoP", with.Proof("GET", "https://payroll.example.com/slips", token, nil))
		return r.send(p, req)
	}
	for range 50 {
		send(enrichtest.FlipSignature(good), key).mustBe(t, KindInvalidToken)
		send(good, other).mustBe(t, KindInvalidToken)
	}
	if used.n != 0 {
		t.Errorf("%d proofs are remembered", used.n)
	}
	if a := send(good, key); a.err != nil || used.n != 1 {
		t.Errorf("a good one: %v, and %d proofs are remembered", errors.Unwrap(a.err), used.n)
	}
}

// Requests without a token, where a policy lets them pass, take half of the
// places of long requests at most (P67).
func TestAnonymousRequestsLeaveRoomForLongOnes(t *testing.T) {
	inBubble(t, options{}, func(t *testing.T, r *rig) {
		p := r.policy(PolicyDefinition{Anonymous: true})
		nobody, ada := r.ask(p, ""), r.allowed(p, r.token())
		var ends []func()
		attend := func(a answer) bool {
			_, done, err := r.Track(bearer(""), a.decision, time.Hour, r.PurgeVersion())
			if err == nil {
				ends = append(ends, done)
			}
			return err == nil
		}
		for n := range maxLongLived / 2 {
			if !attend(nobody) {
				t.Fatalf("only %d are attended", n)
			}
		}
		if attend(nobody) || !attend(ada) {
			t.Error("nobody takes more than half, or ada finds no place")
		}
		for _, done := range ends {
			done()
		}
		if !attend(nobody) {
			t.Error("no place is free again")
		}
		ends[len(ends)-1]()
	})
}
