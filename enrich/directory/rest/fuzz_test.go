package rest

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// FuzzBody proves that whatever is put into a body's places, it stays JSON and
// what was put in can be read back.
func FuzzBody(f *testing.F) {
	f.Add(`{"s":"{subject}","c":{client}}`, `a"b\`, "c")
	f.Add(`["{subject}{subject}",{app}]`, "\u2028</script>", "\\u0041")
	f.Add(`"\"{subject}\\"`, "{client}", "{subject}")
	f.Fuzz(func(t *testing.T, template, subject, client string) {
		b, err := parseBody(template)
		if err != nil {
			return
		}
		text := b.fill(inputs{"subject": subject, "client": client})
		if !json.Valid(text) {
			t.Fatalf("no JSON any more: %q", text)
		}
		one, err := parseBody(`{"a":"{subject}","b":{subject}}`)
		if err != nil {
			t.Fatal(err)
		}
		var back, want struct{ A, B string }
		if err := json.Unmarshal(one.fill(inputs{"subject": subject}), &back); err != nil {
			t.Fatal(err)
		}
		whole, _ := json.Marshal(subject)
		if err := json.Unmarshal(whole, &want.B); err != nil {
			t.Fatal(err)
		}
		if want.A = want.B; back != want {
			t.Errorf("read back %+v, want %+v", back, want)
		}
	})
}

// FuzzAnswer proves that no answer makes a person of somebody else, or one
// that is not canonical, and that reading is repeatable.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		`{"user":{"id":"ada","profile":{"login":"x"}},"groups":["a",{"id":1}]}`,
		`{"user":{"login":"ADA"},"groups":{"x":{"name":"1"}},"app":{"id":"0oa1"},"appuser":{"id":"ada"}}`,
		`{"user":{"id":"bob"},"groups":null}`, `{"user":{"status":"locked_out","created":"2026-01-01T00:00:00Z"}}`, `[1e400]`,
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, paths bool) {
		answer, err := identity.DecodeJSON(text)
		if err != nil {
			return
		}
		c := Config{URL: "https://h/{subject}"}
		if paths {
			c.ProfilePath, c.GroupsPath, c.AppPath = "$.user", "$.groups[*]", "$.app"
		}
		d, err := compile(c)
		if err != nil {
			t.Fatal(err)
		}
		p, err := d.person(answer, "ada")
		if err != nil {
			return
		}
		if p.User.ID == "" || p.User.ID != "ada" && p.User.Login == "" {
			t.Errorf("user %+v", p.User)
		}
		for _, g := range p.Groups {
			if g.ID == "" || !p.GroupsKnown {
				t.Errorf("group %+v, known %v", g, p.GroupsKnown)
			}
		}
		if same, err := identity.Canonical(p.User.Profile); p.User.Profile != nil && (err != nil || !reflect.DeepEqual(same, any(p.User.Profile))) {
			t.Error("the profile is not canonical")
		}
		again, err := d.person(answer, "ada")
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Error("read twice, it differs")
		}
		_, _ = d.appOf(answer)
		_, _ = d.appUserOf(answer, p, "0oa1")
	})
}

// FuzzPath proves that no query makes the parser or the selection panic.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{"$", "$.a[*]", "$..a", "$[?@.a=='b']", "$[?match(@.a,'x.*')]", "$[::-1]", "$['a','b']", "$[?length(@)>1]", "$[-1]"} {
		f.Add(seed, `{"a":[{"a":"b"},null,1.5],"b":{"c":9007199254740993}}`)
	}
	f.Fuzz(func(_ *testing.T, query, text string) {
		p, err := parsePath(query)
		if err != nil {
			return
		}
		answer, err := identity.DecodeJSON([]byte(text))
		if err != nil || len(text) > 4096 {
			return
		}
		_, _, _ = p.all(answer)
		_, _ = p.object(answer)
	})
}
