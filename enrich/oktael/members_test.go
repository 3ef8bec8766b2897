package oktael

import (
	"slices"
	"testing"
)

func TestReadsMemberTellsWhichMembersOfARootAreRead(t *testing.T) {
	for _, tc := range []struct {
		source string
		want   bool
	}{
		{`request.method == "GET"`, false},
		{`request.path == "/host"`, false},
		{`request.host == "a.example.com"`, true},
		{`request.path == "/" OR request.host == "a"`, true},
		{`request["host"] == "a"`, true},
		{`String.len(request.host) > 3`, true},
		{`user.host == "a"`, false},
		{`request["path"] == "/host"`, false},
		{`request["ho" + "st"] == "a"`, true},
		{`request?.host == "a"`, true},
		{`request == null`, true},
		{`request.path == "/" OR getFilteredGroups({"g"}, "request.host", 1) != null`, true},
		{`request.path == "/" OR getFilteredGroups({"g"}, "request.path", 1) != null`, false},
		{`request.path == "/" OR groups.?[profile.host == request.host].size() > 0`, true},
	} {
		p, err := Compile(tc.source, Options{Inputs: AllInputs &^ InputVars})
		if err != nil {
			t.Fatalf("%s: %v", tc.source, err)
		}
		if got := p.ReadsMember("request", "host"); got != tc.want {
			t.Errorf("%s: ReadsMember = %v, want %v", tc.source, got, tc.want)
		}
	}
}

func TestMembersOfAUserAreThoseOfTheProfileToo(t *testing.T) {
	for source, want := range map[string][]string{
		`user.email`:               {"email"},
		`user["email"]`:            {"email"},
		`user.profile.email`:       {"email", "profile"},
		`user.profile["email"]`:    {"email", "profile"},
		`user?.profile?.email`:     {"email", "profile"},
		`user.profile`:             {"profile"},
		`user.address.street`:      {"address"},
		`app.profile.email`:        nil,
		`appuser.profile.role`:     nil,
		`user.profile["e" + "m"]`:  {"profile"},
		`user.b == user.profile.a`: {"a", "b", "profile"},
	} {
		p, err := Compile(source, Options{Inputs: AllInputs})
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		if got := p.Members("user"); !slices.Equal(got, want) {
			t.Errorf("%s: members %q, want %q", source, got, want)
		}
	}
}
