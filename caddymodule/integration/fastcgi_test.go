package integration

import (
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// cgiApp is a FastCGI application that keeps the variables of its last
// request.
type cgiApp struct {
	addr string

	mu     sync.Mutex
	header http.Header // HTTP_ variables, as the responder turns them back
	vars   map[string]string
	calls  int
}

// newCGI starts a FastCGI application.
func newCGI(t *testing.T) *cgiApp {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &cgiApp{addr: l.Addr().String()}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = fcgi.Serve(l, a)
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	return a
}

func (a *cgiApp) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.header, a.vars = r.Header.Clone(), fcgi.ProcessEnv(r)
	a.calls++
	w.WriteHeader(http.StatusOK)
}

// last gives what the one request brought, and forgets it.
func (a *cgiApp) last(t *testing.T) (http.Header, map[string]string) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.calls != 1 {
		t.Fatalf("the application was called %d times, want once", a.calls)
	}
	a.calls = 0
	return a.header, a.vars
}

// cgiSite proxies every path to a FastCGI application.
func cgiSite(t *testing.T, policy, addr string) string {
	t.Helper()
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "index.php"), []byte("<?php"), 0o600); err != nil {
		t.Fatal(err)
	}
	return policy + "\nroot * " + root + "\nphp_fastcgi " + addr
}

func TestFastCGIApplicationReadsVariables(t *testing.T) {
	w := prepare(t)
	app := newCGI(t)
	w.load(cgiSite(t, `token_enrich {
		claim login user.login
		claim groups groups regex .*
		header SM_USER login {
			exact
		}
		header X-User-Groups groups {
			list repeat
		}
		header X-Absent absent
		user_placeholder on
	}`, app.addr))
	forge := []string{"SM_USER", "root", "sm-user", "root", "Sm.User", "root", "X~User~Groups", "root", "x_user_groups", "root", "X-Absent", "root", "X+Absent", "root", "Remote-User", "theirs", "Proxy", "root"}
	got := w.get("/index.php/more?x=1", w.token("00u1ada"), forge...)
	wantStatus(t, got, http.StatusOK)
	header, vars := app.last(t)
	for name, want := range map[string]string{"Sm-User": "ada@example.com", "X-User-Groups": "Everyone, IT, Ops", "X-Absent": "", "Proxy": "", "Authorization": ""} {
		if v := strings.Join(header.Values(name), "|"); v != want {
			t.Errorf("HTTP_%s = %q, want %q", strings.ToUpper(strings.ReplaceAll(name, "-", "_")), v, want)
		}
	}
	for name, values := range header {
		if strings.Contains(strings.Join(values, " "), "root") {
			t.Errorf("%s = %q came from the client", name, values)
		}
	}
	if vars["REMOTE_USER"] != "00u1ada" {
		t.Errorf("REMOTE_USER = %q, want the subject", vars["REMOTE_USER"])
	}
	// A header of that name is another variable, and not ours here.
	if v := header.Get("Remote-User"); v != "theirs" {
		t.Errorf("HTTP_REMOTE_USER = %q, want what the client sent", v)
	}
}

func TestFastCGIApplicationHasNoRemoteUserUnlessAskedFor(t *testing.T) {
	for _, tc := range []struct{ name, options, token, want string }{
		{"with user_placeholder", "user_placeholder on", "00u1ada", "00u1ada"},
		{"without it", "", "00u1ada", ""},
		{"off", "user_placeholder off", "00u1ada", ""},
		{"anonymous", "user_placeholder on\nanonymous", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			app := newCGI(t)
			w.load(cgiSite(t, "token_enrich {\n"+tc.options+"\n}", app.addr))
			token := ""
			if tc.token != "" {
				token = w.token(tc.token)
			}
			wantStatus(t, w.get("/", token), http.StatusOK)
			if _, vars := app.last(t); vars["REMOTE_USER"] != tc.want {
				t.Errorf("REMOTE_USER = %q, want %q", vars["REMOTE_USER"], tc.want)
			}
		})
	}
}

// TestPresetsReachFastCGIApplications proves that the documented sets arrive
// as the variables that PHP applications read, also where the header names
// have underscores and where the transport cannot keep their spelling.
func TestPresetsReachFastCGIApplications(t *testing.T) {
	claims := enrichtest.Claims{"preferred_username": "ada", "dn": "cn=ada", "groups": []string{"a", "b"}, "name": "Ada", "email": "ada@example.com"}
	for preset, want := range map[string]map[string]string{
		"siteminder":  {"Sm-User": "ada", "Sm-Userdn": "cn=ada", "Sm-Universalid": "00u1ada", "Sm-Usergroups": "a^b"},
		"remote_user": {"Remote-User": "ada", "Remote-Groups": "a,b", "Remote-Name": "Ada", "Remote-Email": "ada@example.com"},
		"oauth2_proxy": {
			"X-Forwarded-User": "00u1ada", "X-Forwarded-Email": "ada@example.com", "X-Forwarded-Groups": "a,b", "X-Forwarded-Preferred-Username": "ada",
			"X-Auth-Request-User": "00u1ada", "X-Auth-Request-Email": "ada@example.com", "X-Auth-Request-Groups": "a,b", "X-Auth-Request-Preferred-Username": "ada",
		},
	} {
		t.Run(preset, func(t *testing.T) {
			w := prepare(t)
			app := newCGI(t)
			w.load(cgiSite(t, "token_enrich {\npreset "+preset+"\n}", app.addr), w.issuerBlock(""))
			var forge []string
			for name := range want {
				forge = append(forge, name, "root", strings.ReplaceAll(name, "-", "_"), "root", strings.ReplaceAll(name, "-", "."), "root")
			}
			wantStatus(t, w.get("/", w.token("00u1ada", claims), forge...), http.StatusOK)
			header, _ := app.last(t)
			for name, value := range want {
				if v := strings.Join(header.Values(name), "|"); v != value {
					t.Errorf("%s = %q, want %q", name, v, value)
				}
			}
		})
	}
}

// TestSiteMinderSpellingSurvivesTLS is the preset at an application that
// compares names letter by letter, behind TLS and header_up.
func TestSiteMinderSpellingSurvivesTLS(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich {\npreset siteminder\n}\nreverse_proxy https://"+secured(t, w.legacy.Addr())+" {\nheader_up Host legacy.example\ntransport token_enrich {\ntls_insecure_skip_verify\nversions 1.1\n}\n}", w.issuerBlock(""))
	wantStatus(t, w.get("/", w.token("00u1ada", enrichtest.Claims{"preferred_username": "ada", "dn": "cn=ada", "groups": []string{"a", "b"}}), "SM_USER", "root"), http.StatusOK)
	seen := w.received()
	for name, value := range map[string]string{"SM_USER": "ada", "SM_USERDN": "cn=ada", "SM_USERGROUPS": "a^b"} {
		if v := seen.Exact(name); len(v) != 1 || v[0] != value {
			t.Errorf("%s = %q, want %q; there is %v", name, v, value, seen.Like(name))
		}
	}
}
