package login_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/login/page"
)

// This file has the browsers of the tests, and what is expected of the pages that they
// see.

// A browser keeps cookies and follows redirects.
type browser struct {
	s   *stage
	jar http.CookieJar

	// header replaces headers of each request; an empty list takes one away.
	header http.Header

	// before sees each request before it is sent.
	before func(r *http.Request)

	trail []string // the addresses of the last navigation
}

func (s *stage) browser() *browser {
	jar := must(cookiejar.New(nil))(s.t)
	return &browser{s: s, jar: jar}
}

// result is an answer that was read.
type result struct {
	status int
	header http.Header
	body   string
	url    string
}

// location returns where an answer redirects to.
func (r result) location(t testing.TB) *url.URL {
	t.Helper()
	if r.status != http.StatusSeeOther && r.status != http.StatusFound {
		t.Fatalf("got status %d of %s, want a redirect\n%s", r.status, r.url, r.body)
	}
	base := must(url.Parse(r.url))(t)
	return must(base.Parse(r.header.Get("Location")))(t)
}

// message returns the name of the message of a page, or nothing.
func (r result) message() string { return titles()[title(r.body)] }

// title returns the title of a page.
func title(body string) string {
	_, rest, _ := strings.Cut(body, "<title>")
	text, _, _ := strings.Cut(rest, "</title>")
	return text
}

// titles returns the messages by the title of their page in English.
var titles = sync.OnceValue(func() map[string]string {
	pages, err := page.New(nil)
	if err != nil {
		panic(err)
	}
	names := make(map[string]string)
	for m := page.Choose; m <= page.Internal; m++ {
		w := httptest.NewRecorder()
		if err := pages.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), page.Page{Message: m, FormAction: "/"}); err != nil {
			panic(err)
		}
		names[title(w.Body.String())] = m.String()
	}
	return names
})

// navigation are the headers with which a person goes to a page.
func navigation() http.Header {
	return http.Header{
		"Accept": {"text/html,*/*;q=0.8"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
		"Sec-Fetch-Site": {"none"}, "Sec-Fetch-User": {"?1"},
	}
}

// plainTransport follows nothing and keeps nothing.
var plainTransport = &http.Transport{MaxIdleConnsPerHost: 32}

// send sends one request and follows no redirect.
func (b *browser) send(r *http.Request) result {
	t := b.s.t
	t.Helper()
	for name, values := range b.header {
		r.Header[name] = values
		if len(values) == 0 {
			delete(r.Header, name)
		}
	}
	for _, c := range b.jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	if b.before != nil {
		b.before(r)
	}
	answer, err := plainTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer answer.Body.Close()
	body := must(io.ReadAll(answer.Body))(t)
	b.jar.SetCookies(r.URL, answer.Cookies())
	for _, c := range answer.Cookies() {
		b.s.secret(c.Value)
		if id, _, ok := strings.Cut(c.Value, "."); ok {
			b.s.secret(id)
		}
	}
	return result{status: answer.StatusCode, header: answer.Header, body: string(body), url: r.URL.String()}
}

// step goes to an address, of the site if it is a path, and follows no redirect.
func (b *browser) step(address string) result {
	b.s.t.Helper()
	return b.do(http.MethodGet, address, nil)
}

// do sends one request with further headers over those of a navigation.
func (b *browser) do(method, address string, header http.Header) result {
	b.s.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.s.server.URL + address
	}
	r := must(http.NewRequestWithContext(b.s.t.Context(), method, address, nil))(b.s.t)
	r.Header = navigation()
	maps.Copy(r.Header, header)
	return b.send(r)
}

// maxHops is how many redirects browsers follow.
const maxHops = 20

// open goes to an address and follows redirects.
func (b *browser) open(address string) result {
	b.s.t.Helper()
	return b.follow(b.step(address))
}

// follow follows the redirects of an answer.
func (b *browser) follow(r result) result {
	b.s.t.Helper()
	b.trail = nil
	for range maxHops {
		b.trail = append(b.trail, r.url)
		if r.header.Get("Location") == "" {
			return r
		}
		r = b.step(r.location(b.s.t).String())
	}
	b.s.t.Fatalf("a loop: %q", b.trail)
	return result{}
}

// login opens a page, which takes a login, and returns its answer.
func (b *browser) login(path string) result {
	b.s.t.Helper()
	r := b.open(path)
	if r.status != http.StatusOK || !strings.HasPrefix(r.body, "page ") {
		b.s.t.Fatalf("got %d %s, want the page\n%v", r.status, r.body, b.s.log.lines())
	}
	return r
}

// begin opens a page and returns the address of the provider that it redirects to.
func (b *browser) begin(path string) *url.URL {
	b.s.t.Helper()
	at := b.step(path).location(b.s.t)
	if !b.s.ofProvider(at.String()) {
		b.s.t.Fatalf("redirected to %s, want the provider", at)
	}
	return at
}

// callback begins a login and returns the address with which the provider answers.
func (b *browser) callback(path string) *url.URL {
	b.s.t.Helper()
	return b.step(b.begin(path).String()).location(b.s.t)
}

// cookie returns the value of a cookie of the site, or nothing.
func (b *browser) cookie(name string) string {
	for _, c := range b.jar.Cookies(must(url.Parse(b.s.server.URL))(b.s.t)) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// setCookie sets a cookie of the site; an empty value takes it away.
func (b *browser) setCookie(name, value string) {
	c := &http.Cookie{Name: name, Value: value, Path: "/"} // #nosec G124 -- over plain http
	if value == "" {
		c.MaxAge = -1
	}
	b.jar.SetCookies(must(url.Parse(b.s.server.URL))(b.s.t), []*http.Cookie{c})
}

// names of the cookies over plain http.
const (
	sessionCookie     = "token_enrich"
	transactionCookie = "token_enrich_login"
)

// wantPage checks the status and message of a page.
func wantPage(t testing.TB, what string, r result, status int, message string) {
	t.Helper()
	if r.status != status || r.message() != message {
		t.Errorf("%s: got %d %q, want %d %q\n%s", what, r.status, r.message(), status, message, r.header)
	}
}

// wantFailure checks the page and the one log line of a login that failed, and that
// there is no session.
func (b *browser) wantFailure(what string, r result, status int, message, outcome, cause string) map[string]any {
	t := b.s.t
	t.Helper()
	wantPage(t, what, r, status, message)
	if b.cookie(sessionCookie) != "" {
		t.Errorf("%s: there is a session", what)
	}
	var failures []map[string]any
	for _, line := range b.s.log.lines() {
		if line["msg"] == "login failed" {
			failures = append(failures, line)
		}
	}
	if len(failures) != 1 {
		t.Errorf("%s: %d log lines: %v", what, len(failures), failures)
		return nil
	}
	line := failures[0]
	if text, _ := line["cause"].(string); line["outcome"] != outcome || !strings.Contains(text, cause) {
		t.Errorf("%s: got the outcome %v with the cause %q, want %s with %q", what, line["outcome"], text, outcome, cause)
	}
	if id, _ := line["error_id"].(string); len(id) != 12 || !strings.Contains(r.body, id) {
		t.Errorf("%s: the error id %q is not on the page", what, id)
	}
	return line
}
