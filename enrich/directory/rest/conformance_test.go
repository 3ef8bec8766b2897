package rest

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

const secret = "rest-secret-only-for-tests"

// manner is one way to speak with a service.
type manner string

const (
	byShape  manner = "GET, answered in the shape of a context"
	byPaths  manner = "GET with a query, answered in a shape of its own"
	byPost   manner = "POST, answered in a shape of its own"
	oneOfAll manner = "GET with the app in the query, one answer for all"
)

type object = map[string]any

// service holds a world and answers about it.
type service struct {
	manner manner
	world  directorytest.World
	fault  directorytest.Fault
	ended  chan struct{}
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch s.fault {
	case directorytest.Healthy, directorytest.Ambiguous, directorytest.Down, directorytest.Refusing, directorytest.Foreign, directorytest.Incomplete:
	case directorytest.Slow:
		select {
		case <-r.Context().Done():
		case <-s.ended:
		}
		return
	case directorytest.Broken:
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, "<h1>Down for maintenance</h1>")
		return
	case directorytest.Cut:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "4096")
		_, _ = io.WriteString(w, `{"user":{"id":"00u1ada","pro`)
		return
	case directorytest.Huge:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"user":{"id":"00u1ada"},"filler":"`)
		filler := strings.Repeat("x", 64<<10)
		for range directory.MaxResponse/len(filler) + 1 {
			_, _ = io.WriteString(w, filler)
		}
		_, _ = io.WriteString(w, `"}`)
		return
	}
	if r.Header.Get("Authorization") != "Bearer "+secret || s.fault == directorytest.Refusing {
		http.Error(w, "who are you?", http.StatusUnauthorized)
		return
	}
	answer := s.answer(r)
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	if members, ok := answer.(object); ok && s.fault == directorytest.Incomplete {
		members["nextPageToken"] = "CAEQAA"
	}
	w.Header().Set("Content-Type", "application/vnd.example+json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(answer)
}

func (s *service) answer(r *http.Request) any {
	if id, ok := strings.CutPrefix(r.URL.EscapedPath(), "/apps/"); ok {
		id, _ = url.PathUnescape(id)
		a := s.app(id)
		switch {
		case a == nil:
			return nil
		case s.manner == byShape:
			return object{"app": appObject(a)}
		}
		return object{"data": object{"app": appObject(a)}}
	}
	subject, app := "", ""
	switch s.manner {
	case byShape:
		segment, ok := strings.CutPrefix(r.URL.EscapedPath(), "/base/profile/")
		if !ok || strings.Contains(segment, "/") {
			return nil
		}
		subject, _ = url.PathUnescape(segment)
		app = "0oa1payroll"
	case byPaths:
		subject = r.URL.Query().Get("q")
	case oneOfAll:
		subject, app = r.URL.Query().Get("user"), r.URL.Query().Get("app")
	case byPost:
		var asked struct {
			Who struct{ Sub, Iss, Again string }
		}
		if r.Header.Get("Content-Type") != "application/json" || json.NewDecoder(r.Body).Decode(&asked) != nil ||
			asked.Who.Iss != "https://idp.example.com" || asked.Who.Again != asked.Who.Sub {
			return nil
		}
		subject = asked.Who.Sub
	}
	var found []directorytest.User
	for _, u := range s.world.Users {
		if u.ID == subject {
			found = append(found, u)
		}
	}
	switch {
	case s.fault == directorytest.Foreign:
		found = s.world.Users[len(s.world.Users)-1:]
	case len(found) == 0:
		return nil
	case s.fault == directorytest.Ambiguous:
		found = append(found, found[0])
	}
	u := found[0]
	names := s.world.GroupNames(u)
	if s.manner == byShape || s.manner == oneOfAll {
		groups := make([]any, len(names))
		for i, id := range u.Groups {
			groups[i] = object{"id": id, "profile": object{"name": names[i]}}
		}
		answer := object{"user": u.User, "groups": groups}
		if a := s.app(app); a != nil {
			answer["app"] = appObject(a)
			for _, assigned := range a.Users {
				if assigned.ID == u.ID {
					answer["appuser"] = object{"id": u.ID, "userName": assigned.UserName, "profile": assigned.Profile}
				}
			}
		}
		return answer
	}
	matches := []any{}
	for _, u := range found {
		attributes := object{"id": u.ID, "login": u.Login, "status": strings.ToLower(u.Status)}
		maps.Copy(attributes, u.Profile)
		matches = append(matches, object{"attributes": attributes})
	}
	memberships := make([]any, len(names))
	for i, id := range u.Groups {
		memberships[i] = object{"group": object{"id": id, "name": names[i]}}
	}
	return object{"data": object{"matches": matches, "memberships": memberships}}
}

func (s *service) app(id string) *directorytest.App {
	for i := range s.world.Apps {
		if a := &s.world.Apps[i]; a.ID == id || a.ClientID == id {
			return a
		}
	}
	return nil
}

func appObject(a *directorytest.App) object {
	return object{"id": a.ID, "clientId": a.ClientID, "profile": a.Profile}
}

func (m manner) config(base string) Config {
	c := Config{Header: http.Header{"Authorization": {"Bearer " + secret}}}
	switch m {
	case byShape:
		c.URL, c.AppURL = base+"/base/profile/{subject}", base+"/apps/{app}"
	case oneOfAll:
		c.URL = base + "/context?user={subject}&app={app}"
	case byPaths:
		c.URL, c.AppURL = base+"/search?q={subject}&limit=2", base+"/apps/{app}"
	case byPost:
		c.URL, c.AppURL, c.Method = base+"/search", base+"/apps/{app}", http.MethodPost
		c.Body = `{"who": {"sub": {subject}, "iss": "{issuer}", "again": "{subject}"}}`
	}
	if m == byPaths || m == byPost {
		c.ProfilePath, c.GroupsPath, c.AppPath = "$.data.matches[*].attributes", "$.data.memberships[*].group", "$.data.app"
	}
	return c
}

type harness struct{ manner manner }

func (h harness) Open(t *testing.T, w directorytest.World, f directorytest.Fault) directory.Directory {
	s := &service{manner: h.manner, world: w, fault: f, ended: make(chan struct{})}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(s.ended) })
	if f == directorytest.Down {
		server.Close()
	}
	d, err := New(h.manner.config(server.URL), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func (harness) Query(u identity.User) directory.Query { return directorytest.Query(u.ID) }

func (h harness) Lacks() map[directorytest.Capability]string {
	lacks := map[directorytest.Capability]string{}
	switch h.manner {
	case byShape:
		lacks[directorytest.CanAmbiguous] = "a context has room for one user"
	case oneOfAll:
		lacks[directorytest.CanAmbiguous] = "a context has room for one user"
		lacks[directorytest.Apps] = "an app is known from the answer about a user, on whose behalf the suite does not ask"
	default:
		lacks[directorytest.AppUsers] = "no path says where assignments are"
	}
	return lacks
}

func (harness) Secret() string { return secret }

// CanBeIncomplete implements directorytest.PartialHarness.
func (harness) CanBeIncomplete() bool { return true }

func TestConformance(t *testing.T) {
	for _, m := range []manner{byShape, byPaths, byPost, oneOfAll} {
		t.Run(string(m), func(t *testing.T) { directorytest.Run(t, harness{m}) })
	}
}
