package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// loadSites provisions a Caddyfile's sites, as caddy validate does, and gives
// what is probably not meant.
func loadSites(t *testing.T, sites string) ([]string, error) {
	t.Helper()
	text := "{\n\tadmin off\n\tauto_https off\n\ttoken_enrich {\n\t\tissuer https://idp.example.com {\n\t\t\tname corp\n\t\t\taudience x\n\t\t\tjwks_url https://idp.example.com/keys\n\t\t}\n\t\tissuer https://partner.example.com {\n\t\t\tname partner\n\t\t\taudience x\n\t\t\tjwks_url https://partner.example.com/keys\n\t\t\tlogin {\n\t\t\t\tclient_id gateway\n\t\t\t}\n\t\t}\n\t}\n}\n" + sites
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return loadJSON(t, string(config))
}

func loadJSON(t *testing.T, config string) ([]string, error) {
	t.Helper()
	app, err := LoadOffline([]byte(config))
	if err != nil {
		return nil, err
	}
	list := []string{}
	for _, w := range app.routes.warnings {
		list = append(list, w.String())
	}
	return list, nil
}

// policyAs is a policy with a name, a matcher and options.
func policyAs(name, matcher, options string) string {
	return "token_enrich " + matcher + " {\nname " + name + "\nheader X-User sub\n" + options + "\n}\n"
}

const strict = "require `1 == 1`"

// wantRoutes compares what loading says with what it must: an error, a warning,
// or neither.
func wantRoutes(t *testing.T, warnings []string, err error, fails, warns string) {
	t.Helper()
	if fails != "" {
		if !errors.Is(err, errRoutes) && (err == nil || !strings.Contains(err.Error(), errRoutes.Error())) {
			t.Fatalf("it loads, or fails otherwise: %v", err)
		}
		for part := range strings.SplitSeq(fails, " … ") {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("want %q in the error %v", part, err)
			}
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if warns == "" {
		if len(warnings) > 0 {
			t.Errorf("warnings: %q", warnings)
		}
		return
	}
	if len(warnings) != 1 {
		t.Fatalf("warnings: %q", warnings)
	}
	for part := range strings.SplitSeq(warns, " … ") {
		if !strings.Contains(warnings[0], part) {
			t.Errorf("want %q in the warning %q", part, warnings[0])
		}
	}
}

// P65: of one list of routes, the first policy that matches decides.
func TestPolicyThatNeverDecidesDoesNotLoad(t *testing.T) {
	const first = "the first policy of a route list that matches decides: put \"b\" before \"a\""
	for _, tc := range []struct{ name, site, fails, warns string }{
		{"an area, then all", policyAs("a", "/admin/*", strict) + policyAs("b", "", strict), "", ""},
		{"all, then an area with a requirement", policyAs("a", "", "") + policyAs("b", "/admin/*", strict), `policy b: site a.example: unreachable for /admin/*: shadowed by policy "a"`, ""},
		{"all, then an area with a scope", policyAs("a", "", "") + policyAs("b", "/admin/*", "require_scope admin"), `shadowed by policy "a", which has no matcher … ` + first, ""},
		{"all, then an area with a login", policyAs("a", "", "") + policyAs("b", "/admin/*", "require_acr mfa"), first, ""},
		{"all, then an area without a requirement", policyAs("a", "", "") + policyAs("b", "/admin/*", ""), "", `policy b: site a.example: unreachable for /admin/* … shadowed by policy "a", which has no matcher … ` + first},
		{"all anonymous, then an area for tokens", policyAs("a", "", "anonymous") + policyAs("b", "/admin/*", ""), first, ""},
		{"all issuers, then one", policyAs("a", "", "") + policyAs("b", "/admin/*", "issuers corp"), first, ""},
		{"one issuer, then all", policyAs("a", "", "issuers corp") + policyAs("b", "/admin/*", ""), "", first},
		{"unknown users, then none", policyAs("a", "", "on_missing_user continue") + policyAs("b", "/x", ""), first, ""},
		{"failing directories, then none", policyAs("a", "", "on_directory_error continue") + policyAs("b", "/x", "on_directory_error deny"), first, ""},
		{"cross-origin requests, then none", policyAs("a", "", "cross_origin allow") + policyAs("b", "/x", ""), first, ""},
		{"long connections, then short ones", policyAs("a", "", "") + policyAs("b", "/x", "max_connection 1m"), first, ""},
		{"a wide area before a narrow one", policyAs("a", "/api/*", "") + policyAs("b", "/api/admin/*", strict), `takes its requests too (/api/* covers /api/admin/*) … ` + first, ""},
		{"in another case", policyAs("a", "/API/*", "") + policyAs("b", "/api/admin", strict), first, ""},
		{"a narrow area before a wide one", policyAs("a", "/api/admin/*", strict) + policyAs("b", "/api/*", strict), "", ""},
		{"an area that is not quite covered", policyAs("a", "/api/*", "") + policyAs("b", "/api*", strict), "", ""},
		{"an area and its own path", policyAs("a", "/api/*", "") + policyAs("b", "/api", strict), "", ""},
		{"one of two areas", "@b path /api/x /other\n" + policyAs("a", "/api/*", "") + policyAs("b", "@b", strict), "", ""},
		{"both of two areas", "@a path /api/* /other*\n@b path /api/x /other\n" + policyAs("a", "@a", "") + policyAs("b", "@b", strict), first, ""},
		{"an area of one method", "@b {\nmethod POST\npath /api/x\n}\n" + policyAs("a", "/api/*", "") + policyAs("b", "@b", strict), first, ""},
		{"a method of a wide area", "@a {\nmethod POST\npath /api/*\n}\n" + policyAs("a", "@a", "") + policyAs("b", "/api/x", strict), "", ""},
		{"one method twice", "@p method POST\n" + policyAs("a", "@p", "") + policyAs("b", "@p", strict), "has the same matcher … " + first, ""},
		{"one header twice, which may have changed", "@p header X-Any a\n" + policyAs("a", "@p", "") + policyAs("b", "@p", strict), "", ""},
		{"a pattern that is a wildcard inside", policyAs("a", "/a*c/*", "") + policyAs("b", "/abc/d", strict), "", ""},
		{"an escaped pattern", policyAs("a", "/a/*", "") + policyAs("b", "/a/%2fb*", strict), "", ""},
		{"two slashes", policyAs("a", "/a/*", "") + policyAs("b", "/a//b*", strict), "", ""},
		{"a placeholder", policyAs("a", "/a/*", "") + policyAs("b", "/a/{vars.x}", strict), "", ""},
		{"an asterisk for all", policyAs("a", "*", "") + policyAs("b", "/x", strict), first, ""},
		{"a path that is changed in between", "route {\n" + policyAs("a", "/api/*", "") + "uri strip_prefix /v1\n" + policyAs("b", "/api/x", strict) + "}\n", "", ""},
		{"in a route block", "route {\n" + policyAs("a", "", "") + "header X-A b\n" + policyAs("b", "/x", strict) + "}\n", first, ""},
		{"inside of a handle for a path", "handle /api/* {\n" + policyAs("a", "/api/*", "") + policyAs("b", "", strict) + "}\n", first, ""},
		{"one of two handles", "handle /x* {\n" + policyAs("a", "", "") + "}\nhandle {\n" + policyAs("b", "", strict) + "}\n", "", ""},
		{"a handle that comes too late", "route {\nhandle /api/* {\n" + policyAs("a", "", "") + "}\nhandle /api/x {\n" + policyAs("b", "", strict) + "}\n}\n", `unreachable in the route for /api/x: the route of policy "a" comes first and takes every such request (/api/* covers /api/x)`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			warnings, err := loadSites(t, "http://a.example {\n"+tc.site+"respond ok\n}\n")
			wantRoutes(t, warnings, err, tc.fails, tc.warns)
		})
	}
}

// P65: one policy decides a request.
func TestPolicyBehindAnotherListsPolicyDoesNotLoad(t *testing.T) {
	const both = "put both into one route list"
	for _, tc := range []struct{ name, site, fails string }{
		{"all, around an area", policyAs("a", "", "") + "handle /admin/* {\n" + policyAs("b", "", strict) + "}\n", `policy b: site a.example: requests in the route for /admin/* have already been decided by policy "a" and would all get 500 … ` + both},
		{"all, around an area without a requirement", policyAs("a", "", "") + "handle /admin/* {\n" + policyAs("b", "", "") + "}\n", both},
		{"an area, around itself", policyAs("a", "/admin/*", "") + "handle /admin/users/* {\n" + policyAs("b", "", strict) + "}\n", both},
		{"an area, before all", policyAs("a", "/admin/*", "") + "route {\n" + policyAs("b", "", strict) + "}\n", both},
		{"an area, before what is answered in between", policyAs("a", "/admin/*", "") + "handle /admin/* {\nrespond ok\n}\nhandle {\n" + policyAs("b", "", strict) + "}\n", ""},
		{"a block, before all", "route {\nroute {\n" + policyAs("a", "", "") + "}\n" + policyAs("b", "", strict) + "}\n", both},
		{"an area's block, before all", "route {\nhandle /admin/* {\n" + policyAs("a", "", "") + "}\n" + policyAs("b", "", strict) + "}\n", both},
		{"other areas", policyAs("a", "/admin/*", "") + "handle /ui/* {\n" + policyAs("b", "", strict) + "}\n", ""},
		{"handles of their own", "handle /admin/* {\n" + policyAs("a", "", strict) + "}\nhandle {\n" + policyAs("b", "", "") + "}\n", ""},
		{"an error route", policyAs("a", "", "") + "handle_errors {\n" + policyAs("b", "", strict) + "}\n", ""},
		{"one policy in two places", "import p\nhandle /x/* {\nimport p\n}\n", ""},
		{"a handle whose path is stripped", policyAs("a", "/api/admin/*", "") + "handle_path /api/* {\n" + policyAs("b", "/api/admin/*", strict) + "}\n", ""},
		{"inside of an answer's routes", policyAs("a", "", "") + "reverse_proxy app:80 {\nhandle_response {\n" + policyAs("b", "", strict) + "}\n}\n", both},
	} {
		t.Run(tc.name, func(t *testing.T) {
			warnings, err := loadSites(t, "(p) {\n"+policyAs("p", "", strict)+"}\nhttp://a.example {\n"+tc.site+"respond ok\n}\n")
			wantRoutes(t, warnings, err, tc.fails, "")
		})
	}
	t.Run("named routes", func(t *testing.T) {
		named := "&(b) {\n" + policyAs("b", "", strict) + "}\nhttp://a.example {\n"
		warnings, err := loadSites(t, named+"invoke b\nhandle /x {\ninvoke b\n}\nrespond ok\n}\n")
		wantRoutes(t, warnings, err, "", "")
		_, err = loadSites(t, named+policyAs("a", "", "")+"invoke b\nrespond ok\n}\n")
		wantRoutes(t, nil, err, both, "")
	})
}

// P66, P54, A1: what sends requests on is scrubbed, or does not load.
func TestRouteThatForwardsUnscrubbedDoesNotLoad(t *testing.T) {
	p := policyAs("p", "", "")
	const way, early = "put token_enrich_scrub into the site", "put token_enrich_scrub first into the site, or into handle_errors"
	const basic = "basic_auth {\nada $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\n"
	for _, tc := range []struct{ name, site, fails string }{
		{"behind the policy", p + "reverse_proxy app:80\n", ""},
		{"behind a policy for another path", policyAs("p", "/x", "") + "reverse_proxy app:80\n", ""},
		{"in another handle", "handle /in/* {\n" + p + "reverse_proxy app:80\n}\nhandle {\nreverse_proxy open:80\n}\n", "site a.example: reverse_proxy open:80 receives requests that neither policy \"p\" nor token_enrich_scrub has processed … " + way},
		{"in another handle, with a scrub", "token_enrich_scrub\nhandle /in/* {\n" + p + "reverse_proxy app:80\n}\nhandle {\nreverse_proxy open:80\n}\n", ""},
		{"in another handle, with a scrub there", "handle /in/* {\n" + p + "reverse_proxy app:80\n}\nhandle {\ntoken_enrich_scrub\nreverse_proxy open:80\n}\n", ""},
		{"in a handle for a path", "handle /open/* {\nreverse_proxy open:80\n}\nhandle {\n" + p + "reverse_proxy app:80\n}\n", "reverse_proxy open:80 in the route for /open/* receives requests"},
		{"PHP", "handle /in/* {\n" + p + "}\nphp_fastcgi app:9000\n", "php_fastcgi app:9000 in the route for *.php receives requests"},
		{"before the policy", "route {\nreverse_proxy /open/* open:80\n" + p + "reverse_proxy app:80\n}\n", "reverse_proxy open:80 in the route for /open/*"},
		{"forward_auth before the policy", "forward_auth auth:80 {\nuri /v\ncopy_headers X-Role\n}\n" + p + "reverse_proxy app:80\n", "forward_auth auth:80 receives requests … " + way},
		{"forward_auth behind a scrub", "token_enrich_scrub\nforward_auth auth:80 {\nuri /v\n}\n" + p + "reverse_proxy app:80\n", ""},
		{"a scrub in the last of several parts", "handle /open/* {\nvars a b\n}\nhandle {\ntoken_enrich_scrub\n" + p + "}\nreverse_proxy app:80\n", "reverse_proxy app:80 receives requests"},
		{"a policy in each of several parts", "handle /open/* {\n" + policyAs("q", "", "") + "}\nhandle {\n" + p + "}\nreverse_proxy app:80\n", ""},
		{"what forwards nothing", "handle /in/* {\n" + p + "reverse_proxy app:80\n}\nhandle /files/* {\nroot * /srv\nheader X-A b\nencode gzip\nfile_server\n}\nredir /old /new\nrespond /hello hello\nmetrics /metrics\ntemplates\nerror /no 404\n", ""},
		{"inside of an answer's routes", "reverse_proxy early:80 {\nhandle_response {\nreverse_proxy app:80\n}\n}\nhandle /in/* {\n" + p + "}\n", "reverse_proxy app:80 receives requests"},
		{"an error page behind a policy that nothing stands before", p + "reverse_proxy app:80\nhandle_errors {\nreverse_proxy pages:80\n}\n", ""},
		{"an error page, with basic_auth", basic + p + "reverse_proxy app:80\nhandle_errors {\nreverse_proxy pages:80\n}\n", "site a.example: reverse_proxy pages:80 in handle_errors receives requests that failed before they were scrubbed … " + early},
		{"an error page, with basic_auth and a scrub", "token_enrich_scrub\n" + basic + p + "reverse_proxy app:80\nhandle_errors {\nreverse_proxy pages:80\n}\n", ""},
		{"an error page, with basic_auth before a scrub", "route {\n" + basic + "token_enrich_scrub\n" + p + "reverse_proxy app:80\n}\nhandle_errors {\nreverse_proxy pages:80\n}\n", early},
		{"an error page with a scrub", basic + p + "reverse_proxy app:80\nhandle_errors {\ntoken_enrich_scrub\nreverse_proxy pages:80\n}\n", ""},
		{"an error page, and a scrub in one part of the site only", "handle /in/* {\ntoken_enrich_scrub\n" + p + "reverse_proxy app:80\n}\nhandle {\nrespond hello\n}\nhandle_errors {\nreverse_proxy pages:80\n}\n", early},
		{"an error page where a matcher may fail", "@x expression `{query.a} == \"b\"`\nredir @x /y\n" + p + "reverse_proxy app:80\nhandle_errors {\nreverse_proxy pages:80\n}\n", early},
		{"an error page of PHP", basic + p + "reverse_proxy app:80\nhandle_errors {\nphp_fastcgi pages:9000\n}\n", "php_fastcgi pages:9000 in handle_errors"},
		{"a policy in the error route alone", "reverse_proxy app:80\nhandle_errors {\n" + p + "reverse_proxy pages:80\n}\n", "reverse_proxy app:80 receives requests"},
		{"a named route", "invoke open\n" + p + "reverse_proxy app:80\n", ""},
		{"a named route in a handle", "handle /in/* {\n" + p + "}\nhandle {\ninvoke open\n}\n", "reverse_proxy open:80 receives requests"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			warnings, err := loadSites(t, "&(open) {\nreverse_proxy open:80\n}\nhttp://a.example {\n"+tc.site+"}\n")
			wantRoutes(t, warnings, err, tc.fails, "")
		})
	}
	t.Run("error routes of hosts in another form", func(t *testing.T) {
		open := "http://b.example {\n" + basic + policyAs("q", "", "") + "reverse_proxy q:80\n}\n"
		warnings, err := loadSites(t, open+"http://bücher.example, http://a.example {\ntoken_enrich_scrub\n"+basic+p+"reverse_proxy app:80\nhandle_errors {\nreverse_proxy pages:80\n}\n}\n")
		wantRoutes(t, warnings, err, "", "")
	})
	t.Run("a site of any host", func(t *testing.T) {
		_, err := loadSites(t, ":8080 {\nhandle /open/* {\nreverse_proxy open:80\n}\nhandle {\n"+p+"}\n}\n")
		wantRoutes(t, nil, err, "server srv0: reverse_proxy open:80 in the route for /open/*", "")
	})
	t.Run("requests that fail before any route", func(t *testing.T) {
		sites := "https://a.example {\ntls internal {\nclient_auth {\nmode require\n}\n}\ntoken_enrich_scrub\n" + p + "reverse_proxy app:80\nhandle_errors {\n%s\nreverse_proxy pages:80\n}\n}\n"
		_, err := loadSites(t, fmt.Sprintf(sites, ""))
		wantRoutes(t, nil, err, "put token_enrich_scrub into handle_errors (with strict_sni_host", "")
		warnings, err := loadSites(t, fmt.Sprintf(sites, "token_enrich_scrub"))
		wantRoutes(t, warnings, err, "", "")
	})
	t.Run("a handler that is not known", func(t *testing.T) {
		config := `{"admin":{"disabled":true},"apps":{"token_enrich":{"issuers":[{"url":"https://idp.example.com","name":"corp","audience":["a"],"jwks_url":"https://idp.example.com/k"}]},
			"http":{"servers":{"s":{"automatic_https":{"disable":true},"listen":[":1"],"routes":[{"handle":[%s{"handler":"test_foreign"},{"handler":"token_enrich"}]}]}}}}}`
		_, err := loadJSON(t, fmt.Sprintf(config, ""))
		wantRoutes(t, nil, err, "server s: the handler test_foreign, which may forward requests, receives … put token_enrich_scrub", "")
		warnings, err := loadJSON(t, fmt.Sprintf(config, `{"handler":"token_enrich_scrub"},`))
		wantRoutes(t, warnings, err, "", "")
	})
}

// P66: a second site may reach the application that the first one protects.
func TestSecondSiteOfAnApplicationIsAWarning(t *testing.T) {
	first := "http://a.example {\n" + policyAs("p", "", "") + "reverse_proxy app:80 localhost:90\n}\n"
	for _, tc := range []struct{ name, second, warns string }{
		{"the same application", "http://b.example {\nreverse_proxy app:80\n}\n", "site b.example: reverse_proxy app:80 reaches the same application as site a.example … add token_enrich or token_enrich_scrub to this site"},
		{"from another server", "http://b.example:81 {\nreverse_proxy app:80\n}\n", "site b.example: reverse_proxy app:80"},
		{"under another name of this machine", "http://b.example {\nreverse_proxy 127.0.0.1:90\n}\n", "site b.example"},
		{"another application", "http://b.example {\nreverse_proxy app:81\n}\n", ""},
		{"with a scrub", "http://b.example {\ntoken_enrich_scrub\nreverse_proxy app:80\n}\n", ""},
		{"with a policy", "http://b.example {\n" + policyAs("q", "", "") + "reverse_proxy app:80\n}\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			warnings, err := loadSites(t, first+tc.second)
			wantRoutes(t, warnings, err, "", tc.warns)
		})
	}
}

// Caddy provisions the servers of a configuration in no order. What is said of
// it, and what its policies are called, is the same each time.
func TestRoutesAreJudgedAlikeEachTime(t *testing.T) {
	t.Run("errors", func(t *testing.T) {
		sites := ""
		for i := range 6 {
			sites += fmt.Sprintf("http://s%d.example:8%d {\nhandle /open/* {\nphp_fastcgi open:90\nforward_auth auth:80 {\nuri /v\n}\n}\nhandle {\n%s}\n}\n", i, i, policyAs(fmt.Sprint("p", i), "", ""))
		}
		want := ""
		for range 12 {
			_, err := loadSites(t, sites)
			if err == nil {
				t.Fatal("it loads")
			}
			_, got, _ := strings.Cut(err.Error(), errRoutes.Error())
			if want == "" {
				want = got
			}
			if got != want {
				t.Fatalf("%s\nand\n%s", want, got)
			}
		}
		if !strings.Contains(want, "; and 2 more") {
			t.Errorf("want a bound: %s", want)
		}
	})
	t.Run("names", func(t *testing.T) {
		config := `{"admin":{"disabled":true},"apps":{"token_enrich":{"issuers":[{"url":"https://idp.example.com","name":"corp","audience":["a"],"jwks_url":"https://idp.example.com/k"}]},
			"http":{"servers":{%s}}}}`
		var servers []string
		for i := range 6 {
			servers = append(servers, fmt.Sprintf(`"s%d":{"automatic_https":{"disable":true},"listen":[":%d"],"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[{"match":[{"path":["/a"]}],"realm":"s%d","handler":"token_enrich","anonymous":false},{"handler":"token_enrich"}]}]}]}]}`, i, i+1, i))
		}
		servers[2] = strings.Replace(servers[2], `"realm"`, `"name":"policy-2","realm"`, 1)
		for range 12 {
			app, err := LoadOffline(fmt.Appendf(nil, config, strings.Join(servers, ",")))
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]string{}
			for _, h := range app.handlers {
				got[h.Name] = h.Realm
			}
			want := map[string]string{"policy-1": "s0", "policy-3": "", "policy-4": "s1", "policy-2": "s2", "policy-5": "s3", "policy-6": "s4", "policy-7": "s5"}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
	})
}

// foreignHandler is a handler of somebody else.
type foreignHandler struct{}

func init() { caddy.RegisterModule(foreignHandler{}) }

// CaddyModule returns the Caddy module information.
func (foreignHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_foreign", New: func() caddy.Module { return new(foreignHandler) }}
}

// ServeHTTP passes requests on.
func (foreignHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	return next.ServeHTTP(w, r)
}
