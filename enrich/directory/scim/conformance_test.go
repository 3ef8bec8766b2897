package scim

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// harness is a world in a real SCIM service. What the service cannot be made
// to do itself is done by a proxy before it.
type harness struct {
	filter string
	groups string
	shape  shape
}

func (h harness) Open(t *testing.T, w directorytest.World, f directorytest.Fault) directory.Directory {
	if f == directorytest.Ambiguous {
		twin := w.Users[0]
		twin.ID = "00u9twin"
		w.Users = append(slices.Clone(w.Users), twin)
	}
	token := world(t, w, h.shape)
	last := w.Users[len(w.Users)-1]
	target, err := url.Parse(service(t))
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	closing := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		kind := "application/scim+json"
		switch {
		case f == directorytest.Slow:
			<-closing
		case f == directorytest.Broken:
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":1,"Resources":[{"id":`))
		case f == directorytest.Cut:
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Content-Length", "100000")
			_, _ = w.Write([]byte(`{"schemas":`))
		case f == directorytest.Huge && strings.Contains(r.URL.Path, "/Users"):
			w.Header().Set("Content-Type", kind)
			_, _ = w.Write([]byte(`{"x":"` + strings.Repeat("x", 9<<20) + `"}`))
		case f == directorytest.Foreign && strings.Contains(r.URL.Path, "/Users"):
			if h.filter == ByID {
				r.URL.Path = "/scim/v2/Users/" + last.ID
			} else {
				r.URL.RawQuery = url.Values{"filter": {`id eq "` + last.ID + `"`}}.Encode()
			}
			r.URL.RawPath = ""
			proxy.ServeHTTP(w, r)
		case f == directorytest.Incomplete && strings.Contains(r.URL.Path, "/Groups") && !strings.Contains(r.URL.RawQuery, "nobody-"):
			w.Header().Set("Content-Type", kind)
			list := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":120,"startIndex":1,"itemsPerPage":1,"Resources":[`
			if strings.Contains(r.URL.RawQuery, "startIndex=1&") || strings.HasSuffix(r.URL.RawQuery, "startIndex=1") {
				list += `{"id":"g-all","displayName":"Everyone"}`
			}
			_, _ = w.Write([]byte(list + "]}"))
		default:
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		close(closing)
		server.CloseClientConnections()
		server.Close()
	})
	if f == directorytest.Refusing {
		token += "x"
	}
	d, err := New(Config{URL: server.URL + "/scim/v2", Bearer: token, UserFilter: h.filter, Groups: h.groups}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if f == directorytest.Down {
		server.Close()
	}
	return d
}

func (h harness) Query(u identity.User) directory.Query {
	switch h.filter {
	case ByID:
		return directorytest.Query(u.ID)
	case ByExternalID:
		return directorytest.Query("ext-" + u.ID)
	case ByEmail:
		email, _ := u.Profile["email"].(string)
		return directorytest.Query(email)
	}
	return directorytest.Query(u.Login)
}

func (h harness) Lacks() map[directorytest.Capability]string {
	lacks := map[directorytest.Capability]string{
		directorytest.Apps:     "SCIM knows no apps",
		directorytest.AppUsers: "SCIM knows no assignments to apps",
	}
	switch h.filter {
	case ByID:
		lacks[directorytest.CanAmbiguous] = "an id names one resource"
	case ByExternalID:
		lacks[directorytest.CanAmbiguous] = "the twin of the world has another id"
	}
	if h.groups == GroupsUnknown {
		lacks[directorytest.Groups] = "configured not to read groups"
	}
	return lacks
}

func (harness) Secret() string { return "scim-secret-" }

// CanBeIncomplete implements directorytest.PartialHarness. A user's own list of groups has
// no way to say that it is a part.
func (h harness) CanBeIncomplete() bool { return !h.shape.groupsOfUser && h.groups != GroupsUnknown }

func TestConformance(t *testing.T) {
	for name, h := range map[string]harness{
		"by user name, groups by member":            {filter: ByUserName},
		"by user name, groups of the user":          {filter: ByUserName, shape: shape{groupsOfUser: true}},
		"by user name, groups without their names":  {filter: ByUserName, shape: shape{groupsOfUser: true, nameless: true}},
		"by e-mail address, only the user's groups": {filter: ByEmail, groups: GroupsOfUser, shape: shape{groupsOfUser: true}},
		"by external id":                            {filter: ByExternalID, groups: GroupsByMember},
		"by id":                                     {filter: ByID, shape: shape{groupsOfUser: true}},
		"by id, without groups":                     {filter: ByID, groups: GroupsUnknown},
	} {
		t.Run(name, func(t *testing.T) { directorytest.Run(t, h) })
	}
}
