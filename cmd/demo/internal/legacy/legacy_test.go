package legacy

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func show(t *testing.T, accept string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/pay?<b>=1", nil)
	r.Header["X-Groups"] = []string{"a<script>", "b"}
	r.Header.Set("X-Gateway-Token", "e30."+base64.RawURLEncoding.EncodeToString([]byte(`{"login":"ada"}`))+".c2ln")
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	Handler().ServeHTTP(w, r)
	return w
}

func TestTextShowsEveryLine(t *testing.T) {
	w := show(t, "*/*")
	if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("media type %q", got)
	}
	want := "GET /pay?<b>=1 HTTP/1.1\nAccept: */*\nHost: example.com\nX-Gateway-Token: e30.eyJsb2dpbiI6ImFkYSJ9.c2ln\nX-Groups: a<script>\nX-Groups: b\n"
	if w.Body.String() != want {
		t.Errorf("got\n%s\nwant\n%s", w.Body.String(), want)
	}
}

func TestPageEscapesWhatItShows(t *testing.T) {
	w := show(t, "text/html,application/xhtml+xml")
	if got := w.Header().Get("Content-Type"); got != "text/html; charset=utf-8" {
		t.Errorf("media type %q", got)
	}
	body := w.Body.String()
	for _, s := range []string{"a&lt;script&gt;", "<td>b</td>", "&#34;login&#34;: &#34;ada&#34;"} {
		if !strings.Contains(body, s) {
			t.Errorf("the page lacks %s", s)
		}
	}
	for _, s := range []string{"<script", "<b>"} {
		if strings.Contains(body, s) {
			t.Errorf("the page holds %s as it came", s)
		}
	}
}
