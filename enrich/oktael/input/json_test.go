package input

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

func TestAContextIsReadFromJSON(t *testing.T) {
	c, err := DecodeContext([]byte(`{
		"user": {"id": "00u1", "status": "ACTIVE", "created": "2024-01-02T03:04:05.000Z", "profile": {"login": "ada", "n": 12345678901234567890123}},
		"groups": [{"id": "g1", "type": "APP_GROUP", "source": {"id": "0oa1"}, "objectClass": ["a"], "profile": {"name": "One"}}, {"id": "g2", "name": "Two", "source": "ldap"}],
		"app": {"id": "a", "clientId": "c", "domain": "d", "profile": {"x": 1}},
		"appuser": {"userName": "u", "role": "r", "profile": {"p": 2}},
		"appusers": [{"app": "workday", "profile": {}}],
		"access": {"scope": ["a", "b"]}, "linked": {"manager": {"id": "m"}, "nobody": null},
		"now": "2024-02-29T00:00:00+02:00"}`))
	if err != nil {
		t.Fatal(err)
	}
	if c.User.Login != "ada" || c.User.Created != time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC) {
		t.Errorf("user is %+v", c.User)
	}
	wantGroups := []identity.Group{
		{ID: "g1", Name: "One", Type: "APP_GROUP", Source: "0oa1", ObjectClass: []string{"a"}, Profile: map[string]any{"name": "One"}},
		{ID: "g2", Name: "Two", Source: "ldap"},
	}
	if !reflect.DeepEqual(c.Groups, wantGroups) || !c.GroupsKnown {
		t.Errorf("groups are %+v", c.Groups)
	}
	if c.App.Attributes["domain"] != "d" || c.AppUser.Profile["role"] != "r" || c.AppUser.Profile["p"] != int64(2) {
		t.Errorf("app is %+v, app user %+v", c.App, c.AppUser)
	}
	if !reflect.DeepEqual(c.Scopes, []string{"a", "b"}) || c.Linked["manager"].ID != "m" || c.Linked["nobody"] != nil || len(c.AppUsers) != 1 {
		t.Errorf("context is %+v", c)
	}
	if _, offset := c.Now().Zone(); offset != 7200 {
		t.Errorf("now is %v", c.Now())
	}
}

func TestDecodeContextTakesAFlatUser(t *testing.T) {
	c, err := DecodeContext([]byte(`{"user": {"id": "00u1", "login": "ada", "email": "ada@example.com", "status": "ACTIVE"}, "linked": {"manager": {"lastName": "Gates"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"email": "ada@example.com"}; !reflect.DeepEqual(c.User.Profile, want) || c.User.Login != "ada" {
		t.Errorf("user is %+v", c.User)
	}
	if c.Linked["manager"].Profile["lastName"] != "Gates" {
		t.Errorf("manager is %+v", c.Linked["manager"])
	}
	// With a profile, what stands beside it belongs to the REST API.
	if c, err = DecodeContext([]byte(`{"user": {"activated": null, "profile": {"a": 1}}}`)); err != nil || len(c.User.Profile) != 1 {
		t.Errorf("user is %+v, %v", c.User, err)
	}
}

func TestDecodeContextTellsUnknownGroupsFromNone(t *testing.T) {
	for text, known := range map[string]bool{`{}`: true, `{"groups":[]}`: true, `{"groups":null}`: false} {
		c, err := DecodeContext([]byte(text))
		if err != nil || c.GroupsKnown != known {
			t.Errorf("%s: known is %v, %v", text, c.GroupsKnown, err)
		}
	}
}

func TestDecodeContextRefusesWhatItDoesNotUnderstand(t *testing.T) {
	for text, says := range map[string]string{
		``:                                 "decoding JSON",
		`[]`:                               "not an object",
		`{} {}`:                            "more than one",
		`{"usr":{}}`:                       `"usr": unknown member (did you mean "user"?)`,
		`{"user":[]}`:                      "not an object",
		`{"user":{"id":1}}`:                "not a string",
		`{"user":{"created":"yesterday"}}`: "not a time",
		`{"groups":{}}`:                    "not a list",
		`{"groups":["a"]}`:                 "not an object",
		`{"access":{"scope":[1]}}`:         "not a string",
		`{"linked":{"manager":3}}`:         "not an object",
		`{"now":"2024"}`:                   "not a time",
		`{"vars":3}`:                       "not an object",
	} {
		if _, err := DecodeContext([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error is %v, want one that says %q", text, err, says)
		}
	}
}
