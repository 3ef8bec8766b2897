package oktael

import (
	"slices"
	"testing"
)

func TestWhatAMemberIsComparedWith(t *testing.T) {
	for _, tc := range []struct {
		source   string
		literals []string
		only     bool
	}{
		{`request.path == "/a"`, []string{"/a"}, true},
		{`request["path"] != "/a" AND user.email == "x"`, []string{"/a"}, true},
		{`!String.startsWith(request.path, "/a/") OR request.path.contains("b")`, []string{"/a/", "b"}, true},
		{`request.path matches "^/x/[A-Z]"`, []string{"^/x/[A-Z]"}, true},
		{`{"/a", "/b"}.contains(request.path)`, []string{"/a", "/b"}, true},
		{`String.len(request.path) > 3`, nil, true},
		{`request.path == claims.home`, nil, false},
		{`request.path == "/" + token.sub`, []string{"/"}, false},
		{`request.path == request.host`, nil, false},
		{`request["pa" + "th"] == "/a"`, nil, false},
		{`(request.method == "GET" ? request.path : "/a") == "/a"`, []string{"GET", "/a", "/a"}, false},
		{`groups.?[name == request.path].size() > 0`, nil, false},
		{`request.method == "GET"`, nil, false},
		{`getFilteredGroups({"g"}, "request.path", 1) != null`, nil, false},
	} {
		p, err := Compile(tc.source, Options{Inputs: AllInputs &^ InputVars})
		if err != nil {
			t.Errorf("%s: %v", tc.source, err)
			continue
		}
		literals, only := p.MemberLiterals("request", "path")
		if !slices.Equal(literals, tc.literals) || only != tc.only {
			t.Errorf("%s: %q, %t; want %q, %t", tc.source, literals, only, tc.literals, tc.only)
		}
	}
}
