// Package integration tries the gateway as its users run it: a Caddy with a
// Caddyfile, real tokens over real HTTP, and an application that records what
// it receives byte for byte. Caddy is one per process, so nothing here runs
// in parallel.
package integration

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/standard"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// world is one running gateway with everything around it.
type world struct {
	t         *testing.T
	addr      string // of the site
	admin     string
	issuer    *enrichtest.Provider
	legacy    *enrichtest.Legacy
	directory string       // the directory's file
	log       string       // the log's file
	servers   string       // further options of the server
	scheme    string       // http where empty
	client    *http.Client // for another protocol than HTTP/1.1
}

// people is the directory of most tests.
const people = `users:
  - id: 00u1ada
    login: ada@example.com
    status: ACTIVE
    profile: { firstName: Ada, lastName: Ampere, email: ada@example.com, department: Engineering }
    groups: [00gAll, 00gIT, 00gOps]
  - id: 00u2grace
    login: grace@example.com
    profile: { firstName: Grace, lastName: Gauss, email: grace@example.com }
    groups: [00gAll]
  - id: 00u3alan
    login: alan@example.com
    status: SUSPENDED
    profile: { email: alan@example.com }
    groups: [00gAll]
groups:
  - { id: 00gAll, type: BUILT_IN, profile: { name: Everyone } }
  - { id: 00gIT, type: OKTA_GROUP, profile: { name: IT } }
  - { id: 00gOps, type: OKTA_GROUP, profile: { name: Ops } }
apps:
  - id: 0oa1payroll
    clientId: 0oa1payroll
    profile: { groupallowlist: [00gIT], maxLimit: 40 }
    users:
      - { id: 00u1ada, userName: ada, profile: { role: admin } }
`

// audience is whom the tests' tokens are for.
const audience = "api://legacy"

// prepare sets up everything but Caddy itself.
func prepare(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, addr: cachetest.FreeAddr(t), admin: cachetest.FreeAddr(t), issuer: enrichtest.NewProvider(t), legacy: enrichtest.NewLegacy(t)}
	dir := t.TempDir()
	w.directory = filepath.Join(dir, "directory.yaml")
	w.log = filepath.Join(dir, "log.json")
	w.write(w.directory, people)
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Errorf("stopping Caddy: %v", err)
		}
		client.CloseIdleConnections()
	})
	return w
}

// in is the same world for a subtest.
func (w *world) in(t *testing.T) *world {
	sub := *w
	sub.t = t
	return &sub
}

// caddyfile makes the whole configuration.
func (w *world) caddyfile(site string, global ...string) string {
	options := w.standard()
	if len(global) > 0 {
		options = strings.Join(global, "\n")
	}
	return fmt.Sprintf(`{
	admin %s
	auto_https off
	storage file_system %s
	log {
		level DEBUG
		output file %s
		format json
	}
	servers {
		trusted_proxies static 127.0.0.1/32
		protocols h1 h2c
		%s
	}
	token_enrich {
%s
	}
}
http://%s {
%s
}
`, w.admin, filepath.Dir(w.log), w.log, w.servers, options, w.addr, site)
}

// standard is the issuer and the file directory of most tests.
func (w *world) standard() string {
	return w.issuerBlock("") + fmt.Sprintf(`
		directory file %s
`, w.directory)
}

// issuerBlock is an issuer with further options. Its calls may take long, where
// the test does not try how long: a busy machine is not what is tested.
func (w *world) issuerBlock(options string) string {
	if !strings.Contains(options, "timeout ") {
		options = "timeout 30s\n" + options
	}
	return fmt.Sprintf(`
		issuer %s {
			name corp
			audience %s
			key_min_interval 1ms
			%s
		}`, w.issuer.Issuer(), audience, options)
}

// load gives Caddy a configuration and fails the test if it is refused.
func (w *world) load(site string, global ...string) {
	w.t.Helper()
	if err := w.tryLoad(site, global...); err != nil {
		w.t.Fatalf("loading: %v", err)
	}
}

func (w *world) tryLoad(site string, global ...string) error {
	w.t.Helper()
	config, err := adapt(w.caddyfile(site, global...))
	if err != nil {
		return err
	}
	return w.run(config)
}

// run gives Caddy a configuration as JSON and returns when what it replaces
// listens no more. Caddy closes those listeners behind its back, and those of a
// configuration that fails too; until then they share the address with the ones
// that stay, and a request may reach either, or be reset.
func (w *world) run(config []byte) error {
	w.t.Helper()
	err := caddy.Load(config, true)
	eventually(w.t, "nobody listens there but one", func() bool { return listeners(w.t, w.addr) <= 1 && listeners(w.t, w.admin) <= 1 })
	// What is open leads to the configuration before, which is closing it, and
	// a POST is not sent twice.
	client.CloseIdleConnections()
	return err
}

// listeners counts the sockets that listen on an address's port, on any
// interface, where the system tells.
func listeners(t *testing.T, addr string) (n int) {
	t.Helper()
	number, err := strconv.Atoi(port(addr))
	if err != nil {
		t.Fatal(err)
	}
	const listening = "0A" // include/net/tcp_states.h
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > 3 && f[3] == listening && strings.HasSuffix(f[1], fmt.Sprintf(":%04X", number)) {
				n++
			}
		}
	}
	return n
}

// adapt turns a Caddyfile into JSON.
func adapt(text string) ([]byte, error) {
	a := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config, _, err := a.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	return config, err
}

func (w *world) write(file, text string) {
	w.t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// token mints a good token for a subject, with claims on top.
func (w *world) token(subject string, claims ...enrichtest.Claims) string {
	w.t.Helper()
	all := enrichtest.Claims{"sub": subject, "aud": audience, "cid": "0oa1payroll", "scp": []string{"openid", "groups"}}
	for _, c := range claims {
		maps.Copy(all, c)
	}
	return w.issuer.Mint(all)
}

// answer is what a client sees.
type answer struct {
	*http.Response
	body string
}

// get sends a GET with a bearer token (none if empty) and further headers.
func (w *world) get(path, token string, headers ...string) answer {
	w.t.Helper()
	return w.do("GET", path, token, headers...)
}

func (w *world) do(method, path, token string, headers ...string) answer {
	w.t.Helper()
	scheme := "http"
	if w.scheme != "" {
		scheme = w.scheme
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, scheme+"://"+w.addr+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return w.send(r)
}

func (w *world) send(r *http.Request) answer {
	w.t.Helper()
	c := client
	if w.client != nil {
		c = w.client
	}
	resp, err := c.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{resp, string(body)}
}

// client does not follow redirects. Its time-out ends a broken test, and judges
// nothing.
var client = &http.Client{
	Timeout:       time.Minute,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{DisableCompression: true},
}

// raw sends bytes as they stand and gives what came back.
func (w *world) raw(request string) string {
	w.t.Helper()
	got, err := enrichtest.SendRaw(w.t.Context(), w.addr, []byte(request))
	if err != nil {
		w.t.Fatal(err)
	}
	return string(got)
}

// received gives the one request that reached the application, and forgets it.
func (w *world) received() enrichtest.RawRequest {
	w.t.Helper()
	all := w.legacy.Requests()
	w.legacy.Forget()
	if len(all) != 1 {
		w.t.Fatalf("the application received %d requests, want one", len(all))
	}
	return all[0]
}

// nothingReceived fails the test if the application saw anything.
func (w *world) nothingReceived() {
	w.t.Helper()
	if n := len(w.legacy.Requests()); n != 0 {
		w.t.Errorf("the application received %d requests, want none", n)
		w.legacy.Forget()
	}
}

// logged gives the log so far.
func (w *world) logged() string {
	w.t.Helper()
	text, err := os.ReadFile(w.log)
	if err != nil {
		w.t.Fatal(err)
	}
	return string(text)
}
