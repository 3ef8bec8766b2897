package login

import (
	"net/url"
	"path"
	"strings"
	"testing"
)

func TestAPagesOwnAddressSurvivesByteForByte(t *testing.T) {
	for _, target := range []string{
		"/", "/a", "/a/", "/a/b.html", "/?", "/?q", "/a?b=c&d=%20e+f", "/a?next=https%3A%2F%2Fx", "/a?next=https://evil.example//x", "/a?next=//evil.example",
		"/a?path=C:\\dir", "/a?text=%0D%0Aline", "/a?%5c%2f%2f", "/a??b", "/a?b=/../..//c", "/a?b={c}|^`\"<>'",
		"/my%20file", "/caf%C3%A9", "/caf%E9", "/%E0%E0", "/%E6%96%87/%F0%9F%98%80", "/%D9%85%DB%8C%E2%80%8C%D8%AE", "/100%25", "/a%2Fb", "/a%2fb%2Fc", "/a;v=1/b;jsessionid=2?c", "/;jsessionid=1",
		"/@evil.example", "/.evil.example", "/:80", "/:80/a", "/a:b@c", "/a/../b", "/./a", "/a/..", "/..a", "/...", "/~anna/", "/(a)/!$&'*+,=", "/javascript:alert(1)",
		"/.token-enrich/login?return=/a", "/http:/evil.example", "/a%3Fb%23c", "/%2525",
		"/" + strings.Repeat("a", maxReturn-1),
	} {
		if got, ok := ReturnTarget(target); !ok || got != target {
			t.Errorf("%q became %q, %v", target, got, ok)
		}
	}
}

func TestALongAddressBecomesTheRoot(t *testing.T) {
	for _, target := range []string{
		"/" + strings.Repeat("a", maxReturn), "/?" + strings.Repeat("a", maxReturn), "//" + strings.Repeat("a", 1<<20), "/" + strings.Repeat("%25", 1<<20),
	} {
		if got, ok := ReturnTarget(target); !ok || got != "/" {
			t.Errorf("one of %d bytes became %.20q, %v", len(target), got, ok)
		}
	}
}

// misleading are addresses that have led to another site somewhere: in browsers, or in
// servers that read the path once more before they redirect to it.
func misleading() []string {
	return []string{
		"", "a", "evil.example", "./a", "../a", "?a", "#a", "@evil.example", ".evil.example", ":80", " ", " /a", "\t/a", "\n/a", "\x00/a", "\ufeff/a",
		// Absolute addresses, with all that browsers forgive.
		"https://evil.example", "HTTPS://evil.example", "https:/evil.example", "https:evil.example", "https:///evil.example", "https:\\\\evil.example", "http:\n//evil.example",
		"ftp://evil.example", "javascript:alert(1)", "java\tscript:alert(1)", "data:text/html,x", "blob:https://evil.example/x", "\x01https://evil.example", "mailto:a@evil.example",
		"https://app.example.com@evil.example", "https://app.example.com.evil.example", "https://evil.example#app.example.com", "https://evil.example\\@app.example.com",
		// Two slashes, and what is taken for them.
		"//", "//evil.example", "///evil.example", "////evil.example", "//evil.example/..", "//evil.example/%2e%2e", "//app.example.com@evil.example", "//evil%00.example", "//@evil.example",
		"/\\evil.example", "\\/evil.example", "\\\\evil.example", "/\\/evil.example", "//\\evil.example", "/a\\b", "/a/\\evil.example", "/..\\evil.example", "\\a",
		"/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "/\r\n/evil.example", "/\x00/evil.example", "/\x0b/evil.example", "/\x7f/evil.example", "/ /evil.example", "/a\tb", "/a\r\nSet-Cookie: a=b",
		"/.//evil.example", "/..//evil.example", "/a/..//evil.example", "/a/../..//evil.example", "/././/evil.example", "/a//b", "/a//", "/%2e//evil.example", "/%2e%2e//evil.example",
		// Encoded once.
		"/%2f", "/%2F", "/%2fevil.example", "/%2F/evil.example", "/%2f%2fevil.example", "%2f%2fevil.example", "/%2f%5cevil.example", "/%5cevil.example", "/%5Cevil.example", "/%5c%5cevil.example",
		"/a%2f/b", "/a/%2fb", "/a%5cb", "/.%2f/evil.example", "/..%2f%2fevil.example", "/%2e%2f%2fevil.example", "/%2e%2e%2f/evil.example", "/.%2f%2fevil.example",
		"/%09/evil.example", "/%0a/evil.example", "/%0d/evil.example", "/%0d%0a/evil.example", "/%00/evil.example", "/%0b/evil.example", "/%1f/evil.example", "/%7f/evil.example", "/a%0d%0aSet-Cookie:%20a=b", "/a%00b",
		"/%20/evil.example", "/%20%2fevil.example", "/%c2%a0/evil.example", "/%e3%80%80/evil.example", "/%c2%85/evil.example", "/%c2%85a", "/%e2%80%a8a", "/%e2%80%a9a",
		"/%e2%80%8b/evil.example", "/%ef%bb%bf/evil.example", "/%c2%ad/evil.example", "/%e2%80%8d%2fevil.example",
		// Encoded twice and more often.
		"/%252f", "/%252fevil.example", "/%252F%252Fevil.example", "/%255cevil.example", "/%2509/evil.example", "/%250a", "/%250d%250aa", "/%2500", "/%25%32%66evil.example", "/%25%35%63evil.example",
		"/%25252fevil.example", "/%2525252fevil.example", "/%25252525252fevil.example", "/%2525252525", "/%25255c",
		// Letters that stacks make slashes of.
		"/%ef%bc%8fevil.example", "/%EF%BC%8F%EF%BC%8Fevil.example", "/%ef%bc%bcevil.example", "/%ef%b9%a8evil.example", "/%e2%81%84evil.example", "/%e2%88%95evil.example", "/%e2%a7%b8evil.example", "/%e2%88%96a", "/%e2%a7%b5a",
		"/%ef%bc%852fevil.example", "/%ef%b9%aa5cevil.example", "/%25ef%25bc%258fevil.example",
		"/%c0%afevil.example", "/%c0%2fevil.example%c0%af/", "/%e0%80%afevil.example", "/%f0%80%80%afevil.example", "/%c1%9cevil.example", "/%e0%81%9cevil.example", "/%f0%80%81%9cevil.example", "/%c0%8a", "/%25c0%25afevil.example",
		"/%u002fevil.example", "/%25u002fevil.example", "/%25U005cevil.example", "/%25uff0fevil.example", "/%25u000aa",
		"/／evil.example", "／／evil.example", "/＼evil.example", "/。evil.example", "/é", "/\u2028", "/\xc0\xaf", "/\xff", "/a?é", "/a?b c", "/a?\x00", "/a?\r\nb", "/a?\t",
		// Parameters of segments, which some servers leave out.
		"/;/evil.example", "/;a=b/evil.example", "/;/;/evil.example", "/%3b/evil.example", "/a/;b/c", "/.;//evil.example", "/;%2fevil.example",
		// Not an address, or with a fragment, which servers never see.
		"/%", "/%2", "/%zz", "/a%", "/a#b", "/#", "/#//evil.example", "/a?b#c",
	}
}

func TestWhatCouldLeadElsewhereIsNoReturnTarget(t *testing.T) {
	for _, target := range misleading() {
		if got, ok := ReturnTarget(target); ok || got != "" {
			t.Errorf("%q became %q", target, got)
		}
	}
}

// resolve is where a browser goes from the site's page with that address (WHATWG URL,
// sections 4.4 and 4.5): white space around it and line ends within are left out, and
// a backslash before the query is a slash.
func resolve(t *testing.T, address string) *url.URL {
	t.Helper()
	address = strings.TrimFunc(address, func(r rune) bool { return r <= ' ' })
	address = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(address)
	before, query, found := strings.Cut(address, "?")
	before = strings.ReplaceAll(before, "\\", "/")
	if strings.HasPrefix(before, "//") { // any number of them begins a host
		before = "//" + strings.TrimLeft(before, "/")
	}
	if found {
		before += "?" + query
	}
	base, err := url.Parse("https://app.example.com/page/one?x#y")
	if err != nil {
		t.Fatal(err)
	}
	u, err := base.Parse(before)
	if err != nil {
		t.Fatalf("%q cannot be resolved: %v", address, err)
	}
	return u
}

// stays fails the test where a return target leaves the site: as it is, or as it is
// after a server decoded and cleaned its path.
func stays(t *testing.T, target string) {
	t.Helper()
	if u := resolve(t, target); u.Scheme != "https" || u.Host != "app.example.com" || u.User != nil {
		t.Fatalf("%q leads to %s", target, u)
	}
	if len(target) > maxReturn || strings.ContainsFunc(target, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		t.Fatalf("%q is no header's value", target)
	}
	reading, _, _ := strings.Cut(target, "?")
	for range 6 {
		decoded, err := url.PathUnescape(reading)
		if err != nil {
			return // a strict server goes no further
		}
		reading = decoded
		for _, r := range []string{reading, path.Clean(reading), strings.TrimPrefix(reading, "/.")} {
			if strings.HasPrefix(r, "//") || strings.HasPrefix(r, "/\\") || strings.ContainsAny(r, "\\\r\n\t\x00") {
				t.Fatalf("%q is read as %q", target, r)
			}
		}
	}
}

func FuzzReturnTarget(f *testing.F) {
	for _, target := range misleading() {
		f.Add(target)
	}
	f.Add("/a?next=https%3A%2F%2Fx")
	f.Add("/caf%E9/100%25;v=1/%E6%96%87")
	f.Fuzz(func(t *testing.T, target string) {
		got, ok := ReturnTarget(target)
		if !ok {
			if got != "" {
				t.Fatalf("%q is none and became %q", target, got)
			}
			return
		}
		if got != target && (got != "/" || len(target) <= maxReturn) {
			t.Fatalf("%q became %q", target, got)
		}
		stays(t, got)
		if again, ok := ReturnTarget(got); !ok || again != got {
			t.Fatalf("%q became %q the second time", got, again)
		}
	})
}

// All short addresses of the letters that matter: none that is taken leaves the site.
func TestNoShortReturnTargetLeavesTheSite(t *testing.T) {
	parts := []string{"/", "\\", ".", "%2f", "%5c", "%2e", "%25", "2f", "%09", "\t", ";", "?", "@", ":", "e"}
	taken := 0
	var extend func(target string, more int)
	extend = func(target string, more int) {
		if got, ok := ReturnTarget(target); ok {
			stays(t, got)
			taken++
		}
		if more == 0 {
			return
		}
		for _, part := range parts {
			extend(target+part, more-1)
		}
	}
	extend("", 4)
	extend("/", 4)
	if taken < 1000 {
		t.Errorf("only %d addresses were taken: the test shows little", taken)
	}
}

func BenchmarkReturnTarget(b *testing.B) {
	for what, target := range map[string]string{"ordinary": "/reports/2026?q=a%20b", "hostile": "/" + strings.Repeat("%2525", 200)} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ReturnTarget(target)
			}
		})
	}
}
