package claim

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

const page = "../../docs/from-okta.md"

var (
	fence    = regexp.MustCompile("(?ms)^```(\\w+)(?: ([^\n]*))?\n(.*?)^```$")
	scenario = regexp.MustCompile(`^(id |static |dynamic |)(claims|error) of (\S+) with (.+)$`)
)

// blocks are the page's fenced blocks that have a title.
func blocks(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, m := range fence.FindAllStringSubmatch(string(text), -1) {
		if m[1] == "json" && !json.Valid([]byte(m[3])) {
			t.Errorf("this block is not JSON:\n%s", m[3])
		}
		if m[2] == "" {
			continue
		}
		if _, twice := out[m[2]]; twice {
			t.Errorf("two blocks are called %q", m[2])
		}
		out[m[2]] = m[3]
	}
	return out
}

// directoryFile is the file directory's shape, as far as the page uses it.
type directoryFile struct {
	Users []struct {
		identity.User
		Groups []string
	}
	Groups []json.RawMessage
	Apps   []struct {
		ID    string
		Users []struct{ ID string }
	}
}

// contextFor reads from the page's directory what the gateway would ask it
// for.
func contextFor(t *testing.T, text, subject string, scopes []string) *oktael.Context {
	t.Helper()
	var d directoryFile
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	var raw struct {
		Users []json.RawMessage
		Apps  []json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		t.Fatal(err)
	}
	context := map[string]any{"access": map[string]any{"scope": scopes}}
	for i, u := range d.Users {
		if u.ID != subject {
			continue
		}
		context["user"] = raw.Users[i]
		groups := []json.RawMessage{}
		for _, id := range u.Groups {
			for _, g := range d.Groups {
				var named struct{ ID string }
				if json.Unmarshal(g, &named) == nil && named.ID == id {
					groups = append(groups, g)
				}
			}
		}
		if len(groups) != len(u.Groups) {
			t.Fatalf("the directory lacks a group of %s", subject)
		}
		context["groups"] = groups
	}
	if context["user"] == nil {
		t.Fatalf("the directory lacks the user %s", subject)
	}
	app := d.Apps[0]
	context["app"] = raw.Apps[0]
	var users struct{ Users []json.RawMessage }
	if err := json.Unmarshal(raw.Apps[0], &users); err != nil {
		t.Fatal(err)
	}
	for i, u := range app.Users {
		if u.ID == subject {
			context["appuser"] = users.Users[i]
		}
	}
	joined, err := json.Marshal(context)
	if err != nil {
		t.Fatal(err)
	}
	c := decode(t, string(joined))
	c.Index = oktael.IndexGroups(c.Groups)
	return c
}

// The page promises that everything on it is tried.
func TestPageFromOktaHolds(t *testing.T) {
	b := blocks(t)
	definitions := map[string][]Definition{}
	for prefix, kind := range map[string]string{"": TokenAccess, "id ": TokenID} {
		defs, notes, err := Import([]byte(b["claims.json"]), kind)
		if err != nil {
			t.Fatal(err)
		}
		if kind == TokenAccess && (len(notes) != 1 || notes[0].Claim != "sub") {
			t.Errorf("notes %v", notes)
		}
		definitions[prefix] = defs
	}
	for _, prefix := range []string{"static ", "dynamic "} {
		d := json.NewDecoder(strings.NewReader(b[prefix+"rules"]))
		d.DisallowUnknownFields()
		var defs []Definition
		if err := d.Decode(&defs); err != nil {
			t.Fatal(err)
		}
		definitions[prefix] = defs
	}
	tried := 0
	for _, title := range slices.Sorted(maps.Keys(b)) {
		m := scenario.FindStringSubmatch(title)
		if m == nil {
			continue
		}
		tried++
		t.Run(title, func(t *testing.T) {
			c := contextFor(t, b["directory.json"], m[3], strings.Fields(m[4]))
			res, err := compile(t, definitions[m[1]]...).Eval(c, 0)
			if m[2] == "error" {
				if want := strings.TrimSpace(b[title]); err == nil || err.Error() != want {
					t.Errorf("error %v, the page says %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want, err := identity.DecodeJSON([]byte(b[title]))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(any(res.Claims), want) {
				t.Errorf("claims %v, the page says %v", res.Claims, want)
			}
		})
	}
	if tried != 7 {
		t.Errorf("the page shows %d outcomes", tried)
	}
}

// The table of group filters on the page means what Import makes of Okta's
// words.
func TestPageFromOktaTableOfFilters(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `GROUPS`, (?:`(\\w+)` `([^`]+)`|blank) \\| `claim groups (?:groups) (\\w+) (\\S+) \\{ types OKTA_GROUP BUILT_IN \\}` \\|$")
	rows := row.FindAllStringSubmatch(string(text), -1)
	for _, m := range rows {
		filterType, value := m[1], m[2]
		if filterType == "" {
			filterType = "EQUALS"
		}
		claim := fmt.Sprintf(`{"name":"groups","status":"ACTIVE","claimType":"RESOURCE","valueType":"GROUPS","group_filter_type":%q,"value":%q}`, filterType, value)
		defs, _, err := Import([]byte(claim), "")
		if err != nil {
			t.Fatal(err)
		}
		want := GroupFilter{Match: m[3], Pattern: strings.Trim(m[4], `"`), Types: []string{"OKTA_GROUP", "BUILT_IN"}}
		if !reflect.DeepEqual(*defs[0].Groups, want) {
			t.Errorf("%s: imported as %+v", m[0], *defs[0].Groups)
		}
	}
	if len(rows) != 5 {
		t.Errorf("the table has %d rows", len(rows))
	}
}
