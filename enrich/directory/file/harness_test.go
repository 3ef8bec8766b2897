package file

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// harness writes the world into a file. match is what subjects are looked up by.
type harness struct{ match string }

func (h harness) Open(t *testing.T, w directorytest.World, f directorytest.Fault) directory.Directory {
	if f == directorytest.Ambiguous {
		twin := w.Users[0]
		twin.ID = "00u9twin"
		w.Users = append(slices.Clone(w.Users), twin)
	}
	path := filepath.Join(t.TempDir(), "directory.json")
	if err := os.WriteFile(path, worldJSON(t, w), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{Path: path, Match: []string{h.match}})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func (h harness) Query(u identity.User) directory.Query {
	switch h.match {
	case "login":
		return directorytest.Query(u.Login)
	case "email":
		email, _ := u.Profile["email"].(string)
		return directorytest.Query(email)
	}
	return directorytest.Query(u.ID)
}

func (h harness) Lacks() map[directorytest.Capability]string {
	lacks := map[directorytest.Capability]string{
		directorytest.CanSlow:    "a file is held in memory and never waits",
		directorytest.CanDown:    "a file is held in memory: a missing one is an error at load",
		directorytest.CanBroken:  "a broken file is an error at load, or an edit that is not used",
		directorytest.CanCut:     "a cut file is an error at load, or an edit that is not used",
		directorytest.CanRefuse:  "a file takes no credentials",
		directorytest.CanHuge:    "a file over the bound is an error at load",
		directorytest.CanForeign: "the answer is found by its own properties",
	}
	if h.match == "id" {
		lacks[directorytest.CanAmbiguous] = "two users with one id are an error at load"
	}
	return lacks
}

func (harness) Secret() string { return "" }

// worldJSON writes a world in the shape of the file.
func worldJSON(t testing.TB, w directorytest.World) []byte {
	type object = map[string]any
	var users, groups, apps []object
	for _, u := range w.Users {
		users = append(users, object{"id": u.ID, "login": u.Login, "status": u.Status, "profile": u.Profile, "groups": u.Groups})
	}
	for _, g := range w.Groups {
		groups = append(groups, object{"id": g.ID, "profile": object{"name": g.Name}})
	}
	for _, a := range w.Apps {
		var assigned []object
		for _, u := range a.Users {
			assigned = append(assigned, object{"id": u.ID, "userName": u.UserName, "profile": u.Profile})
		}
		apps = append(apps, object{"id": a.ID, "clientId": a.ClientID, "profile": a.Profile, "users": assigned})
	}
	text, err := json.MarshalIndent(object{"users": users, "groups": groups, "apps": apps}, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestConformance(t *testing.T) {
	for _, match := range []string{"id", "login", "email"} {
		t.Run("matched by "+match, func(t *testing.T) { directorytest.Run(t, harness{match}) })
	}
}
