package check

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/directories"
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/transport"
)

// loaded provisions a Caddyfile offline. It returns the app and the configuration
// as JSON.
func loaded(t *testing.T, text string) (*caddymodule.App, []byte) {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	app, err := caddymodule.LoadOffline(config)
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	t.Cleanup(func() {
		if err := app.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return app, config
}

// newChecker returns a checker of an app that has found nothing yet.
func newChecker(app *caddymodule.App) *checker {
	return &checker{app: app, owned: app.OwnedNames(), seen: map[caddymodule.Warning]bool{}}
}

// warningsOf returns the warnings about what a Caddyfile forwards: global is
// inside token_enrich, behind an issuer.
func warningsOf(t *testing.T, options, global, sites string) []string {
	t.Helper()
	app, config := loaded(t, "{\n\tadmin off\n\tauto_https off\n\tstorage file_system "+t.TempDir()+"\n"+options+
		"\n\ttoken_enrich {\n\t\tissuer https://idp.example.com {\n\t\t\tname corp\n\t\t\taudience x\n\t\t\tjwks_url https://idp.example.com/keys\n\t\t}\n"+global+"\n\t}\n}\n"+sites)
	var root any
	if err := json.Unmarshal(config, &root); err != nil {
		t.Fatal(err)
	}
	c := newChecker(app)
	c.forwarded(root)
	list := []string{}
	for _, w := range c.list {
		list = append(list, w.Where+": "+w.Text)
	}
	return list
}

// wantWarnings compares warnings with what each must contain, in their order.
func wantWarnings(t *testing.T, got []string, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d warnings, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i, w := range want {
		for part := range strings.SplitSeq(w, " … ") {
			if !strings.Contains(got[i], part) {
				t.Errorf("warning %d is %q, want %q in it", i+1, got[i], part)
			}
		}
	}
}

func TestCheckFindsWhatStandsBeforeTheScrub(t *testing.T) {
	const policy = "\ttoken_enrich {\n\theader X-User login\n\tclaim login user.login\n\t}\n"
	const missing = "put token_enrich_scrub into the site"
	for _, tc := range []struct {
		name, sites string
		want        []string
	}{
		{"nothing", "http://a.example {\n" + policy + "\treverse_proxy app:80\n}\n", nil},
		{"basic_auth", "http://a.example {\n\tbasic_auth {\n\t\tada $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n\t}\n" + policy + "\treverse_proxy app:80\n}\n", []string{"site a.example: basic_auth … " + missing}},
		{"map of a header", "http://a.example {\n\tmap {header.X-Any} {x} {\n\t\tdefault y\n\t}\n" + policy + "\treverse_proxy app:80\n}\n", []string{"map, which reads headers, … " + missing}},
		{"map of the path", "http://a.example {\n\tmap {path} {x} {\n\t\tdefault y\n\t}\n" + policy + "\treverse_proxy app:80\n}\n", nil},
		{"vars of an alias of ours", "http://a.example {\n\tvars who {header.x_user}\n" + policy + "\treverse_proxy app:80\n}\n", []string{"vars, which reads x_user, … " + missing}},
		{"root, which is vars", "http://a.example {\n\troot * /srv\n" + policy + "\treverse_proxy app:80\n}\n", nil},
		{"a matcher that reads ours", "http://a.example {\n\t@root header X-User root\n\trewrite @root /admin\n" + strings.Replace(policy, "token_enrich {", "token_enrich /x/* {", 1) + "\treverse_proxy app:80\n}\n", []string{"a matcher that reads X-User … " + missing}},
		{"a matcher of the policy itself", "http://a.example {\n" + strings.Replace(policy, "token_enrich {", "token_enrich /x/* {", 1) + "\treverse_proxy app:80\n}\n", nil},
		{"a site without hosts", ":8080 {\n\tbasic_auth /b/* {\n\t\tada $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n\t}\n" + policy + "\treverse_proxy app:80\n}\n", []string{"server srv0: basic_auth"}},
		{"handle_errors with a proxy", "http://a.example {\n" + policy + "\treverse_proxy app:80\n\thandle_errors {\n\t\treverse_proxy pages:80\n\t}\n}\n", []string{"reverse_proxy pages:80 in handle_errors"}},
		{"handle_errors without one", "http://a.example {\n" + policy + "\treverse_proxy app:80\n\thandle_errors {\n\t\trespond oops\n\t}\n}\n", nil},
		{"handle_errors with a scrub", "http://a.example {\n" + policy + "\treverse_proxy app:80\n\thandle_errors {\n\t\ttoken_enrich_scrub\n\t\treverse_proxy pages:80\n\t}\n}\n", nil},
		{"everything behind a scrub", "http://a.example {\n\ttoken_enrich_scrub\n\tvars who {header.x_user}\n\tforward_auth auth:80 {\n\t\turi /v\n\t}\n" + policy + "\treverse_proxy app:80\n\thandle_errors {\n\t\treverse_proxy pages:80\n\t}\n}\n", nil},
		{"the same application from another site", "http://a.example {\n" + policy + "\treverse_proxy app:80\n}\nhttp://b.example {\n\treverse_proxy app:80\n}\n", []string{"site b.example: reverse_proxy app:80 reaches the same application as site a.example"}},
		{"another application from another site", "http://a.example {\n" + policy + "\treverse_proxy app:80\n}\nhttp://b.example {\n\treverse_proxy other:80\n}\n", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantWarnings(t, warningsOf(t, "", "", tc.sites), tc.want...)
		})
	}
}

func TestCheckFindsWhereExactCannotHold(t *testing.T) {
	const names = "header SM_USER: nginx, Apache … HTTP_SM_USER … SM-USER"
	for _, tc := range []struct{ name, proxy, want string }{
		{"plain", "reverse_proxy app:80", ""},
		{"header_up", "reverse_proxy app:80 {\n header_up X-A b\n}", "header_up … `transport token_enrich`"},
		{"header_down", "reverse_proxy app:80 {\n header_down X-A b\n}", ""},
		{"TLS", "reverse_proxy https://app", "over TLS reverse_proxy … `versions 1.1`"},
		{"HTTP/2", "reverse_proxy h2c://app:80", "HTTP/2 and HTTP/3 write names in lower case"},
		{"the transport with header_up", "reverse_proxy app:80 {\n header_up X-A b\n transport token_enrich\n}", ""},
		{"the transport over TLS", "reverse_proxy https://app {\n transport token_enrich\n}", "the upstream may choose HTTP/2"},
		{"the transport over TLS with HTTP/1.1", "reverse_proxy https://app {\n transport token_enrich {\n versions 1.1\n }\n}", ""},
		{"FastCGI", "php_fastcgi app:9000 {\n env A b\n}", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := warningsOf(t, "", "", "http://a.example {\ntoken_enrich {\nheader SM_USER sub {\nexact\n}\n}\n"+tc.proxy+"\n}\n")
			want := []string{names}
			if tc.want != "" {
				want = []string{"does not keep the exact spelling of SM_USER … " + tc.want, names}
			}
			wantWarnings(t, got, want...)
		})
	}
	t.Run("a preset", func(t *testing.T) {
		got := warningsOf(t, "", "", "http://a.example {\ntoken_enrich {\npreset siteminder\n}\nreverse_proxy https://app\n}\n")
		wantWarnings(t, got, "SM_USER, SM_USERDN, SM_USERGROUPS: over TLS", "header SM_UNIVERSALID, SM_USER, SM_USERDN, SM_USERGROUPS")
	})
	t.Run("two spellings of one name", func(t *testing.T) {
		got := warningsOf(t, "", "", "http://a.example {\ntoken_enrich {\nheader X-USER sub {\nexact\n}\n}\nreverse_proxy app:80\n}\nhttp://b.example {\ntoken_enrich {\nheader x-user sub {\nexact\n}\n}\nreverse_proxy app:80\n}\n")
		wantWarnings(t, got, "are two exact spellings of one header")
	})
}

func TestCheckFindsSecretsThatAreWrittenOut(t *testing.T) {
	for _, tc := range []struct {
		name, node string
		want       int
	}{
		{"a client secret", `{"issuers":[{"introspect":{"url":"https://x/i","client_secret":"hunter2"}}]}`, 1},
		{"a Sentinel's password", `{"cache":{"redis":{"sentinel_password":"hunter2"}}}`, 1},
		{"a private key as a JSON Web Key", `{"directories":[{"kind":"okta","private_key":"{\"kty\":\"EC\",\"d\":\"hunter2\"}"}]}`, 1},
		{"a client secret from the environment", `{"issuers":[{"introspect":{"client_secret":"{env.SECRET}"}}]}`, 0},
		{"an API token", `{"directories":[{"kind":"okta","token":"00abc"}]}`, 1},
		{"an API token from a file", `{"directories":[{"kind":"okta","token":"{file./run/secrets/okta}"}]}`, 0},
		{"a bearer token", `{"directories":[{"kind":"scim","bearer":"abc"}]}`, 1},
		{"a bind password", `{"directories":[{"kind":"ldap","bind_password":"abc"}]}`, 1},
		{"a data source with a password", `{"directories":[{"kind":"sql","dsn":"postgres://ada:abc@db/x"}]}`, 1},
		{"a data source with password=", `{"directories":[{"kind":"sql","dsn":"host=db user=ada password=abc dbname=x"}]}`, 1},
		{"a data source without a password", `{"directories":[{"kind":"sql","dsn":"postgres://ada@db/x"}]}`, 0},
		{"a data source from the environment", `{"directories":[{"kind":"sql","dsn":"{env.DSN}"}]}`, 0},
		{"a data source with a password from the environment", `{"directories":[{"kind":"sql","dsn":"postgres://ada:{env.PASSWORD}@db/x"}]}`, 0},
		{"an API key in a header", `{"directories":[{"kind":"http","headers":{"X-Api-Key":["abc"],"Accept":["application/json"]}}]}`, 1},
		{"an API key in a header from a file", `{"directories":[{"kind":"http","headers":{"Authorization":["Bearer {file./x}"]}}]}`, 0},
		{"seal keys", `{"cache":{"seal_keys":["{env.A}","abc"]}}`, 1},
		{"a Redis password", `{"cache":{"redis":{"password":"abc"}}}`, 1},
		{"a Redis address with a password", `{"cache":{"redis":{"url":"rediss://:abc@cache:6379/0"}}}`, 1},
		{"a private key", `{"directories":[{"kind":"okta","private_key":"-----BEGIN PRIVATE KEY-----"}]}`, 1},
		{"a private key's file", `{"directories":[{"kind":"okta","private_key":"/etc/okta.pem"}]}`, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var node any
			if err := json.Unmarshal([]byte(tc.node), &node); err != nil {
				t.Fatal(err)
			}
			c := &checker{seen: map[caddymodule.Warning]bool{}}
			c.secrets("here", node)
			if len(c.list) != tc.want {
				t.Errorf("warnings %v, want %d", c.list, tc.want)
			}
			for _, w := range c.list {
				if strings.Contains(w.Text, "abc") || strings.Contains(w.Text, "hunter2") {
					t.Errorf("the warning tells the secret: %s", w.Text)
				}
			}
		})
	}
}

func TestCheckFindsLogsThatHoldTokens(t *testing.T) {
	const site = "http://a.example {\n%s\ntoken_enrich {\nheader X-User sub\n%t\n}\nreverse_proxy app:80\n}\n"
	for _, tc := range []struct {
		name, options, log, policy string
		want                       []string
	}{
		{"no access log, but errors", "", "", "token_from query t", []string{"log default: it contains failed requests with tokens (query t) … request>uri query { delete t }"}},
		{"a proof beside a named header among errors", "", "", "token_from header X-Token", []string{"log default: it contains failed requests with tokens (X-Token)"}},
		{"errors with a filter", "log {\nformat filter {\nrequest>uri query {\ndelete t\n}\n}\n}", "", "token_from query t", nil},
		{"no errors", "log {\nexclude http.log.error\n}", "", "token_from query t", nil},
		{"no errors but those of named logs", "log {\nexclude http.log.error.log0\n}", "log {\noutput discard\nformat filter {\nrequest>headers delete\nrequest>uri delete\n}\n}", "token_from query t", nil},
		{"an access log without a filter", "", "log", "token_from query t", []string{"log default: it contains requests with tokens … query t … request>uri query { delete t }", "X-User"}},
		{"a named header", "", "log", "token_from header X-Token", []string{"with tokens (X-Token)", "X-User"}},
		{"Authorization, which Caddy redacts", "", "log", "", []string{"log default: it contains identity headers (X-User)"}},
		{"a log of its own", "", "log {\noutput stdout\n}", "token_from query t", []string{"log default: it contains failed requests", "log log0: it contains requests with tokens", "log log0: it contains identity headers"}},
		{"Authorization, which Caddy is told not to redact", "servers {\nlog_credentials\n}\nlog {\nformat filter {\nrequest>headers>X-User delete\n}\n}", "log", "", []string{"log default: it contains requests with tokens (Authorization) … request>headers>Authorization delete"}},
		{"a cookie that Caddy is told not to redact", "servers {\nlog_credentials\n}\nlog {\nformat filter {\nrequest>headers>X-User delete\n}\n}", "log", "token_from cookie session", []string{"(Cookie)"}},
		{"Authorization without redaction, with a filter", "servers {\nlog_credentials\n}\nlog {\nformat filter {\nrequest>headers>X-User delete\nrequest>headers>Authorization delete\n}\n}", "log", "", nil},
		{"a filter", "log {\nformat filter {\nrequest>uri query {\ndelete t\n}\n}\n}", "log {\nformat filter {\nrequest>headers>X-User delete\nrequest>uri query {\ndelete t\n}\n}\n}", "token_from query t", nil},
		{"a filter, but not of errors", "", "log {\nformat filter {\nrequest>headers>X-User delete\nrequest>uri query {\ndelete t\n}\n}\n}", "token_from query t", []string{"log default: it contains failed requests"}},
		{"a filter of all headers", "log {\nformat filter {\nrequest>headers delete\n}\n}", "log {\nformat filter {\nrequest>headers delete\n}\n}", "token_from header X-Token", nil},
		{"a filter of another parameter", "log {\nformat filter {\nrequest>uri delete\n}\n}", "log {\nformat filter {\nrequest>headers delete\nrequest>uri query {\nreplace other x\n}\n}\n}", "token_from query t", []string{"query t"}},
		{"a filter around another", "", "log {\nformat filter {\nwrap json\nrequest>headers>X-User hash\n}\n}", "", nil},
		{"a signed token in an answer that is cut short", "", "", "token {\nheader X-Pass\naudience app\n}", []string{"log default: when a response is cut short … the forwarded request with signed tokens (X-Pass) … request>headers>X-Pass delete"}},
		{"a signed token that a filter takes out", "log {\nformat filter {\nrequest>headers>X-Pass delete\n}\n}", "", "token {\nheader X-Pass\naudience app\n}", nil},
		{"a signed token in a log without proxies", "log {\nexclude http.handlers.reverse_proxy\n}", "", "token {\nheader X-Pass\naudience app\n}", nil},
		{"a signed token in Authorization, which Caddy redacts", "", "", "token {\naudience app\n}", nil},
		{"a default log at debug level", "debug", "", "", []string{"log default: it contains identity headers (X-User)"}},
		{"names that cannot be listed at debug level", "log {\nlevel DEBUG\nformat filter {\nrequest>headers>X-User delete\n}\n}", "", "headers_from X-Claim-\nheader X-Part b {\non_overflow split\n}", []string{"log default: at level DEBUG … (X-Claim-…, X-Part-1 …) … all of `request>headers`"}},
		{"names that cannot be listed at debug level, with a filter", "log {\nlevel DEBUG\nformat filter {\nrequest>headers delete\n}\n}", "", "headers_from X-Claim-\nheader X-Part b {\non_overflow split\n}", nil},
		{"names that cannot be listed in an access log, where clients make them up", "", "log {\noutput discard\nformat filter {\nrequest>headers>X-User delete\n}\n}", "headers_from X-Claim-", nil},
		{"a pattern that takes the parameter out", "log {\nexclude http.log.error\n}", "log {\noutput discard\nformat filter {\nrequest>headers delete\nrequest>uri regexp t=[^&]* t=x\n}\n}", "token_from query t", nil},
		{"a header by a pattern", "", "log {\nformat filter {\nrequest>headers>X-User delete\nrequest>headers>X-Token regexp .* x\n}\n}", "token_from header X-Token", []string{"log default: it contains failed requests with tokens (X-Token)"}},
		{"an added field with the header", "log {\nexclude http.log.error\n}", "log {\noutput discard\nformat filter {\nrequest>headers delete\n\n}\n}\nlog_append who {header.Authorization}", "", []string{"log log0: log_append writes {http.request.header.Authorization}, which may contain a token, as who"}},
		{"an added field with all cookies", "log {\nexclude http.log.error\n}", "log {\noutput discard\nformat filter {\nrequest>headers delete\n\n}\n}\nlog_append who {http.request.header.Cookie}", "token_from cookie session", []string{"as who"}},
		{"an added field with the cookie", "log {\nexclude http.log.error\n}", "log {\noutput discard\nformat filter {\nrequest>headers delete\n\n}\n}\nlog_append who {cookie.session}", "token_from cookie session", []string{"{http.request.cookie.session}"}},
		{"an added field with the parameter", "log {\nexclude http.log.error\n}", "log {\noutput discard\nformat filter {\nrequest>headers delete\nrequest>uri delete\n}\n}\nroute /x {\nlog_append who {query.t}\n}", "token_from query t", []string{"{http.request.uri.query.t}"}},
		{"an added field with the URI", "log {\nexclude http.log.error\n}", "log {\noutput discard\nformat filter {\nrequest>headers delete\nrequest>uri delete\n}\n}\nlog_append who {uri}", "token_from query t", []string{"{http.request.uri}"}},
		{"an added field that is filtered", "log {\nexclude http.log.error\n}", "log {\noutput discard\nformat filter {\nrequest>headers delete\nwho delete\n}\n}\nlog_append who {header.Authorization}", "", nil},
		{"added fields without tokens", "log {\nexclude http.log.error\n}", "log {\noutput discard\nformat filter {\nrequest>headers delete\nrequest>uri delete\n}\n}\nlog_append a {path}\nlog_append b {cookie.theme}\nlog_append c {query.page}\nlog_append d {header.Accept}\nlog_append e Authorization", "token_from query t\ntoken_from cookie session\ntoken_from header Authorization Bearer", nil},
		{"a default log at debug level with a filter", "log {\nlevel DEBUG\nformat filter {\nrequest>headers>X-User delete\n}\n}", "", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wantWarnings(t, warningsOf(t, tc.options, "signing {\nissuer https://gw.example\n}", strings.NewReplacer("%s", tc.log, "%t", tc.policy).Replace(site)), tc.want...)
		})
	}
}

func TestCheckFindsHeadersThatExceedTheBudget(t *testing.T) {
	for _, tc := range []struct{ name, policy, want string }{
		{"defaults", "header X-A a\nheader X-B b\nheader X-C c", ""},
		{"one header over the budget", "header_budget 1KiB\nheader X-A a", "header X-A: max_bytes is 4096, but header_budget is only 1024"},
		{"the sum over the budget", "header X-A a {\nmax_bytes 5000\n}\nheader X-B b {\nmax_bytes 5000\n}", "add up to 10000, but header_budget is 8192"},
		{"the sum within the budget", "header_budget 10KiB\nheader X-A a {\nmax_bytes 5000\n}\nheader X-B b {\nmax_bytes 5000\n}", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := warningsOf(t, "", "", "http://a.example {\ntoken_enrich {\n"+tc.policy+"\n}\nreverse_proxy app:80\n}\n")
			if tc.want == "" {
				wantWarnings(t, got)
				return
			}
			wantWarnings(t, got, tc.want)
		})
	}
}
