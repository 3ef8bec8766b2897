package rest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

func TestAnAnswerIsConfirmedOnlyWhenToldTo(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		header http.Header
		asks   string // what the second question's conditions are
	}{
		"by ETag":                  {Config{HonourCache: true}, http.Header{"Etag": {`W/"1"`}}, `W/"1",`},
		"by time":                  {Config{HonourCache: true}, http.Header{"Last-Modified": {"Mon, 05 Jan 2026 00:00:00 GMT"}}, ",Mon, 05 Jan 2026 00:00:00 GMT"},
		"max-age is no answer":     {Config{HonourCache: true}, http.Header{"Etag": {`"1"`}, "Cache-Control": {"max-age=3600"}}, `"1",`},
		"not without being told":   {Config{}, http.Header{"Etag": {`"1"`}}, ","},
		"not with nothing to name": {Config{HonourCache: true}, nil, ","},
		"not with no-store":        {Config{HonourCache: true}, http.Header{"Etag": {`"1"`}, "Cache-Control": {"private, No-Store"}}, ","},
		"not by POST":              {Config{HonourCache: true, Method: "POST", Body: `{"s":{subject}}`}, http.Header{"Etag": {`"1"`}}, ","},
	} {
		t.Run(name, func(t *testing.T) {
			d, service := answering(t, c.config, `{"user":{"id":"ada"},"groups":["a"]}`)
			service.header = c.header
			for range 2 {
				if _, err := d.Person(t.Context(), query("ada", "")); err != nil {
					t.Fatal(err)
				}
			}
			if len(service.asked) != 2 {
				t.Fatalf("asked %d times", len(service.asked))
			}
			h := service.asked[1].Header
			if got := h.Get("If-None-Match") + "," + h.Get("If-Modified-Since"); got != c.asks {
				t.Errorf("conditions %q, want %q", got, c.asks)
			}
		})
	}
}

func TestAConfirmedAnswerIsUsedAndACorrectedOneIsNot(t *testing.T) {
	d, service := answering(t, Config{HonourCache: true}, `{"user":{"id":"ada"},"groups":["a"]}`)
	service.header = http.Header{"Etag": {`"1"`}}
	ask := func() (string, error) {
		p, err := d.Person(t.Context(), query("ada", ""))
		if err != nil {
			return "", err
		}
		return p.Groups[0].ID, nil
	}
	steps := []struct {
		name   string
		status int
		body   string
		etag   string
		want   string
		err    error
	}{
		{"first", 200, `{"user":{"id":"ada"},"groups":["a"]}`, `"1"`, "a", nil},
		{"unchanged", 304, "", `"1"`, "a", nil},
		{"changed", 200, `{"user":{"id":"ada"},"groups":["b"]}`, `"2"`, "b", nil},
		{"unchanged again", 304, "", `"2"`, "b", nil},
		{"down", 500, "", "", "", directory.ErrUnavailable},
		{"gone", 404, "", "", "", directory.ErrNotFound},
		{"not changed of nothing", 304, "", "", "", directory.ErrUnavailable},
	}
	for _, s := range steps {
		service.status, service.body, service.header = s.status, s.body, http.Header{"Etag": {s.etag}}
		if got, err := ask(); got != s.want || !errors.Is(err, s.err) {
			t.Errorf("%s: %q, %v; want %q, %v", s.name, got, err, s.want, s.err)
		}
	}
	other := service.asked[len(service.asked)-1].Header
	if other.Get("If-None-Match") != "" {
		t.Error("an answer is held for a user who is gone")
	}
}

func TestWhatIsHeldIsBounded(t *testing.T) {
	h := newHeld()
	big := &fetch.Response{Header: http.Header{"Etag": {`"1"`}}, Body: []byte(strings.Repeat("x", maxHeldAnswer-64))}
	for i := range 200 {
		h.keep(fmt.Sprintf("/u/%d", i), big)
		h.get("/u/0")
	}
	if h.size > maxHeld || h.recent.Len() != len(h.byURL) || h.recent.Len() < 10 {
		t.Errorf("%d bytes in %d answers", h.size, h.recent.Len())
	}
	if h.get("/u/0") == nil || h.get("/u/1") != nil || h.get("/u/199") == nil {
		t.Error("it is not the least lately used that went")
	}
	h.keep("/u/0", &fetch.Response{Header: http.Header{"Etag": {`"2"`}}, Body: make([]byte, maxHeldAnswer)})
	if h.get("/u/0") != nil {
		t.Error("one answer over its bound is held, or the one before it still is")
	}
	for url := range h.byURL {
		h.drop(url)
	}
	if h.size != 0 || h.recent.Len() != 0 {
		t.Errorf("%d bytes of nothing", h.size)
	}
}
