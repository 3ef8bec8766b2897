package issuer

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// TestGroupsOfATokenAreReadWholeOrUnknown holds C33 and T3: the reason is told where the
// token speaks of groups, and the groups are never guessed at.
func TestGroupsOfATokenAreReadWholeOrUnknown(t *testing.T) {
	hundred := make([]any, capOkta)
	for i := range hundred {
		hundred[i] = "x"
	}
	for name, c := range map[string]struct {
		claims    map[string]any
		delimiter string
		want      []string
		why       string // a part of it; empty where nothing is to be told
		withheld  bool
	}{
		"one name":                  {map[string]any{"groups": "admin"}, "", []string{"admin"}, "", false},
		"a list in a text":          {map[string]any{"groups": "[admin, user]"}, "", nil, "groups_delimiter says", false},
		"the same, parted":          {map[string]any{"groups": "[admin, user]"}, ",", []string{"admin", "user"}, "", false},
		"JSON in a text":            {map[string]any{"groups": `["a","b"]`}, "json", []string{"a", "b"}, "", false},
		"JSON of numbers in a text": {map[string]any{"groups": `["a",1]`}, "json", nil, "a value that is not a string", false},
		"one distinguished name":    {map[string]any{"groups": "CN=A,DC=x"}, "none", []string{"CN=A,DC=x"}, "", false},
		"a list with numbers":       {map[string]any{"groups": []any{"a", int64(1)}}, "", nil, "a value that is not a string", false},
		"an object":                 {map[string]any{"groups": map[string]any{"a": true}}, "", nil, "neither a list nor a string", false},
		"nothing":                   {map[string]any{}, ",", nil, "", false},
		"cut":                       {map[string]any{"groups": hundred}, "", nil, "issuers truncate", true},
		"distributed":               {map[string]any{"groups": "a", "_claim_names": map[string]any{"groups": "src1"}}, "none", nil, "another source", true},
	} {
		p := &identity.Principal{Claims: c.claims}
		readGroups(p, "groups", c.delimiter)
		if p.GroupsKnown != (c.want != nil) || !slices.Equal(p.Groups, c.want) || p.GroupsPartial != c.withheld ||
			(c.why == "") != (p.GroupsUnknown == "") || !strings.Contains(p.GroupsUnknown, c.why) {
			t.Errorf("%s: %q, known %v, withheld %v, %q", name, p.Groups, p.GroupsKnown, p.GroupsPartial, p.GroupsUnknown)
		}
	}
}
