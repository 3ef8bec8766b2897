package claim

import (
	"fmt"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// inGroups is Ada, in n groups whose ids are as long as Okta's and whose names
// begin with App- for every fourth.
func inGroups(b *testing.B, n int) *oktael.Context {
	c := decode(b, ada)
	c.Groups = make([]identity.Group, n)
	for i := range c.Groups {
		name := fmt.Sprintf("Department %d", i)
		if i%4 == 0 {
			name = fmt.Sprintf("App-%d", i)
		}
		c.Groups[i] = identity.Group{ID: fmt.Sprintf("00g1abcdEFGH%08d", i*7), Name: name, Type: identity.GroupTypeOkta}
	}
	return c
}

// everyNth gives m ids of the context's groups, spread over all of them.
func everyNth(c *oktael.Context, m int) []string {
	ids := make([]string, m)
	for i := range ids {
		ids[i] = c.Groups[i*len(c.Groups)/m].ID
	}
	return ids
}

func run(b *testing.B, r *Rules, c *oktael.Context) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Eval(c, 0); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTypicalPolicy(b *testing.B) {
	c := inGroups(b, 20)
	run(b, compile(
		b, Definition{Name: "department", Expression: "user.department"},
		Definition{Name: "login", Expression: `String.substringBefore(user.email, "@")`},
		Definition{Name: "role", Expression: "appuser == null ? null : appuser.role"},
		Definition{Name: "groups", Groups: &GroupFilter{Match: MatchStartsWith, Pattern: "app-"}},
	), c)
}

func BenchmarkFilter5000Groups(b *testing.B) {
	for _, f := range []GroupFilter{
		{Match: MatchStartsWith, Pattern: "App-1"},
		{Match: MatchContains, Pattern: "1234"},
		{Match: MatchRegex, Pattern: "App-1.*"},
	} {
		b.Run(f.Match, func(b *testing.B) {
			run(b, compile(b, Definition{Name: "groups", Groups: &f}), inGroups(b, 5000))
		})
	}
}

func BenchmarkAllowListOf20(b *testing.B) {
	for _, n := range []int{20, 5000} {
		for _, value := range []string{"group.name", "group.id + ' ' + group.name"} {
			for _, indexed := range []bool{false, true} {
				b.Run(fmt.Sprintf("groups=%d/value=%.10s/indexed=%v", n, value, indexed), func(b *testing.B) {
					c := inGroups(b, n)
					if indexed {
						c.Index = oktael.IndexGroups(c.Groups)
					}
					run(b, compile(b, Definition{Name: "groups", AllowList: &AllowList{IDs: everyNth(c, 20), Value: value}}), c)
				})
			}
		}
	}
}

// The same through the expression, for comparison.
func BenchmarkGetFilteredGroups(b *testing.B) {
	c := inGroups(b, 5000)
	c.Index = oktael.IndexGroups(c.Groups)
	list := make([]any, 0, 20)
	for _, id := range everyNth(c, 20) {
		list = append(list, id)
	}
	c.App = &identity.App{Profile: map[string]any{"list": list}}
	run(b, compile(b, Definition{Name: "groups", Expression: `getFilteredGroups(app.profile.list, "group.name", 40)`}), c)
}
