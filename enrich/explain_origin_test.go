package enrich

import (
	"reflect"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

func TestAnExplanationSaysWhereEachValueCameFromAndHowOldItIs(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	r := &LookupResult{Record: identity.Record{
		Person: &identity.Person{
			User:   &identity.User{ID: "1", Login: "ada", Status: identity.StatusActive, Profile: map[string]any{"email": "ada@example.com"}},
			Groups: []identity.Group{{ID: "a"}, {ID: "b"}, {ID: "c"}}, GroupsKnown: true,
			Origin:       map[string]string{"email": "hr"},
			UserOrigin:   identity.UserOrigin{ID: "ldap", Login: "okta", Status: "okta"},
			GroupOrigins: []identity.GroupOrigin{{Directory: "ldap", Groups: 2}, {Directory: "okta", Groups: 1}},
		},
		PersonState: identity.Fresh,
		App:         &identity.App{ID: "payroll", Origin: "okta"}, AppState: identity.Fresh,
		AppUser: &identity.AppUser{ID: "1", Origin: "hr"}, AppUserState: identity.Stale,
	}, PersonFetched: now.Add(-90500 * time.Millisecond), AppFetched: now.Add(time.Second)}
	want := &ExplainedRecord{
		Person: "fresh", PersonAge: new(int64(90)), AppAge: new(int64(0)), UserStatus: identity.StatusActive, UserOrigin: &identity.UserOrigin{ID: "ldap", Login: "okta", Status: "okta"},
		Attributes: []ExplainedAttribute{{Name: "email", Type: "string of 15 bytes", Origin: "hr", Age: new(int64(90))}},
		Groups:     3, GroupOrigins: []identity.GroupOrigin{{Directory: "ldap", Groups: 2}, {Directory: "okta", Groups: 1}},
		App: "fresh", AppID: "payroll", AppOrigin: "okta", AppUser: "stale", AppUserOrigin: "hr",
	}
	if got := explainRecord(r, false, now); !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

// What is held for a person of very many groups hardly grows by saying whose
// they are.
func TestOriginsOfGroupsAreSaidOnce(t *testing.T) {
	p := &identity.Person{User: &identity.User{ID: "1"}, Groups: make([]identity.Group, 10_000), GroupsKnown: true}
	bare, err := personCodec{}.Encode(newPerson(p))
	if err != nil {
		t.Fatal(err)
	}
	p.GroupOrigins = []identity.GroupOrigin{{Directory: "ldap", Groups: 9_000}, {Directory: "okta", Groups: 1_000}}
	said, err := personCodec{}.Encode(newPerson(p))
	if err != nil || len(said) > len(bare)+200 {
		t.Errorf("%d bytes become %d, %v", len(bare), len(said), err)
	}
}
