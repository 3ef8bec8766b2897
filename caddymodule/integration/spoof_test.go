package integration

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// separators is every byte of a field name that is no letter and no digit
// (RFC 9110, section 5.6.2).
const separators = "!#$%&'*+-.^_`|~"

// spellings are names that some server behind us takes for name: in any case,
// with any separator in the place of the hyphens, and with two different ones.
func spellings(name string) []string {
	var all []string
	for _, s := range separators {
		all = append(all, strings.ReplaceAll(name, "-", string(s)))
	}
	all = append(all, strings.ToLower(name), strings.ToUpper(name), strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
	if head, tail, ok := strings.Cut(name, "-"); ok {
		all = append(all, strings.ToLower(head)+"_"+strings.ToUpper(strings.ReplaceAll(tail, "-", ".")))
	}
	return all
}

// forged are header lines, each under another spelling of one of the names,
// and each name twice over.
func forged(names ...string) []string {
	var lines []string
	for _, name := range names {
		for _, s := range spellings(name) {
			lines = append(lines, s+": root", s+": root, wheel")
		}
	}
	return lines
}

// attack sends a request whose header section is full of forged names. What
// the client asks Connection to delete is one of them, too.
func (w *world) attack(method, path, token string, names []string, more ...string) string {
	w.t.Helper()
	lines := []string{method + " " + path + " HTTP/1.1", "Host: " + w.addr, "Connection: close, " + strings.Join(names, ", ")}
	if token != "" {
		lines = append(lines, "Authorization: Bearer "+token)
	}
	lines = append(lines, forged(names...)...)
	lines = append(lines, more...)
	return w.raw(strings.Join(lines, "\r\n") + "\r\n\r\n")
}

// answered gives the status of a raw answer.
func answered(t *testing.T, raw string) string {
	t.Helper()
	_, rest, ok := strings.Cut(raw, " ")
	if !ok || len(rest) < 3 {
		t.Fatalf("no answer but %q", raw)
	}
	return rest[:3]
}

// spoofed is the site of the tests below: %s is where options go.
const spoofed = `
	token_enrich {
		%s
		app 0oa1payroll
		claim login user.login
		claim groups groups regex .*
		claim nothing user.nosuch
		claim none groups equals "No such group"
		claim kept groups equals "No such group" {
			on_empty emit
		}
		claim scoped user.login {
			scopes nosuch
		}
		claim broken user.nosuch.deep {
			on_error omit
		}
		header X-User login
		header X-User-Groups groups
		header X-Null nothing
		header X-Zero none
		header X-Kept kept
		header X-Scoped scoped
		header X-Broken broken
		header X-Absent absent
		header X-Text text
	}
	reverse_proxy `

// spoofedNames are the names that the site owns, with what a known user gets.
var spoofedNames = map[string]string{
	"X-User": "ada@example.com", "X-User-Groups": "Everyone,IT,Ops",
	"X-Null": "", "X-Zero": "", "X-Kept": "", "X-Scoped": "", "X-Broken": "", "X-Absent": "", "X-Text": "",
}

func keys(m map[string]string) []string {
	var list []string
	for k := range m {
		list = append(list, k)
	}
	return list
}

// nothing is the same names without a value.
func nothing(m map[string]string) map[string]string {
	none := make(map[string]string, len(m))
	for k := range m {
		none[k] = ""
	}
	return none
}

func (w *world) wantHeaders(values map[string]string) {
	w.t.Helper()
	seen := w.received()
	for name, value := range values {
		wantHeader(w.t, seen, name, value)
	}
}

func site(options string) string { return strings.Replace(spoofed, "%s", options, 1) }

func TestApplicationSeesOurValueOrNothing(t *testing.T) {
	named := keys(spoofedNames)
	for _, tc := range []struct {
		name, site       string // the site ends in the application's address
		method, path     string
		subject          string // empty: no token
		claims           enrichtest.Claims
		more             []string
		status           string
		want             map[string]string // nil: the application hears nothing
		directoryIsAdown bool
	}{
		{name: "when the token decides", site: site(""), subject: "00u1ada", status: "200", want: spoofedNames},
		{name: "when claims are null or empty in the token", site: site(""), subject: "00u1ada", claims: enrichtest.Claims{"absent": []any{}, "text": ""}, status: "200", want: spoofedNames},
		{name: "when the token brings what a rule left out", site: site(""), subject: "00u1ada", claims: enrichtest.Claims{"nothing": "root", "none": []string{"root"}, "kept": "root", "scoped": "root", "broken": "root"}, status: "200", want: spoofedNames},
		{name: "on OPTIONS", site: site(""), method: "OPTIONS", subject: "00u1ada", status: "200", want: spoofedNames},
		{name: "on HEAD", site: site(""), method: "HEAD", subject: "00u1ada", status: "200", want: spoofedNames},
		{name: "on a method of one's own", site: site(""), method: "PROPFIND", subject: "00u1ada", status: "200", want: spoofedNames},
		{name: "on a WebSocket handshake", site: site(""), subject: "00u1ada", more: []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, status: "200", want: spoofedNames},
		{name: "when the request is anonymous", site: site("anonymous"), status: "200", want: nothing(spoofedNames)},
		{name: "on anonymous OPTIONS", site: site("anonymous"), method: "OPTIONS", status: "200", want: nothing(spoofedNames)},
		{name: "when the user is unknown and the policy goes on", site: site("on_missing_user continue"), subject: "00u9nobody", status: "200", want: nothing(spoofedNames)},
		{name: "when the look-up failed and the policy goes on", site: site("on_directory_error continue"), subject: "00u1ada", directoryIsAdown: true, status: "200", want: nothing(spoofedNames)},
		{name: "when the look-up failed", site: site(""), subject: "00u1ada", directoryIsAdown: true, status: "503"},
		{name: "when the token is missing", site: site(""), status: "401"},
		{name: "on OPTIONS without a token", site: site(""), method: "OPTIONS", status: "401"},
		{name: "when the matcher leaves the request out", site: strings.Replace(site(""), "token_enrich {", "token_enrich /in/* {", 1), path: "/out", subject: "00u1ada", status: "200", want: nothing(spoofedNames)},
		{name: "when a named matcher leaves the request out", site: "@in method POST\n" + strings.Replace(site(""), "token_enrich {", "token_enrich @in {", 1), status: "200", want: nothing(spoofedNames)},
		{name: "when the matcher takes the request", site: strings.Replace(site(""), "token_enrich {", "token_enrich /in/* {", 1), path: "/in/x", subject: "00u1ada", status: "200", want: spoofedNames},
		{name: "when another block of the site decides", site: "token_enrich /other {\nclaim who user.login\nheader X-Other who\n}\n" + site(""), path: "/other", subject: "00u1ada", status: "200", want: map[string]string{"X-Other": "ada@example.com", "X-User": "", "X-User-Groups": "", "X-Null": ""}},
		{name: "when the second block of the site decides", site: "token_enrich /other {\nclaim who user.login\nheader X-Other who\n}\n" + site(""), path: "/x", subject: "00u1ada", status: "200", want: map[string]string{"X-Other": "", "X-User": "ada@example.com", "X-User-Groups": "Everyone,IT,Ops"}},
		{name: "in a subroute of the site", site: "token_enrich_scrub\nhandle /in/* {\n" + site("") + "%a\n}\nreverse_proxy ", path: "/in/x", subject: "00u1ada", status: "200", want: spoofedNames},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			s, global := w.shaky("")
			if tc.directoryIsAdown {
				s.fail(directory.ErrUnavailable)
			}
			w.load(strings.ReplaceAll(tc.site, "%a", w.legacy.Addr())+w.legacy.Addr(), global)
			token := ""
			if tc.subject != "" {
				token = w.token(tc.subject, tc.claims)
			}
			method, path := tc.method, tc.path
			if method == "" {
				method = "GET"
			}
			if path == "" {
				path = "/"
			}
			for range 2 { // the second decision comes from the cache
				if got := answered(t, w.attack(method, path, token, append(named, "X-Other"), tc.more...)); got != tc.status {
					t.Fatalf("status %s, want %s", got, tc.status)
				}
				if tc.want == nil {
					w.nothingReceived()
					continue
				}
				w.wantHeaders(tc.want)
			}
		})
	}
}

func TestUpgradeSurvivesTheScrub(t *testing.T) {
	w := prepare(t)
	w.load(site("") + w.legacy.Addr())
	w.attack("GET", "/", w.token("00u1ada"), []string{"X-User"}, "Connection: Upgrade", "Upgrade: websocket")
	seen := w.received()
	if got := seen.Values("Upgrade"); len(got) != 1 || got[0] != "websocket" {
		t.Errorf("Upgrade is %q", got)
	}
	if got := seen.Values("Connection"); len(got) != 1 || !strings.EqualFold(got[0], "Upgrade") {
		t.Errorf("Connection is %q", got)
	}
}

// Our own endpoints answer by themselves, also under attack, and what they
// refuse reaches an error route scrubbed.
// A policy in an error route protects what stands behind it there: that
// another one has refused the request is no reason to let it through.
// Caddy drops names with an underscore or a dot unless the server is told to
// expect them; we do not rely on it.
func TestServerThatExpectsUnderscoresAndDotsIsScrubbedAllTheSame(t *testing.T) {
	w := prepare(t)
	w.servers = "expected_underscore_headers X_User X_User_Groups X_U*\n\t\texpected_dot_headers X.User X.User.Groups"
	w.load(site("anonymous") + w.legacy.Addr())
	for _, name := range []string{"X_User", "X.User", "x_user_groups", "X.User.Groups", "X_User.Groups"} {
		w.raw("GET / HTTP/1.1\r\nHost: " + w.addr + "\r\nConnection: close\r\n" + name + ": root\r\nX_U-kept: yes\r\n\r\n")
		seen := w.received()
		wantHeader(t, seen, "X-User", "")
		wantHeader(t, seen, "X-User-Groups", "")
		if len(seen.Values("X_U-kept")) != 1 {
			t.Error("the server option has no effect: the test proves nothing")
		}
	}
}

func TestEachSeparatorAloneIsAnAlias(t *testing.T) {
	w := prepare(t)
	w.load(site("anonymous") + w.legacy.Addr())
	for _, s := range separators {
		for _, name := range []string{"X" + string(s) + "User", "x" + string(s) + "uSER" + string(s) + "gROUPS", "X" + string(s) + "User-Groups"} {
			got := w.raw("GET / HTTP/1.1\r\nHost: " + w.addr + "\r\nConnection: close\r\n" + name + ": root\r\nX-Innocent" + string(s) + ": yes\r\n\r\n")
			if answered(t, got) != "200" {
				t.Fatalf("%s: %q", name, got)
			}
			seen := w.received()
			wantHeader(t, seen, "X-User", "")
			wantHeader(t, seen, "X-User-Groups", "")
		}
	}
}

func TestPrefixAndSplitNamesAreOwnedWhole(t *testing.T) {
	w := prepare(t)
	w.load(`token_enrich {
		claim login user.login
		claim many groups regex .*
		headers_from X-Claim- login
		headers_from X-Every-
		header X-Part many {
			max_bytes 9
			on_overflow split
		}
	}
	reverse_proxy ` + w.legacy.Addr())
	lines := []string{
		"X-Claim-Anything: root", "x_claim_login: root", "X.Claim.Login.2: root", "X-CLAIM-: root", "X-Every-Sub: root", "x_every_admin: root",
		"X-Part: root", "X-Part-1: root", "X-Part-2: root", "X-Part-3: root", "X-Part-99: root", "x_part_4: root", "X.Part.007: root",
	}
	got := w.raw("GET / HTTP/1.1\r\nHost: " + w.addr + "\r\nConnection: close\r\nAuthorization: Bearer " + w.token("00u1ada") + "\r\n" + strings.Join(lines, "\r\n") + "\r\nX-Party: mine\r\n\r\n")
	if answered(t, got) != "200" {
		t.Fatal(got)
	}
	seen := w.received()
	for _, f := range seen.Fields {
		if f.Value == "root" {
			t.Errorf("the application received %v", f)
		}
	}
	wantHeader(t, seen, "X-Claim-Login", "ada@example.com")
	wantHeader(t, seen, "X-Every-Sub", "00u1ada")
	wantHeader(t, seen, "X-Part-1", "Everyone")
	wantHeader(t, seen, "X-Part-2", "IT,Ops")
	wantHeader(t, seen, "X-Part", "")
	wantHeader(t, seen, "X-Party", "mine")
}

func TestTrailersOfTheClientDoNotReachTheApplication(t *testing.T) {
	w := prepare(t)
	w.load(site("") + w.legacy.Addr())
	for name, declared := range map[string]string{"declared": "Trailer: X-User, X-Null, X_User\r\n", "undeclared": "", "half declared": "Trailer: X-User\r\n"} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			got := w.raw("POST / HTTP/1.1\r\nHost: " + w.addr + "\r\nConnection: close\r\nTE: trailers\r\nAuthorization: Bearer " + w.token("00u1ada") + "\r\n" + declared +
				"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-User: root\r\nX-Null: root\r\nx_user: root\r\nX.User.Groups: root\r\n\r\n")
			if answered(t, got) != "200" {
				t.Fatal(got)
			}
			seen := w.received()
			if string(seen.Body) != "hello" {
				t.Errorf("the body is %q", seen.Body)
			}
			for name, value := range spoofedNames {
				wantHeader(t, seen, name, value)
			}
			if strings.Contains(string(seen.Raw), "root") {
				t.Errorf("the application received %q", seen.Raw)
			}
		})
	}
}

func TestConnectionCannotNameOurHeaders(t *testing.T) {
	w := prepare(t)
	w.load(site("") + w.legacy.Addr())
	for _, connection := range []string{"X-User", "close, X-User, X-User-Groups", "x-user", " X-User ,, keep-alive", "x_user, X-User"} {
		got := w.raw("GET / HTTP/1.0\r\nHost: " + w.addr + "\r\nConnection: close\r\nConnection: " + connection + "\r\nAuthorization: Bearer " + w.token("00u1ada") + "\r\n\r\n")
		if answered(t, got) != "200" {
			t.Fatal(got)
		}
		w.wantHeaders(spoofedNames)
	}
}

func TestPlaceholdersInClaimsArriveAsText(t *testing.T) {
	t.Setenv("TOKEN_ENRICH_TEST_SECRET", "s3cr3t")
	w := prepare(t)
	s := newShaky(t)
	w.load(`token_enrich {
		claim joined `+"`token.text + \"-\" + token.text`"+`
		header X-Text text
		header X-Joined joined
		header X-List list
		header X-Default nosuch {
			on_empty default {env.TOKEN_ENRICH_TEST_SECRET}
		}
		user_placeholder on
	}
	request_header X-Copy {token_enrich.claims.text}
	request_header X-List-Copy {token_enrich.claims.list}
	request_header X-Subject-Copy {token_enrich.subject}
	request_header X-User-Id {http.auth.user.id}
	request_header X-Header-Copy {http.request.header.X-Text}
	header X-Back {token_enrich.claims.text}
	reverse_proxy `+w.legacy.Addr()+` {
		header_up X-Up {token_enrich.claims.text}
	}`, w.issuerBlock("")+"\n"+script(t, &s.Fake))
	const evil = "{env.TOKEN_ENRICH_TEST_SECRET}"
	for _, text := range []string{evil, "{http.request.header.Authorization}", "{token_enrich.claims.list}", "{{env.TOKEN_ENRICH_TEST_SECRET}}", `\{env.TOKEN_ENRICH_TEST_SECRET}`} {
		got := w.get("/", w.token("00u1ada", enrichtest.Claims{"text": text, "list": []string{evil, text}}))
		wantStatus(t, got, 200)
		seen := w.received()
		for name, want := range map[string]string{
			"X-Text": text, "X-Joined": text + "-" + text, "X-List": evil + "," + text, "X-Default": evil, "X-Copy": text,
			"X-Subject-Copy": "00u1ada", "X-User-Id": "00u1ada", "X-Header-Copy": text, "X-Up": text,
		} {
			wantHeader(t, seen, name, want)
		}
		if strings.Contains(string(seen.Raw), "s3cr3t") || strings.Contains(got.Header.Get("X-Back"), "s3cr3t") {
			t.Errorf("%q was expanded", text)
		}
	}
}

func TestUserPlaceholderIsOffUnlessAskedFor(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich\nrequest_header X-User-Id [{http.auth.user.id}]\nreverse_proxy " + w.legacy.Addr())
	wantStatus(t, w.get("/", w.token("00u1ada")), http.StatusOK)
	wantHeader(t, w.received(), "X-User-Id", "[{http.auth.user.id}]") // Caddy leaves alone what nobody set
}
