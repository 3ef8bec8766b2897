package pathmatch

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
)

// readers are ways in which applications find out whether a request is for the
// area /admin, each from the path on the wire, and written without the package
// that lists the readings. A reader gives no answer where it serves nothing.
var readers = map[string]func(wire string) (inside, served bool){
	"compares before it decodes": func(wire string) (bool, bool) {
		first, _, _ := strings.Cut(strings.TrimPrefix(wire, "/"), "/")
		return first == "admin", true
	},
	"the same, in any case": func(wire string) (bool, bool) {
		first, _, _ := strings.Cut(strings.TrimPrefix(wire, "/"), "/")
		return strings.EqualFold(first, "admin"), true
	},
	"decodes, and compares": func(wire string) (bool, bool) {
		p, err := url.PathUnescape(wire)
		first, _, _ := strings.Cut(strings.TrimPrefix(p, "/"), "/")
		return first == "admin", err == nil
	},
	"decodes and cleans": func(wire string) (bool, bool) {
		p, err := url.PathUnescape(wire)
		p = path.Clean(p)
		return p == "/admin" || strings.HasPrefix(p, "/admin/"), err == nil
	},
	"cuts parameters, decodes and cleans": func(wire string) (bool, bool) {
		segments := strings.Split(wire, "/")
		for i := range segments {
			segments[i], _, _ = strings.Cut(segments[i], ";")
		}
		p, err := url.PathUnescape(strings.Join(segments, "/"))
		p = path.Clean(p)
		return p == "/admin" || strings.HasPrefix(p, "/admin/"), err == nil
	},
	"opens files of Windows": func(wire string) (bool, bool) {
		p, err := url.PathUnescape(wire)
		segments := strings.Split(strings.ReplaceAll(p, `\`, "/"), "/")
		for i, s := range segments {
			if s != "." && s != ".." {
				segments[i] = strings.TrimRight(s, ". ")
			}
		}
		p = strings.ToLower(path.Clean(strings.Join(segments, "/")))
		return p == "/admin" || strings.HasPrefix(p, "/admin/"), err == nil
	},
	"decodes twice and cleans": func(wire string) (bool, bool) {
		p, err := url.PathUnescape(wire)
		if err != nil {
			return false, false
		}
		if p, err = url.PathUnescape(p); err != nil {
			return false, false
		}
		p = path.Clean(p)
		return p == "/admin" || strings.HasPrefix(p, "/admin/"), true
	},
	"parses as browsers do": func(wire string) (bool, bool) {
		var out []string
		for s := range strings.SplitSeq(strings.TrimPrefix(wire, "/"), "/") {
			switch strings.ReplaceAll(strings.ToLower(s), "%2e", ".") {
			case ".":
			case "..":
				out = out[:max(0, len(out)-1)]
			default:
				out = append(out, s)
			}
		}
		return len(out) > 0 && out[0] == "admin", true
	},
	"Go's ServeMux": func(wire string) (bool, bool) {
		mux := http.NewServeMux()
		mux.HandleFunc("/admin", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		mux.HandleFunc("/admin/", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
		mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {})
		u, err := url.ParseRequestURI(wire)
		if err != nil {
			return false, false
		}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, &http.Request{Method: http.MethodGet, URL: u, Host: "a", RequestURI: wire})
		return w.Code == http.StatusTeapot, w.Code == http.StatusTeapot || w.Code == http.StatusOK
	},
}

// pieces are what hostile paths are made of.
var pieces = []string{
	"/", "admin", "x", "..", ".", "%2f", "%5c", ";", "%3b", "%2e", "%61dmin", "ADMIN", "%20", "%25", "2f", "%252e%252e", "/admin/", "",
}

// No reader finds itself in the area where the matcher of the area did not take
// the request, nor elsewhere where it did (P55): every path of up to three
// pieces behind each beginning.
func TestReadersAgreeWithMatchers(t *testing.T) {
	area := caddyhttp.MatchPath{"/admin", "/admin/*"}
	matchers := New(caddyhttp.MatcherSets{{&area}}, caddyhttp.RawMatcherSets{{"path": []byte(`["/admin","/admin/*"]`)}}, pathreading.All)
	r := caddyhttp.PrepareRequest(httptest.NewRequest(http.MethodGet, "http://app.example.com/", nil), caddy.NewReplacer(), httptest.NewRecorder(), nil)
	agreed := 0
	compare := func(target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		*r.URL = *u
		match, err := matchers.Match(r)
		if err != nil {
			return
		}
		agreed++
		for name, read := range readers {
			if inside, served := read(u.EscapedPath()); served && inside != match {
				t.Errorf("%s: the matcher says %t, and who %s %t", target, match, name, inside)
			}
		}
	}
	for _, begin := range []string{"/", "/x/", "/admin", "/x/y/.."} {
		for _, a := range pieces {
			for _, b := range pieces {
				for _, c := range pieces {
					compare(begin + a + b + c)
				}
			}
		}
	}
	if agreed < 1000 {
		t.Errorf("only %d paths were read alike by all", agreed)
	}
}
