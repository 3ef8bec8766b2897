package directory_test

import (
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

func TestAnEmailIsFoundUnderEitherOfItsNames(t *testing.T) {
	for name, c := range map[string]struct {
		profile map[string]any
		want    bool
	}{
		"as Okta calls it":       {map[string]any{"email": "Ada@Example.com"}, true},
		"as LDAP calls it":       {map[string]any{"mail": "ADA@example.com"}, true},
		"one of several":         {map[string]any{"mail": []any{"a.l@example.com", "ada@example.com"}}, true},
		"another's":              {map[string]any{"mail": "eve@example.com"}, false},
		"email goes before mail": {map[string]any{"email": "eve@example.com", "mail": "ada@example.com"}, false},
		"none":                   {map[string]any{"mail": ""}, false},
	} {
		u := &identity.User{ID: "1", Profile: c.profile}
		if got := directory.MatchesSubject(u, "ada@example.com", []string{"email"}); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if directory.MatchesSubject(&identity.User{Profile: map[string]any{"mail": ""}}, "", []string{"email"}) {
		t.Error("an empty address is somebody's")
	}
}
