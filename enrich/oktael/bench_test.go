package oktael

import (
	"fmt"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// benchContext is a user with n groups and an allow list of twenty of them,
// spread evenly.
func benchContext(n int, indexed bool) *Context {
	c := &Context{
		GroupsKnown: true,
		User:        &identity.User{ID: "00u1", Profile: map[string]any{"email": "ada.lovelace@example.com", "department": "Engineering", "firstName": "Ada"}},
		App:         &identity.App{ID: "0oa1", Profile: map[string]any{}},
	}
	var allow []any
	for i := range n {
		id := fmt.Sprintf("00g%017d", i)
		c.Groups = append(c.Groups, identity.Group{
			ID: id, Name: fmt.Sprintf("Group %d", i), Type: identity.GroupTypeOkta,
			Profile: map[string]any{"name": fmt.Sprintf("Group %d", i)},
		})
		if i%(n/20) == 0 {
			allow = append(allow, id)
		}
	}
	c.App.Profile["groupallowlist"] = allow
	if indexed {
		c.Index = IndexGroups(c.Groups)
	}
	return c
}

func benchEval(b *testing.B, source string, c *Context) {
	b.Helper()
	p, err := Compile(source, Options{Inputs: AllInputs})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Eval(c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEvalUpperCaseOfLogin(b *testing.B) {
	benchEval(b, `String.toUpperCase(String.substringBefore(user.email, "@"))`, benchContext(20, false))
}

func BenchmarkEvalCondition(b *testing.B) {
	benchEval(b, `user.department == "Engineering" AND user.firstName != null ? user.firstName + "@eng" : user.email`, benchContext(20, false))
}

func BenchmarkEvalAttribute(b *testing.B) {
	benchEval(b, `user.email`, benchContext(20, false))
}

func BenchmarkEvalMatches(b *testing.B) {
	benchEval(b, `user.email matches "[a-z.]+@example\.com"`, benchContext(20, false))
}

func BenchmarkFilteredGroups(b *testing.B) {
	for _, n := range []int{200, 5000} {
		for _, indexed := range []bool{false, true} {
			b.Run(fmt.Sprintf("groups=%d/index=%v", n, indexed), func(b *testing.B) {
				benchEval(b, `getFilteredGroups(app.profile.groupallowlist, "group.name", 40)`, benchContext(n, indexed))
			})
		}
	}
}

func BenchmarkGetGroups(b *testing.B) {
	benchEval(b, `user.getGroups({'group.profile.name': 'Group 1'}).![name]`, benchContext(200, false))
}

func BenchmarkIndexGroups(b *testing.B) {
	c := benchContext(5000, false)
	b.ReportAllocs()
	for b.Loop() {
		IndexGroups(c.Groups)
	}
}

func BenchmarkCompile(b *testing.B) {
	for name, source := range map[string]string{
		"typical": `String.toUpperCase(String.substringBefore(user.email, "@"))`,
		"groups":  `getFilteredGroups(app.profile.groupallowlist, "group.objectClass[0] == 'okta:user_group' ? group.name : group.id", 40)`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile(source, Options{Inputs: AllInputs}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
