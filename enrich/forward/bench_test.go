package forward

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

// browserRequest has the 20 headers that a browser behind a proxy sends.
func browserRequest() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{}
	for name, value := range map[string]string{
		"Accept":                    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
		"Accept-Encoding":           "gzip, deflate, br, zstd",
		"Accept-Language":           "en-GB,en;q=0.5",
		"Authorization":             "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln",
		"Cache-Control":             "no-cache",
		"Connection":                "keep-alive",
		"Cookie":                    "_ga=GA1.2.1234567890.1234567890; session=0123456789abcdef0123456789abcdef; theme=dark; lang=en",
		"Dnt":                       "1",
		"If-Modified-Since":         "Thu, 01 Jan 2026 00:00:00 GMT",
		"Origin":                    "https://app.example.com",
		"Pragma":                    "no-cache",
		"Referer":                   "https://app.example.com/start",
		"Sec-Ch-Ua-Platform":        `"Linux"`,
		"Sec-Fetch-Dest":            "document",
		"Sec-Fetch-Mode":            "navigate",
		"Sec-Fetch-Site":            "same-origin",
		"Upgrade-Insecure-Requests": "1",
		"User-Agent":                "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
		"X-Forwarded-For":           "192.0.2.1",
		"X-Requested-With":          "XMLHttpRequest",
	} {
		r.Header.Set(name, value)
	}
	return r
}

func fiveHeaders() []HeaderDefinition {
	return []HeaderDefinition{
		{Name: "X-User", Claim: "login"},
		{Name: "X-User-Mail", Claim: "email"},
		{Name: "X-User-Name", Claim: "name", Encode: "rfc8187"},
		{Name: "X-User-Department", Claim: "department"},
		{Name: "X-User-Groups", Claim: "groups", Escape: "percent"},
	}
}

func twentyGroups() map[string]any {
	groups := make([]any, 20)
	for i := range groups {
		groups[i] = fmt.Sprintf("Application Group %d", i)
	}
	return map[string]any{
		"login": "ada.lovelace", "email": "ada.lovelace@example.com", "name": "Ada Lovelåce", "department": "Analytical Engines", "groups": groups,
	}
}

func tenOwned(t testing.TB) *ReservedNames {
	return NewReservedNames(
		mustCompile(t, Definition{Headers: fiveHeaders()}),
		mustCompile(t, Definition{Preset: "siteminder", HeadersFrom: []HeadersFrom{{Prefix: "X-Claim-"}}}, Target{Cookie: "app_token"}),
	)
}

func BenchmarkRender(b *testing.B) {
	c := mustCompile(b, Definition{Headers: fiveHeaders()})
	claims := twentyGroups()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Render(claims); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	r, err := mustCompile(b, Definition{Headers: fiveHeaders()}).Render(twentyGroups())
	if err != nil {
		b.Fatal(err)
	}
	h := browserRequest().Header
	b.ReportAllocs()
	for b.Loop() {
		r.Write(h)
	}
}

func BenchmarkScrub(b *testing.B) {
	r, o := browserRequest(), tenOwned(b)
	b.ReportAllocs()
	for b.Loop() {
		o.Scrub(r)
	}
}

func BenchmarkScrubWithoutCookieTarget(b *testing.B) {
	r := browserRequest()
	o := NewReservedNames(
		mustCompile(b, Definition{Headers: fiveHeaders()}),
		mustCompile(b, Definition{Preset: "siteminder"}),
		mustCompile(b, Definition{Preset: "remote_user"}),
	)
	b.ReportAllocs()
	for b.Loop() {
		o.Scrub(r)
	}
}
