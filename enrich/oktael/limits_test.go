package oktael

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
)

// hostileContext has what an attacker might put into a profile, and as many
// groups as a user can have.
func hostileContext() *Context {
	list := make([]any, value.MaxList)
	for i := range list {
		list[i] = "x"
	}
	var deep any = "x"
	for range identity.MaxDepth {
		deep = []any{deep}
	}
	c := &Context{
		GroupsKnown: true,
		User: &identity.User{ID: "00u1", Profile: map[string]any{
			"long": strings.Repeat("a", 1<<20), "list": list, "deep": deep, "regex": strings.Repeat("(a|b)", 150),
			"self":  `getFilteredGroups({"g0"}, user.self, 1)`,
			"nest":  strings.Repeat("(", 5000),
			"comma": strings.Repeat(",", value.MaxList),
			"blank": strings.Repeat("group.id+", 800) + "group.id",
		}},
	}
	for i := range value.MaxList {
		c.Groups = append(c.Groups, identity.Group{ID: fmt.Sprintf("g%d", i), Name: fmt.Sprintf("name %d", i)})
	}
	return c
}

func TestHostileEvaluationsEndAtABound(t *testing.T) {
	c := hostileContext()
	for _, expr := range []string{
		`user.long + user.long`,
		`String.toUpperCase(user.long)`,
		`String.append(user.long, 'x')`,
		`String.replace(String.substring(user.long, 0, 1000), 'a', String.substring(user.long, 0, 1000))`,
		`String.join(user.long, 'a', 'b', 'c')`,
		`Arrays.toCsvString(user.list.![user.long])`,
		`user.list.![user.list.![1 + 1]]`,
		`user.list.![Arrays.contains(user.list, 'y')]`,
		`user.list.![user.list == user.list]`,
		`user.list.![String.len(user.long)]`,
		`user.list.![user.list]`,
		`Arrays.flatten(user.list.![user.list])`,
		`Arrays.flatten(user.list, user.list)`,
		`Arrays.add(user.list, 1)`,
		`Arrays.size(user.comma)`,
		`groups.![groups]`,
		`groups.![{name, id, type}.![1 + 1]]`,
		`groups.![isMemberOfGroupName('none')]`,
		`groups.![user.getGroups()]`,
		`user.list.![user.long matches '(x+x+)+y']`,
		`user.long matches user.regex`,
		`user.list.![user.long matches 'a*']`,
		`'a' matches user.long`,
		`'a' matches '((((a{10}){10}){9})b){1}(a{900}){1}[bc]{1000}[de]{1000}[fg]{1000}[hi]{1000}[jk]{1000}[lm]{1000}[no]{1000}[pq]{1000}[rs]{1000}'`,
		`getFilteredGroups({"g0"}, user.long, 1)`,
		`getFilteredGroups({"g0"}, user.blank, 1)`,
		`groups.![getFilteredGroups({"g1"}, "'" + id + "'", 1)]`,
		`groups.![id matches id]`,
		`getFilteredGroups(groups.![id], "getFilteredGroups(groups.![id], ""group.id"", 99999)", 99999)`,
		`user.list.![user.deep]`,
	} {
		t.Run(expr, func(t *testing.T) {
			p, err := Compile(expr, Options{Inputs: AllInputs})
			if err != nil {
				var e *Error
				if !errors.As(err, &e) || !strings.Contains(e.Msg, "over the limit") {
					t.Fatalf("load: %v", err)
				}
				return
			}
			v, err := p.Eval(c)
			if !errors.Is(err, ErrLimit) {
				t.Fatalf("error is %v (value is a %T)", err, v)
			}
		})
	}
}

func TestRecursionThroughAProfileEnds(t *testing.T) {
	c := hostileContext()
	for _, expr := range []string{`getFilteredGroups({"g0"}, user.self, 1)`, `getFilteredGroups({"g0"}, user.nest, 1)`} {
		p, err := Compile(expr, Options{Inputs: AllInputs})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := p.Eval(c); err == nil {
			t.Errorf("%s: gave %v", expr, v)
		}
	}
}

// The bounds leave room for what people do.
func TestLargeButHonestEvaluationsPass(t *testing.T) {
	c := hostileContext()
	c.Groups = c.Groups[:5000]
	for _, expr := range []string{
		`groups.![name]`,
		`user.getGroups({'group.profile.name': 'name 1'}).![profile.name]`,
		`user.getGroups({'group.profile.name': 'name'}).![{name, id}]`,
		`getFilteredGroups(groups.![id], "group.name", 10000)`,
		`Groups.startsWith("OKTA", "", 2147483647)`,
		`isMemberOfGroupNameRegex("none|nobody|[a-m]+ users") OR isMemberOfGroupNameStartsWith("nothing")`,
		`groups`,
		`Arrays.toCsvString(Groups.contains("OKTA", "name 4", 5000))`,
	} {
		p, err := Compile(expr, Options{Inputs: AllInputs})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Eval(c); err != nil {
			t.Errorf("%s: %v", expr, err)
		}
	}
}

func TestExpressionsOverABoundAreRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		source string
		o      Options
		says   string // empty: it compiles
	}{
		"length":                     {"'" + strings.Repeat("a", DefaultMaxLength) + "'", Options{}, "longer than 4096 bytes"},
		"length given":               {"'aaaaaaaaaa'", Options{MaxLength: 10}, "longer than 10 bytes"},
		"length cannot be boundless": {strings.Repeat("1", 1<<17), Options{MaxLength: 1 << 30}, "longer than 65536 bytes"},
		"parentheses":                {strings.Repeat("(", 100) + "1" + strings.Repeat(")", 100), Options{}, "nests over 64 levels"},
		"lists":                      {strings.Repeat("{", 100) + strings.Repeat("}", 100), Options{}, "nests over 64 levels"},
		"negations":                  {strings.Repeat("!", 100) + "true", Options{}, "nests over 64 levels"},
		"signs":                      {strings.Repeat("- ", 100) + "1", Options{}, "nests over 64 levels"},
		"choices":                    {strings.Repeat("true ? 1 : ", 100) + "1", Options{}, "nests over 64 levels"},
		"calls":                      {strings.Repeat("Arrays.size(", 100) + "1" + strings.Repeat(")", 100), Options{}, "nests over 64 levels"},
		"a long chain is not deep":   {"1" + strings.Repeat(" + 1", 1000), Options{}, ""},
		"a long chain of AND":        {"true" + strings.Repeat(" AND true", 450), Options{}, ""},
		"the longest chain":          {"1" + strings.Repeat("+1", 32000), Options{MaxLength: 1 << 16, MaxSteps: 100000}, ""},
		"a long path":                {"user" + strings.Repeat("?.a", 1300), Options{Inputs: InputUser}, ""},
		"regular expression":         {"'a' matches '" + strings.Repeat("a", value.MaxRegex+1) + "'", Options{}, "longer than 1000 bytes"},
		"group expressions":          {`getFilteredGroups({'a'}, "getFilteredGroups({'a'}, ""getFilteredGroups({'a'}, 'group.id', 1)"", 1)", 1)`, Options{Inputs: AllInputs}, "nest over 2 levels"},
		"not UTF-8":                  {"'\xff'", Options{}, "not valid UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := Compile(tc.source, tc.o)
			if tc.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				if _, err := p.Eval(&Context{User: &identity.User{}}); err != nil {
					t.Error(err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) || !strings.Contains(e.Msg, tc.says) {
				t.Errorf("error is %v, want one that says %q", err, tc.says)
			}
		})
	}
}

func TestStepsAreCounted(t *testing.T) {
	source := "1" + strings.Repeat(" + 1", 500)
	for _, tc := range []struct {
		steps int
		fails bool
	}{{499, true}, {500, false}, {0, false}} {
		p, err := Compile(source, Options{MaxSteps: tc.steps})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Eval(nil); errors.Is(err, ErrLimit) != tc.fails {
			t.Errorf("with %d steps: %v", tc.steps, err)
		}
	}
}

// A step must not hide work that grows with what a profile holds: repeated for
// each element of a list, it would keep a processor busy for minutes.
func TestWorkOnLongValuesCostsSteps(t *testing.T) {
	c := hostileContext()
	entries := make(map[string]any, value.MaxList)
	for i := range value.MaxList {
		entries[fmt.Sprintf("k%d", i)] = int64(i)
	}
	c.User.Profile["map"] = entries
	for _, expr := range []string{
		`user.long[1048575]`,
		`user[user.long]`,
		`user.map[user.long]`,
		`{user.long: 1}`,
		`user.map.![1]`,
		`user.map.^[true]`,
		`user.long == user.long`,
		`user.long < user.long`,
		`user.long.length()`,
		`user.long matches 'a*'`,
	} {
		p, err := Compile(expr, Options{Inputs: AllInputs, MaxSteps: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := p.Eval(c); !errors.Is(err, ErrLimit) {
			t.Errorf("%s: gave a %T, %v within 1,000 steps", expr, v, err)
		}
	}
}

func TestMoreGroupsThanAUserCanHave(t *testing.T) {
	c := &Context{GroupsKnown: true, Groups: make([]identity.Group, value.MaxList+1)}
	p, err := Compile(`isMemberOfGroup("x")`, Options{Inputs: InputGroups})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Eval(c); !errors.Is(err, ErrLimit) {
		t.Errorf("error is %v", err)
	}
}
