package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// servedOr is an answer's status for a target, with what reached the
// application, which is nothing but with 200.
func (w *world) servedOr(t *testing.T, target, authorization string, headers ...string) string {
	t.Helper()
	code := answered(t, w.rawGet(target, append([]string{authorization}, headers...)...))
	if code == "200" {
		w.received()
	}
	w.nothingReceived()
	return code
}

const noCredentials = "Accept: */*"

// P55: what the policy of an area refuses is not led past it, in whatever
// spelling, by the general policy behind it.
func TestNoSpellingOfAPathLeadsPastThePolicyOfAnArea(t *testing.T) {
	w := prepare(t)
	w.load(`
	@admin path /admin /admin/*
	token_enrich @admin {
		name admin
		log_decision denied
		require ` + "`user.department == \"Nobody\"`" + `
	}
	token_enrich {
		name general
		header X-User sub
	}
	reverse_proxy ` + w.legacy.Addr())
	ada := "Authorization: Bearer " + w.token("00u1ada")
	for target, want := range map[string]string{
		"/admin": "403", "/admin/": "403", "/admin/users": "403", "/ADMIN/users": "400", "/admin/a%2Fb": "403",
		"/admin/users/1%2f..%2f..%2f..%2f..%2fx/delete": "400",
		"/x/1%2f..%2f..%2fadmin":                        "400",
		"/%61dmin/users":                                "400",
		"/admin%2fusers":                                "400",
		"/admin%5cusers":                                "400",
		"/admin;v=1/users":                              "400",
		"/admin%3bv/users":                              "400",
		"//admin/users":                                 "400",
		"/x/../admin/users":                             "400",
		"/x/%2e%2e/admin/users":                         "400",
		"/%2561dmin/users":                              "400",
		"/admin%252fusers":                              "400",
		"/admin./users":                                 "400",
		"/admin%20/users":                               "400",
		"/x/..;/admin":                                  "400",
		"/x/%252e%252e/admin":                           "400",
		"/x/..%20/admin":                                "400",
		// What is ordinary goes on.
		"/x": "200", "/X/Y.PNG": "200", "/files/a%20b": "200", "/search/%C3%A9": "200", "/search/%c3%a9": "200", "/a%2Fb": "200", "/style.css;v=1": "200",
		"/static/Logo.PNG": "200", "/x/": "200", "/100%25": "200", "/a./b": "200", "/~ada/": "200", "/a%2Bb": "200", "/x//y": "200", "/?q=/../admin/%2f..": "200",
	} {
		if got := w.servedOr(t, target, ada); got != want {
			t.Errorf("%s: status %s, want %s", target, got, want)
		}
	}
	if a := w.do("MOVE", "/x", w.token("00u1ada"), "Destination", "http://"+w.addr+"/admin/x"); a.StatusCode != 400 {
		t.Errorf("a move into the area: status %d", a.StatusCode)
	}
	if a := w.do("COPY", "/x", w.token("00u1ada"), "Destination", "/y"); a.StatusCode != 200 {
		t.Errorf("a copy outside of it: status %d", a.StatusCode)
	}
	w.received()
	for _, name := range []string{"X-Forwarded-Uri", "X-Original-URL", "X-Rewrite-URL"} {
		if got := w.servedOr(t, "/admin/users", ada, name+": /x"); got != "403" {
			t.Errorf("%s: status %s", name, got)
		}
		if got := w.servedOr(t, "/x", ada, name+": /admin/users"); got != "200" {
			t.Errorf("%s: status %s", name, got)
		}
	}
	// The operator's side names the readings and the matcher; the client's does
	// not.
	if got := w.rawGet("/admin;v=1/users", ada); strings.Contains(got, "admin") || strings.Contains(got, "reading") {
		t.Errorf("the client is told %s", got)
	}
	for _, want := range []string{`matches \"/admin/users\" but not \"/admin;v=1/users\"`, `the matcher path [\"/admin\",\"/admin/*\"]`, `"outcome":"invalid_request"`} {
		if !strings.Contains(w.logged(), want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

// P55: a policy for all but an area is not led past by what some take for the
// area, and requirements come to the same as matchers.
func TestNoSpellingOfAPathNeedsNoToken(t *testing.T) {
	targets := map[string]string{
		"/public/x": "200", "/public/X": "200", "/PUBLIC/x": "400", "/public/a%2Fb": "200", "/public/a;b": "200", "/public/a%20b": "200",
		"/private": "401", "/private/X": "401", "/private/a%2Fb": "401", "/private;v/x": "401",
		"/%70ublic/x": "400", "/public%2fx": "400", "/public/../private": "400", "/public/..%2fprivate": "400", "/public;v/private": "400", "//public/x": "400",
		"/public/1%2f..%2f..%2fprivate/2": "400", "/public%5c..%5cprivate": "400", "/private/..;/public/x": "400", "/private/../public/x": "400",
	}
	for name, site := range map[string]string{
		"the matcher": `
	@private not path /public /public/*
	token_enrich @private {
		header X-User sub
	}
	`,
		"the requirement": `
	token_enrich {
		anonymous
		require ` + "`String.startsWith(request.path, \"/public/\")`" + `
	}
	`,
	} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			w.load(site + "reverse_proxy " + w.legacy.Addr())
			for target, want := range targets {
				if got := w.servedOr(t, target, noCredentials); got != want {
					t.Errorf("%s: status %s, want %s", target, got, want)
				}
			}
		})
	}
}

// P55: a negative requirement, and capitals.
func TestNegativeRequirementsHoldInEachReading(t *testing.T) {
	w := prepare(t)
	w.load(`
	token_enrich {
		require ` + "`!String.startsWith(request.path, \"/admin/\") AND request.path != \"/admin\"`" + `
	}
	reverse_proxy ` + w.legacy.Addr())
	ada := "Authorization: Bearer " + w.token("00u1ada")
	for target, want := range map[string]string{
		"/admin": "403", "/admin/x": "403", "/ADMIN/x": "400", "/Admin": "400", "/%61dmin/x": "400", "/admin;v": "400", "/admin%2fx": "400", "/x/1%2f..%2f..%2fadmin": "400",
		"/x": "200", "/Reports/X.PDF": "200", "/a%2Fb": "200",
	} {
		if got := w.servedOr(t, target, ada); got != want {
			t.Errorf("%s: status %s, want %s", target, got, want)
		}
	}
}

// P55: the matcher of a handle judges the same readings.
func TestAHandleCanJudgeTheSameReadings(t *testing.T) {
	w := prepare(t)
	w.load(`
	@admin token_enrich_path /admin /admin/*
	handle @admin {
		token_enrich {
			name admin
			require ` + "`user.department == \"Nobody\"`" + `
		}
		reverse_proxy ` + w.legacy.Addr() + `
	}
	handle {
		token_enrich {
			name general
			header X-User sub
		}
		reverse_proxy ` + w.legacy.Addr() + `
	}`)
	ada := "Authorization: Bearer " + w.token("00u1ada")
	for target, want := range map[string]string{
		"/admin/x": "403", "/ADMIN": "400", "/admin/a%2fb": "403", "/x": "200", "/X/a%20b": "200", "/a%2fb": "200",
		"/admin%2fx": "400", "/admin;v/x": "400", "/%61dmin": "400", "/x/../admin": "400", "/admin/1%2f..%2f..%2fx": "400",
	} {
		if got := w.servedOr(t, target, ada); got != want {
			t.Errorf("%s: status %s, want %s", target, got, want)
		}
	}
	if want := `matches \"/admin/x\" but not \"/admin;v/x\"`; !strings.Contains(w.logged(), want) {
		t.Errorf("the log lacks %s", want)
	}
	if w.logged() == "" || strings.Contains(w.logged(), "chosen by Caddy's path matcher") {
		t.Error("a handle that judges all readings is warned of")
	}
}

// P55: what is likely to be a mistake is told at load.
func TestMatchersThatLeaveOutTheSamePlaceAreToldAtLoad(t *testing.T) {
	for _, tc := range []struct{ name, site, want string }{
		{"below, without the place itself", "token_enrich /admin/* {\nheader X-User sub\n}", "the pattern /admin/* does not cover /admin,"},
		{"the place itself alone", "token_enrich /admin {\nheader X-User sub\n}", "the pattern /admin does not cover /admin/,"},
		{"a handle", "handle /admin/* {\ntoken_enrich {\nheader X-User sub\n}\n}", "the policy is in a route chosen by Caddy's path matcher"},
		{"the rest of a handle", "handle /public/* {\nrespond ok\n}\nhandle {\ntoken_enrich {\nheader X-User sub\n}\n}", "the policy is in a route chosen by Caddy's path matcher"},
		{"a handle within", "handle_path /a/* {\nhandle {\ntoken_enrich {\nheader X-User sub\n}\n}\n}", "the policy is in a route chosen by Caddy's path matcher"},
		{"a handle by a regular expression", "@a not path_regexp ^/a\nhandle @a {\ntoken_enrich {\nheader X-User sub\n}\n}", "the policy is in a route chosen by Caddy's path matcher"},
		{"both named", "@a path /admin /admin/*\ntoken_enrich @a {\nheader X-User sub\n}\nhandle /x/* {\nrespond ok\n}", ""},
		{"all but an area", "@a not path /public/*\ntoken_enrich @a {\nheader X-User sub\n}", ""},
		{"a handle by method", "@a method GET\nhandle @a {\ntoken_enrich {\nheader X-User sub\n}\n}", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			w.load(tc.site)
			var warned []string
			for line := range strings.Lines(w.logged()) {
				if strings.Contains(line, `"level":"warn"`) && strings.Contains(line, "token_enrich") {
					warned = append(warned, line)
				}
			}
			if tc.want == "" && len(warned) > 0 || tc.want != "" && (len(warned) != 1 || !strings.Contains(warned[0], tc.want)) {
				t.Errorf("warned %q, want one with %q", warned, tc.want)
			}
		})
	}
}

// P55: check says the same, and that judging fewer readings is a risk.
func TestCheckTellsOfPathsThatAreNotJudged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Caddyfile")
	text := `{
	admin off
	auto_https off
	token_enrich {
		issuer https://corp.example.com {
			audience api://legacy
		}
	}
}
http://app.example.com {
	token_enrich /admin/* {
		name admin
		path_readings encoded_slashes letter_case
	}
	handle /x/* {
		token_enrich {
			name inside
		}
	}
	@all path /all /all/*
	token_enrich @all {
		name all
		path_readings all
	}
}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o := caddyCommand(t, "check", "--config", file)
	o.wantCode(t, 0)
	for _, want := range []string{
		"policy admin: path_readings: paths are not matched by the readings backslashes, parameters, dot_segments, double_decoding, trailing_dots, authority",
		"policy admin: matcher: the pattern /admin/* does not cover /admin,",
		"policy inside: matcher: the policy is in a route chosen by Caddy's path matcher",
		"3 policies, 3 warnings",
	} {
		if !strings.Contains(o.stdout, want) {
			t.Errorf("check does not say %q: %s", want, o.stdout)
		}
	}
}

// P55: what came by JSON is held to the same words.
func TestReadingsAndPatternsOfJSON(t *testing.T) {
	w := prepare(t)
	good, err := adapt(w.caddyfile("@a token_enrich_path /a /a/*\ntoken_enrich @a {\npath_readings parameters backslashes\n}"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ from, to, want string }{
		{`"parameters","backslashes"`, `"parameters","backslash"`, `did you mean "backslashes"?`},
		{`"parameters","backslashes"`, `"parameters","parameters"`, `duplicate reading "parameters"`},
		{`"parameters","backslashes"`, `"parameters","all"`, "all cannot be combined with other readings"},
		{`"token_enrich_path":["/a","/a/*"]`, `"token_enrich_path":[]`, "no pattern"},
		{`"token_enrich_path":["/a","/a/*"]`, `"token_enrich_path":"/a"`, "cannot unmarshal"},
	} {
		config := strings.Replace(string(good), tc.from, tc.to, 1)
		if config == string(good) {
			t.Fatalf("the configuration holds no %s: %s", tc.from, good)
		}
		if err := w.run([]byte(config)); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", tc.to, err, tc.want)
		}
	}
	if err := w.run(good); err != nil {
		t.Error(err)
	}
}

// P55: explain comes to what serving comes to.
func TestExplainJudgesPathsAsServingDoes(t *testing.T) {
	w := prepare(t)
	w.load(`
	@admin path /admin /admin/*
	token_enrich @admin {
		name admin
	}
	@route token_enrich_path /route /route/*
	handle @route {
		reverse_proxy ` + w.legacy.Addr() + `
	}
	token_enrich {
		name general
		require ` + "`!String.startsWith(request.path, \"/secret/\")`" + `
		require ` + "`request.method != \"DELETE\"`" + `
	}
	reverse_proxy ` + w.legacy.Addr())
	for path, want := range map[string]string{
		"/admin/x":               `"policy":"admin","outcome":"allowed"`,
		"/route/x":               `"policy":"general","outcome":"allowed"`,
		"/x":                     `"policy":"general","outcome":"allowed"`,
		"/a%2Fb":                 `"policy":"general","outcome":"allowed"`,
		"/secret/x":              `"policy":"general","outcome":"denied"`,
		"/SECRET/x":              `"policy":"general","outcome":"invalid_request"`,
		"/secret;v/x":            `"policy":"general","outcome":"invalid_request"`,
		"/admin;v/x":             `the request would be refused: the path can be read in two ways: the matcher path`,
		"/route;v/x":             `the request would be refused: the path can be read in two ways: the matcher path`,
		"/x/1%2f..%2f..%2fadmin": `the request would be refused: the path can be read in two ways: a dot segment`,
	} {
		a := w.adminDo("POST", "/token_enrich/explain", `{"issuer":"corp","subject":"00u1ada","client":"0oa1payroll","site":"`+w.addr+`","path":"`+path+`"}`)
		if !strings.Contains(a.body, want) {
			t.Errorf("%s: %s, want %s", path, a.body, want)
		}
		served := w.servedOr(t, path, "Authorization: Bearer "+w.token("00u1ada"))
		wantServed := map[bool]string{true: "400", false: "200"}[strings.Contains(want, "refused") || strings.Contains(want, "invalid_request")]
		if strings.Contains(want, "denied") {
			wantServed = "403"
		}
		if served != wantServed {
			t.Errorf("%s: served with %s, want %s", path, served, wantServed)
		}
	}
	a := w.adminDo("POST", "/token_enrich/explain", `{"issuer":"corp","subject":"00u1ada","client":"0oa1payroll","policy":"general"}`)
	if !strings.Contains(a.body, `"outcome":"allowed"`) || strings.Count(a.body, "depends on the request") != 2 {
		t.Errorf("without a path: %s", a.body)
	}
}

// P64: the host in one spelling, and the method that the application takes too.
func TestHostAndMethodOfARequestHaveOneReading(t *testing.T) {
	w := prepare(t)
	host, port, _ := strings.Cut(w.addr, ":")
	w.load(`
	token_enrich {
		require ` + "`request.host == \"" + host + "\"`" + `
		require ` + "`request.method != \"DELETE\"`" + `
	}
	reverse_proxy ` + w.legacy.Addr())
	ada := "Authorization: Bearer " + w.token("00u1ada")
	line := func(method, host string, headers ...string) string {
		got := w.raw(method + " /x HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n" + strings.Join(append(headers, ada), "\r\n") + "\r\n\r\n")
		w.legacy.Forget()
		return answered(t, got)
	}
	for _, tc := range []struct{ method, host, header, want string }{
		{"GET", w.addr, "Accept: */*", "200"},
		{"GET", host, "Accept: */*", "200"},
		{"DELETE", w.addr, "Accept: */*", "403"},
		{"delete", w.addr, "Accept: */*", "400"},
		{"Delete", w.addr, "Accept: */*", "400"},
		{"GET1", w.addr, "Accept: */*", "400"},
		{"M-SEARCH", w.addr, "Accept: */*", "200"},
		{"POST", w.addr, "X-HTTP-Method-Override: DELETE", "400"},
		{"POST", w.addr, "X-HTTP-Method: DELETE", "400"},
		{"POST", w.addr, "x-method-override: DELETE", "400"},
		{"POST", w.addr, "X-Forwarded-Method: DELETE", "200"},
	} {
		if got := line(tc.method, tc.host, tc.header); got != tc.want {
			t.Errorf("%s at %s with %s: status %s, want %s", tc.method, tc.host, tc.header, got, tc.want)
		}
	}
	if port == "" {
		t.Error("the address has no port")
	}
}
