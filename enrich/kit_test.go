package enrich

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/memory"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// rig is a gateway with everything around it under the test's hand: the
// clock, the issuer's provider, the directory. The stages, the caches and the
// issuers are the real ones.
type rig struct {
	*Gateway
	t        testing.TB
	clock    *enrichtest.Clock
	provider *enrichtest.Provider
	issuer   *issuer.Issuer
	people   *people
	store    *cache.Store
	ttls     cache.TTLs
	seen     *seen
	logs     *journal
	warmed   bool // the records are in memory
}

// options shape a rig; what is nil or zero is left as it is usually.
type options struct {
	issuer    func(*issuer.Config)
	ttls      func(*cache.TTLs)
	gateway   func(*Gateway)
	provider  []enrichtest.ProviderOption
	node      purgelog.Stream // a log that other nodes share
	now       func() time.Time
	directory directory.Directory // instead of people
	nobody    bool                // no directory at all
}

// newProvider starts a provider whose tokens are dated by now; elliptic keys are
// made at once.
func newProvider(t testing.TB, now func() time.Time, o ...enrichtest.ProviderOption) *enrichtest.Provider {
	t.Helper()
	return enrichtest.NewProvider(t, append([]enrichtest.ProviderOption{
		enrichtest.WithAlgorithms("ES256"), enrichtest.WithClock(now),
	}, o...)...)
}

// newRig makes a gateway under a clock that only the test moves.
func newRig(t testing.TB, o options) *rig {
	t.Helper()
	clock := enrichtest.NewClock(time.Time{})
	o.now = clock.Now
	r := assemble(t, newProvider(t, clock.Now, o.provider...), o)
	r.clock = clock
	return r
}

// inBubble runs a test in a bubble of fake time, for what goes on behind a
// request.
func inBubble(t *testing.T, o options, test func(t *testing.T, r *rig)) {
	t.Helper()
	p := newProvider(t, time.Now, o.provider...)
	synctest.Test(t, func(t *testing.T) {
		o.now = time.Now
		test(t, assemble(t, p, o))
		time.Sleep(2 * longLivedInterval) // what looks after streams ends by itself
	})
}

func assemble(t testing.TB, p *enrichtest.Provider, o options) *rig {
	t.Helper()
	r := &rig{t: t, provider: p, seen: new(seen), logs: new(journal), people: newPeople(), ttls: cache.DefaultTTLs()}
	r.ttls.RefreshAfter = 0 // behind the request only where a test asks for it
	if o.ttls != nil {
		o.ttls(&r.ttls)
	}
	logger := slog.New(slog.NewTextHandler(r.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))

	config := issuer.Config{Issuer: p.Issuer(), Name: "corp", Audience: []string{"api://legacy"}}
	if o.issuer != nil {
		o.issuer(&config)
	}
	i, err := issuer.New(config, issuer.Options{Clock: o.now, Transport: p.Transport(), Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Stop)
	set, err := issuer.NewSet(i)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewRing(nil, make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := memory.New(memory.Options{Bytes: 64 << 20, Clock: o.now})
	if err != nil {
		t.Fatal(err)
	}
	keyDeriver := cache.NewKeyDeriver(ring)
	log := purgelog.New(purgelog.Options{Clock: o.now, Stream: o.node, Logger: logger})
	r.store, err = cache.NewStore(cache.Options{KeyDeriver: keyDeriver, Memory: mem, Log: log, Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.store.Close(); err != nil {
			t.Error(err)
		}
	})
	decisions, err := NewDecisionCache(0, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r.issuer = i
	r.Gateway = &Gateway{
		Issuers: set, Decisions: decisions, LongLived: NewLongLived(),
		Denials: r.store.Denials(), Log: r.store.Log(), KeyDeriver: keyDeriver, DenyMaxAge: 30 * time.Second,
		Fingerprint: Fingerprint{7}, Clock: o.now, Logger: logger, Observer: r.seen,
	}
	if !o.nobody {
		d := o.directory
		if d == nil {
			d = r.people
		}
		r.Lookup = NewLookup(d, []byte("people"), r.store, r.ttls)
	}
	if o.gateway != nil {
		o.gateway(r.Gateway)
	}
	return r
}

// policy compiles a definition. Without headers of its own it forwards those
// that the tests read.
func (r *rig) policy(def PolicyDefinition) *Policy {
	r.t.Helper()
	return compiled(r.t, def)
}

func compiled(t testing.TB, def PolicyDefinition) *Policy {
	t.Helper()
	if def.Name == "" {
		def.Name = "payroll"
	}
	if def.Forward.Headers == nil {
		def.Forward.Headers = []forward.HeaderDefinition{
			{Name: "X-User", Claim: "sub"}, {Name: "X-Email", Claim: "email"}, {Name: "X-Groups", Claim: "groups"},
		}
	}
	p, err := CompilePolicy(def)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// fromDirectory are rules that read the user and the groups.
func fromDirectory() []claim.Definition {
	return []claim.Definition{
		{Name: "email", Expression: "user.email"},
		{Name: "groups", Groups: &claim.GroupFilter{Match: claim.MatchStartsWith}},
	}
}

// usual is the policy of most tests.
func (r *rig) usual() *Policy { return r.policy(PolicyDefinition{Claims: fromDirectory()}) }

// token mints one for Ada that lives for an hour.
func (r *rig) token(over ...enrichtest.Claims) string {
	r.t.Helper()
	claims := enrichtest.Claims{"sub": "00u1ada", "client_id": "0oa1payroll", "scope": "openid pay", "exp": r.Clock().Add(time.Hour).Unix()}
	for _, o := range over {
		maps.Copy(claims, o)
	}
	return r.provider.Mint(claims)
}

// bearer is a GET with a token in Authorization; an empty one brings none.
func bearer(token string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://payroll.example.com/slips", nil)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	return r
}

// answer is what became of one request.
type answer struct {
	decision *Decision
	err      error
	request  *http.Request
	hit      bool
}

func (a answer) header(name string) string { return a.request.Header.Get(name) }

// kind gives the word of the refusal, or that of what was let through.
func (a answer) kind() string { return outcome(a.decision, a.err) }

// send takes a request through the stages.
func (r *rig) send(p *Policy, req *http.Request) answer {
	r.t.Helper()
	return r.sendWith(p, req, RequestInfo{})
}

// sendWith is send with what the server knows besides.
func (r *rig) sendWith(p *Policy, req *http.Request, info RequestInfo) answer {
	r.t.Helper()
	info.ClientIP = "192.0.2.7"
	d, err := r.Enrich(req, p, info)
	var refusal *Refusal
	if err != nil && !errors.As(err, &refusal) {
		r.t.Fatalf("Enrich gave an error that is no refusal: %v", err)
	}
	last := r.seen.last()
	if got := outcome(d, err); last.outcome != got {
		r.t.Fatalf("the observer was told %q, the caller %q", last.outcome, got)
	}
	return answer{decision: d, err: err, request: req, hit: last.hit}
}

// ask is send with a token in a plain GET.
func (r *rig) ask(p *Policy, token string) answer {
	r.t.Helper()
	return r.send(p, bearer(token))
}

// allowed asks and insists on being let through.
func (r *rig) allowed(p *Policy, token string) answer {
	r.t.Helper()
	a := r.ask(p, token)
	if a.err != nil {
		r.t.Fatalf("refused: %v (%v)", a.err, errors.Unwrap(a.err))
	}
	return a
}

// refused asks and insists on a refusal of this kind.
func (r *rig) refused(p *Policy, token string, kind Kind) answer {
	r.t.Helper()
	a := r.ask(p, token)
	a.mustBe(r.t, kind)
	return a
}

func (a answer) mustBe(t testing.TB, kind Kind) {
	t.Helper()
	if a.err == nil {
		t.Fatalf("let through, want %s", kind)
	}
	if a.kind() != kind.String() {
		t.Fatalf("refused as %s (%v), want %s", a.kind(), errors.Unwrap(a.err), kind)
	}
	if v := a.request.Header["Authorization"]; v != nil && kind != KindNoToken {
		t.Errorf("Authorization stays on a refused request: %d values", len(v))
	}
}

// mustHit asserts where the decision came from.
func (a answer) mustHit(t testing.TB, want bool) {
	t.Helper()
	if a.hit != want {
		t.Errorf("answered from the decision cache: %t, want %t", a.hit, want)
	}
}

// warm asks twice, so that the decision is in the cache.
func (r *rig) warm(p *Policy, token string) answer {
	r.t.Helper()
	first := r.allowed(p, token)
	first.mustHit(r.t, false)
	second := r.allowed(p, token)
	second.mustHit(r.t, true)
	if first.decision.ID != second.decision.ID {
		r.t.Fatal("a hit has another decision")
	}
	return second
}

// purge tells the log.
func (r *rig) purge(ids ...cache.ID) {
	r.t.Helper()
	if _, err := r.store.Purge(context.Background(), ids...); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) deny(claimName, value string, issuedBefore time.Time) {
	r.t.Helper()
	_, err := r.store.Log().Append(context.Background(), purgelog.Record{
		Kind: purgelog.Deny, Name: r.KeyDeriver.DenialHash(r.provider.Issuer(), claimName, value),
		Until: r.Clock().Add(2 * time.Hour), IssuedBefore: issuedBefore,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// undeny takes every denial back.
func (r *rig) undeny() {
	r.t.Helper()
	if _, err := r.store.Log().Undeny(context.Background(), r.store.Denials().Entries(r.Clock())...); err != nil {
		r.t.Fatal(err)
	}
}

// people is a directory whose answers a test changes.
type people struct {
	*directorytest.Fake

	mu      sync.Mutex
	persons map[string]*identity.Person
	apps    map[string]*identity.App
	users   map[string]*identity.AppUser // by subject and app
	err     error
	appErr  error
}

func newPeople() *people {
	p := &people{
		persons: map[string]*identity.Person{"00u1ada": ada("Staff", "Payroll")},
		apps:    map[string]*identity.App{"0oa1payroll": {ID: "0oa1payroll", Profile: map[string]any{"groupallowlist": []any{"00gStaff"}}}},
		users:   map[string]*identity.AppUser{"00u1ada/0oa1payroll": {ID: "00u1ada", App: "0oa1payroll", Profile: map[string]any{"role": "admin"}}},
	}
	p.Fake = &directorytest.Fake{
		PersonFunc: func(_ context.Context, q directory.Query) (*identity.Person, error) {
			return held(p, p.persons, q.Principal.Subject, &p.err)
		},
		AppFunc: func(_ context.Context, id string) (*identity.App, error) { return held(p, p.apps, id, &p.appErr) },
		AppUserFunc: func(_ context.Context, q directory.Query, app string) (*identity.AppUser, error) {
			return held(p, p.users, q.Principal.Subject+"/"+app, &p.appErr)
		},
	}
	return p
}

func held[T any](p *people, all map[string]*T, key string, err *error) (*T, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if *err != nil {
		return nil, *err
	}
	if v, ok := all[key]; ok {
		return v, nil
	}
	return nil, directory.ErrNotFound
}

// change edits what the directory holds; nobody edits what it has handed out.
func (p *people) change(edit func(p *people)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	edit(p)
}

// fail makes every question about people fail; nil mends it.
func (p *people) fail(err error) { p.change(func(p *people) { p.err = err }) }

// failApps does the same to apps and assignments.
func (p *people) failApps(err error) { p.change(func(p *people) { p.appErr = err }) }

func (p *people) put(subject string, person *identity.Person) {
	p.change(func(p *people) { p.persons[subject] = person })
}

// ada is a user in the groups of these names, whose ids begin with 00g.
func ada(groups ...string) *identity.Person {
	p := &identity.Person{
		User: &identity.User{
			ID: "00u1ada", Login: "ada.login@example.com", Status: identity.StatusActive,
			Profile: map[string]any{"email": "ada@example.com", "firstName": "Ada", "department": "Engineering"},
		},
		GroupsKnown: true,
	}
	for _, g := range groups {
		p.Groups = append(p.Groups, identity.Group{ID: "00g" + g, Name: g, Type: identity.GroupTypeOkta})
	}
	return p
}

// barred is Ada with a status after which nobody is let in.
func barred(status string) *identity.Person {
	p := ada("Staff")
	p.User.Status = status
	return p
}

// event is what an observer was told of one request.
type event struct {
	policy, outcome string
	hit             bool
}

// seen is an Observer that remembers.
type seen struct {
	mu         sync.Mutex
	events     []event
	overflowed []string
	minted     int
	onMinted   func()
}

func (s *seen) Decided(policy, outcome string, hit bool, _ time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, event{policy, outcome, hit})
}

func (s *seen) HeaderOverflowed(_, header string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.overflowed = append(s.overflowed, header)
}

func (s *seen) Minted(string) {
	s.mu.Lock()
	s.minted++
	f := s.onMinted
	s.mu.Unlock()
	if f != nil {
		f()
	}
}

func (s *seen) last() event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[len(s.events)-1]
}

// journal is what was logged.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// mustNotHold fails where a text holds one of the words, which are parts of
// tokens or of people.
func mustNotHold(t testing.TB, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if w != "" && strings.Contains(text, w) {
			t.Errorf("%s holds %.12q…", what, w)
		}
	}
}

// signing gives the gateway a signer whose keys are there at once, because
// they come from a file.
func signing(t testing.TB, r *rig, file string) {
	t.Helper()
	s, err := mint.New(mint.Config{Issuer: "https://gateway.example.com", KeyFiles: []string{file}}, mint.Options{Clock: r.Clock})
	if err != nil {
		t.Fatal(err)
	}
	r.Signer = s
}
