package oktael

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
)

// A list of ids and a group expression give what getFilteredGroups gives for
// them.
func TestGroupProgramAgreesWithGetFilteredGroups(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	some := 0
	for _, source := range []string{
		"group.id", "group.name", "group.profile.dn", "group.name + ':' + group.id", "group.id == 'a' ? null : group", "{group.id, user.email}",
		"group.name.nothing", "getFilteredGroups({group.id}, \"group.name\", 9)",
	} {
		o := Options{Inputs: InputUser | InputGroups}
		p, err := CompileGroup(source, o)
		if err != nil {
			t.Fatal(err)
		}
		for range 300 {
			groups := make([]identity.Group, r.IntN(8))
			for i := range groups {
				groups[i] = identity.Group{ID: string(rune('a' + r.IntN(6))), Name: fmt.Sprint("n", i), Profile: map[string]any{}}
				if r.IntN(2) == 0 {
					groups[i].Profile["dn"] = "cn"
				}
			}
			ids, literals := make([]string, r.IntN(6)), []string{}
			for i := range ids {
				ids[i] = string(rune('a' + r.IntN(8)))
				literals = append(literals, "'"+ids[i]+"'")
			}
			c := &Context{User: &identity.User{}, Groups: groups, GroupsKnown: true}
			if r.IntN(2) == 0 {
				c.Index = IndexGroups(groups)
			}
			call, err := Compile("getFilteredGroups({"+strings.Join(literals, ",")+`}, "`+strings.ReplaceAll(source, `"`, `""`)+`", 2147483647)`, o)
			if err != nil {
				t.Fatal(err)
			}
			want, wantErr := call.Eval(c)
			positions, err := GroupsByID(c, ids)
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.Eval(c, positions)
			if (err == nil) != (wantErr == nil) || errors.Is(err, ErrNull) != errors.Is(wantErr, ErrNull) {
				t.Fatalf("%s: error %v, want %v", source, err, wantErr)
			}
			if list, _ := want.([]any); len(list) != len(got) || len(list) > 0 && !reflect.DeepEqual(got, list) {
				t.Fatalf("%s of %v = %v, want %v", source, groups, got, want)
			}
			some += len(got)
		}
	}
	if some < 1000 {
		t.Errorf("only %d values: the test shows little", some)
	}
}

func TestGroupProgramErrorsSayWhere(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"group.name + grp.name", "1:14: in the group expression: unknown name grp"},
		{"group.name\n +", "2:3: in the group expression: "},
		{"user.email", "1:1: in the group expression: \"user\" is not available here"},
	} {
		_, err := CompileGroup(c.source, Options{})
		if _, ok := errors.AsType[*Error](err); !ok || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s …", c.source, err, c.want)
		}
	}
	if _, err := CompileGroup(strings.Repeat(" ", DefaultMaxLength+1), Options{}); err == nil {
		t.Error("takes what is too long")
	}
	p, err := CompileGroup("'x' + group.profile.dn", Options{})
	if err != nil || len(p.Warnings()) != 1 || p.Warnings()[0].Column != 21 || p.Reads() != InputGroups {
		t.Errorf("%v, %v, %v", err, p.Warnings(), p.Reads())
	}
	_, err = p.Eval(&Context{Groups: make([]identity.Group, 1), GroupsKnown: true}, []int32{0})
	if failed, ok := errors.AsType[*EvalError](err); err != nil && (!ok || failed.Line != 1) {
		t.Errorf("%v", err)
	}
}

func TestGroupsByID(t *testing.T) {
	groups := []identity.Group{{ID: "b"}, {ID: ""}, {ID: "a"}, {ID: "b"}}
	c := &Context{Groups: groups, GroupsKnown: true}
	if got, err := GroupsByID(c, []string{"a", "", "b", "b", "c"}); err != nil || !reflect.DeepEqual(got, []int32{0, 2, 3}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := GroupsByID(&Context{Groups: groups}, []string{"a"}); !errors.Is(err, ErrGroupsUnknown) {
		t.Errorf("unknown groups: %v", err)
	}
	c.Groups = make([]identity.Group, value.MaxList+1)
	if _, err := GroupsByID(c, nil); !errors.Is(err, ErrLimit) {
		t.Errorf("too many groups: %v", err)
	}
}
