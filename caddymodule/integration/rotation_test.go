package integration

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/caddyserver/certmagic"
	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// request makes a request to the site.
func (w *world) request(method, path, token string, headers ...string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.addr+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// second runs another node of the cluster, a Caddy in a process of its own on
// the same storage, with the same issuer, directory and application. Its
// world differs in its addresses and its log.
func (w *world) second(site string, global ...string) *world {
	w.t.Helper()
	n, answers := w.launch(site, global...)
	eventually(w.t, "the second node answers", answers)
	return n
}

// launch begins a second node and does not wait until it answers.
func (w *world) launch(site string, global ...string) (node *world, answers func() bool) {
	w.t.Helper()
	n := *w
	n.addr, n.admin, n.log = cachetest.FreeAddr(w.t), cachetest.FreeAddr(w.t), filepath.Join(w.t.TempDir(), "log.json")
	text := strings.Replace(n.caddyfile(site, global...), "storage file_system "+filepath.Dir(n.log), "storage file_system "+filepath.Dir(w.log), 1)
	file := filepath.Join(filepath.Dir(n.log), "Caddyfile")
	w.write(file, text)
	cmd := caddyProcess(w.t.Context(), w.t, "run", "--config", file, "--adapter", "caddyfile")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = cmd.Wait()
	}()
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-done
		if w.t.Failed() {
			w.t.Logf("the second node said:\n%s", said.Bytes())
		}
	})
	return &n, func() bool {
		select {
		case <-done:
			w.t.Fatalf("the second node ended:\n%s", said.Bytes())
		default:
		}
		resp, err := client.Get("http://" + n.admin + "/config/")
		if err != nil {
			return false
		}
		return resp.Body.Close() == nil
	}
}

// keyIDOf is the id of the key that signed a token.
func keyIDOf(t *testing.T, token string) string {
	t.Helper()
	header, err := enrichtest.Header(token)
	if err != nil {
		t.Fatalf("the application received %q: %v", token, err)
	}
	kid, _ := header["kid"].(string)
	return kid
}

// wantNoPrivatePart fails the test where a key's private member is shown
// (RFC 7518, sections 6.2.2 and 6.3.2; RFC 8037, section 2).
func wantNoPrivatePart(t *testing.T, text string) {
	t.Helper()
	for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k", "pkcs8"} {
		if strings.Contains(text, `"`+member+`":`) {
			t.Errorf("the private member %s is shown: %s", member, text)
		}
	}
	if strings.Contains(text, "PRIVATE") {
		t.Errorf("a private key is shown: %s", text)
	}
}

// kids are the ids of the keys that a node publishes.
func (w *world) kids() []string {
	w.t.Helper()
	var ids []string
	for _, k := range w.published().Keys {
		ids = append(ids, k.KeyID)
	}
	return ids
}

func TestNodesOfAClusterSignWithKeysThatAllPublish(t *testing.T) {
	w := prepare(t)
	// Nodes look for new keys every tenth of the overlap.
	overlap := "rotate 1h\nrotate_overlap 10s"
	w.load(signingSite(w), w.standard(), w.signer(overlap))
	other := w.second(signingSite(w), w.standard(), w.signer(overlap))
	eventually(t, "both nodes have keys", func() bool {
		return w.get("/.well-known/jwks.json", "").StatusCode == 200 && other.get("/.well-known/jwks.json", "").StatusCode == 200
	})
	first := w.kids()
	if theirs := other.kids(); len(first) != 1 || fmt.Sprint(first) != fmt.Sprint(theirs) {
		t.Fatalf("the nodes publish %v and %v", first, theirs)
	}
	incoming := w.token("00u1ada")
	nodes := map[string]*world{"first": w, "second": other}
	for _, n := range nodes {
		n.verifiedAs(w, n.tokenOf("Authorization", incoming))
	}

	// While the next key comes, each token is of a key that both publish.
	caddyCommand(t, "keys", "rotate", "--address", w.admin).wantCode(t, 0)
	next := ""
	signedWithNext := map[string]bool{}
	eventually(t, "both nodes sign with the next key", func() bool {
		for name, n := range nodes {
			kid := keyIDOf(t, n.tokenOf("Authorization", w.token("00u1ada")))
			for where, m := range nodes {
				if !strings.Contains(strings.Join(m.kids(), " "), kid) {
					t.Errorf("the %s node signs with a key that the %s does not publish", name, where)
				}
			}
			if kid != first[0] {
				signedWithNext[name], next = true, kid
			}
		}
		return len(signedWithNext) == 2
	})
	// The document is written anew a moment after the key began to sign.
	eventually(t, "both nodes publish it before the first one", func() bool {
		a, b := w.kids(), other.kids()
		return fmt.Sprint(a) == fmt.Sprint(b) && fmt.Sprint(a) == fmt.Sprint([]string{next, first[0]})
	})

	// A rotation at once, asked of the second node, reaches the first.
	caddyCommand(t, "keys", "rotate", "--now", "--address", other.admin).wantCode(t, 0)
	latest := other.kids()[0]
	if latest == next {
		t.Error("the second node goes on with the old key")
	}
	eventually(t, "the first node follows", func() bool { return keyIDOf(t, w.tokenOf("Authorization", w.token("00u1ada"))) == latest })
	w.verified(w.tokenOf("Authorization", w.token("00u1ada")), "payroll")
}

// verifiedAs checks a token that names another node's site as its issuer with
// the keys of this one.
func (w *world) verifiedAs(issuer *world, token string) {
	w.t.Helper()
	set := w.published()
	keys := set.Key(keyIDOf(w.t, token))
	if len(keys) != 1 {
		w.t.Fatal("the node does not publish the key")
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		w.t.Fatal(err)
	}
	var claims jwt.Claims
	if err := parsed.Claims(keys[0], &claims); err != nil || claims.Issuer != "http://"+issuer.addr {
		w.t.Errorf("the token of %s: %v", claims.Issuer, err)
	}
}

func TestNodesThatStartTogetherMakeOneKey(t *testing.T) {
	w := prepare(t)
	other, answers := w.launch(signingSite(w), w.standard(), w.signer())
	w.load(signingSite(w), w.standard(), w.signer())
	eventually(t, "the second node answers", answers)
	eventually(t, "both nodes have keys", func() bool {
		return w.get("/.well-known/jwks.json", "").StatusCode == 200 && other.get("/.well-known/jwks.json", "").StatusCode == 200
	})
	if a, b := w.kids(), other.kids(); len(a) != 1 || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("the nodes publish %v and %v", a, b)
	}
}

func TestKeysOfOnesOwnAreUsedAndPublished(t *testing.T) {
	w := prepare(t)
	present, former := enrichtest.KeyFile(t), enrichtest.KeyFile(t)
	w.load(signingSite(w), w.standard(), w.signer("key_file "+present+" "+former))
	// They are there at once, without storage.
	if left, err := os.ReadDir(filepath.Join(filepath.Dir(w.log), "token_enrich")); err == nil {
		t.Errorf("the storage holds %v", left)
	}
	kids := w.kids()
	if len(kids) != 2 {
		t.Fatalf("%d keys are published, want two", len(kids))
	}
	token := w.tokenOf("Authorization", w.token("00u1ada"))
	w.verified(token, "payroll")
	if kid := keyIDOf(t, token); kid != kids[0] {
		t.Errorf("key %s signs, and %s stands first", kid, kids[0])
	}
	// The order of the files says who signs.
	w.load(signingSite(w), w.standard(), w.signer("key_file "+former+" "+present))
	if kid := keyIDOf(t, w.tokenOf("Authorization", w.token("00u1ada"))); kid != kids[1] {
		t.Errorf("after the reload key %s signs, want %s", kid, kids[1])
	}
}

func TestReloadKeepsTheKeysAndTheTokens(t *testing.T) {
	w := prepare(t)
	w.load(signingSite(w), w.standard(), w.signer())
	w.signed()
	kids, incoming := w.kids(), w.token("00u1ada")
	token := w.tokenOf("Authorization", incoming)
	w.load(signingSite(w)+"\nheader X-Reloaded yes", w.standard(), w.signer())
	// At once, without waiting for the storage.
	if got := w.kids(); fmt.Sprint(got) != fmt.Sprint(kids) {
		t.Errorf("after the reload %v are published, before %v", got, kids)
	}
	w.verified(token, "payroll")
	// Another name for the gateway is another signer on the same keys.
	w.load(signingSite(w), w.standard(), "signing {\nissuer https://gateway.example.com\n}")
	w.signed()
	if got := w.kids(); fmt.Sprint(got) != fmt.Sprint(kids) {
		t.Errorf("under another issuer %v are published, before %v", got, kids)
	}
	claims := w.minted(w.tokenOf("Authorization", incoming))
	if claims["sub"] != "00u1ada" {
		t.Errorf("the token says %v", claims)
	}
}

func TestChangedAlgorithmSignsAfterTheOverlap(t *testing.T) {
	w := prepare(t)
	w.load(signingSite(w), w.standard(), w.signer())
	w.signed()
	former := w.kids()[0]
	w.load(signingSite(w), w.standard(), w.signer("algorithm EdDSA", "rotate_overlap 2s"))
	eventually(t, "the key of the new algorithm is published", func() bool {
		got := w.get("/.well-known/jwks.json", "")
		return got.StatusCode == 200 && len(w.published().Keys) == 2
	})
	eventually(t, "the key of the new algorithm signs", func() bool {
		token := w.tokenOf("Authorization", w.token("00u1ada"))
		w.verified(token, "payroll")
		return keyIDOf(t, token) != former
	})
	// The document is written anew a moment after the key began to sign.
	eventually(t, "the key that signs is published first", func() bool { return w.published().Keys[0].Algorithm == "EdDSA" })
}

// unusable are storages from which no key comes.
var unusable = map[string]struct {
	spoil  func(t *testing.T, dir string)
	class  string
	repair func(t *testing.T, dir string)
}{
	"keys that are damaged": {
		func(t *testing.T, dir string) { place(t, filepath.Join(dir, keysFile), "{") }, "corrupt",
		func(t *testing.T, dir string) { takeAway(t, filepath.Join(dir, keysFile)) },
	},
	"a file where the folder should be": {
		func(t *testing.T, dir string) { place(t, filepath.Join(dir, "token_enrich"), "") }, "storage",
		func(t *testing.T, dir string) { takeAway(t, filepath.Join(dir, "token_enrich")) },
	},
}

// keysFile is where the keys stand in the storage.
const keysFile = "token_enrich/signing/keys.json"

// place writes a file with all folders above it.
func place(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// takeAway takes a file or folder away.
func takeAway(t *testing.T, name string) {
	t.Helper()
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
}

func TestGatewayWithoutASigningKeyRefusesAndSaysSo(t *testing.T) {
	for name, tc := range unusable {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			tc.spoil(t, filepath.Dir(w.log))
			w.load(signingSite(w), w.standard(), w.signer())
			incoming := w.token("00u1ada")
			got := w.get("/", incoming)
			wantRefusal(t, got, 503)
			if got.Header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			w.nothingReceived()
			for _, path := range []string{"/.well-known/jwks.json", "/.well-known/openid-configuration"} {
				got := w.get(path, "")
				wantStatus(t, got, 503)
				if got.Header.Get("Retry-After") == "" || strings.Contains(got.Header.Get("Cache-Control"), "max-age") {
					t.Errorf("%s is answered with %v", path, got.Header)
				}
			}
			if ready := w.get("/ready", ""); ready.StatusCode != 503 || ready.body != "not ready\n" {
				t.Errorf("/ready answers %d %q", ready.StatusCode, ready.body)
			}
			eventually(t, "the status of the keys names the class "+tc.class, func() bool {
				keys, _ := w.status()["keys"].(map[string]any)
				return keys["ready"] == false && keys["error"] == tc.class
			})
			if list := w.adminDo("GET", "/token_enrich/keys", ""); list.StatusCode != 200 || len(keysOf(t, list.body)) != 0 {
				t.Errorf("the keys endpoint answers %d %s", list.StatusCode, list.body)
			}
			tc.repair(t, filepath.Dir(w.log))
			eventually(t, "the gateway recovers", func() bool { return w.get("/ready", "").StatusCode == 200 })
			w.verified(w.tokenOf("Authorization", incoming), "payroll")
		})
	}
}

// Another node holds the lock: the keys that it makes are waited for.
func TestGatewayWaitsForTheNodeThatMakesTheKeys(t *testing.T) {
	w := prepare(t)
	storage := &certmagic.FileStorage{Path: filepath.Dir(w.log)}
	const lock = "token_enrich/signing"
	if err := storage.Lock(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	w.load(signingSite(w), w.standard(), w.signer())
	wantRefusal(t, w.get("/", w.token("00u1ada")), 503)
	w.nothingReceived()
	if ready := w.get("/ready", ""); ready.StatusCode != 503 {
		t.Errorf("/ready answers %d", ready.StatusCode)
	}
	if err := storage.Unlock(t.Context(), lock); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the gateway signs", func() bool { return w.get("/ready", "").StatusCode == 200 })
	w.verified(w.tokenOf("Authorization", w.token("00u1ada")), "payroll")
}
