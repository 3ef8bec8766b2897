package fetch

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
)

func TestBodiesAreOneJSONValue(t *testing.T) {
	r := &Response{Body: []byte(`{"a":12345678901234567890,"b":[1,2.5]}`)}
	o, err := r.Object()
	if err != nil || !reflect.DeepEqual(o, map[string]any{"a": json.Number("12345678901234567890"), "b": []any{int64(1), 2.5}}) {
		t.Errorf("object %#v, %v", o, err)
	}
	var into struct{ B []any }
	if err := r.Decode(&into); err != nil || !reflect.DeepEqual(into.B, []any{json.Number("1"), json.Number("2.5")}) {
		t.Errorf("decoded %#v, %v", into, err)
	}
	for _, text := range []string{"", "{", "{} {}", "[]", `"ada@example.com"`, "<html>", "nul", " null\n"} {
		r := &Response{Body: []byte(text)}
		_, err := r.Object()
		into := struct{ A int }{}
		for _, err := range []error{err, r.Decode(&into)} {
			if !errors.Is(err, directory.ErrMalformed) || strings.Contains(err.Error(), "ada") {
				t.Errorf("%q: %v", text, err)
			}
		}
	}
}

func TestAnyNameIsOneSegmentOrNone(t *testing.T) {
	for name, subject := range directorytest.Hostile() {
		segment, err := PathSegment(subject)
		if err != nil {
			if !errors.Is(err, directory.ErrNotFound) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		u, err := url.Parse("https://host/profile/" + segment + "?x=" + QueryValue(subject))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := strings.TrimPrefix(u.Path, "/profile/"); got != subject || strings.Count(u.EscapedPath(), "/") != 2 || u.Fragment != "" {
			t.Errorf("%s: the path reads %q", name, u.EscapedPath())
		}
		if got := u.Query().Get("x"); got != subject {
			t.Errorf("%s: the query reads %q", name, got)
		}
	}
	for _, name := range []string{"", ".", "..", "../x", "x/..", `x\..`, "./x", "a/./b", "//..//"} {
		if s, err := PathSegment(name); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%q is written as %q", name, s)
		}
	}
}

func TestTemplates(t *testing.T) {
	for _, c := range []struct{ template, value, base, want string }{
		{"https://host/profile/{subject}", "a b/c", "https://host", "/profile/a%20b%2Fc"},
		{"https://host:8443/p?user={subject}&app={app}", "a&b=c", "https://host:8443", "/p?user=a%26b%3Dc&app=x%2Fy"},
		{"https://host?u={subject}", "../x", "https://host", "?u=..%2Fx"},
		{"https://host/fixed", "a", "https://host", "/fixed"},
		{"https://host/{subject}/of/{app}", "{app}", "https://host", "/%7Bapp%7D/of/x%2Fy"},
	} {
		p, err := ParseTemplate(c.template, "subject", "app")
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		got, err := p.Expand(map[string]string{"subject": c.value, "app": "x/y"})
		if err != nil || got != c.want || p.Base() != c.base || p.Has("subject") != strings.Contains(c.template, "{subject}") {
			t.Errorf("%s: %q %q, %v; want %q", c.template, p.Base(), got, err, c.want)
		}
	}
	p, err := ParseTemplate("https://host/{subject}/x", "subject")
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"", "..", "../admin"} {
		if got, err := p.Expand(map[string]string{"subject": value}); !errors.Is(err, directory.ErrNotFound) || got != "" {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
	for template, want := range map[string]string{
		"https://{subject}.host/x":         "is not allowed in scheme, host or port",
		"https://host:{subject}/x":         "is not allowed in scheme, host or port",
		"{subject}://host/x":               "is not allowed in scheme, host or port",
		"https://{subject}@host/":          "is not allowed in scheme, host or port",
		"https://host/{subjcet}":           `unknown placeholder {subjcet} (did you mean "subject"?)`,
		"https://host/{subject":            "unbalanced brace",
		"https://host/subject}":            "unbalanced brace",
		"https://host/#{subject}":          "a fragment is never sent",
		"/profile/{subject}":               "want https://host",
		"https://host/%zz":                 "not a URL",
		strings.Repeat("x", maxTemplate+1): "over 4096 bytes",
	} {
		if _, err := ParseTemplate(template, "subject"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", template, err, want)
		}
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range directorytest.Hostile() {
		f.Add("https://host/profile/{subject}?q={subject}", s)
	}
	f.Fuzz(func(t *testing.T, template, subject string) {
		p, err := ParseTemplate(template, "subject")
		if err != nil {
			return
		}
		text, err := p.Expand(map[string]string{"subject": subject})
		if err != nil {
			return
		}
		before, err1 := url.Parse(p.Base())
		after, err2 := url.Parse(p.Base() + text)
		if err1 == nil && err2 == nil && before.Host != after.Host {
			t.Fatalf("a subject moves the request from %q to %q", before.Host, after.Host)
		}
	})
}
