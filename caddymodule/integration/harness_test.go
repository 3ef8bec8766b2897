// Package integration tries the gateway as its users run it: a Caddy with a
// Caddyfile, real tokens over real HTTP, and an application that records what
// it receives byte for byte. Caddy is one per process, so nothing here runs
// in parallel.
package integration

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
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

// issuerBlock is an issuer with further options.
func (w *world) issuerBlock(options string) string {
	return fmt.Sprintf(`
		issuer %s {
			name corp
			audience %s
			key_min_interval 10ms
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
	err = caddy.Load(config, true)
	// The configuration before may be closing them, and a POST is not sent twice.
	client.CloseIdleConnections()
	return err
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

// client does not follow redirects and is not patient.
var client = &http.Client{
	Timeout:       20 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{DisableCompression: true},
}

// raw sends bytes as they stand and gives what came back.
func (w *world) raw(request string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	got, err := enrichtest.SendRaw(ctx, w.addr, []byte(request))
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
