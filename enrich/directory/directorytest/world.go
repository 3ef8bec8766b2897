package directorytest

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// ManyGroups is how many groups the user Busy has: more than one page of any
// directory, and no multiple of a usual page size.
const ManyGroups = 1203

// The ids of users in the world of NewWorld.
const (
	Ada      = "00u1ada"
	Eve      = "00u2eve"      // suspended
	Busy     = "00u3busy"     // in ManyGroups groups
	Lukasz   = "00u4lukasz"   // far outside ASCII
	Awkward  = "00u5awkward"  // a login full of what needs escaping
	Lonely   = "00u6lonely"   // in no group
	Stranger = "00u7stranger" // the last one: who Foreign answers with
)

// awkwardLogin holds the special characters of all query languages.
const awkwardLogin = `o'brien "x" (y)* \z,+=<>#;%41&?`

// NewWorld returns the world of the suite.
func NewWorld() World {
	w := World{
		Groups: []identity.Group{
			{ID: "g-all", Name: "Everyone"},
			{ID: "g-it", Name: "IT"},
			{ID: "g-unicode", Name: "Łódź – группа 管理者"},
			{ID: "g-empty", Name: "Nobody here"},
		},
		Users: []User{
			{identity.User{ID: Ada, Login: "ada@example.com", Status: identity.StatusActive, Profile: map[string]any{
				"firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com", "department": "Engineering",
			}}, []string{"g-all", "g-it"}},
			{identity.User{ID: Eve, Login: "eve@example.com", Status: identity.StatusSuspended, Profile: map[string]any{
				"firstName": "Eve", "lastName": "Adversary", "email": "eve@example.com", "department": "Elsewhere",
			}}, []string{"g-all"}},
			{identity.User{ID: Busy, Login: "busy@example.com", Status: identity.StatusActive, Profile: map[string]any{
				"firstName": "Busy", "lastName": "Body", "email": "busy@example.com", "department": "All",
			}}, nil},
			{identity.User{ID: Lukasz, Login: "łukasz.żółć@example.com", Status: identity.StatusActive, Profile: map[string]any{
				"firstName": "Łukasz", "lastName": "Żółć 👩‍🚀 e\u0301", "email": "lukasz@example.com", "department": "研究開発",
			}}, []string{"g-unicode"}},
			{identity.User{ID: Awkward, Login: awkwardLogin, Status: identity.StatusActive, Profile: map[string]any{
				"firstName": "Miles", "lastName": `O'Brien <"&>`, "email": "awkward@example.com", "department": "*",
			}}, []string{"g-it"}},
			{identity.User{ID: Lonely, Login: "lonely@example.com", Status: identity.StatusActive, Profile: map[string]any{
				"firstName": "Lonely", "lastName": "One", "email": "lonely@example.com", "department": "None",
			}}, nil},
			{identity.User{ID: Stranger, Login: "stranger@example.com", Status: identity.StatusActive, Profile: map[string]any{
				"firstName": "Some", "lastName": "Body", "email": "stranger@example.com", "department": "Other",
			}}, []string{"g-all"}},
		},
		Apps: []App{{
			App: identity.App{ID: "0oa1payroll", ClientID: "payroll-client", Profile: map[string]any{
				"groupallowlist": []any{"g-it"}, "maxLimit": int64(40),
			}},
			Users: []identity.AppUser{{ID: Ada, UserName: "ada", Profile: map[string]any{"role": "admin"}}},
		}},
	}
	for i := range ManyGroups {
		id := fmt.Sprintf("g-many-%04d", i)
		w.Groups = append(w.Groups, identity.Group{ID: id, Name: fmt.Sprintf("Many %04d", i)})
		w.Users[2].Groups = append(w.Users[2].Groups, id)
	}
	return w
}

// User returns the user with this id.
func (w World) User(id string) User {
	for _, u := range w.Users {
		if u.ID == id {
			return u
		}
	}
	panic("directorytest: the world has no such user")
}

// GroupNames returns the names of a user's groups, in the world's order.
func (w World) GroupNames(u User) []string {
	names := make(map[string]string, len(w.Groups))
	for _, g := range w.Groups {
		names[g.ID] = g.Name
	}
	out := make([]string, len(u.Groups))
	for i, id := range u.Groups {
		out[i] = names[id]
	}
	return out
}
