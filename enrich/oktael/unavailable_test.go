package oktael

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// TestWhatNobodyCanSayIsNeitherNullNorFalse holds C35 for each thing that a directory
// may be unable to say.
func TestWhatNobodyCanSayIsNeitherNullNorFalse(t *testing.T) {
	user := &identity.User{ID: "00u1ada", Profile: map[string]any{"email": "ada@example.com"}}
	groups := []identity.Group{{ID: "g1", Name: "IT"}}
	for source, c := range map[string]struct {
		fact identity.Facts
		ie   bool // in the Identity Engine dialect
	}{
		`user.status`:                                  {fact: identity.FactStatus},
		`user.status != null`:                          {fact: identity.FactStatus},
		`user["status"]`:                               {fact: identity.FactStatus},
		`user.getInternalProperty("status")`:           {fact: identity.FactStatus},
		`user.created`:                                 {fact: identity.FactCreated},
		`user.lastUpdated`:                             {fact: identity.FactLastUpdated},
		`user.passwordChanged`:                         {fact: identity.FactPasswordChanged},
		`user.lastLogin`:                               {fact: identity.FactLastLogin, ie: true},
		`groups.![type]`:                               {fact: identity.FactGroupType},
		`groups.?[type == "APP_GROUP"]`:                {fact: identity.FactGroupType},
		`groups.![source.id]`:                          {fact: identity.FactGroupSource},
		`groups.![objectClass]`:                        {fact: identity.FactGroupClass},
		`groups.![created]`:                            {fact: identity.FactGroupTimes},
		`getFilteredGroups({"g1"}, "group.type", 1)`:   {fact: identity.FactGroupType},
		`user.isMemberOf({"group.type": "APP_GROUP"})`: {fact: identity.FactGroupType},
		`NOT user.isMemberOf({"group.id": "g1", "group.type": "APP_GROUP"})`: {fact: identity.FactGroupType},
		`user.getGroups({"group.source.id": "0oa1"})`:                        {fact: identity.FactGroupSource},
		`Groups.startsWith("0oa1", "I", 9)`:                                  {fact: identity.FactGroupSource},
		`Groups.contains("active_directory", "I", 9)`:                        {fact: identity.FactGroupType},
		`user.getLinkedObject("manager")`:                                    {fact: identity.FactLinked},
		`getManagerUser("active_directory") == null`:                         {fact: identity.FactLinked},
		`getAssistantAppUser("active_directory", "x")`:                       {fact: identity.FactLinked},
		`hasDirectoryUser()`:                                                 {fact: identity.FactAppUsers},
		`findWorkdayUser()`:                                                  {fact: identity.FactAppUsers},
		`app == null`:                                                        {fact: identity.FactApp},
		`app?.profile`:                                                       {fact: identity.FactApp},
		`appuser == null`:                                                    {fact: identity.FactAppUser},
		`appuser?.userName`:                                                  {fact: identity.FactAppUser},
	} {
		o := Options{Inputs: AllInputs}
		if c.ie {
			o.Dialect = IdentityEngine
		}
		p, err := Compile(source, o)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		context := &Context{User: user, Groups: groups, GroupsKnown: true}
		if v, err := p.Eval(context); errors.Is(err, ErrFactUnavailable) {
			t.Errorf("%s, of what somebody can say: %v, %v", source, v, err)
		}
		context.Unavailable = c.fact
		if v, err := p.Eval(context); !errors.Is(err, ErrFactUnavailable) || !strings.Contains(err.Error(), c.fact.Names()[0]) {
			t.Errorf("%s: %v, %v; want the error that nobody can say %s", source, v, err, c.fact.Names()[0])
		}
		// A request without a token knows nobody, and that is known.
		context.Anonymous = true
		if _, err := p.Eval(context); errors.Is(err, ErrFactUnavailable) {
			t.Errorf("%s, anonymous: %v", source, err)
		}
	}
}

func TestWhatSomebodySaidIsReadAllTheSame(t *testing.T) {
	c := &Context{
		User: &identity.User{
			ID: "00u1ada", LastUpdated: time.Unix(1, 0), Profile: map[string]any{"status": "on leave", "created": nil, "email": "ada@example.com"},
		},
		Groups: []identity.Group{{ID: "g1", Name: "IT", Type: "APP_GROUP", Source: "0oa1"}, {ID: "g2", Name: "Ops"}}, GroupsKnown: true,
		Linked:      map[string]*identity.User{"manager": {ID: "00u2grace"}},
		Unavailable: identity.AllFacts | identity.GroupFacts,
	}
	for source, want := range map[string]any{
		`user.status`: "on leave", `user.created`: nil, `user.id`: "00u1ada", `user.email`: "ada@example.com", `user.department`: nil,
		`user.lastUpdated != null`: true, `user.getLinkedObject("manager").id`: "00u2grace", `isMemberOfGroupName("IT")`: true, `isMemberOfGroup("g3")`: false,
		`user.isMemberOf({"group.id": "g1", "group.type": "APP_GROUP"})`: true,
		// Whatever the type of g2 is, it has another name.
		`user.isMemberOf({"group.profile.name": "X", "operator": "EXACT", "group.type": "APP_GROUP"})`: false,
		`user.isMemberOf({"group.type": "APP_GROUP"}, {"group.id": "g3"})`:                             false,
		`Groups.startsWith("OKTA", "O", 9) != null`:                                                    true,
	} {
		p, err := Compile(source, Options{Inputs: AllInputs})
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := p.Eval(c); err != nil || got != want {
			t.Errorf("%s: %v, %v; want %v", source, got, err, want)
		}
	}
}

// TestALinkedObjectThatIsNotAskedForIsNotMissing proves that a directory which is
// asked for linked objects by name knows nothing of other names.
func TestALinkedObjectThatIsNotAskedForIsNotMissing(t *testing.T) {
	c := &Context{User: &identity.User{ID: "00u1ada"}, LinkedNames: []string{"manager"}}
	for source, unavailable := range map[string]bool{`user.getLinkedObject("manager")`: false, `user.getLinkedObject("mentor")`: true} {
		p, err := Compile(source, Options{Inputs: AllInputs})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := p.Eval(c); v != nil || errors.Is(err, ErrFactUnavailable) != unavailable {
			t.Errorf("%s: %v, %v", source, v, err)
		}
	}
}
