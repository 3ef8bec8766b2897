package rest

import (
	"net/http"
	"testing"
	"time"
)

func TestAnAnswerIsUsedNoLongerThanItSays(t *testing.T) {
	const unsaid = -1 * time.Second
	for name, c := range map[string]struct {
		header http.Header
		want   time.Duration
	}{
		"nothing said":            {http.Header{}, unsaid},
		"nothing of time":         {http.Header{"Cache-Control": {"private, must-revalidate"}}, unsaid},
		"a minute":                {http.Header{"Cache-Control": {"max-age=60"}}, time.Minute},
		"in any case, in quotes":  {http.Header{"Cache-Control": {`private, Max-Age="60"`}}, time.Minute},
		"of two the shorter":      {http.Header{"Cache-Control": {"max-age=60", "s-maxage=10"}}, 10 * time.Second},
		"part of it is spent":     {http.Header{"Cache-Control": {"max-age=60"}, "Age": {"45"}}, 15 * time.Second},
		"all of it is spent":      {http.Header{"Cache-Control": {"max-age=60"}, "Age": {"61"}}, 0},
		"no-store":                {http.Header{"Cache-Control": {"No-Store, max-age=60"}}, 0},
		"no-cache":                {http.Header{"Cache-Control": {"no-cache"}}, 0},
		"no number":               {http.Header{"Cache-Control": {"max-age=soon"}}, 0},
		"a negative number":       {http.Header{"Cache-Control": {"max-age=-1"}}, 0},
		"a number beyond any age": {http.Header{"Cache-Control": {"max-age=99999999999999999999"}}, (1<<31 - 1) * time.Second},
	} {
		for _, method := range []Config{{}, {Method: http.MethodPost, Body: `{"s":{subject}}`}} {
			method.HonourCache = true
			d, service := answering(t, method, `{"user":{"id":"ada"},"app":{"id":"pay"},"appuser":{"app":"pay"}}`)
			service.header = c.header
			p, err := d.Person(t.Context(), query("ada", ""))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			u, err := d.AppUser(t.Context(), query("ada", ""), "pay")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			for what, keep := range map[string]*time.Duration{"person": p.Keep, "assignment": u.Keep} {
				if (keep == nil) != (c.want == unsaid) || keep != nil && *keep != c.want {
					t.Errorf("%s, %s: %v, want %v", name, what, keep, c.want)
				}
			}
		}
	}
	d, service := answering(t, Config{}, `{"user":{"id":"ada"}}`)
	service.header = http.Header{"Cache-Control": {"no-store"}}
	if p, err := d.Person(t.Context(), query("ada", "")); err != nil || p.Keep != nil {
		t.Errorf("without being told to: %+v, %v", p, err)
	}
}

func TestAConfirmationSaysForHowLong(t *testing.T) {
	d, service := answering(t, Config{HonourCache: true, AppURL: "https://profiles.example/apps/{app}"}, `{"user":{"id":"ada"},"app":{"id":"pay"}}`)
	service.header = http.Header{"Etag": {`"1"`}, "Cache-Control": {"max-age=60"}}
	for step, c := range []struct {
		status int
		said   string
		want   time.Duration
	}{{200, "max-age=60", time.Minute}, {304, "max-age=5", 5 * time.Second}, {304, "", time.Minute}} {
		service.status, service.header = c.status, http.Header{"Etag": {`"1"`}}
		if c.said != "" {
			service.header.Set("Cache-Control", c.said)
		}
		p, err := d.Person(t.Context(), query("ada", ""))
		if err != nil || p.Keep == nil || *p.Keep != c.want {
			t.Errorf("step %d: %+v, %v", step, p, err)
		}
		a, err := d.App(t.Context(), "pay")
		if err != nil || a.Keep == nil || *a.Keep != c.want {
			t.Errorf("step %d: %+v, %v", step, a, err)
		}
	}
}
