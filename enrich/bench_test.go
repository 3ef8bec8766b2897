package enrich

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// benchTokens are RS256 tokens of about 1,300 characters with twenty groups.
func benchTokens(r *rig, n int) []string {
	key := r.provider.KeyFor("RS256")
	groups := make([]string, 20)
	for i := range groups {
		groups[i] = fmt.Sprintf("Department-%02d-Members", i)
	}
	list := make([]string, n)
	for i := range list {
		list[i] = r.provider.Mint(enrichtest.Claims{
			"sub": fmt.Sprintf("00u%d", i), "cid": "0oa1payroll", "scp": []string{"openid", "profile", "email", "groups"},
			"email": "ada@example.com", "name": "Ada Ampere", "groups": groups, "exp": r.Clock().Add(time.Hour).Unix(),
		}, enrichtest.WithKey(key))
	}
	return list
}

// benchRig knows everybody, and holds twenty groups of each.
func benchRig(tb testing.TB, o options, people int) (*rig, []string) {
	tb.Helper()
	o.provider = append(o.provider, enrichtest.WithAlgorithms("RS256"))
	r := newRig(tb, o)
	names := make([]string, 20)
	for i := range names {
		names[i] = fmt.Sprintf("Department-%02d-Members", i)
	}
	for i := range people {
		r.people.put(fmt.Sprintf("00u%d", i), ada(names...))
	}
	r.Observer = enrichtest.Silent{}
	return r, benchTokens(r, people)
}

// fiveHeaders is the policy of the benchmarks; with rules they come from the
// directory, without from the token.
func fiveHeaders(rules bool) PolicyDefinition {
	def := PolicyDefinition{Forward: forward.Definition{Headers: []forward.HeaderDefinition{
		{Name: "X-User", Claim: "sub"},
		{Name: "X-Email", Claim: "email"},
		{Name: "X-Name", Claim: "name"},
		{Name: "X-Groups", Claim: "groups"},
		{Name: "X-Client", Claim: "cid"},
	}}}
	if rules {
		def.Claims = fromDirectory()
	}
	return def
}

// arriving makes requests that bring tokens, and sets them up anew for each
// turn without a cost worth measuring.
type arriving struct {
	request *http.Request
	values  []string
}

func newArriving() *arriving {
	return &arriving{request: bearer("x"), values: []string{""}}
}

func (a *arriving) with(authorization string) *http.Request {
	clear(a.request.Header)
	a.values[0] = authorization
	a.request.Header["Authorization"] = a.values
	return a.request
}

func mustAllow(b *testing.B, r *rig, p *Policy, req *http.Request) {
	if _, err := r.Enrich(req, p, RequestInfo{}); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkScrub(b *testing.B) {
	p := compiled(b, fiveHeaders(true))
	reserved := forward.NewReservedNames(p.HeaderPlan())
	header := http.Header{
		"Authorization": {"Bearer x"}, "Accept": {"*/*"}, "User-Agent": {"bench"}, "Accept-Encoding": {"gzip"}, "Cookie": {"a=b; c=d"},
	}
	req := bearer("")
	req.Header = header
	b.ReportAllocs()
	for b.Loop() {
		reserved.Scrub(req)
	}
}

func BenchmarkFind(b *testing.B) {
	r, list := benchRig(b, options{}, 1)
	p := r.policy(fiveHeaders(true))
	req := bearer(list[0])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Find(req, nil, p.places, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	r, list := benchRig(b, options{}, 1)
	caller := issuer.CallerOf(bearer(list[0]), list[0], "Bearer")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Issuers.Verify(b.Context(), list[0], nil, caller); err != nil {
			b.Fatal(err)
		}
	}
}

// verified returns an evaluation after verification, for the stages behind it.
func verified(b *testing.B, r *rig, p *Policy, text string) *evaluation {
	b.Helper()
	v, err := r.Issuers.Verify(b.Context(), text, nil, issuer.CallerOf(bearer(text), text, "Bearer"))
	if err != nil {
		b.Fatal(err)
	}
	return r.newEvaluation(p, v, text, r.Clock())
}

func BenchmarkLookUpFromMemory(b *testing.B) {
	r, list := benchRig(b, options{}, 1)
	p := r.policy(fiveHeaders(true))
	e := verified(b, r, p, list[0])
	b.ReportAllocs()
	for b.Loop() {
		if err := e.lookUp(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompute(b *testing.B) {
	r, list := benchRig(b, options{}, 1)
	p := r.policy(fiveHeaders(true))
	e := verified(b, r, p, list[0])
	if err := e.lookUp(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.compute(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRequire(b *testing.B) {
	r, list := benchRig(b, options{}, 1)
	def := fiveHeaders(true)
	def.Require = []string{`user.department == "Engineering"`, `isMemberOfGroupName("Department-07-Members")`}
	p := r.policy(def)
	e := verified(b, r, p, list[0])
	if err := e.lookUp(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := e.compute(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := e.checkRequirements(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRenderAndWrite(b *testing.B) {
	r, list := benchRig(b, options{}, 1)
	p := r.policy(fiveHeaders(false))
	e := verified(b, r, p, list[0])
	claims := e.verified.Principal.Claims
	h := http.Header{}
	b.ReportAllocs()
	for b.Loop() {
		rendered, err := p.headerPlan.Render(claims)
		if err != nil {
			b.Fatal(err)
		}
		clear(h)
		rendered.Write(h)
	}
}

func BenchmarkMintFromCache(b *testing.B) {
	r, list := benchRig(b, options{}, 1)
	signing(b, r, enrichtest.KeyFile(b))
	def := fiveHeaders(true)
	def.Tokens = []mint.TokenDefinition{{Audience: []string{"payroll"}}}
	p := r.policy(def)
	mustAllowOnce(b, r, p, list[0])
	d := r.Decisions.get(r.Fingerprint, p, credential{key: list[0]}, r.Lookup, r.Clock())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.signed(b.Context(), p, d, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func mustAllowOnce(b *testing.B, r *rig, p *Policy, text string) {
	b.Helper()
	if _, err := r.Enrich(bearer(text), p, RequestInfo{}); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkEnrichHit(b *testing.B) {
	for name, nobody := range map[string]bool{"token only": true, "with directory": false} {
		b.Run(name, func(b *testing.B) {
			r, list := benchRig(b, options{nobody: nobody}, 1)
			p := r.policy(fiveHeaders(!nobody))
			a, authorization := newArriving(), "Bearer "+list[0]
			mustAllow(b, r, p, a.with(authorization))
			b.ReportAllocs()
			for b.Loop() {
				mustAllow(b, r, p, a.with(authorization))
			}
		})
	}
}

// BenchmarkEnrichSessionHit is BenchmarkEnrichHit for the same claims in a session,
// without the cost of opening it.
func BenchmarkEnrichSessionHit(b *testing.B) {
	for name, nobody := range map[string]bool{"token only": true, "with directory": false} {
		b.Run(name, func(b *testing.B) {
			r, list := benchRig(b, options{nobody: nobody}, 1)
			def := fiveHeaders(!nobody)
			def.SessionCookie, def.Logins = sessionCookie, []string{"corp"}
			p, s := r.policy(def), r.sessionOf(list[0])
			req, cookie := bearer(""), []string{sessionCookie + "=sealed"}
			info := RequestInfo{Session: s, Credentials: http.Header{"Cookie": cookie}}
			b.ReportAllocs()
			for b.Loop() {
				clear(req.Header)
				if _, err := r.Enrich(req, p, info); err != nil {
					b.Fatal(err)
				}
			}
			if s.verifies != 1 {
				b.Fatalf("verified %d times", s.verifies)
			}
		})
	}
}

// BenchmarkEnrichMiss verifies each time; the record is in memory.
func BenchmarkEnrichMiss(b *testing.B) {
	for name, nobody := range map[string]bool{"token only": true, "with directory": false} {
		b.Run(name, func(b *testing.B) {
			const n = 256
			r, list := benchRig(b, options{nobody: nobody}, n)
			p := r.policy(fiveHeaders(!nobody))
			a := newArriving()
			for i := range list {
				list[i] = "Bearer " + list[i]
				mustAllow(b, r, p, a.with(list[i]))
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				if i%n == 0 {
					r.Decisions.Clear()
				}
				mustAllow(b, r, p, a.with(list[i%n]))
				i++
			}
		})
	}
}

func BenchmarkEnrichHitsInParallel(b *testing.B) {
	for _, procs := range []int{1, 2} {
		b.Run(fmt.Sprintf("procs=%d", procs), func(b *testing.B) {
			defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
			const n = 64
			r, list := benchRig(b, options{}, n)
			r.Clock = func() time.Time { return enrichtest.Epoch } // without a lock
			p := r.policy(fiveHeaders(true))
			warm := newArriving()
			for i := range list {
				list[i] = "Bearer " + list[i]
				mustAllow(b, r, p, warm.with(list[i]))
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				a := newArriving()
				for i := 0; pb.Next(); i++ {
					mustAllow(b, r, p, a.with(list[i%n]))
				}
			})
		})
	}
}

// BenchmarkMemoryOfDecisions reports what one cached decision takes of the
// live heap, and what it is counted as. The records are in memory before.
func BenchmarkMemoryOfDecisions(b *testing.B) {
	const n = 10_000
	for name, nobody := range map[string]bool{"token only": true, "with directory": false} {
		b.Run(name, func(b *testing.B) {
			r, list := benchRig(b, options{nobody: nobody}, n)
			p := r.policy(fiveHeaders(!nobody))
			for i := range list {
				list[i] = "Bearer " + list[i]
			}
			a := newArriving()
			for b.Loop() {
				for _, text := range list { // records into memory
					mustAllow(b, r, p, a.with(text))
				}
				r.Decisions.Clear()
				before := liveHeap()
				for _, text := range list {
					mustAllow(b, r, p, a.with(text))
				}
				held, counted := r.Decisions.Status()
				b.ReportMetric(float64(liveHeap()-before)/float64(held), "B/decision")
				b.ReportMetric(float64(counted)/float64(held), "counted-B/decision")
				r.Decisions.Clear()
			}
			runtime.KeepAlive(r)
		})
	}
}

// liveHeap is what is reachable, after everything else was let go.
func liveHeap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc) //nolint:gosec // far below
}

// TestDecisionsAreCountedAsWhatTheyTake: a bound in bytes bounds nothing where
// entries are counted as less than they are.
func TestDecisionsAreCountedAsWhatTheyTake(t *testing.T) {
	for name, nobody := range map[string]bool{"token only": true, "with directory": false} {
		t.Run(name, func(t *testing.T) {
			const n = 400
			r, list := benchRig(t, options{nobody: nobody}, n)
			p := r.policy(fiveHeaders(!nobody))
			for range 2 {
				var err error
				if r.Decisions, err = NewDecisionCache(0, rand.Reader); err != nil {
					t.Fatal(err)
				}
				before := liveHeap()
				for _, text := range list {
					if _, err := r.Enrich(bearer(text), p, RequestInfo{}); err != nil {
						t.Fatal(err)
					}
				}
				held, counted := r.Decisions.Status()
				took := liveHeap() - before
				if held != n {
					t.Fatalf("%d decisions are held", held)
				}
				t.Logf("%d bytes each, counted as %d", took/n, counted/n)
				// In the first round, the records come into memory as well.
				if took > int64(counted)*6/5 && r.warmed { //nolint:gosec // far below
					t.Errorf("%d decisions take %d bytes and are counted as %d", n, took, counted)
				}
				r.warmed = true
			}
			runtime.KeepAlive(r)
		})
	}
}
