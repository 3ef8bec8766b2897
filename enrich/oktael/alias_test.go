package oktael

import (
	"reflect"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// An evaluation's room serves the next one: no result may lie in it. Each
// expression is evaluated, then others are with the same program and other
// values, and the first result must still be what it was.
func TestNoResultLiesInWhatTheNextEvaluationUses(t *testing.T) {
	context := func(name string) *Context {
		groups := make([]identity.Group, 6)
		list := make([]any, 6)
		for i := range groups {
			id := name + string(rune('a'+i))
			groups[i] = identity.Group{ID: id, Name: id, Type: "OKTA_GROUP", Profile: map[string]any{"name": id}}
			list[i] = id
		}
		profile := map[string]any{"name": name, "list": list, "firstName": name, "lastName": name + "x", "nested": map[string]any{"list": list}}
		return &Context{
			User: &identity.User{ID: name, Login: name, Profile: profile}, Groups: groups, GroupsKnown: true,
			App: &identity.App{ID: name, Profile: map[string]any{"allow": list}}, Token: profile, Scopes: []string{name}, Vars: map[string]any{},
		}
	}
	sources := []string{
		`{user.name, user.firstName, user.lastName}`,
		`{"a": user.name, "b": {user.name, user.lastName}}`,
		`Arrays.add(user.list, user.name)`, `Arrays.remove(user.list, user.name)`, `Arrays.clear(user.list)`, `Arrays.get(user.list, 1)`,
		`Arrays.flatten(user.name, user.list, {user.name, {user.lastName}})`, `Arrays.flatten(user.list)`, `Arrays.flatten(user.name, user.firstName, user.lastName)`,
		`Arrays.add({user.name}, {user.name, user.lastName})`,
		`user.list`, `user.nested`, `user`, `app`, `token`, `access`, `groups`,
		`groups.![name]`, `groups.?[name != ""]`, `user.list.![toUpperCase()]`, `user.list.?[length() > 1]`,
		`groups.![{name, id}]`, `groups.![{"n": name}]`, `{groups.![name], user.list}`,
		`getFilteredGroups(app.profile.allow, "group.name", 40)`, `getFilteredGroups({user.name + "a", user.name + "b"}, "group.id", 40)`,
		`user.getGroups({'group.type': {'OKTA_GROUP'}}).![name]`, `user.getGroups({'group.id': {user.name + "a"}})`,
		`Groups.startsWith("OKTA", user.name, 10)`, `Groups.contains("OKTA", "a", 10)`,
		`true ? user.list : {user.name}`, `user.nothing ?: {user.name, user.list}`,
		`{user.list, Arrays.add(user.list, Arrays.add({user.name}, user.firstName))}`,
		`user.isMemberOf({'group.id': user.name + "a"}) ? {user.name} : {}`,
	}
	for _, source := range sources {
		p, err := Compile(source, Options{Inputs: AllInputs &^ InputRequest})
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		first, err := p.Eval(context("first"))
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		want, err := identity.Canonical(first) // a deep copy
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"second", "third", "fourth"} {
			if _, err := p.Eval(context(name)); err != nil {
				t.Fatal(err)
			}
		}
		if !reflect.DeepEqual(first, want) {
			t.Errorf("%s was %v and became %v", source, want, first)
		}
	}
}
