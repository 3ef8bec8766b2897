package pathmatch

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
)

// choosing loads matchers, given as the lines of a Caddyfile that define @m, for
// a set of readings.
func choosing(t *testing.T, matcher string, readings ...string) *Matchers {
	t.Helper()
	text, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte("http://app.example.com {\n"+matcher+"\nrespond @m ok\n}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	var config any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	site := jsontree.Objects(jsontree.Object(config, "apps", "http", "servers", "srv0")["routes"])[0]
	handler := jsontree.Object(jsontree.List(site["handle"])[0])
	route := jsontree.Objects(handler["routes"])[0]
	module := struct {
		MatcherSetsRaw caddyhttp.RawMatcherSets `caddy:"namespace=http.matchers"`
	}{}
	if err := json.Unmarshal([]byte(jsontree.Text(route["match"])), &module.MatcherSetsRaw); err != nil {
		t.Fatal(err)
	}
	raw := module.MatcherSetsRaw
	ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
	t.Cleanup(cancel)
	loaded, err := ctx.LoadModule(&module, "MatcherSetsRaw")
	if err != nil {
		t.Fatal(err)
	}
	var sets caddyhttp.MatcherSets
	if err := sets.FromInterface(loaded); err != nil {
		t.Fatal(err)
	}
	set, err := pathreading.Parse(readings)
	if err != nil {
		t.Fatal(err)
	}
	m := New(sets, raw, set)
	return &m
}

// asked is a request for a target as Caddy prepares it.
func asked(t *testing.T, target string) *http.Request {
	t.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodGet, "http://app.example.com/", nil)
	r.URL, r.RequestURI = u, target
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), nil)
}

// P55: every kind of matcher comes to one result in all readings, or the
// request is refused.
func TestMatchersComeToOneResult(t *testing.T) {
	const yes, no, refused = "yes", "no", "refused"
	for matcher, targets := range map[string]map[string]string{
		"@m path /admin /admin/*": {
			"/admin": yes, "/admin/": yes, "/admin/x": yes, "/admin/X": yes, "/Admin/x": refused, "/admin/a%2Fb": yes, "/admin/a;b": yes, "/admin/%41": yes, "/admin//x": yes, "/admin/a%20b": yes,
			"/x": no, "/x/admin": no, "/files/a%20b": no, "/search/%C3%A9": no, "/Static/A.PNG": no, "/x/": no, "/100%25": no, "/a%2Fb": no, "/a;b": no, "/a./b": no, "/x/a%252Fb": no,
			"/admin/users/1%2f..%2f..%2f..%2f..%2fx/delete": refused, "/%61dmin/x": refused, "/admin%2fx": refused, "/admin%5cx": refused, "/admin;x/y": refused,
			"//admin/x": refused, "/x/../admin/y": refused, "/admin/../x": refused, "/%2561dmin": refused, "/admin%252fx": refused, "/admin./x": refused, "/admin%20": refused,
			"/./admin": refused, "/x//../admin": refused, "/x/../%61dmin;v%2fy": refused,
		},
		"@m not path /public /public/*": {
			"/x": yes, "/X": yes, "/public/x": no, "/public/X": no, "/PUBLIC/x": refused, "/public/a%2Fb": no,
			"/%70ublic/x": refused, "/public%2fx": refused, "/public/../x": refused, "/public;/x": refused, "//public/x": refused, "/public/1%2f..%2f..%2fx": refused,
		},
		"@m path_regexp ^/admin(/|$)": {
			"/admin/x": yes, "/x": no, "/X": no, "/ADMIN/x": refused, "/%61dmin": refused, "/x/../admin": refused, "/admin;/x": refused, "/admin%2fx": refused,
		},
		"@m path_regexp ^/[A-Z]+$": {"/ABC": yes, "/abc": no, "/%41": refused},
		`@m path_regexp ^/a/\S+$`:  {"/a/b": yes, "/a/B": yes, "/A/b": refused},
		"@m expression `{path}.startsWith(\"/admin/\") && {method} == \"GET\"`": {
			"/admin/x": yes, "/x": no, "/ADMIN/x": refused, "/admin;v/x": refused, "/admin%2fx": refused, "/%61dmin/x": refused,
		},
		"@m expression `path(\"/admin\", \"/admin/*\")`":                   {"/admin/x": yes, "/Admin/x": yes, "/x": no, "/%61dmin/x": refused, "/admin%5cx": refused, "/x/../admin": refused},
		"@m expression `{path} == {http.request.header.X-Home}`":           {"/Ada": no},
		"@m expression `{http.request.orig_uri.path}.startsWith(\"/a/\")`": {"/a/x": yes, "/a;v/x": refused},
		"@m vars {path} /admin":                                            {"/admin": yes, "/x": no, "/Admin": refused, "//admin": refused},
		"@m path /a/*/info":                                                {"/a/x/info": yes, "/a/x%2Fy/info": refused, "/a/x/y/info": no, "/a/x;v=1/info": yes},
		"@m path *.css":                                                    {"/style.css": yes, "/style.css;v=1": refused, "/a;b/x.css": yes},
		"@m path /style*":                                                  {"/style.css;v=1": yes, "/style/a.": yes},
		"@m path /Admin/*":                                                 {"/Admin/x": yes, "/admin/x": yes, "/x": no, "/Admin;v/x": refused},
		"@m path /static/*":                                                {"/static/Logo.PNG": yes, "/X": no, "/search/%C3%89": no, "/STATIC/x": refused},
		"@m path /a//b":                                                    {"/a/b": no, "/a//b": refused},
		"@m path /a%2fb":                                                   {"/x": no, "/a%2fb": refused, "/a/b": no},
		"@m path /a%2fb /a/b":                                              {"/a%2Fb": yes, "/a/b": yes, "/a%2fc": no, "/a%252fb": refused},
		"@m method GET":                                                    {"/x": yes, "/a;b//C": yes, "/a/..;/b": refused},
		"@m {\nmethod GET\nnot path /public/*\n}":                          {"/x": yes, "/public/x": no, "/public/../x": refused},
		"@m {\nmethod POST\npath /public/*\n}":                             {"/public/../x": no, "/x": no},
		"@m token_enrich_path /admin /admin/*":                             {"/admin/x": yes, "/x": no, "/admin;v/x": refused},
		"@m {\npath /in/*\npath_regexp ^/in/(.*)\n}":                       {"/in/x": yes, "/in/a%2Fb": yes},
	} {
		m := choosing(t, matcher)
		for target, want := range targets {
			r := asked(t, target)
			before := *r.URL
			match, err := m.Match(r)
			got := map[bool]string{true: yes, false: no}[match]
			if err != nil {
				got = refused
				var refusal *enrich.Refusal
				if !errors.As(err, &refusal) || refusal.Kind != enrich.KindMalformedRequest || !errors.Is(err, enrich.ErrPath) || err.Error() != "malformed request" {
					t.Errorf("%s: %s: %v", matcher, target, err)
				}
			}
			if got != want {
				t.Errorf("%s: %s: %s, want %s (%v)", matcher, target, got, want, errors.Unwrap(err))
			}
			if *r.URL != before {
				t.Errorf("%s: %s: the URL is %v now", matcher, target, r.URL)
			}
		}
	}
}

// What an operator reads names the two readings and the matcher.
func TestTheCauseNamesReadingsAndMatcher(t *testing.T) {
	m := choosing(t, "@m {\nmethod GET\npath /admin/*\n}")
	_, err := m.Match(asked(t, "/admin;x/users"))
	want := `the path can be read in two ways: the matcher path ["/admin/*"] matches "/admin/users" but not "/admin;x/users"`
	if cause := errors.Unwrap(err); cause == nil || cause.Error() != want {
		t.Errorf("the cause is %v, want %s", cause, want)
	}
	long := "/admin;" + strings.Repeat("x", 5000)
	_, err = m.Match(asked(t, long+"/y"))
	if cause := errors.Unwrap(err); cause == nil || len(cause.Error()) > 1000 {
		t.Errorf("the cause is %v", cause)
	}
}

// Captures and placeholders are about the path as it stands, also where another
// reading matches what this one does not.
func TestMatchersLeaveBehindWhatIsAboutThePathAsItStands(t *testing.T) {
	for _, tc := range []struct{ matcher, readings, target, placeholder, want string }{
		{"@m path_regexp re ^/call/(.*)$", "", "/call/a;b", "http.regexp.re.1", "a;b"},
		{"@m path_regexp re ^/call/(.*)$", "", "/call/%61%2Fb", "http.regexp.re.1", "a/b"},
		{"@m path_regexp re ^/call/([^/]*)$", "parameters", "/call/a%2Fb", "http.regexp.re.1", "a%2Fb"},
		{"@m expression `path_regexp(\"cut\", \"^/x/[^;]*$\") || path(\"/x/*\")`", "", "/x/a;b", "http.regexp.cut.0", ""},
	} {
		m := choosing(t, tc.matcher, strings.Fields(tc.readings)...)
		r := asked(t, tc.target)
		if match, err := m.Match(r); err != nil || !match {
			t.Fatalf("%s: %s: %t, %v", tc.matcher, tc.target, match, errors.Unwrap(err))
		}
		got, _ := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer).GetString(tc.placeholder)
		if got != tc.want {
			t.Errorf("%s: %s: %s is %q, want %q", tc.matcher, tc.target, tc.placeholder, got, tc.want)
		}
	}
}

// The way out for an application that needs what would be refused.
func TestNarrowedReadings(t *testing.T) {
	for _, tc := range []struct {
		matcher, readings, target string
		match, refused            bool
	}{
		{"@m path /api/*/secrets", "all", "/api/group%2Fproject/secrets", false, true},
		{"@m path /api/*/secrets", "backslashes parameters dot_segments double_decoding letter_case trailing_dots", "/api/group%2Fproject/secrets", true, false},
		{"@m path /api/*/secrets", "dot_segments", "/api/group%2F../secrets", false, true},
		{"@m path /api/%*/secrets", "dot_segments", "/api/group%2Fproject/secrets", true, false},
		{"@m path /a%2fb", "dot_segments", "/a%2fb", true, false},
		{"@m not path /a%2fb", "dot_segments", "/a%2Fb", false, false},
		{"@m path /admin/*", "encoded_slashes", "/admin;x/y", false, false},
		{"@m path /admin/*", "parameters", "/admin;x/y", false, true},
		{"@m path /admin/*", "parameters", "/%61dmin/y", false, true},
		{"@m path /admin/*", "parameters", "/x/../admin/y", true, false},
		{"@m path /admin/*", "parameters", "/ADMIN/y", true, false},
		{"@m not path /admin/*", "letter_case", "/ADMIN/y", false, true},
		{"@m path_regexp ^/admin/", "parameters", "/ADMIN/y", false, false},
	} {
		m := choosing(t, tc.matcher, strings.Fields(tc.readings)...)
		match, err := m.Match(asked(t, tc.target))
		if match != tc.match || (err != nil) != tc.refused {
			t.Errorf("%s under %s: %s: %t, %v", tc.matcher, tc.readings, tc.target, match, errors.Unwrap(err))
		}
	}
}

// counted counts how often it is asked.
type counted struct{ n int }

func (c *counted) MatchWithError(*http.Request) (bool, error) { c.n++; return true, nil }

func TestMatchersAreAskedOnceWhereNothingDiffers(t *testing.T) {
	for target, want := range map[string]int{"/a/b.css": 1, "/files/a%20b": 1, "/a;b": 3} {
		c := new(counted)
		m := Matchers{sets: caddyhttp.MatcherSets{{c}}, readings: pathreading.All, readsPath: true}
		if _, err := m.Match(asked(t, target)); err != nil || c.n != want {
			t.Errorf("%s: asked %d times, want %d (%v)", target, c.n, want, err)
		}
		c.n, m.readsPath = 0, false
		if _, err := m.Match(asked(t, target)); err != nil || c.n != 1 {
			t.Errorf("%s: what does not read the path is asked %d times (%v)", target, c.n, err)
		}
	}
	for matcher, want := range map[string]bool{
		"@m method GET": false, "@m host a.example.com": false, "@m not method GET": false, "@m header X-A b": false, "@m remote_ip 127.0.0.1": false,
		"@m path /a /a/*": true, "@m not path /a": true, "@m expression true": true, "@m vars a b": true, "@m header X-A {path}": true, "@m query a={path}": true, "@m file /a": true,
	} {
		if got := choosing(t, matcher).readsPath; got != want {
			t.Errorf("%s: reads the path: %t", matcher, got)
		}
	}
}

func TestPatternsThatLeaveOutTheSamePlace(t *testing.T) {
	for patterns, want := range map[string]string{
		"/admin /admin/*": "", "/admin/*": "/admin", "/admin": "/admin/", "/admin/": "/admin", "/admin*": "", "/admin /admin/": "", "/Admin/* /admin": "",
		"/*": "", "*": "", "/": "", "*.css": "", "/a/*/b": "/a/*/b/", "/a/*/b /a/*/b/*": "", "/a/* /b/*": "/a /b", "/api/admin/* /api/*": "/api", "*/x/*": "",
		"/x/{http.vars.a}": "",
	} {
		text := `["` + strings.Join(strings.Fields(patterns), `","`) + `"]`
		var got []string
		for _, warning := range patternWarnings(caddyhttp.RawMatcherSets{{"path": []byte(text)}}) {
			got = append(got, strings.TrimSuffix(strings.Fields(warning)[6], ","))
		}
		if !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s leave out %q, want %q", patterns, got, want)
		}
	}
}
