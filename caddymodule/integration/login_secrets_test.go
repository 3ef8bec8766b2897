package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// documentedFilter is the log filter that the page on logins shows.
func documentedFilter(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/login.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?s)\tlog \{\n(.*?)\n\t\}\n`).FindSubmatch(text)
	if m == nil {
		t.Fatal("the page on logins shows no filter")
	}
	return string(m[1])
}

// TestNoLogTellsOfALogin searches all that a gateway writes and tells of a whole run
// for what must not be told (L16).
func TestNoLogTellsOfALogin(t *testing.T) {
	w := prepareLogins(t)
	filter := documentedFilter(t)
	access := filepath.Join(filepath.Dir(w.log), "access.json")
	site := "log {\noutput file " + access + "\n" + filter + "\n}\n" + w.lastingSite("log_decision all\nlog_subject hash\nheader X-Email email")
	config, err := adapt(strings.Replace(w.caddyfile(site, w.scriptedCorp(), "explain values"), "format json", filter, 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := w.run(config); err != nil {
		t.Fatal(err)
	}
	secrets := []string{loginSecret, url.QueryEscape(loginSecret)}
	var said []string // in answers of the gateway's own
	keep := func(p *person, got answer) answer {
		secrets = append(secrets, p.cookie(sessionCookie), p.cookie(transactionCookie))
		if got.Request.URL.Host == w.addr && got.Header.Get("Via") == "" {
			said = append(said, got.body)
		}
		if to, err := got.Location(); err == nil {
			for _, name := range []string{"state", "nonce", "code", "code_challenge"} {
				secrets = append(secrets, to.Query().Get(name))
			}
		}
		return got
	}
	w.issuer.SetAccount("00u1ada", enrichtest.Claims{"email": "ada@example.com", "sid": "s1d-of-the-provider-0123456789"})
	for _, fault := range []func(p *person) string{
		func(*person) string { return "" },
		func(*person) string { return "&error=access_denied" },
		func(*person) string { return "&error=server_error&error_description=claim-value" },
		func(*person) string { return "&state=twice-0123456789abcdef" },
		func(*person) string { return "&code=twice-0123456789abcdef" },
		func(p *person) string { p.holds(transactionCookie, ""); return "" },
	} {
		p := w.person(nil, "00u1ada")
		begun := keep(p, p.opens("/orders?id=7"))
		at := keep(p, p.sends(http.MethodGet, sentTo(t, begun).String()))
		back := at.Header.Get("Location") + fault(p)
		keep(p, p.opens(back))
		keep(p, p.opens(back)) // a code that was used
		keep(p, p.opens("/orders?id=7"))
		keep(p, p.calls("/api"))
		keep(p, p.calls("/.token-enrich/session"))
		keep(p, p.sends(http.MethodPost, "/", append([]string{"Content-Type", formType, "Sec-Fetch-Site", "cross-site"}, navigation[:4]...)...))
	}
	for _, breaks := range []func(){
		func() { w.issuer.Break(enrichtest.Token, enrichtest.Status(500, "claim-value")) },
		func() {
			w.issuer.Mend(enrichtest.Token)
			w.issuer.OnIDToken(func(c enrichtest.Claims) []enrichtest.MintOption { c["nonce"] = "claim-value-nonce"; return nil })
		},
		func() { w.issuer.OnIDToken(nil) },
	} {
		breaks()
		p := w.person(nil, "00u1ada")
		begun := keep(p, p.opens("/"))
		keep(p, p.follows(begun))
	}
	ada := w.person(nil, "00u1ada")
	ada.logsIn("/orders")
	keep(ada, ada.opens("/"))
	explained := w.adminDo("POST", "/token_enrich/explain", `{"issuer":"corp","subject":"00u1ada"}`)
	wantStatus(t, explained, 200)
	w.deny(`{"user":"00u1ada","issuer":"corp"}`)
	keep(ada, ada.opens("/"))
	keep(ada, ada.opens("/.token-enrich/callback?code=c0de-0123456789abcdef&state=5tate-0123456789abcdef"))
	secrets = append(secrets, "c0de-0123456789abcdef", "5tate-0123456789abcdef", "twice-0123456789abcdef")
	keep(ada, ada.sends(http.MethodGet, "/.token-enrich/logout", fromHere...))
	secrets = append(secrets, w.issuer.Secrets()...)
	for _, e := range []enrichtest.Endpoint{enrichtest.Authorize, enrichtest.Token} {
		for _, seen := range w.issuer.Requests(e) {
			for _, name := range []string{"state", "nonce", "code", "code_verifier", "code_challenge"} {
				secrets = append(secrets, seen.Form.Get(name))
			}
		}
	}
	eventually(t, "the access log is written", func() bool { return len(entries(t, access)) >= 40 })
	told := map[string]string{"the metrics": w.metricsText(), "explain": explained.body, "the status": asJSON(t, w.status()), "the log": w.logged()}
	text, err := os.ReadFile(access)
	if err != nil {
		t.Fatal(err)
	}
	told["the access log"] = string(text)
	for i, body := range said {
		told[fmt.Sprintf("answer %d of the gateway", i)] = body
	}
	if !strings.Contains(told["the log"], "login failed") || !strings.Contains(told["the access log"], "/.token-enrich/callback") || len(secrets) < 60 {
		t.Error("the logs are not those that were to be searched")
	}
	for what, text := range told {
		for line := range strings.Lines(text) {
			wantNoSecret(t, what, line, secrets)
			// Caddy itself logs what it sends to the application, at level DEBUG.
			if what == "the log" && !strings.Contains(line, "http.handlers.reverse_proxy") || what == "the metrics" || what == "the status" {
				for _, text := range []string{"claim-value", "ada@example.com", "00u1ada"} {
					if strings.Contains(line, text) {
						t.Errorf("%s tells of a person or of what a provider wrote: %s", what, line)
					}
				}
			}
		}
	}
}

// TestTheGatewayProvesWhoItIs logs in with each way of client authentication, at a
// provider that takes no other.
func TestTheGatewayProvesWhoItIs(t *testing.T) {
	w := prepareLogins(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	w.write(file, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	var jwks any
	text, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &jwks); err != nil {
		t.Fatal(err)
	}
	one := func(id, secret, method string, metadata map[string]any) enrichtest.OPLoginClient {
		c := registered(w)
		c.ID, c.Secret, c.AuthMethod, c.Metadata = id, secret, method, metadata
		return c
	}
	o := w.withProvider(enrichtest.OPConfig{Login: []enrichtest.OPLoginClient{
		one("basic client:/+", loginSecret, "client_secret_basic", nil),
		one("post", loginSecret, "client_secret_post", nil),
		one("key", "", "private_key_jwt", map[string]any{"jwks": jwks, "token_endpoint_auth_signing_alg": "ES256"}),
		one("public", "", "none", nil),
		one("pushed", loginSecret, "client_secret_basic", map[string]any{"require_pushed_authorization_requests": true}),
	}}, nil)
	secret := "\nclient_secret `" + loginSecret + "`\n"
	for _, tc := range []struct {
		name, login string
		pushed      bool
	}{
		{"basic, by the metadata", "client_id `basic client:/+`" + secret, true},
		{"basic", "client_id `basic client:/+`" + secret + "client_auth basic\npar off", false},
		{"post", "client_id post" + secret + "client_auth post\npar off", false},
		{"post, pushed", "client_id post" + secret + "client_auth post\npar auto", true},
		{"private_key_jwt", "client_id key\nprivate_key " + file + " key_id k1\npar off", false},
		{"private_key_jwt, pushed", "client_id key\nprivate_key " + file + " key_id k1\npar require", true},
		{"a public client", "client_id public\npar off", false},
		{"a public client, pushed", "client_id public\npar require", true},
		{"PAR required by the provider", "client_id pushed" + secret, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			w.load(w.loginSite("header X-Email email"), loginIssuer("corp", o.Issuer, "", tc.login+"\n"+allScopes))
			ada := w.person(o, "00u1ada")
			query := sentTo(t, ada.opens("/")).Query()
			if query.Has("request_uri") != tc.pushed || query.Has("state") == tc.pushed {
				t.Errorf("the request is %v; pushed: %v", query, tc.pushed)
			}
			ada.logsIn("/x?y=1")
			wantStatus(t, ada.opens("/"), 200)
			wantHeader(t, w.received(), "X-Email", "ada@example.com")
		})
	}
	t.Run("with a wrong secret", func(t *testing.T) {
		w := w.in(t)
		w.load(w.loginSite(""), loginIssuer("corp", o.Issuer, "", "client_id post\nclient_secret wrong-secret-0000000000\nclient_auth post\npar off"))
		ada := w.person(o, "00u1ada")
		wantPage(t, ada.arrives("/"), 502)
		if n := w.metric("logins_total", "outcome", "code_refused"); n != 1 {
			t.Errorf("%v logins failed so, want one", n)
		}
	})
}
