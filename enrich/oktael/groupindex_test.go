package oktael

import (
	"math/rand/v2"
	"reflect"
	"strconv"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// Property: for any groups, repeated ids included, and any allow list, the
// index finds what a search through all groups finds, in the same order.
func TestIndexFindsWhatASearchFinds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	filtered, err := Compile(`getFilteredGroups(ids, "group.id + ':' + group.name", 100000)`, Options{Inputs: AllInputs})
	if err != nil {
		t.Fatal(err)
	}
	member, err := Compile(`isMemberOfAnyGroup(ids)`, Options{Inputs: AllInputs})
	if err != nil {
		t.Fatal(err)
	}
	for range 500 {
		c := &Context{GroupsKnown: true}
		for i := range random.IntN(30) {
			c.Groups = append(c.Groups, identity.Group{ID: strconv.Itoa(random.IntN(25)), Name: "n" + strconv.Itoa(i)})
		}
		ids := []any{nil, ""}
		for range random.IntN(12) {
			ids = append(ids, strconv.Itoa(random.IntN(35)))
		}
		c.Vars = map[string]any{"ids": ids}
		indexed := *c
		indexed.Index = IndexGroups(c.Groups)
		for _, p := range []*Program{filtered, member} {
			want, err := p.Eval(c)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Eval(&indexed)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: groups %v, ids %v: with an index %v, %v; without %v", p, c.Groups, ids, got, err, want)
			}
		}
	}
}

// An index of somebody else's groups lets nobody into a group.
func TestAnIndexOfOtherGroupsIsNotBelieved(t *testing.T) {
	p, err := Compile(`isMemberOfGroup("admins")`, Options{Inputs: InputGroups})
	if err != nil {
		t.Fatal(err)
	}
	for name, others := range map[string][]identity.Group{
		"as many": {{ID: "admins"}},
		"more":    {{ID: "admins"}, {ID: "x"}},
		"none":    {},
	} {
		c := &Context{GroupsKnown: true, Groups: []identity.Group{{ID: "users"}}, Index: IndexGroups(others)}
		if v, err := p.Eval(c); err != nil || v != false {
			t.Errorf("%s: got %v, %v", name, v, err)
		}
	}
}

// The cost with an index follows the allow list: 25 times the groups take no
// more steps.
func TestStepsFollowTheAllowList(t *testing.T) {
	for _, n := range []int{200, 5000} {
		p, err := Compile(`getFilteredGroups(app.profile.groupallowlist, "group.name", 40)`, Options{Inputs: AllInputs, MaxSteps: 12})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := p.Eval(benchContext(n, true)); err != nil || len(v.([]any)) != 20 {
			t.Errorf("%d groups: %v, %v", n, v, err)
		}
	}
}
