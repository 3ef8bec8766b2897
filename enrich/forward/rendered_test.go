package forward

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
)

func siteminder(t testing.TB) (*HeaderPlan, *RenderedHeaders) {
	t.Helper()
	c := mustCompile(t, Definition{
		Preset: "siteminder",
		Headers: []HeaderDefinition{
			{Name: "X-User-Groups", Claim: "groups", List: "repeat"},
			{Name: "X-User-Mail", Claim: "mail"},
			{Name: "X-User-Parts", Claim: "parts", OnOverflow: "split", MaxBytes: 3},
		},
		HeadersFrom: []HeadersFrom{{Prefix: "X-Claim-"}},
	})
	r, err := c.Render(map[string]any{"preferred_username": "ada", "groups": list("a", "b"), "parts": list("abc", "def")})
	if err != nil {
		t.Fatal(err)
	}
	return c, r
}

func TestWriteReplacesWhateverStandsThere(t *testing.T) {
	_, r := siteminder(t)
	h := http.Header{
		"X-User-Groups":  {"admin", "root"},
		"X-User-Mail":    {"eve@example.com"}, // ours, but empty this time
		"X-User-Parts":   {"admin"},           // ours, but split this time
		"X-User-Parts-3": {"admin"},
		"X_user.parts^9": {"admin"},
		"Sm_user":        {"eve"},
		"Sm_userdn":      {"cn=eve"},
		"X-Claim-Role":   {"admin"},
		"X_CLAIM_ROLE":   {"admin"},
		"Accept":         {"*/*"},
	}
	r.Write(h)
	want := http.Header{
		"SM_USER": {"ada"}, "SM_USERGROUPS": {"a^b"}, "X-User-Groups": {"a", "b"},
		"X-User-Parts-1": {"abc"}, "X-User-Parts-2": {"def"},
		"X-Claim-Preferred_username": {"ada"}, "X-Claim-Groups": {"a,b"}, "X-Claim-Parts": {"abc,def"},
		"Accept": {"*/*"},
	}
	if !reflect.DeepEqual(h, want) {
		t.Errorf("writes %q\nwant %q", h, want)
	}
}

func TestWhatLaterHandlersEditStaysWithTheRequest(t *testing.T) {
	_, r := siteminder(t)
	pristine := http.Header{}
	r.Write(pristine)
	pristine = pristine.Clone()

	first, second := http.Header{}, http.Header{}
	r.Write(first)
	r.Write(second)
	for key, values := range first { // as request_header and header_up do
		for i := range values {
			first[key][i] = "edited"
		}
		first[key] = append(first[key], "appended")
		first.Add(key, "added")
	}
	if !reflect.DeepEqual(second, pristine) {
		t.Errorf("another request now has %q", second)
	}
	third := http.Header{}
	r.Write(third)
	if !reflect.DeepEqual(third, pristine) {
		t.Errorf("the next request gets %q", third)
	}
	// Nor may one header's values run into the next one's.
	fourth := http.Header{}
	r.Write(fourth)
	fourth["SM_USER"] = append(fourth["SM_USER"], "appended")
	delete(fourth, "SM_USER")
	expect := pristine.Clone()
	delete(expect, "SM_USER")
	if !reflect.DeepEqual(fourth, expect) {
		t.Errorf("appending to one header changed another: %q", fourth)
	}
	// What Fields shows is not what is written from.
	for _, f := range r.Fields() {
		for i := range f.Values {
			f.Values[i] = "edited"
		}
	}
	if f := r.Fields()[0]; f.Values[0] != "ada" {
		t.Errorf("editing Fields changed what it shows next: %q", f.Values)
	}
	fifth := http.Header{}
	r.Write(fifth)
	if !reflect.DeepEqual(fifth, pristine) {
		t.Errorf("editing Fields changed what is written: %q", fifth)
	}
}

func TestWriteFromManyRequestsAtOnce(t *testing.T) {
	c, r := siteminder(t)
	o := NewReservedNames(c)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 200 {
				req := httptest.NewRequest(http.MethodGet, "/", nil)
				req.Header.Set("X-User-Mail", "eve")
				o.Scrub(req)
				r.Write(req.Header)
				for key := range req.Header {
					req.Header[key][0] += "!"
				}
				if got := req.Header["SM_USER"][0]; got != "ada!" {
					t.Errorf("another request's edit came through: %q", got)
				}
			}
		})
	}
	wg.Wait()
}

func TestNothingRenderedWritesNothing(t *testing.T) {
	var r *RenderedHeaders
	h := http.Header{"Accept": {"*/*"}}
	r.Write(h)
	if len(h) != 1 || r.Weight() != 0 || r.Fields() != nil || r.Outcomes() != nil {
		t.Error("a nil rendering is not empty")
	}
	empty, err := mustCompile(t, Definition{}).Render(nil)
	if err != nil {
		t.Fatal(err)
	}
	empty.Write(h)
	if len(h) != 1 || empty.bytes != 0 {
		t.Errorf("an empty contract writes %v", h)
	}
}

func TestWeightCoversTheText(t *testing.T) {
	c := mustCompile(t, header1(HeaderDefinition{}))
	r, err := c.Render(map[string]any{"c": strings.Repeat("v", 4000)})
	if err != nil {
		t.Fatal(err)
	}
	if w := r.Weight(); w < 4000 || w > 4600 {
		t.Errorf("4,000 bytes of value weigh %d", w)
	}
}

func TestExactSpellingReachesAnHTTP1Upstream(t *testing.T) {
	_, r := siteminder(t)
	seen := make(chan string, 1)
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {}))
	defer upstream.Close()
	target, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(target)
			r.Write(p.Out.Header)
		},
		Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			var wire strings.Builder
			if err := req.Write(&wire); err != nil {
				return nil, err
			}
			seen <- wire.String()
			return &http.Response{StatusCode: 200, Body: http.NoBody, Header: http.Header{}}, nil
		}),
	}
	proxy.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	if wire := <-seen; !strings.Contains(wire, "\r\nSM_USER: ada\r\n") || strings.Contains(wire, "Sm_user") {
		t.Errorf("on the wire:\n%s", wire)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
