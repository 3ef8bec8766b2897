package page

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// every returns our pages, or those of a folder.
func every(t testing.TB, folder fstest.MapFS) *Set {
	t.Helper()
	if folder == nil {
		s, err := New(nil)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s, err := New(folder)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// write answers one request with a page.
func write(t testing.TB, s *Set, method, accept string, p Page) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, "https://app.example.com/callback?code=c0de&state=st4te", nil)
	r.Header.Set("Accept-Language", accept)
	w := httptest.NewRecorder()
	if err := s.Write(w, r, p); err != nil {
		t.Fatalf("%s: %v", p.Message, err)
	}
	return w
}

// find returns the elements of a document with this name.
func find(t testing.TB, document, element string) []*html.Node {
	t.Helper()
	root, err := html.Parse(strings.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	var found []*html.Node
	for n := range root.Descendants() {
		if n.Type == html.ElementNode && (element == "*" || n.Data == element) {
			found = append(found, n)
		}
	}
	return found
}

func attribute(n *html.Node, name string) string {
	i := slices.IndexFunc(n.Attr, func(a html.Attribute) bool { return a.Key == name })
	if i < 0 {
		return ""
	}
	return n.Attr[i].Val
}

// text is what a person reads in an element.
func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return b.String()
}

// full is a page with the message that has all that the message allows.
func full(m Message) Page {
	p := samples(m)[0]
	if m != AskSignOut {
		p.FormAction = ""
	}
	return p
}

// TestPagesHaveTheirStructure checks each page in each language for what a
// person needs without script, with a keyboard or a screen reader (L19).
func TestPagesHaveTheirStructure(t *testing.T) {
	s := every(t, nil)
	for m := range Message(messageCount) {
		for lang, tag := range tags {
			t.Run(m.String()+" "+tag.String(), func(t *testing.T) {
				p := full(m)
				w := write(t, s, http.MethodGet, tag.String(), p)
				body := w.Body.String()
				one := func(element string) *html.Node {
					found := find(t, body, element)
					if len(found) != 1 {
						t.Fatalf("%d elements %s, want 1", len(found), element)
					}
					return found[0]
				}
				if !strings.HasPrefix(body, "<!DOCTYPE html>\n") {
					t.Error("the page does not begin with its document type")
				}
				if got := attribute(one("html"), "lang"); got != tag.String() {
					t.Errorf("lang %q", got)
				}
				want := words[m][lang]
				if got := text(one("title")); got != want.title {
					t.Errorf("title %q", got)
				}
				if h1 := one("h1"); text(h1) != want.title || h1.Parent.DataAtom != atom.Main {
					t.Errorf("h1 %q in %s", text(h1), h1.Parent.Data)
				}
				if !strings.Contains(text(one("main")), want.text) {
					t.Errorf("the text is missing: %s", body)
				}
				var links []string
				for _, a := range find(t, body, "a") {
					links = append(links, attribute(a, "href")+" "+text(a))
				}
				with := strings.Split(labels[SignInWith][lang], providerPlace)
				if want := []string{"/login/corp " + with[0] + "corp" + with[1], "https://idp.example.com/ " + with[0] + "partner" + with[1]}; !slices.Equal(links, want) {
					t.Errorf("links %q, want %q", links, want)
				}
				if isError := facts[m].file == "error.html"; strings.Contains(body, p.ErrorID) != isError || strings.Contains(body, "HTTP "+strconv.Itoa(w.Code)) != isError {
					t.Errorf("error ID or status: %s", body)
				}
				forms := find(t, body, "form")
				if (len(forms) == 1) != (m == AskSignOut) {
					t.Fatalf("%d forms", len(forms))
				}
				for _, f := range forms {
					if attribute(f, "method") != "post" || attribute(f, "action") != p.FormAction || text(one("button")) != button[lang] {
						t.Errorf("form: %s", body)
					}
				}
				for _, n := range find(t, body, "*") {
					if slices.Contains([]string{"script", "img", "link", "iframe", "input", "object", "base"}, n.Data) {
						t.Errorf("the page has an element %s", n.Data)
					}
					for _, a := range n.Attr {
						if a.Key == "style" || a.Key == "tabindex" || strings.HasPrefix(a.Key, "on") {
							t.Errorf("the page has an attribute %s", a.Key)
						}
					}
				}
				if strings.Contains(body, "c0de") || strings.Contains(body, "st4te") {
					t.Error("the page repeats its own address")
				}
			})
		}
	}
}

func TestHeaders(t *testing.T) {
	s := every(t, nil)
	for m := range Message(messageCount) {
		w := write(t, s, http.MethodGet, "de", full(m))
		if w.Code != m.Status() {
			t.Errorf("%s: status %d", m, w.Code)
		}
		want := map[string]string{
			"Content-Type": "text/html; charset=utf-8", "Content-Language": "de", "Vary": "Accept-Language",
			"Content-Length": strconv.Itoa(w.Body.Len()), "Cache-Control": "no-store", "Referrer-Policy": "no-referrer",
			"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		}
		actions := "'none'"
		if m == AskSignOut {
			want["Referrer-Policy"], actions = "same-origin", "'self'"
		}
		var hash string
		for _, n := range find(t, w.Body.String(), "style") {
			sum := sha256.Sum256([]byte(text(n)))
			hash += base64.StdEncoding.EncodeToString(sum[:])
		}
		want["Content-Security-Policy"] = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src 'sha256-" + hash + "'; form-action " + actions
		for name, value := range want {
			if got := w.Header().Values(name); !slices.Equal(got, []string{value}) {
				t.Errorf("%s: %s: %q, want %q", m, name, got, value)
			}
		}
	}
}

func TestStatusOfTheCallerReplacesTheMessages(t *testing.T) {
	w := write(t, every(t, nil), http.MethodGet, "en", Page{Message: Choose, Status: http.StatusForbidden})
	if w.Code != http.StatusForbidden {
		t.Errorf("status %d", w.Code)
	}
}

func TestVaryOfOthersIsKept(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Vary", "Cookie")
	if err := every(t, nil).Write(w, httptest.NewRequest(http.MethodGet, "/", nil), Page{Message: Choose}); err != nil {
		t.Fatal(err)
	}
	if got := w.Header().Values("Vary"); !slices.Equal(got, []string{"Cookie", "Accept-Language"}) {
		t.Errorf("Vary: %q", got)
	}
}

func TestHeadHasNoBody(t *testing.T) {
	s, p := every(t, nil), full(Internal)
	get, head := write(t, s, http.MethodGet, "fr", p), write(t, s, http.MethodHead, "fr", p)
	if head.Body.Len() != 0 || head.Code != get.Code {
		t.Errorf("status %d, %d bytes", head.Code, head.Body.Len())
	}
	for name := range get.Header() {
		if head.Header().Get(name) != get.Header().Get(name) {
			t.Errorf("%s: %q for HEAD, %q for GET", name, head.Header().Get(name), get.Header().Get(name))
		}
	}
}

func TestLanguage(t *testing.T) {
	s := every(t, nil)
	for _, tc := range []struct{ accept, want string }{
		{"", "en"},
		{"*", "en"},
		{"de", "de"},
		{"de-AT,de;q=0.9,en;q=0.8", "de"},
		{"DE-ch", "de"},
		{"fr-CA", "fr"},
		{"es-419", "es"},
		{"en-GB,de;q=0.9", "en"},
		{"en;q=0.2, fr;q=0.7, de;q=0.5", "fr"},
		{"de;q=0, es;q=0.1", "es"},
		{"tlh", "en"},
		{"ja, es;q=0.5", "es"},
		{"ja, zh;q=0.5", "en"},
		{"de;q=much", "en"},
		{";;;,,,===", "en"},
		{"de-\x00\xff", "en"},
		{strings.Repeat("de-", 100<<10/3), "en"},
		{"de" + strings.Repeat(",en;q=0.1", 10<<10), "en"}, // too long to be read
	} {
		w := write(t, s, http.MethodGet, tc.accept, Page{Message: SignedOut})
		if got := w.Header().Get("Content-Language"); got != tc.want {
			t.Errorf("Accept-Language %.40q: %s, want %s", tc.accept, got, tc.want)
		}
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header["Accept-Language"] = []string{"ja", "fr"}
	if got := s.language(r); got != french {
		t.Errorf("two header fields: language %d", got)
	}
}

func TestFormTargetsAreOrigins(t *testing.T) {
	s := every(t, nil)
	w := write(t, s, http.MethodGet, "en", Page{Message: AskSignOut, FormAction: "/sign-out", FormTargets: []string{
		"https://idp.example.com/oauth2/v1/logout?a=b", "http://127.0.0.1:9000", "https:",
	}})
	if got := w.Header().Get("Content-Security-Policy"); !strings.HasSuffix(got, "; form-action 'self' https://idp.example.com http://127.0.0.1:9000 https:") {
		t.Errorf("policy %q", got)
	}
	for _, target := range []string{
		"", "/path", "//idp.example.com", "javascript:alert(1)", "http:", "https:;", "https://", "https://:443", "https://*.example.com", "https://a;script-src/",
		"https://a,b", "https://'unsafe-inline'", "https://a\"b", "https://bücher.example", "https://a b", "https://a%3bb",
	} {
		w := httptest.NewRecorder()
		err := s.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), Page{Message: AskSignOut, FormAction: "/x", FormTargets: []string{target}})
		if !errors.Is(err, errPage) || len(w.Header()) > 0 || w.Body.Len() > 0 {
			t.Errorf("%q: error %v, headers %v", target, err, w.Header())
		}
	}
}

func TestPagesThatNobodyMeansAreErrors(t *testing.T) {
	s := every(t, nil)
	for _, p := range []Page{
		{Message: -1},
		{Message: Message(messageCount)},
		{Message: AskSignOut},
		{Message: Choose, Links: []Link{{Label: Label(labelCount)}}},
		{Message: Choose, Links: []Link{{Label: -1}}},
	} {
		w := httptest.NewRecorder()
		if err := s.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), p); !errors.Is(err, errPage) || w.Body.Len() > 0 {
			t.Errorf("%+v: error %v, %d bytes", p, err, w.Body.Len())
		}
	}
	if Message(-1).Status() != 500 || Message(99).String() != "message 99" {
		t.Error("an unknown message has a name or a status of its own")
	}
}

// hostile checks that values stayed values: the elements are those of a page with
// harmless ones, and no address runs script.
func hostile(t testing.TB, s *Set, accept, provider, address, id string) {
	t.Helper()
	for _, m := range []Message{Choose, AskSignOut, Internal} {
		p := Page{Message: m, ErrorID: id, FormAction: address, Links: []Link{{Label: SignInWith, Provider: provider, URL: address}}}
		if m == AskSignOut && address == "" {
			continue
		}
		got := find(t, write(t, s, http.MethodGet, accept, p).Body.String(), "*")
		p.Links[0] = Link{Label: SignInWith, Provider: "corp", URL: "/"}
		p.FormAction = "/"
		if id != "" {
			p.ErrorID = "1"
		}
		want := find(t, write(t, s, http.MethodGet, accept, p).Body.String(), "*")
		same := func(a, b *html.Node) bool { return a.Data == b.Data && len(a.Attr) == len(b.Attr) }
		if !slices.EqualFunc(got, want, same) {
			t.Errorf("%s: other elements than with harmless values", m)
		}
		for _, n := range got {
			for _, name := range []string{"href", "action"} {
				scheme, _, isURL := strings.Cut(strings.ToLower(strings.TrimSpace(attribute(n, name))), ":")
				if isURL && !strings.ContainsAny(scheme, "/?#") && scheme != "http" && scheme != "https" && scheme != "mailto" {
					t.Errorf("%s leads to %q", n.Data, attribute(n, name))
				}
			}
		}
	}
}

func TestHostileValuesStayValues(t *testing.T) {
	s := every(t, nil)
	for _, value := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onclick='alert(1)`, `</title></style></main><h1>`,
		"javascript:alert(1)", "JaVaScRiPt:alert(1)", " javascript:alert(1)", "java\nscript:alert(1)", "data:text/html,<script>", "vbscript:x",
		"{{.Lang}}", "&lt;script&gt;", "\x00\xff", "{provider}",
	} {
		hostile(t, s, "de", value, value, value)
	}
}

func FuzzWrite(f *testing.F) {
	f.Add("de-AT, en;q=0.5", "corp", "/login?return=%2F", "0123")
	f.Add("x;q=nan,*", "<b>", "javascript:alert(1)", "\"'><")
	s := every(f, nil)
	f.Fuzz(func(t *testing.T, accept, provider, address, id string) {
		hostile(t, s, accept, provider, address, id)
	})
}

func FuzzFormTarget(f *testing.F) {
	f.Add("https://idp.example.com/logout")
	f.Add("http://[::1]:80;'self'")
	f.Fuzz(func(t *testing.T, target string) {
		got, err := formActions(Page{FormAction: "/", FormTargets: []string{target}})
		if err != nil {
			return
		}
		sources := strings.Split(got, " ")
		if len(sources) != 2 || !strings.HasPrefix(sources[1], "http") || strings.ContainsAny(sources[1], ";,'*\"<>\r\n") {
			t.Errorf("%q became %q", target, got)
		}
	})
}
