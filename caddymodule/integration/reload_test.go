package integration

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// asked counts every question to the world outside.
func asked(w *world, s *shaky) string {
	return fmt.Sprintf("persons %d, apps %d, app users %d, discoveries %d, key sets %d",
		s.Persons.Load(), s.Apps.Load(), s.AppUsers.Load(), w.issuer.Hits(enrichtest.Discovery), w.issuer.Hits(enrichtest.KeySet))
}

func TestReloadsUnderLoadLoseNoRequestAndKeepTheCacheWarm(t *testing.T) {
	w := prepare(t)
	s, global := w.shaky("")
	// Each configuration differs from the one before it, so that it is loaded.
	version := func(n int) string {
		return policyWith("") + w.legacy.Addr() + fmt.Sprintf(" {\n\t\theader_up X-Version %d\n\t}", n)
	}
	w.load(version(0), global)
	tokens := make([]string, 8)
	for i := range tokens {
		tokens[i] = w.token("00u1ada")
		wantStatus(t, w.get("/", tokens[i]), 200)
	}
	w.legacy.Forget()
	before := asked(w, s)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var sent atomic.Int64
	var senders sync.WaitGroup
	problems := make(chan string, 64)
	report := func(format string, args ...any) {
		select {
		case problems <- fmt.Sprintf(format, args...):
		default:
		}
	}
	for i := range 4 {
		senders.Go(func() {
			for n := i; ctx.Err() == nil; n++ {
				r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+w.addr+"/", nil) //nolint:contextcheck // ctx ends the sending, not a request under way
				if err != nil {
					report("%v", err)
					return
				}
				r.Header.Set("Authorization", "Bearer "+tokens[n%len(tokens)])
				r.Header.Set("X-User", "root")
				resp, err := client.Do(r)
				if err != nil {
					// Caddy gives each configuration a listener of its own, and
					// the system resets what the old one has not accepted yet,
					// with and without us: the client asks again.
					continue
				}
				_ = resp.Body.Close()
				if resp.StatusCode != 200 {
					report("status %d", resp.StatusCode)
				}
				sent.Add(1)
			}
		})
	}
	versions := map[string]bool{}
	look := func() {
		for _, seen := range w.legacy.Requests() {
			wantHeader(t, seen, "X-User", "ada@example.com")
			wantHeader(t, seen, "X-Role", "admin")
			versions[seen.Values("X-Version")[0]] = true
			if t.Failed() {
				break
			}
		}
		w.legacy.Forget() // it keeps a bounded number
	}
	for n := range 20 {
		at := sent.Load()
		eventually(t, "requests between two reloads", func() bool { return sent.Load() >= at+20 })
		look()
		w.load(version(n+1), global)
	}
	at := sent.Load()
	eventually(t, "requests after the last reload", func() bool { return sent.Load() >= at+20 })
	stop()
	senders.Wait()
	close(problems)
	for p := range problems {
		t.Error(p)
	}
	if after := asked(w, s); after != before {
		t.Errorf("the reloads cost questions: %s, before %s", after, before)
	}
	look()
	if len(versions) < 15 {
		t.Errorf("only %d configurations answered anything", len(versions))
	}
}

func TestReloadThatFailsLeavesTheRunningConfigurationUnharmed(t *testing.T) {
	w := prepare(t)
	s, global := w.shaky("")
	good := "token_enrich_jwks\n" + policyWith("") + w.legacy.Addr()
	options := global + "\n" + signing
	w.load(good, options)
	w.signed()
	token := w.token("00u1ada")
	wantStatus(t, w.get("/", token), 200)
	keys := w.get("/.well-known/jwks.json", "").body
	w.legacy.Forget()
	before := asked(w, s)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	for _, tc := range []struct {
		name         string
		site, global string
	}{
		{"in the Caddyfile", "token_enrich {\nnonsense\n}", options},
		{"at an issuer", good, options + "\nissuer http://plain.example.com {\naudience a\n}"},
		{"at a second issuer of the first one's name", good, options + "\nissuer https://other.example.com {\nname corp\naudience a\n}"},
		{"at a directory", good, options + "\ndirectory file " + dir + "/none.yaml"},
		{"at a directory that another issuer needs", good, options + "\nissuer https://other.example.com {\nname other\naudience a\n}"},
		{"at the cache", good, options + "\ncache {\nseal_key short\n}"},
		{"at the signing keys", good, global + "\nsigning {\nissuer https://gateway.example.com\nkey_file " + dir + "/none.pem\n}"},
		{"at a policy", strings.Replace(good, "app 0oa1payroll", "app 0oa1payroll\nissuers nosuch", 1), options},
		{"at a header", strings.Replace(good, "app 0oa1payroll", "app 0oa1payroll\nheader Host sub", 1), options},
		{"at the second policy", "token_enrich /other {\nname payroll\n}\n" + good, options},
		{"behind our modules", good + "\n}\nhttp://127.0.0.1:" + port(cachetest.FreeAddr(t)) + " {\nrespond {$UNSET}\nreverse_proxy unix//dev/null {\nlb_policy header\n}", options},
		{"at the start", good + "\n}\nhttp://" + taken.Addr().String() + " {\nrespond ok", options},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			for range 3 {
				if err := w.tryLoad(tc.site, tc.global); err == nil {
					t.Fatal("it loads")
				}
				wantStatus(t, w.get("/", token), 200)
				seen := w.received()
				wantHeader(t, seen, "X-User", "ada@example.com")
				wantHeader(t, seen, "X-Status", "fresh")
				wantStatus(t, w.get("/", w.token("00u1ada")), 200) // not from the decision cache
				w.received()
				if after := asked(w, s); after != before {
					t.Errorf("questions: %s, before %s", after, before)
				}
				if got := w.get("/.well-known/jwks.json", ""); got.StatusCode != 200 || got.body != keys {
					t.Errorf("the key set is %d %s, was %s", got.StatusCode, got.body, keys)
				}
			}
		})
	}
	// And what is shared is still alive: a new key is found, a new person
	// looked up.
	w.issuer.Rotate()
	eventually(t, "the new key", func() bool { return w.get("/", w.token("00u1ada")).StatusCode == 200 })
}

func TestDirectoryFileIsStillWatchedAfterReloadsThatFailAndThatDoNot(t *testing.T) {
	w := prepare(t)
	global := w.standard() + "\ncache {\nfresh 1ms\n}"
	site := policyWith("") + w.legacy.Addr()
	w.load(site, global)
	rename := func(login string) {
		t.Helper()
		w.write(w.directory, strings.ReplaceAll(people, "login: ada@example.com", "login: "+login))
		eventually(t, "the edit "+login, func() bool {
			got := w.get("/", w.token("00u1ada"))
			seen := w.received()
			return got.StatusCode == 200 && len(seen.Values("X-User")) == 1 && seen.Values("X-User")[0] == login
		})
	}
	rename("first")
	if err := w.tryLoad(site, global, "issuer http://plain.example.com"); err == nil {
		t.Fatal("it loads")
	}
	rename("second")
	w.load(site+"\nheader X-Version 2", global)
	rename("third")
	w.load(site+"\nheader X-Version 3", global)
	rename("fourth")
}

func TestBrokenEditOfTheDirectoryFileKeepsTheLastGoodCopy(t *testing.T) {
	w := prepare(t)
	w.load(policyWith("")+w.legacy.Addr(), w.standard()+"\ncache {\nfresh 1ms\n}")
	for _, edit := range []string{"users: [", "", "users: 7\n", "\x00\xff"} {
		w.write(w.directory, edit)
		eventually(t, "the refusal of the edit", func() bool { return strings.Contains(w.logged(), "the edit is not used") })
		wantStatus(t, w.get("/", w.token("00u1ada")), 200)
		seen := w.received()
		wantHeader(t, seen, "X-User", "ada@example.com")
		wantHeader(t, seen, "X-Status", "fresh")
	}
}

func TestReloadTakesEffectAtOnce(t *testing.T) {
	w := prepare(t)
	s, global := w.shaky("")
	w.load("token_enrich {\nclaim login user.login\nheader X-Old login\n}"+status+w.legacy.Addr(), global)
	token := w.token("00u1ada")
	wantStatus(t, w.get("/", token), 200)
	wantHeader(t, w.received(), "X-Old", "ada@example.com")
	persons := s.Persons.Load()

	w.load("token_enrich {\nclaim login user.firstName\nheader X-New login\n}"+status+w.legacy.Addr(), global)
	wantStatus(t, w.get("/", token, "X-New", "root", "X-Old", "mine"), 200)
	seen := w.received()
	wantHeader(t, seen, "X-New", "Ada")
	wantHeader(t, seen, "X-Old", "mine") // is nobody's any more
	if s.Persons.Load() != persons {
		t.Error("a changed policy emptied the cache")
	}

	w.load("token_enrich {\nrequire `1 == 2`\n}"+status+w.legacy.Addr(), global)
	wantRefusal(t, w.get("/", token), 403)

	w.load("token_enrich {\n}"+status+w.legacy.Addr(), global+"\ncache {\nfresh 10m\n}")
	wantStatus(t, w.get("/", token), 200)
	if s.Persons.Load() != persons {
		t.Error("a changed lifetime emptied the cache")
	}

	w.load("token_enrich {\n}"+status+w.legacy.Addr(), strings.Replace(global, "audience "+audience, "audience api://new", 1))
	if got := w.get("/", token); got.StatusCode != 401 {
		t.Errorf("another audience: status %d", got.StatusCode)
	}

	other := newShaky(t)
	w.load("token_enrich {\n}"+status+w.legacy.Addr(), w.issuerBlock("")+"\n"+script(t, &other.Fake))
	wantStatus(t, w.get("/", token), 200)
	if other.Persons.Load() == 0 {
		t.Error("another directory was not asked: the old one's answers were used")
	}
}

// A reload reads the files that the configuration names, also where nothing of
// the configuration itself has changed.
func TestReloadReadsExchangedFiles(t *testing.T) {
	keySet := func(w *world) string {
		resp, err := http.Get(w.issuer.URL(enrichtest.KeySet)) //nolint:noctx // loopback
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	t.Run("jwks_file", func(t *testing.T) {
		w := prepare(t)
		file := filepath.Join(t.TempDir(), "keys.json")
		w.write(file, keySet(w))
		global := w.issuerBlock("jwks_file " + file)
		site := "token_enrich\nreverse_proxy " + w.legacy.Addr()
		w.load(site, global)
		old := w.token("00u1ada")
		for range 2 {
			wantStatus(t, w.get("/", old), 200)
		}
		retired := w.issuer.Key()
		w.issuer.Rotate()
		w.issuer.Retire(retired)
		w.write(file, keySet(w))
		w.load(site, global)
		wantRefusal(t, w.get("/", old), 401)
		wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	})
	// What runs has read the file since, so that the file is again what it was
	// at the load and yet is not what runs.
	t.Run("jwks_file as it was before an edit", func(t *testing.T) {
		w := prepare(t)
		file := filepath.Join(t.TempDir(), "keys.json")
		before := keySet(w)
		w.write(file, before)
		global := w.issuerBlock("jwks_file " + file)
		site := "token_enrich\nreverse_proxy " + w.legacy.Addr()
		w.load(site, global)
		old := w.token("00u1ada")
		retired := w.issuer.Key()
		w.issuer.Rotate()
		w.issuer.Retire(retired)
		w.write(file, keySet(w))
		edited := w.token("00u1ada")
		eventually(t, "the edit is found", func() bool { return w.get("/", edited).StatusCode == 200 })
		w.write(file, before)
		w.load(site, global)
		wantRefusal(t, w.get("/", edited), 401)
		wantStatus(t, w.get("/", old), 200)
	})
	t.Run("introspection's private_key", func(t *testing.T) {
		w := prepare(t)
		w.issuer.OnIntrospect(func(string, *http.Request) (int, any) {
			return 200, enrichtest.Claims{"active": true, "sub": "ada", "aud": audience}
		})
		file := filepath.Join(t.TempDir(), "client.pem")
		global := w.issuerBlock("introspect " + w.issuer.URL(enrichtest.Introspection) + " {\nclient_id gateway\nprivate_key " + file + "\n}")
		site := "token_enrich\nreverse_proxy " + w.legacy.Addr()
		for n := range 2 {
			text := signingKey(t)
			w.write(file, text)
			w.load(site, global)
			wantStatus(t, w.get("/", fmt.Sprint("opaque-", n)), 200)
			block, _ := pem.Decode([]byte(text))
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			questions := w.issuer.Requests(enrichtest.Introspection)
			assertion, err := jose.ParseSignedCompact(questions[len(questions)-1].Form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES256})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := assertion.Verify(key.(crypto.Signer).Public()); err != nil {
				t.Errorf("after load %d: %v", n+1, err)
			}
		}
	})
	t.Run("okta_claims", func(t *testing.T) {
		w := prepare(t)
		file := filepath.Join(t.TempDir(), "claims.json")
		rule := func(value string) string {
			return `[{"name":"who","status":"ACTIVE","claimType":"RESOURCE","valueType":"EXPRESSION","value":"` + value + `","conditions":{"scopes":[]}}]`
		}
		site := "token_enrich {\nokta_claims " + file + "\nheader X-Who who\n}\nreverse_proxy " + w.legacy.Addr()
		token := w.token("00u1ada")
		for value, want := range map[string]string{"user.login": "ada@example.com", "user.firstName": "Ada"} {
			w.write(file, rule(value))
			w.load(site)
			for range 2 {
				wantStatus(t, w.get("/", token), 200)
				wantHeader(t, w.received(), "X-Who", want)
			}
		}
	})
	t.Run("a directory's ca", func(t *testing.T) {
		profiles := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(rw, `{"user":{"id":"00u1ada","login":"ada","profile":{}},"groups":[]}`)
		}))
		defer profiles.Close()
		w := prepare(t)
		file := filepath.Join(t.TempDir(), "ca.pem")
		stranger, err := os.ReadFile(cachetest.NewPKI(t).CA)
		if err != nil {
			t.Fatal(err)
		}
		w.write(file, string(stranger))
		global := w.issuerBlock("") + "\ndirectory http " + profiles.URL + "/{subject} {\nca " + file + "\n}"
		site := "token_enrich\nreverse_proxy " + w.legacy.Addr()
		token := w.token("00u1ada")
		w.load(site, global)
		wantStatus(t, w.get("/", token), 503)
		w.write(file, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: profiles.Certificate().Raw})))
		w.load(site, global)
		wantStatus(t, w.get("/", token), 200)
	})
	t.Run("key_file", func(t *testing.T) {
		w := prepare(t)
		file := filepath.Join(t.TempDir(), "signing.pem")
		w.write(file, signingKey(t))
		global := w.standard() + "\nsigning {\nissuer https://gateway.example.com\nkey_file " + file + "\n}"
		site := "token_enrich {\ntoken {\naudience payroll\n}\n}\nreverse_proxy " + w.legacy.Addr()
		token := w.token("00u1ada")
		kid := func() string {
			wantStatus(t, w.get("/", token), 200)
			head, _, _ := strings.Cut(strings.TrimPrefix(w.received().Values("Authorization")[0], "Bearer "), ".")
			return head
		}
		w.load(site, global)
		before := kid()
		w.write(file, signingKey(t))
		w.load(site, global)
		eventually(t, "the new key signs", func() bool { return kid() != before })
	})
}

// signingKey is a new private key as PEM.
func signingKey(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(enrichtest.KeyFile(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// gatekeeper is an authority for forward_auth that holds up one request: inside
// is closed when it has come, and closing gate lets it go on.
func gatekeeper(t *testing.T) (authority *enrichtest.Legacy, inside, gate chan struct{}) {
	t.Helper()
	authority, inside, gate = enrichtest.NewLegacy(t), make(chan struct{}), make(chan struct{})
	authority.Respond(func(enrichtest.RawRequest) []byte {
		close(inside)
		<-gate
		return nil
	})
	return authority, inside, gate
}

// A request that has come to the gate under one configuration and is held up
// before our stages is still decided by it, with all that it needs.
func TestRequestThatIsNotDecidedYetOutlivesItsConfiguration(t *testing.T) {
	w := prepare(t)
	authority, inside, gate := gatekeeper(t)
	_, global := w.shaky("")
	w.load("token_enrich_scrub\nforward_auth "+authority.Addr()+" {\nuri /auth\n}\n"+policyWith("")+w.legacy.Addr(), global)
	done := make(chan answer)
	token := w.token("00u1ada")
	go func() { done <- w.get("/", token) }()
	<-inside
	// The new configuration shares nothing with the old one.
	w.load("respond new", "issuer https://other.example.com {\naudience a\n}")
	close(gate)
	wantStatus(t, <-done, 200)
	wantHeader(t, w.received(), "X-User", "ada@example.com")
}

func TestLookUpUnderWayOutlivesItsConfiguration(t *testing.T) {
	w := prepare(t)
	gate, inside := make(chan struct{}), make(chan struct{})
	s := newShaky(t)
	person := s.PersonFunc
	s.PersonFunc = func(ctx context.Context, q directory.Query) (*identity.Person, error) {
		close(inside)
		select {
		case <-gate:
		case <-ctx.Done():
			return nil, errors.Join(directory.ErrTimeout, ctx.Err())
		}
		return person(ctx, q)
	}
	w.load("token_enrich {\nclaim login user.login\nheader X-User login\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock("")+"\n"+script(t, &s.Fake, "timeout 20s"))
	done := make(chan answer)
	token := w.token("00u1ada")
	go func() { done <- w.get("/", token) }()
	<-inside
	// The new configuration shares nothing with the old one.
	w.load("respond new", "issuer https://other.example.com {\naudience a\n}")
	if got := w.get("/", ""); got.body != "new" {
		t.Fatalf("the new configuration answers %q", got.body)
	}
	close(gate)
	got := <-done
	wantStatus(t, got, 200)
	seen := w.received()
	wantHeader(t, seen, "X-User", "ada@example.com")
}

// ours are the goroutines that run our own code, tests and their helpers left
// out.
func ours() (stacks []string) {
	all := make([]byte, 8<<20)
	all = all[:runtime.Stack(all, true)]
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		if strings.Contains(stack, "caddy-token-enrich/") && !strings.Contains(stack, "_test.go:") && !strings.Contains(stack, "/enrichtest.") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

func TestReloadsLeaveNoGoroutineBehind(t *testing.T) {
	w := prepare(t)
	load := func(n int) {
		w.load("token_enrich_jwks\n"+policyWith("")+w.legacy.Addr()+fmt.Sprintf(" {\n\t\theader_up X-Version %d\n\t}", n), w.standard(), signing)
		w.signed()
		wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	}
	stop := func() {
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		client.CloseIdleConnections()
	}
	load(0) // what Caddy begins once for all
	stop()
	eventually(t, "nothing left of what ran before", func() bool { return len(ours()) == 0 })
	base := goleak.IgnoreCurrent()
	load(1)
	load(2)
	before := len(ours())
	if before == 0 {
		t.Fatal("nothing of ours runs: the count proves nothing")
	}
	for n := range 12 {
		load(3 + n)
		_ = w.tryLoad("token_enrich {\nheader Host sub\n}", w.standard(), signing) // a failed one in between
	}
	eventually(t, fmt.Sprintf("%d goroutines of ours", before), func() bool { return len(ours()) <= before })
	stop()
	eventually(t, "no goroutine of ours", func() bool { return len(ours()) == 0 })
	w.legacy.Close() // and with it connections that Caddy's proxy keeps
	w.issuer.Close()
	// Caddy's admin endpoint outlives its configuration.
	cachetest.NothingLeft(t, base, goleak.IgnoreAnyFunction("github.com/caddyserver/caddy/v2.replaceLocalAdminServer.func2"))
}

func TestValidationBesideARunningServerTakesNothingAway(t *testing.T) {
	w := prepare(t)
	s, global := w.shaky("")
	site := policyWith("") + w.legacy.Addr()
	w.load(site, global)
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	before := asked(w, s)
	config, err := adapt(w.caddyfile(site, global))
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		var c caddy.Config
		if err := caddy.StrictUnmarshalJSON(config, &c); err != nil {
			t.Fatal(err)
		}
		c.Admin = &caddy.AdminConfig{Disabled: true}
		if err := caddy.Validate(&c); err != nil {
			t.Fatal(err)
		}
		wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	}
	if after := asked(w, s); after != before {
		t.Errorf("questions: %s, before %s", after, before)
	}
}
