package okta

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// direct carries requests to the organization without a network, so that time
// can be the test's own.
type direct struct{ o *organization }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	inbound := httptest.NewRequestWithContext(r.Context(), r.Method, r.URL.String(), r.Body)
	inbound.Header = r.Header.Clone()
	w := httptest.NewRecorder()
	d.o.serve(w, inbound)
	answer := w.Result()
	answer.Request = r
	return answer, nil
}

func open(t *testing.T, o *organization, c Config, options Options) *Directory {
	t.Helper()
	c.URL = o.http.URL
	if c.ClientID == "" {
		c.Token = apiToken
	}
	d, err := New(c, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// bubble opens an organization and a directory inside a synctest bubble.
func bubble(t *testing.T, c Config) (*organization, *Directory) {
	t.Helper()
	o := newOrganization(t, directorytest.NewWorld())
	o.http.Close() // only its address is used
	return o, open(t, o, c, Options{Transport: direct{o}})
}

func TestConfig(t *testing.T) {
	good := Config{URL: "https://acme.okta.com", Token: "t"}
	for name, c := range map[string]struct {
		change func(*Config)
		ok     bool
	}{
		"a token":                 {func(*Config) {}, true},
		"a trailing slash":        {func(c *Config) { c.URL += "/" }, true},
		"linked objects":          {func(c *Config) { c.Linked = []string{"manager"} }, true},
		"no address":              {func(c *Config) { c.URL = "" }, false},
		"without TLS":             {func(c *Config) { c.URL = "http://acme.okta.com" }, false},
		"no credentials":          {func(c *Config) { c.Token = "" }, false},
		"both credentials":        {func(c *Config) { c.ClientID, c.PrivateKey = "x", "y" }, false},
		"client without key":      {func(c *Config) { c.Token, c.ClientID = "", "x" }, false},
		"key without client":      {func(c *Config) { c.Token, c.PrivateKey = "", "x" }, false},
		"key that is none":        {func(c *Config) { c.Token, c.ClientID, c.PrivateKey = "", "x", "secret words" }, false},
		"key id with a token":     {func(c *Config) { c.KeyID = "k" }, false},
		"token with a break":      {func(c *Config) { c.Token = "a\nb" }, false},
		"hostile relationship":    {func(c *Config) { c.Linked = []string{"../x"} }, false},
		"hostile attribute":       {func(c *Config) { c.Match = []string{`email eq "x" or login`} }, false},
		"too many linked":         {func(c *Config) { c.Linked = strings.Split("abcdefghi", "") }, false},
		"too many to match":       {func(c *Config) { c.Match = strings.Split("abcdefghi", "") }, false},
		"an address of the API":   {func(c *Config) { c.URL += "/api/v1" }, false},
		"an authorization server": {func(c *Config) { c.URL += "/oauth2/default" }, false},
		"an address with query":   {func(c *Config) { c.URL += "?x" }, false},
	} {
		config := good
		c.change(&config)
		_, err := New(config, Options{})
		if c.ok != (err == nil) || err != nil && strings.Contains(err.Error(), "secret words") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestWhatAUserIs(t *testing.T) {
	o := newOrganization(t, directorytest.NewWorld())
	o.linked[directorytest.Ada] = directorytest.Lukasz
	d := open(t, o, Config{Linked: []string{"manager", "buddy"}}, Options{})
	p, err := d.Person(t.Context(), directorytest.Query("ADA@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	u := p.User
	if u.ID != directorytest.Ada || u.Login != "ada@example.com" || u.Status != "ACTIVE" || !u.LastLogin.IsZero() ||
		!u.Created.Equal(time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("user is %+v", u)
	}
	if v, ok := u.Profile["secondEmail"]; !ok || v != nil {
		t.Error("an attribute that Okta gives as null is not null")
	}
	g := p.Groups[0]
	if g.ID != "g-all" || g.Type != "OKTA_GROUP" || g.Source != "0oaAD" || !reflect.DeepEqual(g.ObjectClass, []string{"okta:user_group"}) ||
		g.LastMembershipUpdated.IsZero() || !g.LastUpdated.IsZero() {
		t.Errorf("group is %+v", g)
	}
	if len(p.Linked) != 1 || p.Linked["manager"].ID != directorytest.Lukasz {
		t.Errorf("linked objects are %v", p.Linked)
	}
	if o.asked("POST") != 0 {
		t.Error("something was written")
	}
	if _, err := open(t, o, Config{Linked: []string{"subordinate"}}, Options{}).Person(t.Context(), directorytest.Query(directorytest.Ada)); !errors.Is(err, directory.ErrMalformed) {
		t.Errorf("the associated end of a relationship: %v", err)
	}
}

// Okta takes "me" for the owner of the credentials, and the part of a login
// before the @ for the user; neither is the subject's name.
func TestNamesThatOktaReadsMoreIntoAreNobody(t *testing.T) {
	o := newOrganization(t, directorytest.NewWorld())
	d := open(t, o, Config{}, Options{})
	for _, subject := range []string{"me", "stranger", "ada", "ADA"} {
		if _, err := d.Person(t.Context(), directorytest.Query(subject)); !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
			t.Errorf("%s: got %v", subject, err)
		}
	}
	if o.asked("GET /api/v1/users/me") != 0 {
		t.Error("asked for me")
	}
	// What is not to be matched is not matched.
	for match, subject := range map[string]string{"id": "ada@example.com", "login": directorytest.Ada} {
		if _, err := open(t, o, Config{Match: []string{match}}, Options{}).Person(t.Context(), directorytest.Query(subject)); !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
			t.Errorf("%s by %s: got %v", subject, match, err)
		}
	}
}

func TestLoginWithASlashIsSearchedFor(t *testing.T) {
	w := directorytest.NewWorld()
	w.Users = append(w.Users, directorytest.User{User: identity.User{ID: "00u9", Login: `corp/ada "x\y`, Profile: map[string]any{}}})
	o := newOrganization(t, w)
	p, err := open(t, o, Config{}, Options{}).Person(t.Context(), directorytest.Query(`corp/ada "x\y`))
	if err != nil || p.User.ID != "00u9" {
		t.Errorf("got %v", err)
	}
}

func TestSubjectThatIsOnesLoginAndAnothersAttribute(t *testing.T) {
	w := directorytest.NewWorld()
	w.Users[3].Profile["nick"] = "ada@example.com"
	o := newOrganization(t, w)
	_, err := open(t, o, Config{Match: []string{"login", "nick"}}, Options{}).Person(t.Context(), directorytest.Query("ada@example.com"))
	if !errors.Is(err, directory.ErrAmbiguous) {
		t.Errorf("got %v", err)
	}
}

func TestPagesAreFollowedByTheirLinksOnly(t *testing.T) {
	t.Run("all of them", func(t *testing.T) {
		o := newOrganization(t, directorytest.NewWorld())
		o.groupPage = 100
		p, err := open(t, o, Config{}, Options{}).Person(t.Context(), directorytest.Query(directorytest.Busy))
		if err != nil || len(p.Groups) != directorytest.ManyGroups || o.asked("GET /api/v1/users/"+directorytest.Busy+"/groups") != 13 {
			t.Errorf("%v, asked %d times", err, o.asked("GET /api/v1/users/"+directorytest.Busy+"/groups"))
		}
	})
	t.Run("never to another host", func(t *testing.T) {
		reached := false
		other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
		defer other.Close()
		o := newOrganization(t, directorytest.NewWorld())
		o.override = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/groups") {
				w.Header().Set("Link", "<"+other.URL+r.URL.Path+`?after=x>; rel="next"`)
			}
			return false
		}
		_, err := open(t, o, Config{}, Options{}).Person(t.Context(), directorytest.Query(directorytest.Lonely))
		if !directory.Failed(err) || reached {
			t.Errorf("got %v, reached %v", err, reached)
		}
	})
	t.Run("not in a circle", func(t *testing.T) {
		o := newOrganization(t, directorytest.NewWorld())
		o.override = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "/groups") {
				w.Header().Set("Link", "<"+o.http.URL+r.URL.Path+`?after=x>; rel="next"`)
				o.answer(w, []object{})
				return true
			}
			return false
		}
		_, err := open(t, o, Config{}, Options{}).Person(t.Context(), directorytest.Query(directorytest.Lonely))
		if !errors.Is(err, directory.ErrTooLarge) || len(o.requests) > maxPages+1 {
			t.Errorf("got %v after %d requests", err, len(o.requests))
		}
	})
}

func TestErrorsGoByTheirCode(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		code   string
		body   string
		want   error
	}{
		{"no such user", 404, "E0000007", "", directory.ErrNotFound},
		{"a path that the API does not have", 404, "E0000008", "", directory.ErrFailed},
		{"a proxy's page", 404, "", "<html>not found</html>", directory.ErrFailed},
		{"no permission", 403, "E0000006", "", directory.ErrRefused},
		{"no permission, which says nothing of others", 403, "E0000006", "", directory.ErrRejected},
		{"a token that was revoked", 401, "E0000011", "", directory.ErrRefused},
		{"an invalid token, by another status", 400, "E0000011", "", directory.ErrRefused},
		{"a bad question", 400, "E0000001", "", directory.ErrRejected},
		{"a wrong method", 405, "E0000022", "", directory.ErrRejected},
		{"an inner error", 500, "E0000009", "", directory.ErrUnavailable},
		{"a code that is none", 404, `E"<script>`, "", directory.ErrFailed},
	} {
		o := newOrganization(t, directorytest.NewWorld())
		o.override = func(w http.ResponseWriter, r *http.Request) bool {
			if c.body != "" {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.body))
				return true
			}
			refuse(w, c.status, c.code, "about ada@example.com")
			return true
		}
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		_, err := open(t, o, Config{}, Options{Logger: log}).Person(t.Context(), directorytest.Query("ada@example.com"))
		if !errors.Is(err, c.want) || directory.Failed(err) == errors.Is(c.want, directory.ErrNotFound) {
			t.Errorf("%s: got %v", c.name, err)
		}
		if text := err.Error() + out.String(); strings.Contains(text, "ada@") || strings.Contains(text, "script") || strings.Contains(text, apiToken) {
			t.Errorf("%s: says %s", c.name, text)
		}
		if c.body == "" && !strings.Contains(out.String(), "reqVy8wsvmBQN27h4soUE3ZEnA") {
			t.Errorf("%s: the request's id is not logged: %s", c.name, out.String())
		}
	}
}

func TestAppsByClientID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, d := bubble(t, Config{})
		a, err := d.App(t.Context(), "payroll-client")
		if err != nil || a.ID != "0oa1payroll" || a.ClientID != "payroll-client" || a.Label != "Payroll" || a.Attributes["domain"] != "example.com" {
			t.Fatalf("got %+v, %v", a, err)
		}
		u, err := d.AppUser(t.Context(), directorytest.Query(directorytest.Ada), "payroll-client")
		if err != nil || u.UserName != "ada" || u.App != "0oa1payroll" {
			t.Errorf("got %+v, %v", u, err)
		}
		listed := o.asked("GET /api/v1/apps/")
		for range 20 {
			if _, err := d.App(t.Context(), "nobody"); !errors.Is(err, directory.ErrNotFound) {
				t.Error(err)
			}
		}
		all := 0
		for _, r := range o.requests {
			if r == "GET /api/v1/apps" {
				all++
			}
		}
		if all != 2 { // two pages, once
			t.Errorf("the list of apps was read in %d requests (%d others)", all, listed)
		}
		o.override = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/api/v1/apps" {
				refuse(w, http.StatusForbidden, "E0000006", "")
				return true
			}
			return false
		}
		time.Sleep(indexTTL)
		if _, err := d.App(t.Context(), "payroll-client"); !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
			t.Errorf("where the list may not be read: %v", err)
		}
		if _, err := d.App(t.Context(), "0oa9none"); !errors.Is(err, directory.ErrNotFound) {
			t.Error(err)
		}
	})
}

func TestAppUsersOff(t *testing.T) {
	o := newOrganization(t, directorytest.NewWorld())
	off := false
	d := open(t, o, Config{AppUsers: &off}, Options{})
	if _, err := d.AppUser(t.Context(), directorytest.Query(directorytest.Ada), "0oa1payroll"); !errors.Is(err, directory.ErrNotFound) || len(o.requests) != 0 {
		t.Errorf("got %v after %v", err, o.requests)
	}
}

func TestUserIDNeedsNoSecondLookUp(t *testing.T) {
	w := directorytest.NewWorld()
	w.Apps[0].Users[0].ID = "00uabcdefgHIJKLMNO12"
	o := newOrganization(t, w)
	d := open(t, o, Config{}, Options{})
	if _, err := d.AppUser(t.Context(), directorytest.Query("00uabcdefgHIJKLMNO12"), "0oa1payroll"); err != nil || len(o.requests) != 1 {
		t.Errorf("got %v after %v", err, o.requests)
	}
}

func TestAnUnknownStatusIsAFailureAndNotAnActiveUser(t *testing.T) {
	for status, want := range map[string]error{"ACTIVE": nil, "suspended": nil, "FROZEN": directory.ErrMalformed} {
		w := directorytest.NewWorld()
		for i := range w.Users {
			w.Users[i].Status = status
		}
		p, err := open(t, newOrganization(t, w), Config{}, Options{}).Person(t.Context(), directorytest.Query(directorytest.Ada))
		if !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", status, err, want)
		}
		if err == nil && p.User.Disabled() != (status == "suspended") {
			t.Errorf("%s: barred is %v", status, p.User.Disabled())
		}
	}
}

func TestNoPermissionForGroupsIsAFailureAndNotNoGroups(t *testing.T) {
	o := newOrganization(t, directorytest.NewWorld())
	o.mayNot = "/api/v1/users/" + directorytest.Ada + "/groups"
	p, err := open(t, o, Config{}, Options{}).Person(t.Context(), directorytest.Query(directorytest.Ada))
	if p != nil || !errors.Is(err, directory.ErrRefused) {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestTheWayMayHaveAnAuthorityOfItsOwn(t *testing.T) {
	o := newOrganization(t, directorytest.NewWorld())
	way := httptest.NewTLSServer(http.HandlerFunc(o.serve))
	defer way.Close()
	for ca, want := range map[string]error{"": directory.ErrUnavailable, directorytest.WriteAuthority(t, way.Certificate()): nil} {
		d, err := New(Config{URL: way.URL, Token: apiToken, CAFile: ca}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Person(t.Context(), directorytest.Query(directorytest.Lonely)); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("with authority %q: %v", ca, err)
		}
		_ = d.Close()
	}
	if _, err := New(Config{URL: way.URL, Token: apiToken, CAFile: "/nowhere.pem"}, Options{}); err == nil {
		t.Error("an authority that is not there")
	}
}
