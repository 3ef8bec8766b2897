package userinfo

import (
	"strings"
	"testing"
)

// TestGroupsThatAreNotWholeAreUnknown holds C32 and C33 for what an endpoint answers.
func TestGroupsThatAreNotWholeAreUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		groups    any
		names     any
		delimiter string
		want      int // -1: unknown
		why       string
	}{
		"a list in a text":    {"a,b", nil, "", -1, "groups_delimiter says"},
		"parted":              {"a,b", nil, ",", 2, ""},
		"JSON":                {`[{"id":"1","name":"a"}]`, nil, "json", 1, ""},
		"one group":           {"CN=A,DC=x", nil, "none", 1, ""},
		"one name":            {"admin", nil, "", 1, ""},
		"an aggregated claim": {[]any{"a"}, map[string]any{"groups": "src1"}, "", -1, "another source"},
		"nothing":             {nil, nil, ",", -1, ""},
	} {
		d := &Directory{config: Config{GroupsClaim: "groups", GroupsDelimiter: c.delimiter}}
		claims := map[string]any{"sub": "ada", "groups": c.groups}
		if c.names != nil {
			claims["_claim_names"] = c.names
			claims["_claim_sources"] = map[string]any{"src1": map[string]any{"JWT": "e30.e30.x"}}
		}
		p, err := d.person(claims)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if p.GroupsKnown != (c.want >= 0) || len(p.Groups) != max(c.want, 0) || (c.why == "") != (p.GroupsUnknown == "") || !strings.Contains(p.GroupsUnknown, c.why) {
			t.Errorf("%s: %+v, known %v, %q", name, p.Groups, p.GroupsKnown, p.GroupsUnknown)
		}
	}
}
