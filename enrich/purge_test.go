package enrich

import (
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// dependentPeople know apps from what is said about a user only.
type dependentPeople struct{ *people }

func (dependentPeople) CacheScope(*identity.Principal) directory.CacheScope {
	return directory.CacheScope{App: true}
}

// A purge reaches all that is held of a user, whichever of the user's names it
// comes with: also the assignment, in which few of them stand.
func TestAPurgeOfAUserReachesTheAssignment(t *testing.T) {
	p := compiled(t, PolicyDefinition{
		App: "0oa1payroll",
		Claims: []claim.Definition{
			{Name: "role", Expression: "appuser.role"}, {Name: "list", Expression: "app.profile.groupallowlist"}, {Name: "email", Expression: "user.email"},
		},
		Forward: forward.Definition{Headers: []forward.HeaderDefinition{{Name: "X-Role", Claim: "role"}, {Name: "X-List", Claim: "list"}}},
	})
	for name, id := range map[string]string{
		"subject": "00u1ada", "login": "ada.login@example.com", "e-mail": "ada@example.com", "e-mail in capitals": "ADA@EXAMPLE.COM", "user id": "42",
	} {
		for _, of := range []string{"all", "a user"} {
			t.Run(name+", app of "+of, func(t *testing.T) {
				dir := newPeople()
				person := ada("Staff")
				person.User.ID = "42"
				dir.put("00u1ada", person)
				dir.change(func(p *people) {
					p.users["00u1ada/0oa1payroll"] = &identity.AppUser{Profile: map[string]any{"role": "admin"}}
				})
				var d directory.Directory = dir
				if of == "a user" {
					d = dependentPeople{dir}
				}
				r := newRig(t, options{directory: d})
				tok := r.token()
				a := r.warm(p, tok)
				if got := a.header("X-Role"); got != "admin" {
					t.Fatalf("X-Role %q", got)
				}
				dir.change(func(p *people) {
					p.users["00u1ada/0oa1payroll"] = &identity.AppUser{Profile: map[string]any{"role": "clerk"}}
					p.apps["0oa1payroll"] = &identity.App{ID: "0oa1payroll", Profile: map[string]any{"groupallowlist": []any{"00gNone"}}}
				})
				r.purge(cache.ID{Kind: cache.UserID, Value: id})
				a = r.warm(p, tok)
				if got := a.header("X-Role"); got != "clerk" {
					t.Errorf("X-Role %q after the purge", got)
				}
				if got := a.header("X-List"); of == "a user" && got != "00gNone" {
					t.Errorf("X-List %q after the purge", got)
				}
			})
		}
	}
}

// A person holds more than the user: who is linked, and assignments to other
// apps. A purge of those reaches the person.
func TestAPurgeReachesWhatAPersonHoldsOfOthers(t *testing.T) {
	person := ada("Staff")
	person.Linked = map[string]*identity.User{"manager": {ID: "00u2boss", Login: "boss@example.com"}}
	person.AppUsers = []identity.AppUser{{App: "workday", Profile: map[string]any{"grade": "7"}}}
	for name, id := range map[string]cache.ID{
		"manager": {Kind: cache.UserID, Value: "boss@example.com"}, "manager's id": {Kind: cache.UserID, Value: "00u2boss"},
		"other app": {Kind: cache.AppID, Value: "workday"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			r.people.put("00u1ada", person)
			p, tok := r.usual(), r.token()
			r.warm(p, tok)
			asked := r.people.Persons.Load()
			r.purge(id)
			r.warm(p, tok)
			if n := r.people.Persons.Load() - asked; n != 1 {
				t.Errorf("%d questions after the purge, want 1", n)
			}
		})
	}
}
