package integration

import (
	"path/filepath"
	"strings"
	"testing"
)

// P65: a request that one list of routes has decided, and that meets another
// policy in another, is refused. Here nothing of it can be proven at load.
func TestRequestThatMeetsASecondPolicyIsRefused(t *testing.T) {
	w := prepare(t)
	w.load(`@post method POST
	token_enrich @post {
		name writers
		claim login user.login
		header X-User login
		user_placeholder on
	}
	handle /admin/* {
		token_enrich {
			name admins
			require ` + "`isMemberOfGroupName(\"IT\")`" + `
			header X-Admin sub
		}
		reverse_proxy ` + w.legacy.Addr() + `
	}
	handle /pages/* {
		token_enrich {
			name readers
			anonymous
		}
		reverse_proxy ` + w.legacy.Addr() + `
	}
	handle {
		reverse_proxy ` + w.legacy.Addr() + `
	}
	handle_errors {
		token_enrich_scrub
		header X-Shown "[{http.auth.user.id}{token_enrich.subject}]"
		handle /pages/* {
			reverse_proxy ` + w.legacy.Addr() + `
		}
		handle {
			respond "{err.status_code}" {err.status_code}
		}
	}`)
	ada, grace := w.token("00u1ada"), w.token("00u2grace")

	wantStatus(t, w.do("POST", "/", ada), 200)
	wantHeader(t, w.received(), "X-User", "ada@example.com")
	wantStatus(t, w.get("/admin/x", ada), 200)
	wantHeader(t, w.received(), "X-Admin", "00u1ada")
	wantStatus(t, w.get("/admin/x", grace), 403)
	w.nothingReceived()

	for _, token := range []string{ada, grace} {
		got := w.do("POST", "/admin/x", token, "X-User", "root", "X-Admin", "root")
		wantStatus(t, got, 500)
		if shown := got.Header.Get("X-Shown"); strings.Contains(shown, "00u") {
			t.Errorf("the error route still knows %s", shown)
		}
		w.nothingReceived()
	}
	eventually(t, "the log names both policies", func() bool {
		for line := range strings.Lines(w.logged()) {
			if strings.Contains(line, `"level":"error"`) && strings.Contains(line, `policy \"writers\" of one route list has decided it`) && strings.Contains(line, `policy \"admins\" is in another`) {
				return !strings.Contains(line, "00u")
			}
		}
		return false
	})
	t.Run("an error route that proxies receives no identity", func(t *testing.T) {
		w.legacy.Forget()
		w.do("POST", "/pages/x", ada, "X-User", "root", "X-Admin", "root")
		seen := w.received()
		for _, name := range []string{"X-User", "X-Admin", "Authorization"} {
			wantHeader(t, seen, name, "")
		}
	})
}

// P65: what fails behind a policy does not pass another one in the error route.
func TestPolicyInAnErrorRouteIsNotPassedByADecidedRequest(t *testing.T) {
	w := prepare(t)
	const policy = "token_enrich {\nname %n\nclaim login user.login\nheader X-User login\n%o\n}\n"
	file := filepath.Join(filepath.Dir(w.log), "first")
	named := func(name, options string) string {
		return strings.NewReplacer("%n", name, "%o", options).Replace(policy)
	}
	w.write(file, named("first", ""))
	for _, tc := range []struct {
		name, inside string
		reached      bool
	}{
		{"another policy", named("second", "require `1 == 2`"), false},
		{"the same policy", "import " + file + "\n", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			w.legacy.Forget()
			w.load("import " + file + "\nerror 502\nhandle_errors {\n" + tc.inside + "reverse_proxy " + w.legacy.Addr() + "\n}")
			got := w.get("/", w.token("00u1ada"))
			if !tc.reached {
				wantStatus(t, got, 502)
				w.nothingReceived()
				return
			}
			wantHeader(t, w.received(), "X-User", "ada@example.com")
		})
	}
}

// P65: what is legitimate stays: one policy in two places, through a snippet and
// a named route.
func TestPolicyThatIsMetTwiceDecidesOnce(t *testing.T) {
	const policy = "token_enrich {\nname same\nclaim login user.login\nheader X-User login\n}\n"
	for name, sites := range map[string]string{
		"a snippet":     "(same) {\n" + policy + "}\nhttp://%s {\nimport same\nhandle {\nimport same\nreverse_proxy %a\n}\n}\n",
		"a named route": "&(same) {\nvars a b\n" + policy + "}\nhttp://%s {\ninvoke same\nhandle {\ninvoke same\nreverse_proxy %a\n}\n}\n",
		"two policies of a named route": "&(same) {\ntoken_enrich /admin/* {\nname admins\nrequire `1 == 2`\n}\n" + policy +
			"}\nhttp://%s {\ninvoke same\nhandle {\ninvoke same\nreverse_proxy %a\n}\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			text, _, _ := strings.Cut(w.caddyfile(""), "http://"+w.addr+" {")
			config, err := adapt(text + strings.NewReplacer("%s", w.addr, "%a", w.legacy.Addr()).Replace(sites))
			if err != nil {
				t.Fatal(err)
			}
			if err := w.run(config); err != nil {
				t.Fatal(err)
			}
			wantStatus(t, w.get("/", w.token("00u1ada"), "X-User", "root"), 200)
			wantHeader(t, w.received(), "X-User", "ada@example.com")
			wantStatus(t, w.get("/", ""), 401)
			if strings.Contains(sites, "admins") {
				wantStatus(t, w.get("/admin/x", w.token("00u1ada")), 403)
			}
			w.nothingReceived()
		})
	}
}

// P65: a named route in JSON may be nothing but handlers.
func TestPoliciesOfABareNamedRouteAreOneList(t *testing.T) {
	w := prepare(t)
	text := w.caddyfile("reverse_proxy " + w.legacy.Addr())
	config, err := adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	const routes = `"routes":[{"match":[{"host":["127.0.0.1"]}],"handle":[{"handler":"subroute","routes":[{"handle":[`
	if strings.Count(string(config), routes) != 1 {
		t.Fatalf("%s", config)
	}
	both := `"named_routes":{"one":{"handle":[{"handler":"token_enrich","name":"admins","match":[{"path":["/admin/*"]}],"require":["isMemberOfGroupName(\"IT\")"]},{"handler":"token_enrich"}]},` +
		`"other":{"handle":[{"handler":"token_enrich","name":"other"}]}},`
	config = []byte(strings.Replace(string(config), routes, both+routes+`{"handler":"invoke","name":"one"},`, 1))
	if err := w.run(config); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, w.get("/admin/x", w.token("00u1ada")), 200)
	wantStatus(t, w.get("/admin/x", w.token("00u2grace")), 403)
	wantStatus(t, w.get("/x", w.token("00u2grace")), 200)
	wantStatus(t, w.get("/x", ""), 401)
}
