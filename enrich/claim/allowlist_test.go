package claim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

func TestAnAllowListKeepsTheUsersGroupsThatItNames(t *testing.T) {
	for _, tc := range []struct {
		name  string
		list  AllowList
		want  any
		fails error
	}{
		// In the order of the user's own list, whatever the allow list's.
		{"static", AllowList{IDs: []string{"00gHR", "00gIT"}}, []any{"IT", "HR"}, nil},
		{"static, in Okta's guide", AllowList{IDs: []string{"00gIT"}, Value: "group.name", Limit: 40}, []any{"IT"}, nil},
		{"not in it", AllowList{IDs: []string{"00gNot"}}, nil, nil},
		{"ids mind case", AllowList{IDs: []string{"00git"}}, nil, nil},
		{"a name is no id", AllowList{IDs: []string{"IT"}}, nil, nil},
		{"listed twice", AllowList{IDs: []string{"00gIT", "00gIT"}}, []any{"IT"}, nil},
		{"from the app", AllowList{Expression: "app.profile.groupallowlist"}, []any{"IT", "HR"}, nil},
		{"a string with commas", AllowList{Expression: "app.profile.csv"}, []any{"Everyone", "HR"}, nil},
		{"one string", AllowList{Expression: "app.profile.one"}, []any{"it-admins"}, nil},
		{"a literal", AllowList{Expression: `{"00gIT", "00gHR"}`}, []any{"IT", "HR"}, nil},
		{"an empty string", AllowList{Expression: "' '"}, nil, nil},
		{"an empty list", AllowList{Expression: "app.profile.none"}, nil, nil},
		{"null", AllowList{Expression: "app.profile.absent"}, nil, errAllowList},
		{"numbers", AllowList{Expression: "app.profile.numbers"}, nil, errAllowList},
		{"a number", AllowList{Expression: "app.profile.maxLimit"}, nil, errAllowList},
		{"a map", AllowList{Expression: "app.profile['nested']"}, nil, errAllowList},
		{"property of null", AllowList{Expression: "app.profile.absent.x"}, nil, oktael.ErrNull},
		{"ids", AllowList{IDs: []string{"00gHR", "00gIT"}, Value: "group.id"}, []any{"00gIT", "00gHR"}, nil},
		{"a profile attribute", AllowList{IDs: []string{"00gIT", "00gAll"}, Value: "group.profile.description"}, []any{"Information technology"}, nil},
		{"short for a profile attribute", AllowList{IDs: []string{"00gIT"}, Value: "group.description"}, []any{"Information technology"}, nil},
		{"a choice by the group's class", AllowList{
			IDs:   []string{"00gIT", "00gAD"},
			Value: `Arrays.contains(group.objectClass, "okta:windows_security_principal") ? "AD: " + group.profile.dn : "Okta: " + group.name`,
		}, []any{"Okta: IT", "AD: CN=it-admins"}, nil},
		{"a choice by the group's type", AllowList{
			IDs: []string{"00gIT", "00gAD"}, Value: `group.type == "APP_GROUP" ? "AD: " + group.profile.dn : 'Okta: ' + group.name`,
		}, []any{"Okta: IT", "AD: CN=it-admins"}, nil},
		{"a value with the user", AllowList{IDs: []string{"00gIT"}, Value: "user.firstName + '@' + group.name"}, []any{"Ada@IT"}, nil},
		{"a value that is null for all", AllowList{IDs: []string{"00gHR"}, Value: "group.profile.dn"}, nil, nil},
		{"a value that fails", AllowList{IDs: []string{"00gHR"}, Value: "group.profile.dn.x"}, nil, oktael.ErrNull},
		{"the limit", AllowList{IDs: []string{"00gIT", "00gHR"}, Limit: 2}, []any{"IT", "HR"}, nil},
		{"over the limit", AllowList{IDs: []string{"00gIT", "00gHR"}, Limit: 1}, nil, oktael.ErrTooManyGroups},
		{"truncated", AllowList{IDs: []string{"00gHR", "00gIT"}, Limit: 1, OnLimit: "truncate"}, []any{"IT"}, nil},
		{"a longer list than the limit", AllowList{IDs: []string{"00gIT", "1", "2", "3"}, Limit: 1}, []any{"IT"}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, indexed := range []bool{false, true} {
				c := decode(t, ada)
				if indexed {
					c.Index = oktael.IndexGroups(c.Groups)
				}
				res, err := compile(t, Definition{Name: "x", AllowList: &tc.list}).Eval(c, 0)
				if tc.fails != nil {
					if !errors.Is(err, tc.fails) {
						t.Fatalf("error %v, want %v", err, tc.fails)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if got := res.Claims["x"]; !reflect.DeepEqual(got, tc.want) {
					t.Errorf("claim = %v, want %v", got, tc.want)
				}
			}
		})
	}
}

func TestAllowListOfAnUnknownAppIsAnError(t *testing.T) {
	c := decode(t, ada)
	c.App = nil
	_, err := compile(t, Definition{Name: "x", AllowList: &AllowList{Expression: "app.profile.groupallowlist"}}).Eval(c, 0)
	var re *RuleError
	if !errors.Is(err, oktael.ErrNull) || !errors.As(err, &re) || re.Field != "allow_list.expression" {
		t.Errorf("error %v", err)
	}
}

func TestDynamicListIsBounded(t *testing.T) {
	long := make([]any, maxAllowList+1)
	for i := range long {
		long[i] = fmt.Sprint(i)
	}
	if _, err := groupIDs(long); !errors.Is(err, errAllowList) {
		t.Errorf("a long list: %v", err)
	}
	if _, err := groupIDs(strings.Repeat("a,", maxAllowList+1)); !errors.Is(err, errAllowList) {
		t.Errorf("a long string: %v", err)
	}
	if ids, err := groupIDs(long[1:]); err != nil || len(ids) != maxAllowList {
		t.Errorf("just as long: %d, %v", len(ids), err)
	}
}

// With or without an index, and whatever ids share their last letters, the
// outcome is what a plain look for each group gives.
func TestAllowListAgreesWithNaiveImplementation(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	kept := 0
	for range 3000 {
		id := func() string {
			return strings.Repeat("g", r.IntN(3)) + string(rune('a'+r.IntN(4))) + string(rune('a'+r.IntN(4)))
		}
		groups := make([]identity.Group, r.IntN(12))
		for i := range groups {
			groups[i] = identity.Group{ID: id(), Name: fmt.Sprint(i)}
		}
		ids := []string{"x"}
		for range r.IntN(8) {
			ids = append(ids, id())
		}
		want := []any{}
		for _, g := range groups {
			if slices.Contains(ids, g.ID) {
				want = append(want, g.Name)
			}
		}
		kept += len(want)
		c := &oktael.Context{Groups: groups, GroupsKnown: true}
		if r.IntN(2) == 0 {
			c.Index = oktael.IndexGroups(groups)
		}
		res, err := compile(t, Definition{Name: "x", AllowList: &AllowList{IDs: ids}, OnEmpty: "emit"}).Eval(c, 0)
		if err != nil || !reflect.DeepEqual(res.Claims["x"], want) {
			t.Fatalf("%q of %v = %v, %v; want %v", ids, groups, res.Claims["x"], err, want)
		}
	}
	if kept < 1000 {
		t.Fatalf("only %d groups were kept: the test proves too little", kept)
	}
}
