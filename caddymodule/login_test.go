package caddymodule_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

// loginGlobals are global options with an issuer to log in at.
const loginGlobals = `{
	admin off
	%
	token_enrich {
		issuer https://idp.example.com {
			name corp
			login {
				client_id gateway
			}
		}
	}
}
`

// loadLogins loads a configuration with an issuer to log in at, as caddy validate does.
// globals are Caddy's own options.
func loadLogins(t *testing.T, globals, sites string) (*caddymodule.App, error) {
	t.Helper()
	return loadCaddyfile(t, strings.Replace(loginGlobals, "%", globals, 1)+sites)
}

// loadSessions does the same with options of the gateway.
func loadSessions(t *testing.T, options, sites string) (*caddymodule.App, error) {
	t.Helper()
	text := strings.Replace(loginGlobals, "%", "", 1)
	return loadCaddyfile(t, strings.Replace(text, "token_enrich {\n", "token_enrich {\n"+options, 1)+sites)
}

// loadCaddyfile loads a Caddyfile.
func loadCaddyfile(t *testing.T, text string) (*caddymodule.App, error) {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, err
	}
	return caddymodule.LoadOffline(config)
}

// TestASiteIsReachedAtItsOwnAddressOrAsConfigured is about where providers send people
// back to: from the configuration alone, and https everywhere but on this machine (L1).
func TestASiteIsReachedAtItsOwnAddressOrAsConfigured(t *testing.T) {
	t.Setenv("HOST", "app.example.com")
	const policy = "token_enrich {\n\tlogin corp\n}\n"
	for name, c := range map[string]struct{ globals, site, want, err string }{
		"one host":               {site: "app.example.com {\n" + policy + "}", want: "https://app.example.com"},
		"another port":           {site: "app.example.com:8443 {\n" + policy + "}", want: "https://app.example.com:8443"},
		"upper case":             {site: "App.Example.com {\n" + policy + "}", want: "https://app.example.com"},
		"another port for https": {globals: "https_port 8443", site: "app.example.com {\n" + policy + "}", want: "https://app.example.com:8443"},
		"two listeners":          {site: "app.example.com {\nbind 127.0.0.1 ::1\n" + policy + "}", want: "https://app.example.com"},
		"in a handle":            {site: "app.example.com {\nhandle {\n" + policy + "}\n}", want: "https://app.example.com"},
		"plain http here":        {site: "http://localhost:8080 {\n" + policy + "}", want: "http://localhost:8080"},
		"plain http here, v4":    {site: "http://127.0.0.1 {\n" + policy + "}", want: "http://127.0.0.1"},
		"plain http here, v6":    {site: "http://[::1]:8080 {\n" + policy + "}", want: "http://[::1]:8080"},
		"plain http elsewhere":   {site: "http://app.example.com {\n" + policy + "}", err: "plain http is accepted on this machine only"},
		"another port for http":  {globals: "http_port 8080", site: "http://app.example.com {\n" + policy + "}", err: "http://app.example.com:8080"},
		"two hosts":              {site: "a.example.com, b.example.com {\n" + policy + "}", err: "several hosts"},
		"a wildcard":             {site: "*.example.com {\n" + policy + "}", err: "no fixed host"},
		"a placeholder":          {site: "http://{env.HOST}:8080 {\n" + policy + "}", err: "no fixed host"},
		"no host":                {site: ":8443 {\n" + policy + "}", err: "no fixed host"},
		"a socket":               {site: "app.example.com {\nbind unix//run/caddy.sock\n" + policy + "}", err: "no single port"},
		"a named route":          {site: "&(app) {\n" + policy + "}\napp.example.com {\ninvoke app\n}", err: "no site of its own"},
		"configured for no host": {site: ":8443 {\ntoken_enrich {\nlogin corp\nexternal_url https://APP.example.com:443/\n}\n}", want: "https://app.example.com"},
		"configured for two":     {site: "a.example.com, b.example.com {\ntoken_enrich {\nlogin corp\nexternal_url https://a.example.com\n}\n}", want: "https://a.example.com"},
		"configured behind TLS":  {site: "http://app.example.com {\ntoken_enrich {\nlogin corp\nexternal_url https://app.example.com\n}\n}", want: "https://app.example.com"},
		"configured in a named":  {site: "&(app) {\ntoken_enrich {\nlogin corp\nexternal_url https://app.example.com\n}\n}\napp.example.com {\ninvoke app\n}", want: "https://app.example.com"},
		"configured without TLS": {site: ":80 {\ntoken_enrich {\nlogin corp\nexternal_url http://app.example.com\n}\n}", err: "plain http is accepted on this machine only"},
	} {
		t.Run(name, func(t *testing.T) {
			app, err := loadLogins(t, c.globals, c.site)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) || !strings.Contains(err.Error(), "external_url") {
					t.Errorf("loaded with %v; want an error about external_url with %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			policy := app.Policies()[0]
			if got := policy.Site().Origin().String(); got != c.want {
				t.Errorf("the site is reached at %s, want %s", got, c.want)
			}
			warned := slices.ContainsFunc(policy.Warnings(), func(w caddymodule.Warning) bool { return strings.Contains(w.Text, "plain http") })
			if warned != strings.HasPrefix(c.want, "http:") {
				t.Errorf("warnings: %v", policy.Warnings())
			}
		})
	}
}

// TestPoliciesOfASiteAgreeOnItsEndpoints is about policies that would answer the same
// address differently.
func TestPoliciesOfASiteAgreeOnItsEndpoints(t *testing.T) {
	for name, c := range map[string]struct{ sites, err string }{
		"equal":             {sites: "app.example.com {\ntoken_enrich /a/* {\nlogin corp\ncallback /cb\n}\ntoken_enrich /b/* {\nlogin corp\ncallback /cb\n}\n}"},
		"equal by default":  {sites: "app.example.com {\ntoken_enrich /a/* {\nlogin corp\nexternal_url https://app.example.com\n}\ntoken_enrich /b/* {\nlogin corp\ncallback /.token-enrich/callback\n}\n}"},
		"one without login": {sites: "app.example.com {\ntoken_enrich /a/* {\nlogin corp\ncallback /cb\n}\ntoken_enrich /b/* {\nanonymous\n}\n}"},
		"of two sites":      {sites: "a.example.com {\ntoken_enrich {\nname a\nlogin corp\ncallback /a\n}\n}\nb.example.com {\ntoken_enrich {\nname b\nlogin corp\ncallback /b\n}\n}"},
		"callback": {
			sites: "app.example.com {\ntoken_enrich /a/* {\nlogin corp\ncallback /cb\n}\ntoken_enrich /b/* {\nlogin corp\n}\n}",
			err:   `callback is "/.token-enrich/callback" here and "/cb" in another policy`,
		},
		"external_url": {
			sites: "app.example.com {\ntoken_enrich /a/* {\nlogin corp\n}\ntoken_enrich /b/* {\nlogin corp\nexternal_url https://other.example.com\n}\n}",
			err:   `external_url is "https://other.example.com" here and "https://app.example.com" in another policy`,
		},
		"after logout, of two sites at one address": {
			sites: "a.example.com {\ntoken_enrich {\nname a\nlogin corp\n}\n}\n:8443 {\ntoken_enrich {\nname b\nlogin corp\nexternal_url https://a.example.com\nlogout /.token-enrich/logout /bye\n}\n}",
			err:   `in another policy`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadLogins(t, "", c.sites)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("loaded with %v, want %q", err, c.err)
			}
		})
	}
}

// TestSessionsHoldTheClaimsThatAreRead is about what a cookie has room for: the claims
// that a policy of the site or a placeholder of the configuration shows.
func TestSessionsHoldTheClaimsThatAreRead(t *testing.T) {
	const directory = "directory http https://users.example.com/{subject}\n"
	for name, c := range map[string]struct {
		globals, before, policy string
		want, never             []string
		all                     bool
	}{
		"nothing":                     {want: []string{"name", "sub"}, never: []string{"email", "groups"}},
		"a header":                    {policy: "header X-Mail email", want: []string{"email"}, never: []string{"groups"}},
		"a requirement":               {policy: "require `token.tenant == \"t1\"`", want: []string{"tenant"}},
		"a placeholder":               {before: "header X-Upn {token_enrich.claims.upn}", want: []string{"upn"}, never: []string{"email"}},
		"a placeholder in a map":      {before: "map {token_enrich.claims.org} {tier} {\ndefault x\n}", want: []string{"org"}},
		"groups":                      {policy: "claim g groups starts_with A", want: []string{"groups"}},
		"groups that a directory has": {globals: directory, policy: "claim g groups starts_with A", never: []string{"groups"}},
		"every claim":                 {policy: "headers_from X-Claim-", all: true},
	} {
		t.Run(name, func(t *testing.T) {
			app, err := loadSessions(t, c.globals, "app.example.com {\n"+c.before+"\ntoken_enrich {\nlogin corp\n"+c.policy+"\n}\nreverse_proxy app:80\n}")
			if err != nil {
				t.Fatal(err)
			}
			names, all := app.Policies()[0].Site().HeldClaims()
			if all != c.all {
				t.Errorf("all claims are held: %v", all)
			}
			for _, want := range c.want {
				if !slices.Contains(names, want) {
					t.Errorf("%s is not among %v", want, names)
				}
			}
			for _, never := range c.never {
				if slices.Contains(names, never) {
					t.Errorf("%s is among %v", never, names)
				}
			}
		})
	}
}
