package scim

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// served opens a directory on a world in the real service.
func served(t *testing.T, c Config, w directorytest.World, s shape) (*Directory, *front) {
	t.Helper()
	f := &front{}
	c.URL, c.Bearer = service(t)+"/scim/v2", world(t, w, s)
	d, err := New(c, Options{Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, f
}

// played opens a directory on answers that the test makes up.
func played(t *testing.T, c Config, answer func(r *http.Request) (status int, body string)) (*Directory, *front) {
	t.Helper()
	f := &front{spoil: func(r *http.Request, _ func(*http.Request) (*http.Response, error)) (*http.Response, error) {
		status, body := answer(r)
		return says(r, status, "application/scim+json", body), nil
	}}
	c.URL = "https://scim.example.com/scim/v2"
	if c.Bearer == "" && c.Username == "" {
		c.Bearer = "scim-secret"
	}
	d, err := New(c, Options{Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d, f
}

func list(total int, resources ...string) string {
	return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":%d,"Resources":[%s]}`, total, strings.Join(resources, ","))
}

const ada = `{"id":"1","userName":"ada","groups":[{"value":"g","display":"G"}]}`

func TestConfig(t *testing.T) {
	good := Config{URL: "https://scim.example.com/v2", Bearer: "t"}
	for name, c := range map[string]struct {
		change func(*Config)
		ok     bool
	}{
		"a bearer token":             {func(*Config) {}, true},
		"basic":                      {func(c *Config) { c.Bearer, c.Username, c.Password = "", "u", "p:w" }, true},
		"another attribute":          {func(c *Config) { c.UserFilter = ByEmail }, true},
		"no address":                 {func(c *Config) { c.URL = "" }, false},
		"without TLS":                {func(c *Config) { c.URL = "http://scim.example.com" }, false},
		"credentials in the address": {func(c *Config) { c.URL = "https://u:p@scim.example.com" }, false},
		"no credentials":             {func(c *Config) { c.Bearer = "" }, false},
		"both credentials":           {func(c *Config) { c.Username, c.Password = "u", "p" }, false},
		"a user without password":    {func(c *Config) { c.Bearer, c.Username = "", "u" }, false},
		"a user with a colon":        {func(c *Config) { c.Bearer, c.Username, c.Password = "", "u:v", "p" }, false},
		"a token with a break":       {func(c *Config) { c.Bearer = "a\nb" }, false},
		"a filter of one's own":      {func(c *Config) { c.UserFilter = `userName eq "x" or id` }, false},
		"groups from elsewhere":      {func(c *Config) { c.Groups = "ldap" }, false},
	} {
		config := good
		c.change(&config)
		if _, err := New(config, Options{}); c.ok != (err == nil) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestBasicAuthentication(t *testing.T) {
	d, _ := played(t, Config{Username: "u", Password: "p:w"}, func(r *http.Request) (int, string) {
		if r.Header.Get("Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("u:p:w")) {
			t.Errorf("sent %q", r.Header.Get("Authorization"))
		}
		return 200, list(1, ada)
	})
	if _, err := d.Person(t.Context(), directorytest.Query("ada")); err != nil {
		t.Error(err)
	}
}

func TestNamesOfAttributesAreReadInAnyCase(t *testing.T) {
	const user = `{"Schemas":["x"],"ID":"1","username":"Ada","Active":false,"PASSWORD":"p","Emails":[{"Value":"a@x"},{"value":"ada@x","PRIMARY":true}],
		"NAME":{"GivenName":"Ada"},"URN:ietf:params:scim:schemas:extension:enterprise:2.0:user":{"Department":"IT","MANAGER":{"DisplayName":"Eve"}},
		"META":{"Created":"2024-01-02T03:04:05Z"},"Groups":[{"VALUE":"g","Display":"G"}]}`
	for _, by := range []struct{ attribute, subject, answer string }{
		{ByUserName, "ada", `{"TotalResults":1,"resources":[` + user + `]}`},
		{ByEmail, "ADA@x", list(1, user)},
		{ByID, "1", user},
	} {
		d, _ := played(t, Config{UserFilter: by.attribute}, func(*http.Request) (int, string) { return 200, by.answer })
		p, err := d.Person(t.Context(), directorytest.Query(by.subject))
		if err != nil {
			t.Fatalf("by %s: %v", by.attribute, err)
		}
		u := p.User
		if u.ID != "1" || u.Login != "Ada" || u.Status != identity.StatusSuspended || u.Created.IsZero() {
			t.Errorf("user is %+v", u)
		}
		if len(p.Groups) != 1 || p.Groups[0].ID != "g" || p.Groups[0].Name != "G" {
			t.Errorf("groups are %+v", p.Groups)
		}
		for name, want := range map[string]any{
			"login": "Ada", "username": "Ada", "firstName": "Ada", "email": "ada@x", "department": "IT", "manager": "Eve", "Active": false,
			"userName": nil, "PASSWORD": nil, "Schemas": nil, "Groups": nil, "META": nil,
		} {
			if !reflect.DeepEqual(u.Profile[name], want) {
				t.Errorf("attribute %s is %#v, want %#v", name, u.Profile[name], want)
			}
		}
	}
	members, _ := played(t, Config{Groups: GroupsByMember}, func(r *http.Request) (int, string) {
		switch filter := r.URL.Query().Get("filter"); {
		case strings.Contains(filter, "nobody-"):
			return 200, list(0)
		case strings.HasPrefix(filter, "members"):
			return 200, list(1, `{"Id":"g","displayname":"G","MEMBERS":[{"Value":"1"}],"Kind":"k"}`)
		}
		return 200, list(1, user)
	})
	p, err := members.Person(t.Context(), directorytest.Query("ada"))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"name": "G", "Id": "g", "displayname": "G", "Kind": "k"}; len(p.Groups) != 1 || !reflect.DeepEqual(p.Groups[0].Profile, want) {
		t.Errorf("groups by member are %+v", p.Groups)
	}
}

func TestAnAttributeInTwoSpellingsIsNoAnswer(t *testing.T) {
	for _, c := range []Config{{}, {UserFilter: ByID}} {
		const user = `{"id":"ada","userName":"ada","active":true,"Active":false,"groups":[{"value":"g","display":"G"}]}`
		d, _ := played(t, c, func(*http.Request) (int, string) {
			if c.UserFilter == ByID {
				return 200, user
			}
			return 200, list(1, user)
		})
		if _, err := d.Person(t.Context(), directorytest.Query("ada")); !errors.Is(err, directory.ErrMalformed) {
			t.Errorf("by %q: %v", c.UserFilter, err)
		}
	}
}

func TestWhatAUserIs(t *testing.T) {
	d, f := served(t, Config{}, directorytest.NewWorld(), shape{groupsOfUser: true})
	p, err := d.Person(t.Context(), directorytest.Query("ada@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	u := p.User
	if u.ID != directorytest.Ada || u.Login != "ada@example.com" || u.Status != identity.StatusActive || !u.Created.Equal(time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)) {
		t.Errorf("user is %+v", u)
	}
	for name, want := range map[string]any{
		"userName": "ada@example.com", "login": "ada@example.com", "externalId": "ext-" + directorytest.Ada, "firstName": "Ada",
		"email": "ada@example.com", "department": "Engineering", "employeeNumber": "0042", "managerId": "00u2eve", "manager": "Eve",
		"name": map[string]any{"givenName": "Ada", "familyName": "Lovelace"}, "active": true,
	} {
		if !reflect.DeepEqual(u.Profile[name], want) {
			t.Errorf("attribute %s is %#v, want %#v", name, u.Profile[name], want)
		}
	}
	if extension, _ := u.Profile[enterprise].(map[string]any); extension["department"] != "Engineering" {
		t.Error("the extension is not under its URN")
	}
	for name := range excluded {
		if _, ok := u.Profile[name]; ok {
			t.Errorf("the profile holds %s", name)
		}
	}
	if n := f.count("/scim/v2/Groups"); n != 0 {
		t.Errorf("asked %d times for groups that the user told", n)
	}
}

func TestAnAccountIsBarredHoweverItIsWritten(t *testing.T) {
	for active, want := range map[string]string{
		`true`: identity.StatusActive, `false`: identity.StatusSuspended, `"True"`: identity.StatusActive, `"False"`: identity.StatusSuspended,
		`null`: "", `"no"`: "malformed", `0`: "malformed", `{}`: "malformed",
	} {
		d, _ := played(t, Config{}, func(*http.Request) (int, string) {
			return 200, list(1, `{"id":"1","userName":"ada","active":`+active+`,"groups":[{"value":"g","display":"G"}]}`)
		})
		p, err := d.Person(t.Context(), directorytest.Query("ada"))
		if want == "malformed" && !errors.Is(err, directory.ErrMalformed) || want != "malformed" && (err != nil || p.User.Status != want) {
			t.Errorf("%s: %+v, %v", active, p, err)
		}
	}
}

func TestPrimaryValuesAndTypes(t *testing.T) {
	d, _ := played(t, Config{}, func(*http.Request) (int, string) {
		return 200, list(1, `{"id":"1","userName":"ada","password":"x","title":"Countess","active":false,"groups":[{"value":"g","display":"G"},{"value":"g","display":"G","type":"indirect"}],
			"emails":[{"value":"a@x","type":"home"},{"value":"b@x","primary":true}],"phoneNumbers":[{"value":"1","type":"work"},{"value":"2","type":"Mobile"}],
			"addresses":[{"locality":"London","country":"GB"}],"department":"own"}`)
	})
	p, err := d.Person(t.Context(), directorytest.Query("ADA"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"email": "b@x", "mobilePhone": "2", "primaryPhone": "1", "city": "London", "countryCode": "GB", "department": "own", "title": "Countess", "password": nil,
	} {
		if p.User.Profile[name] != want {
			t.Errorf("%s is %v", name, p.User.Profile[name])
		}
	}
	if !p.User.Disabled() || len(p.Groups) != 1 {
		t.Errorf("status %q, groups %v", p.User.Status, p.Groups)
	}
}

// What stands in a filter is one JSON string, whatever the subject holds, and
// holds no quote that a careless service could stop at.
func TestFilterValuesStayInside(t *testing.T) {
	for _, subject := range []string{`ada`, `" or userName pr or userName eq "`, `\`, `a\" or id pr`, `o'brien "x" (y)* \z,+=<>#;%41&?`, `Łukasz 👩‍🚀`, `\u0022 or id pr`} {
		text, err := url.QueryUnescape(filter("userName", subject))
		if err != nil {
			t.Fatal(err)
		}
		value, ok := strings.CutPrefix(text, "userName eq ")
		var got string
		if !ok || json.Unmarshal([]byte(value), &got) != nil || got != subject {
			t.Errorf("%q is written %s", subject, text)
		}
		if strings.Count(value, `"`) != 2 {
			t.Errorf("%q has a quote inside its string: %s", subject, value)
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(`" or userName pr`)
	f.Fuzz(func(t *testing.T, subject string) {
		if directory.CheckName(subject) != nil {
			return
		}
		text, err := url.QueryUnescape(filter("userName", subject))
		var got string
		if err != nil || json.Unmarshal([]byte(strings.TrimPrefix(text, "userName eq ")), &got) != nil || got != subject || strings.Count(text, `"`) != 2 {
			t.Errorf("%q is written %s", subject, text)
		}
	})
}

// The real service as it is, which does not read escapes: nobody is found, and
// never somebody else.
func TestServiceThatDoesNotReadEscapes(t *testing.T) {
	d, _ := served(t, Config{}, directorytest.NewWorld(), shape{naive: true, groupsOfUser: true})
	if _, err := d.Person(t.Context(), directorytest.Query("ada@example.com")); err != nil {
		t.Error(err)
	}
	for name, subject := range directorytest.Hostile() {
		if p, err := d.Person(t.Context(), directorytest.Query(subject)); p != nil || !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A service that takes no notice of filters answers with everyone, and with
// every group.
func TestServiceThatIgnoresFilters(t *testing.T) {
	d, _ := served(t, Config{}, directorytest.NewWorld(), shape{deaf: true})
	if p, err := d.Person(t.Context(), directorytest.Query("ada@example.com")); p != nil || !errors.Is(err, directory.ErrForeign) {
		t.Errorf("users: got %v", err)
	}
	d, _ = served(t, Config{UserFilter: ByID}, directorytest.NewWorld(), shape{deaf: true})
	p, err := d.Person(t.Context(), directorytest.Query(directorytest.Ada))
	if err != nil || p.GroupsKnown || len(p.Groups) != 0 {
		t.Errorf("groups are known from a service that does not filter them: %v", err)
	}
	d, _ = served(t, Config{UserFilter: ByID, Groups: GroupsByMember}, directorytest.NewWorld(), shape{deaf: true})
	if _, err := d.Person(t.Context(), directorytest.Query(directorytest.Ada)); !errors.Is(err, directory.ErrRejected) {
		t.Errorf("groups by member only: got %v", err)
	}
}

func TestPageSizeFollowsTheService(t *testing.T) {
	d, f := served(t, Config{}, directorytest.NewWorld(), shape{})
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	for d.service.Load() == nil {
		select {
		case <-t.Context().Done():
			t.Fatal("the service's configuration was not read")
		case <-time.After(time.Millisecond):
		}
	}
	p, err := d.Person(t.Context(), directorytest.Query("busy@example.com"))
	if err != nil || len(p.Groups) != directorytest.ManyGroups {
		t.Fatalf("%v", err)
	}
	pages := 0
	for _, a := range f.asked {
		if strings.HasPrefix(a, "/scim/v2/Groups") && strings.Contains(a, "count=150&startIndex=") {
			pages++
		}
	}
	if pages != 9 {
		t.Errorf("%d pages of 150", pages)
	}
	if ready, problem := d.Report(); !ready || problem != "" {
		t.Errorf("reports %v, %q", ready, problem)
	}
}

func TestReportOfAServiceThatSaysItCannotFilter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := `{"filter":{"supported":false,"maxResults":0}}`
		var status atomic.Int64
		status.Store(500)
		d, f := played(t, Config{}, func(r *http.Request) (int, string) {
			if strings.HasSuffix(r.URL.Path, "/ServiceProviderConfig") {
				return int(status.Load()), answer
			}
			return 200, list(1, ada)
		})
		if err := errors.Join(d.Start(), d.Start()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, problem := d.Report(); problem != "" || d.service.Load() != nil {
			t.Errorf("a failed reading reports %q", problem)
		}
		status.Store(200)
		time.Sleep(2 * configRetry)
		synctest.Wait()
		if ready, problem := d.Report(); !ready || !strings.Contains(problem, "filter") {
			t.Errorf("reports %v, %q", ready, problem)
		}
		// It is not taken at its word.
		if _, err := d.Person(t.Context(), directorytest.Query("ada")); err != nil {
			t.Error(err)
		}
		if err := errors.Join(d.Close(), d.Close()); err != nil {
			t.Error(err)
		}
		asked := f.count("")
		time.Sleep(2 * configLife)
		if f.count("") != asked {
			t.Error("asks on after Close")
		}
	})
}

func TestAnswersThatAreChecked(t *testing.T) {
	for _, c := range []struct {
		name   string
		filter string
		status int
		body   string
		want   error
	}{
		{"somebody else", ByUserName, 200, list(1, `{"id":"1","userName":"bob"}`), directory.ErrForeign},
		{"somebody else by id", ByID, 200, `{"id":"2","userName":"ada"}`, directory.ErrForeign},
		{"an id in another case", ByID, 200, `{"id":"ADA","userName":"ada"}`, directory.ErrForeign},
		{"an external id in another case", ByExternalID, 200, list(1, `{"id":"1","externalId":"ADA"}`), directory.ErrForeign},
		{"an address that is a name", ByEmail, 200, list(1, `{"id":"1","userName":"ada","emails":[{"display":"ada"}]}`), directory.ErrForeign},
		{"one of two is somebody else", ByUserName, 200, list(2, ada, `{"id":"2","userName":"bob"}`), directory.ErrForeign},
		{"two", ByUserName, 200, list(2, ada, ada), directory.ErrAmbiguous},
		{"one shown of several", ByUserName, 200, list(7, ada), directory.ErrAmbiguous},
		{"none shown of one", ByUserName, 200, list(1), directory.ErrMalformed},
		{"nobody", ByUserName, 200, list(0), directory.ErrNotFound},
		{"nobody, without the member", ByUserName, 200, `{"totalResults":0}`, directory.ErrNotFound},
		{"no id", ByUserName, 200, list(1, `{"userName":"ada"}`), directory.ErrMalformed},
		{"more shown than there are", ByUserName, 200, list(0, ada), directory.ErrMalformed},
		{"no list", ByUserName, 200, ada, directory.ErrMalformed},
		{"a list of texts", ByUserName, 200, list(1, `"ada"`), directory.ErrMalformed},
		{"negative", ByUserName, 200, list(-1), directory.ErrMalformed},
		{"a search at a wrong address", ByUserName, 404, `{"schemas":["` + errorSchema + `"],"status":"404"}`, directory.ErrRejected},
		{"no such id", ByID, 404, `{"schemas":["` + errorSchema + `"],"status":"404"}`, directory.ErrNotFound},
		{"a proxy's page for an id", ByID, 404, `<html>`, directory.ErrFailed},
		{"a filter that it cannot read", ByUserName, 400, `{"schemas":["` + errorSchema + `"],"status":"400","scimType":"invalidFilter"}`, directory.ErrRejected},
		{"too many", ByUserName, 400, `{"schemas":["` + errorSchema + `"],"status":"400","scimType":"tooMany"}`, directory.ErrTooLarge},
		{"no permission", ByUserName, 403, `{"schemas":["` + errorSchema + `"],"status":"403"}`, directory.ErrRefused},
		{"a group that is a text", ByUserName, 200, list(1, `{"id":"1","userName":"ada","groups":["a",{"value":"g","display":"G"}]}`), directory.ErrMalformed},
		{"groups that are no list", ByUserName, 200, list(1, `{"id":"1","userName":"ada","groups":{"value":"g","display":"G"}}`), directory.ErrMalformed},
		{"a group without an id", ByUserName, 200, list(1, `{"id":"1","userName":"ada","groups":[{"display":"G"}]}`), directory.ErrMalformed},
	} {
		d, _ := played(t, Config{UserFilter: c.filter}, func(*http.Request) (int, string) { return c.status, c.body })
		p, err := d.Person(t.Context(), directorytest.Query("ada"))
		if p != nil || !errors.Is(err, c.want) || directory.Failed(err) != errors.Is(c.want, directory.ErrFailed) {
			t.Errorf("%s: got %v, %v", c.name, p, err)
		}
	}
}

// groupPages answers for a user without groups of its own, and with pages of
// groups made up by the test.
func groupPages(page func(start, count int, cursor string) string) func(r *http.Request) (int, string) {
	return func(r *http.Request) (int, string) {
		q := r.URL.Query()
		switch {
		case strings.HasSuffix(r.URL.Path, "/Users"):
			return 200, list(1, `{"id":"1","userName":"ada"}`)
		case strings.Contains(q.Get("filter"), "nobody-"):
			return 200, list(0)
		}
		start, _ := strconv.Atoi(q.Get("startIndex"))
		count, _ := strconv.Atoi(q.Get("count"))
		return 200, page(start, count, q.Get("cursor"))
	}
}

func group(n int) string { return fmt.Sprintf(`{"id":"g%d","displayName":"G%d"}`, n, n) }

func TestGroupPages(t *testing.T) {
	// five pretends that there are five groups, shown two at a time.
	five := func(start, _ int, _ string) string {
		var page []string
		for n := start; n <= min(start+1, 5); n++ {
			page = append(page, group(n))
		}
		return list(5, page...)
	}
	for _, c := range []struct {
		name string
		page func(start, count int, cursor string) string
		want error
		n    int
	}{
		{"fewer than asked for", five, nil, 5},
		{"by cursor", func(_, _ int, cursor string) string {
			n := 1
			if cursor != "" {
				n, _ = strconv.Atoi(strings.TrimPrefix(cursor, "c/"))
			}
			text := list(3, group(n))
			if n < 3 {
				text = strings.TrimSuffix(text, "}") + fmt.Sprintf(`,"nextCursor":"c/%d"}`, n+1)
			}
			return text
		}, nil, 3},
		{"a page that ends too early", func(start, count int, cursor string) string {
			if start > 2 {
				return list(5)
			}
			return five(start, count, cursor)
		}, directory.ErrMalformed, 0},
		{"always the first page", func(_, count int, cursor string) string { return five(1, count, cursor) }, directory.ErrMalformed, 0},
		{"too many", func(int, int, string) string { return list(directory.MaxGroups+1, group(1)) }, directory.ErrTooLarge, 0},
		{"a group without a name", func(int, int, string) string { return list(1, `{"id":"g"}`) }, directory.ErrMalformed, 0},
		{"a group of others", func(int, int, string) string {
			return list(1, `{"id":"g","displayName":"G","members":[{"value":"2"}]}`)
		}, directory.ErrForeign, 0},
		{"members that were not asked for", func(int, int, string) string {
			return list(1, `{"id":"g","displayName":"G","members":[{"value":"2"},{"value":"1"}]}`)
		}, nil, 1},
		{"none", func(int, int, string) string { return list(0) }, nil, 0},
	} {
		d, _ := played(t, Config{}, groupPages(c.page))
		p, err := d.Person(t.Context(), directorytest.Query("ada"))
		switch {
		case c.want != nil && !errors.Is(err, c.want):
			t.Errorf("%s: got %v", c.name, err)
		case c.want == nil && (err != nil || !p.GroupsKnown || len(p.Groups) != c.n):
			t.Errorf("%s: got %v, %v", c.name, p, err)
		}
	}
}

func TestGroupsUnknownIsNotNoGroups(t *testing.T) {
	for name, status := range map[string]int{"not allowed": 403, "not understood": 400, "not there": 404} {
		d, _ := played(t, Config{}, func(r *http.Request) (int, string) {
			if strings.HasSuffix(r.URL.Path, "/Users") {
				return 200, list(1, `{"id":"1","userName":"ada"}`)
			}
			return status, `{"schemas":["` + errorSchema + `"]}`
		})
		p, err := d.Person(t.Context(), directorytest.Query("ada"))
		if err != nil || p.GroupsKnown || p.Groups != nil {
			t.Errorf("groups are %s: got %+v, %v", name, p, err)
		}
	}
	// But a service that is down is a failure.
	d, _ := played(t, Config{}, func(r *http.Request) (int, string) {
		if strings.HasSuffix(r.URL.Path, "/Users") {
			return 200, list(1, `{"id":"1","userName":"ada"}`)
		}
		return 503, ``
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if p, err := d.Person(ctx, directorytest.Query("ada")); p != nil || !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("got %v, %v", p, err)
	}
}

func TestProbeIsRepeatedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, f := played(t, Config{}, groupPages(func(int, int, string) string { return list(1, group(1)) }))
		probes := func() int {
			n := 0
			for _, a := range f.asked {
				if strings.Contains(a, "nobody-") {
					n++
				}
			}
			return n
		}
		for range 3 {
			for range 10 {
				if _, err := d.Person(t.Context(), directorytest.Query("ada")); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(probeTTL)
		}
		if probes() != 3 {
			t.Errorf("%d probes", probes())
		}
	})
}

func TestTheServiceMayHaveAnAuthorityOfItsOwn(t *testing.T) {
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/scim+json")
		_, _ = io.WriteString(w, list(1, ada))
	}))
	defer service.Close()
	for ca, want := range map[string]error{"": directory.ErrUnavailable, directorytest.WriteAuthority(t, service.Certificate()): nil} {
		d, err := New(Config{URL: service.URL, Bearer: "t", CAFile: ca}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Person(t.Context(), directorytest.Query("ada")); !errors.Is(err, want) || (want == nil) != (err == nil) {
			t.Errorf("with authority %q: %v", ca, err)
		}
		_ = d.Close()
	}
	if _, err := New(Config{URL: service.URL, Bearer: "t", CAFile: "/nowhere.pem"}, Options{}); err == nil {
		t.Error("an authority that is not there")
	}
}
