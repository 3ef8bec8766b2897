package login

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// requestOf makes a request from lines such as "Accept: text/html".
func requestOf(method string, lines ...string) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Method = method
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

const chromeAccept = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"

func TestClassify(t *testing.T) {
	const navigate, document = "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"
	tests := []struct {
		what   string
		method string
		lines  []string
		want   Request
	}{
		// What browsers send.
		{"an address that was typed", "GET", []string{chromeAccept, navigate, document, "Sec-Fetch-Site: none", "Sec-Fetch-User: ?1", "Upgrade-Insecure-Requests: 1"}, Navigation},
		{"a link of another site", "GET", []string{chromeAccept, navigate, document, "Sec-Fetch-Site: cross-site"}, Navigation},
		{"a HEAD navigation", "HEAD", []string{navigate, document}, Navigation},
		{"a WebView's navigation", "GET", []string{chromeAccept, navigate, document, "X-Requested-With: com.example.app"}, Navigation},
		{"a form", "POST", []string{chromeAccept, navigate, document, "Content-Type: application/x-www-form-urlencoded"}, FormPost},
		{"a form with a file", "POST", []string{chromeAccept, navigate, document, "Content-Type: multipart/form-data; boundary=x"}, FormPost},
		{"a navigation with another method", "PUT", []string{navigate, document}, FormPost},
		{"an iframe", "GET", []string{chromeAccept, navigate, "Sec-Fetch-Dest: iframe"}, Call},
		{"a frame", "GET", []string{chromeAccept, navigate, "Sec-Fetch-Dest: frame"}, Call},
		{"an object", "GET", []string{navigate, "Sec-Fetch-Dest: object"}, Call},
		{"an embed", "GET", []string{navigate, "Sec-Fetch-Dest: embed"}, Call},
		{"a form into an iframe", "POST", []string{chromeAccept, navigate, "Sec-Fetch-Dest: iframe", "Content-Type: text/plain"}, Call},
		{"an image", "GET", []string{"Accept: image/avif,*/*", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"}, Call},
		{"a script", "GET", []string{"Accept: */*", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"}, Call},
		{"fetch", "GET", []string{"Accept: */*", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, Call},
		{"fetch that accepts pages", "GET", []string{"Accept: text/html", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, Call},
		{"a page's parts by script", "GET", []string{"Accept: text/html, application/xhtml+xml", "Sec-Fetch-Mode: same-origin", "Sec-Fetch-Dest: empty"}, Call},
		{"an event stream", "GET", []string{"Accept: text/event-stream", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"}, Call},
		{"a worker", "GET", []string{"Sec-Fetch-Mode: same-origin", "Sec-Fetch-Dest: worker"}, Call},
		{"a WebSocket", "GET", []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-Fetch-Mode: websocket", "Sec-Fetch-Dest: empty"}, WebSocket},
		{"a WebSocket over HTTP/2", "CONNECT", []string{"Sec-Fetch-Mode: websocket", "Sec-Fetch-Dest: websocket"}, WebSocket},
		{"a navigation that upgrades", "GET", []string{navigate, document, "Upgrade: websocket"}, WebSocket},
		{"a prefetch", "GET", []string{chromeAccept, navigate, document, "Sec-Purpose: prefetch"}, Call},
		{"a prerendered page", "GET", []string{chromeAccept, navigate, document, "Sec-Purpose: prefetch;prerender", "Purpose: prefetch"}, Call},
		{"a prefetch for another page", "GET", []string{navigate, document, "Sec-Purpose: prefetch;anonymous-client-ip"}, Call},
		{"an older prefetch", "GET", []string{chromeAccept, "Purpose: Prefetch"}, Call},
		{"another purpose", "GET", []string{chromeAccept, navigate, document, "Sec-Purpose: prefetching"}, Navigation},
		// Fetch Metadata that no browser sends.
		{"a mode without destination", "GET", []string{chromeAccept, navigate}, Call},
		{"a destination without mode", "GET", []string{chromeAccept, document}, Call},
		{"two modes", "GET", []string{chromeAccept, navigate, navigate, document}, Call},
		{"two destinations", "GET", []string{chromeAccept, navigate, document, "Sec-Fetch-Dest: image"}, Call},
		{"a joined destination", "GET", []string{chromeAccept, navigate, "Sec-Fetch-Dest: document, image"}, Call},
		{"upper case", "GET", []string{chromeAccept, "Sec-Fetch-Mode: NAVIGATE", document}, Call},
		{"an empty mode", "GET", []string{chromeAccept, "Sec-Fetch-Mode: ", document}, Call},
		// Without Fetch Metadata.
		{"an older browser", "GET", []string{chromeAccept}, Navigation},
		{"an older browser's HEAD", "HEAD", []string{"Accept: text/html"}, Navigation},
		{"an older script", "GET", []string{chromeAccept, "X-Requested-With: XMLHttpRequest"}, Call},
		{"its empty header", "GET", []string{chromeAccept, "X-Requested-With: "}, Call},
		{"curl", "GET", []string{"Accept: */*"}, Call},
		{"nothing", "GET", nil, Call},
		{"an API's client", "GET", []string{"Accept: application/json"}, Call},
		{"any text", "GET", []string{"Accept: text/*"}, Call},
		{"a longer type", "GET", []string{"Accept: text/html5, application/text/html"}, Call},
		{"a type in a parameter", "GET", []string{"Accept: application/json;x=text/html"}, Call},
		{"pages, not at all", "GET", []string{"Accept: application/json, text/html;q=0"}, Call},
		{"pages, not at all, written long", "GET", []string{"Accept: text/html; level=1; Q=0.000"}, Call},
		{"pages, hardly", "GET", []string{"Accept: application/json, text/html;q=0.001"}, Navigation},
		{"pages, second", "GET", []string{"Accept: application/json,\ttext/html ;q=0.5"}, Navigation},
		{"pages in a second line", "GET", []string{"Accept: application/json", "Accept: Text/HTML"}, Navigation},
		{"a weight that is none", "GET", []string{"Accept: text/html;q="}, Navigation},
		{"an older form", "POST", []string{chromeAccept, "Content-Type: application/x-www-form-urlencoded"}, FormPost},
		{"an older form, upper case", "POST", []string{chromeAccept, "Content-Type: Multipart/Form-Data; boundary=x"}, FormPost},
		{"an older form as text", "POST", []string{chromeAccept, "Content-Type: text/plain"}, FormPost},
		{"an older script's form", "POST", []string{chromeAccept, "Content-Type: application/x-www-form-urlencoded", "X-Requested-With: XMLHttpRequest"}, Call},
		{"JSON", "POST", []string{chromeAccept, "Content-Type: application/json"}, Call},
		{"a POST without a type", "POST", []string{chromeAccept}, Call},
		{"a POST with two types", "POST", []string{chromeAccept, "Content-Type: text/plain", "Content-Type: application/json"}, Call},
		{"a form that accepts anything", "POST", []string{"Accept: */*", "Content-Type: application/x-www-form-urlencoded"}, Call},
		{"a PUT", "PUT", []string{chromeAccept, "Content-Type: application/x-www-form-urlencoded"}, Call},
		{"a DELETE", "DELETE", []string{chromeAccept}, Call},
		{"a preflight", "OPTIONS", []string{chromeAccept}, Call},
		{"a lower-case method", "get", []string{chromeAccept}, Call},
		{"an upgrade by an older browser", "GET", []string{chromeAccept, "Upgrade: h2c"}, WebSocket},
	}
	names := map[Request]string{Navigation: "navigation", FormPost: "form post", WebSocket: "websocket", Call: "call"}
	for _, tt := range tests {
		r := requestOf(tt.method, tt.lines...)
		if got := Classify(r); got != tt.want || got.String() != names[tt.want] {
			t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
		}
		if n := testing.AllocsPerRun(5, func() { Classify(r) }); n > 0 {
			t.Errorf("%s: %.0f allocations", tt.what, n)
		}
	}
}

func TestInitiatorOf(t *testing.T) {
	tests := []struct {
		what  string
		lines []string
		want  Initiator
	}{
		{"a link of the site", []string{"Sec-Fetch-Site: same-origin"}, InitiatorSame},
		{"a form of the site", []string{"Sec-Fetch-Site: same-origin", "Origin: https://app.example.com"}, InitiatorSame},
		{"a typed address", []string{"Sec-Fetch-Site: none", "Sec-Fetch-User: ?1"}, InitiatorSame},
		{"no site, no person", []string{"Sec-Fetch-Site: none"}, InitiatorUnknown},
		{"no site, another person", []string{"Sec-Fetch-Site: none", "Sec-Fetch-User: ?0"}, InitiatorUnknown},
		{"a sibling", []string{"Sec-Fetch-Site: same-site", "Sec-Fetch-User: ?1"}, InitiatorOther},
		{"a stranger", []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-User: ?1"}, InitiatorOther},
		{"a stranger who knows our origin", []string{"Sec-Fetch-Site: cross-site", "Origin: https://app.example.com"}, InitiatorOther},
		{"a new word", []string{"Sec-Fetch-Site: same-party"}, InitiatorOther},
		{"an empty word", []string{"Sec-Fetch-Site: "}, InitiatorOther},
		{"two words", []string{"Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"}, InitiatorOther},
		{"nothing", nil, InitiatorUnknown},
		{"our origin", []string{"Origin: https://app.example.com"}, InitiatorSame},
		{"another host", []string{"Origin: https://evil.example.com"}, InitiatorOther},
		{"another scheme", []string{"Origin: http://app.example.com"}, InitiatorOther},
		{"another port", []string{"Origin: https://app.example.com:8443"}, InitiatorOther},
		{"a longer host", []string{"Origin: https://app.example.com.evil.example"}, InitiatorOther},
		{"an opaque origin", []string{"Origin: null"}, InitiatorOther},
		{"an empty origin", []string{"Origin: "}, InitiatorOther},
		{"two origins", []string{"Origin: https://app.example.com", "Origin: https://app.example.com"}, InitiatorOther},
	}
	origin := originOf(t, "https://app.example.com:443")
	for _, tt := range tests {
		r := requestOf("POST", tt.lines...)
		if got := InitiatorOf(r, origin); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, got, tt.want)
		}
		if n := testing.AllocsPerRun(5, func() { InitiatorOf(r, origin) }); n > 0 {
			t.Errorf("%s: %.0f allocations", tt.what, n)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("GET", "navigate", "document", "text/html,*/*;q=0.8", "", "prefetch;prerender")
	f.Add("POST", "", "", "text/html;q=0, text/html", "text/plain; charset=utf-8", "")
	f.Add("HEAD", "cors", "", ";;q=,,text/html;", "", ",")
	f.Fuzz(func(t *testing.T, method, mode, dest, accept, contentType, purpose string) {
		r := &http.Request{Method: method, Header: http.Header{}}
		for name, value := range map[string]string{"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": dest, "Accept": accept, "Content-Type": contentType, "Sec-Purpose": purpose} {
			if value != "" {
				r.Header[name] = []string{value}
			}
		}
		got := Classify(r)
		reads := method == "GET" || method == "HEAD"
		metadata := mode != "" || dest != ""
		switch {
		case got == WebSocket != (method == "CONNECT"):
			t.Fatal("not by its method")
		case (got == Navigation || got == FormPost) && reads != (got == Navigation):
			t.Fatalf("%s is a %s", method, got)
		case (got == Navigation || got == FormPost) && metadata && (mode != "navigate" || dest != "document"):
			t.Fatalf("a %s to a %s is a %s", mode, dest, got)
		case (got == Navigation || got == FormPost) && !metadata && !strings.Contains(strings.ToLower(accept), "text/html"):
			t.Fatalf("Accept %q is a %s", accept, got)
		case got == FormPost && !metadata && contentType == "":
			t.Fatal("a form without a type")
		}
		r.Header["X-Requested-With"] = []string{"x"}
		if with := Classify(r); !metadata && method != "CONNECT" && with != Call {
			t.Fatalf("an older script's request is a %s", with)
		}
	})
}

func BenchmarkClassify(b *testing.B) {
	for what, r := range map[string]*http.Request{
		"navigation": requestOf("GET", chromeAccept, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: none"),
		"older":      requestOf("GET", chromeAccept),
		"fetch":      requestOf("GET", "Accept: */*", "Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty"),
	} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Classify(r)
			}
		})
	}
}
