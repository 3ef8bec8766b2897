package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// canned is a transport that answers what a test wrote, and remembers what it
// was asked.
type canned struct {
	status int
	body   string
	header http.Header
	asked  []*http.Request
	bodies []string
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked = append(c.asked, r)
	sent := ""
	if r.Body != nil {
		text, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		sent = string(text)
	}
	c.bodies = append(c.bodies, sent)
	h := http.Header{"Content-Type": {"application/json"}}
	maps.Copy(h, c.header)
	status := c.status
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(c.body)), ContentLength: int64(len(c.body)), Request: r}, nil
}

// answering gives a directory over a service that answers body.
func answering(t testing.TB, c Config, body string) (*Directory, *canned) {
	t.Helper()
	if c.URL == "" {
		c.URL = "https://profiles.example/u/{subject}"
	}
	service := &canned{body: body}
	d, err := New(c, Options{Transport: service})
	if err != nil {
		t.Fatal(err)
	}
	return d, service
}

func query(subject, client string) directory.Query {
	return directory.Query{
		Principal: &identity.Principal{
			Issuer: "https://idp.example.com", IssuerName: "corp", Subject: subject, Client: client,
			Claims: map[string]any{"sub": subject, "secret_claim": "not for the service"}, Scopes: []string{"admin"},
		},
		Token: "the-token-itself",
	}
}

func TestOnlyWhatIsDeclaredReachesTheService(t *testing.T) {
	const subject, client = `a/b?c&d="e"+ü`, `cl i"ent`
	for name, c := range map[string]struct {
		config Config
		url    string
		body   string
	}{
		"subject in the path": {Config{}, "https://profiles.example/u/a%2Fb%3Fc%26d%3D%22e%22%2B%C3%BC", ""},
		"everything in the query": {
			Config{URL: "https://profiles.example/find?s={subject}&i={issuer}&c={client}&a={app}&x=1"},
			"https://profiles.example/find?s=a%2Fb%3Fc%26d%3D%22e%22%2B%C3%BC&i=https%3A%2F%2Fidp.example.com&c=cl%20i%22ent&a=&x=1", "",
		},
		"everything in the body": {
			Config{URL: "https://profiles.example/find", Method: "POST", Body: `{"s":{subject},"c":"{client}","i":{issuer},"q":"query { user { name } } {name}","n":{"app":{app}}}`},
			"https://profiles.example/find",
			`{"s":"a/b?c\u0026d=\"e\"+ü","c":"cl i\"ent","i":"https://idp.example.com","q":"query { user { name } } {name}","n":{"app":""}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Header = http.Header{"x-api-key": {"k1"}}
			d, service := answering(t, c.config, `{"user":{"profile":{"a":"b"}},"groups":[]}`)
			p, err := d.Person(t.Context(), query(subject, client))
			if err != nil {
				t.Fatal(err)
			}
			if p.User.ID != subject {
				t.Errorf("a user without an id is %q", p.User.ID)
			}
			r := service.asked[0]
			if r.URL.String() != c.url || service.bodies[0] != c.body {
				t.Errorf("asked %s\nwant  %s\nwith  %s\nwant  %s", r.URL, c.url, service.bodies[0], c.body)
			}
			if c.body != "" && !json.Valid([]byte(service.bodies[0])) {
				t.Error("the body is no JSON")
			}
			var names []string
			for n := range r.Header {
				names = append(names, n)
			}
			slices.Sort(names)
			want := []string{"Accept", "X-Api-Key"}
			if c.body != "" {
				want = []string{"Accept", "Content-Type", "X-Api-Key"}
			}
			if !slices.Equal(names, want) {
				t.Errorf("headers %v, want %v", names, want)
			}
		})
	}
}

func TestConfigurationsThatAreWrongInThemselvesAreRefused(t *testing.T) {
	const url = "https://h/u/{subject}"
	for name, c := range map[string]struct {
		config Config
		says   string
	}{
		"no URL":                       {Config{}, "no URL"},
		"place in the host":            {Config{URL: "https://{subject}.h/u"}, "is not allowed in scheme, host or port"},
		"place in the port":            {Config{URL: "https://h:{subject}/u"}, "is not allowed in scheme, host or port"},
		"place in the scheme":          {Config{URL: "{subject}://h/u"}, "is not allowed in scheme, host or port"},
		"host from a place and a user": {Config{URL: "https://x@{subject}/u"}, "is not allowed in scheme, host or port"},
		"unknown placeholder":          {Config{URL: "https://h/u/{subjekt}"}, `did you mean "subject"?`},
		"nobody asked for":             {Config{URL: "https://h/u"}, "every look-up would find the same user"},
		"app in the path":              {Config{URL: "https://h/{app}/{subject}"}, "path holds {app}"},
		"plaintext":                    {Config{URL: "http://h/u/{subject}"}, "use https"},
		"credentials in the URL":       {Config{URL: "https://me:pw@h/u/{subject}"}, "credentials"},
		"fragment":                     {Config{URL: url + "#x"}, "fragment"},
		"method":                       {Config{URL: url, Method: "post"}, `did you mean "POST"?`},
		"other method":                 {Config{URL: url, Method: "DELETE"}, "GET or POST"},
		"body without POST":            {Config{URL: url, Body: "{}"}, "POST"},
		"body that is no JSON":         {Config{URL: url, Method: "POST", Body: `{"a":}`}, "not JSON"},
		"body with an unknown place":   {Config{URL: url, Method: "POST", Body: `{"a":{subjct}}`}, `did you mean "subject"?`},
		"body over the bound":          {Config{URL: url, Method: "POST", Body: `"` + strings.Repeat("x", maxTemplate) + `"`}, "bytes"},
		"path that is none":            {Config{URL: url, ProfilePath: "user"}, "profile_path"},
		"groups path that is none":     {Config{URL: url, GroupsPath: "$.["}, "groups_path"},
		"app path that is none":        {Config{URL: url, AppPath: "$$"}, "app_path"},
		"path over the bound":          {Config{URL: url, AppPath: "$." + strings.Repeat("x", maxPath)}, "bytes"},
		"path with two descents":       {Config{URL: url, GroupsPath: "$..a..b"}, "descendant"},
		"app URL without app":          {Config{URL: url, AppURL: "https://h/a"}, "{app}"},
		"app URL elsewhere":            {Config{URL: url, AppURL: "https://g/{app}"}, "another host"},
		"app URL at another port":      {Config{URL: url, AppURL: "https://h:444/{app}"}, "another host"},
		"app URL of another scheme":    {Config{URL: url, AppURL: "http://h/{app}"}, "another host"},
		"app URL with the subject":     {Config{URL: url, AppURL: "https://h/{app}/{subject}"}, "unknown placeholder"},
		"header that is none":          {Config{URL: url, Header: http.Header{"X Y": {"v"}}}, "not a header name"},
		"header with a line break":     {Config{URL: url, Header: http.Header{"X-Y": {"v\r\nHost: evil"}}}, "control character"},
		"header of the client":         {Config{URL: url, Header: http.Header{"accept-encoding": {"br"}}}, "cannot be set"},
		"host header":                  {Config{URL: url, Header: http.Header{"Host": {"evil"}}}, "cannot be set"},
		"header with a place":          {Config{URL: url, Header: http.Header{"X-User": {"{subject}"}}}, "not replaced in headers"},
		"header over the bound":        {Config{URL: url, Header: http.Header{"X-Y": {strings.Repeat("v", maxHeaderValue+1)}}}, "bytes"},
		"too many headers":             {Config{URL: url, Header: http.Header{"X-Y": slices.Repeat([]string{"v"}, maxHeaders+1)}}, "over 32 values"},
		"missing CA":                   {Config{URL: url, CAFile: "/nowhere/ca.pem"}, "CA file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(c.config, Options{})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "pw") {
				t.Error("the error holds the password")
			}
		})
	}
}

// TestAPlaceInABodyIsAWholeValue holds A17: within a longer string stand other
// languages, which JSON's escapes say nothing to.
func TestAPlaceInABodyIsAWholeValue(t *testing.T) {
	for name, c := range map[string]struct{ body, says string }{
		"a GraphQL query in a string":    {`{"query":"{ user(login: \"{subject}\") { groups } }"}`, "{subject} is part of a longer string"},
		"a filter in a string":           {`{"filter":"login eq '{subject}'"}`, `"variables": {"subject": {subject}}`},
		"text before it":                 {`{"a":" {subject}"}`, "part of a longer string"},
		"text behind it":                 {`{"a":"{subject} "}`, "part of a longer string"},
		"two of them":                    {`{"a":"{subject}{app}"}`, "part of a longer string"},
		"another place than the subject": {`{"s":{subject},"a":"client {client}"}`, "{client} is part of a longer string"},
		"behind an escaped quote":        {`{"s":{subject},"a":"\"{app}\""}`, "{app} is part of a longer string"},
		"in the name of a member":        {`{"a {subject}":1}`, "part of a longer string"},
		"the name of a member":           {`{"role":"user",{subject}:"x"}`, "{subject} is the name of a member"},
		"the name of one, with quotes":   {`{"role":"user","{subject}" : "x"}`, "{subject} is the name of a member"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(Config{URL: "https://h/u", Method: http.MethodPost, Body: c.body})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
		})
	}
	for name, body := range map[string]string{
		"variables beside a query": `{"query":"query($id: ID!) { user(id: $id) { name } }","variables":{"id":{subject}}}`,
		"within quotes":            `{"id": "{subject}" , "list":["{app}",{client}]}`,
		"alone":                    ` "{subject}" `,
		"no place at all":          `{"s":{subject},"q":"query { user {name} }"}`,
	} {
		if err := Check(Config{URL: "https://h/u", Method: http.MethodPost, Body: body}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAnswerAboutSomebodyElseIsNobody(t *testing.T) {
	paths := Config{ProfilePath: "$.p"}
	for name, c := range map[string]struct {
		config Config
		match  []string
		body   string
		want   error
	}{
		"id":                                 {Config{}, nil, `{"user":{"id":"ada"}}`, nil},
		"login":                              {Config{}, nil, `{"user":{"id":"1","login":"ADA"}}`, nil},
		"login in the profile":               {Config{}, nil, `{"user":{"id":"1","profile":{"login":"ada"}}}`, nil},
		"neither":                            {Config{}, nil, `{"user":{"id":"bob","login":"bob"}}`, directory.ErrForeign},
		"id in another case":                 {Config{}, nil, `{"user":{"id":"ADA"}}`, directory.ErrForeign},
		"e-mail, by match":                   {Config{}, []string{"email"}, `{"user":{"id":"1","profile":{"email":"Ada"}}}`, nil},
		"another e-mail, by match":           {Config{}, []string{"email"}, `{"user":{"id":"ada","profile":{"email":"bob"}}}`, directory.ErrForeign},
		"nothing that match names":           {Config{}, []string{"email"}, `{"user":{"profile":{"name":"Ada"}}}`, nil},
		"id among the attributes":            {paths, nil, `{"p":{"id":"ada"}}`, nil},
		"another id among the attributes":    {paths, nil, `{"p":{"id":"bob"}}`, directory.ErrForeign},
		"a number as id":                     {paths, nil, `{"p":{"id":17}}`, directory.ErrForeign},
		"another login among the attributes": {paths, nil, `{"p":{"login":"bob"}}`, directory.ErrForeign},
		"an attribute, by match":             {paths, []string{"uid"}, `{"p":{"uid":["x","ada"],"id":"9"}}`, nil},
		"attributes that name nobody":        {paths, nil, `{"p":{"name":"Ada","id":{"x":1}}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.config.Match = c.match
			d, _ := answering(t, c.config, c.body)
			p, err := d.Person(t.Context(), query("ada", ""))
			if !errors.Is(err, c.want) || (c.want == nil) != (p != nil) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if p != nil && p.User.ID == "" {
				t.Error("the user has no id")
			}
		})
	}
}

func TestUnknownGroupsAreNotNone(t *testing.T) {
	at := func(path string) Config { return Config{ProfilePath: "$.user", GroupsPath: path} }
	for name, c := range map[string]struct {
		config Config
		body   string
		want   []string
		known  bool
	}{
		"shape: none":                      {Config{}, `{"user":{},"groups":[]}`, nil, true},
		"shape: not said":                  {Config{}, `{"user":{}}`, nil, false},
		"shape: null":                      {Config{}, `{"user":{},"groups":null}`, nil, false},
		"shape: texts and objects":         {Config{}, `{"user":{},"groups":["b",{"id":7,"name":"seven"},{"name":"n"},{"id":"p","profile":{"name":"P"}},"b"]}`, []string{"b=b", "7=seven", "n=n", "p=P"}, true},
		"no path":                          {Config{ProfilePath: "$.user"}, `{"user":{},"groups":["a"]}`, nil, false},
		"path to the list":                 {at("$.groups"), `{"user":{},"groups":["b","a"]}`, []string{"b=b", "a=a"}, true},
		"path to an empty list":            {at("$.groups"), `{"user":{},"groups":[]}`, nil, true},
		"path to no list":                  {at("$.groups"), `{"user":{}}`, nil, false},
		"path to null":                     {at("$.groups"), `{"user":{},"groups":null}`, nil, false},
		"path to numbers":                  {at("$.groups"), `{"user":{},"groups":[7,12345678901234567890,"7"]}`, []string{"7=7", "12345678901234567890=12345678901234567890"}, true},
		"shape: numbers":                   {Config{}, `{"user":{},"groups":[7,"b"]}`, []string{"7=7", "b=b"}, true},
		"path to one text":                 {at("$.groups"), `{"user":{},"groups":"admins"}`, []string{"admins=admins"}, true},
		"path to the elements":             {at("$.groups[*]"), `{"user":{},"groups":["b","a"]}`, []string{"b=b", "a=a"}, true},
		"path to no elements":              {at("$.groups[*]"), `{"user":{},"groups":[]}`, nil, true},
		"path to elements of nothing":      {at("$.groups[*]"), `{"user":{}}`, nil, false},
		"path to elements of null":         {at("$.groups[*].name"), `{"user":{},"groups":null}`, nil, false},
		"path to the names":                {at("$.groups[*].name"), `{"user":{},"groups":[{"name":"b"},{"name":"a"}]}`, []string{"b=b", "a=a"}, true},
		"path to the names of an object":   {at("$.groups[*].name"), `{"user":{},"groups":{"y":{"name":"2"},"x":{"name":"1"},"z":{"name":"3"}}}`, []string{"1=1", "2=2", "3=3"}, true},
		"filter":                           {at("$.groups[?@.active==true].name"), `{"user":{},"groups":[{"name":"b","active":true},{"name":"a","active":false}]}`, []string{"b=b"}, true},
		"filter that nothing passes":       {at("$.groups[?@.active==true]"), `{"user":{},"groups":[{"name":"a"}]}`, nil, true},
		"list in the only element of many": {at("$.memberships[*].groups"), `{"user":{},"memberships":[{"groups":["a","b"]}]}`, []string{"a=a", "b=b"}, true},
		"filter by pattern":                {at("$.groups[?match(@.name,'app-.*')].name"), `{"user":{},"groups":[{"name":"app-x"},{"id":1},{"name":7},{"name":null},{"name":"my-app-y"}]}`, []string{"app-x=app-x"}, true},
		"filter by part":                   {at("$.groups[?search(@.name,'app-')].name"), `{"user":{},"groups":[{"name":"my-app-y"},{"id":1}]}`, []string{"my-app-y=my-app-y"}, true},
		"descent":                          {at("$..role"), `{"user":{},"x":[{"role":"a"},{"y":{"role":"b"}}]}`, []string{"a=a", "b=b"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := answering(t, c.config, c.body)
			p, err := d.Person(t.Context(), query("ada", ""))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, g := range p.Groups {
				got = append(got, g.ID+"="+g.Name)
			}
			if p.GroupsKnown != c.known || !slices.Equal(got, c.want) {
				t.Errorf("groups %v known %v, want %v known %v", got, p.GroupsKnown, c.want, c.known)
			}
		})
	}
}

func TestAnAnswerThatIsNotUnderstoodIsAFailure(t *testing.T) {
	paths := Config{ProfilePath: "$.p", GroupsPath: "$.g"}
	for name, c := range map[string]struct {
		config Config
		body   string
		want   error
	}{
		"empty":                        {Config{}, ``, directory.ErrMalformed},
		"list":                         {Config{}, `[]`, directory.ErrMalformed},
		"null":                         {Config{}, `null`, directory.ErrMalformed},
		"two values":                   {Config{}, `{"user":{}}{"user":{}}`, directory.ErrMalformed},
		"no user":                      {Config{}, `{"groups":[]}`, directory.ErrMalformed},
		"user null":                    {Config{}, `{"user":null}`, directory.ErrMalformed},
		"user a text":                  {Config{}, `{"user":"ada"}`, directory.ErrMalformed},
		"two users":                    {Config{}, `{"user":[{},{}]}`, directory.ErrMalformed},
		"profile a list":               {Config{}, `{"user":{"profile":[]}}`, directory.ErrMalformed},
		"unknown status":               {Config{}, `{"user":{"status":"disabled"}}`, directory.ErrMalformed},
		"status a number":              {Config{}, `{"user":{"status":0}}`, directory.ErrMalformed},
		"groups a text":                {Config{}, `{"user":{},"groups":"a,b"}`, directory.ErrMalformed},
		"group half a number":          {Config{}, `{"user":{},"groups":[1.5]}`, directory.ErrMalformed},
		"group empty":                  {Config{}, `{"user":{},"groups":[""]}`, directory.ErrMalformed},
		"group without id or name":     {Config{}, `{"user":{},"groups":[{"profile":{}}]}`, directory.ErrMalformed},
		"group null":                   {Config{}, `{"user":{},"groups":[null]}`, directory.ErrMalformed},
		"time":                         {Config{}, `{"user":{"created":"yesterday"}}`, directory.ErrMalformed},
		"path selects no profile":      {paths, `{"user":{}}`, directory.ErrMalformed},
		"path selects no list":         {Config{ProfilePath: "$.p[*]"}, `{"p":{}}`, directory.ErrMalformed},
		"path descends in vain":        {Config{ProfilePath: "$..p"}, `{"error":"down"}`, directory.ErrMalformed},
		"path finds no list":           {Config{ProfilePath: "$.p[*]"}, `{"error":"down"}`, directory.ErrMalformed},
		"path selects null":            {paths, `{"p":null}`, directory.ErrMalformed},
		"path selects a text":          {paths, `{"p":"ada"}`, directory.ErrMalformed},
		"path selects two profiles":    {Config{ProfilePath: "$.p[*]"}, `{"p":[{"a":1},{"a":2}]}`, directory.ErrAmbiguous},
		"path selects a list of lists": {Config{ProfilePath: "$.p", GroupsPath: "$.g[*]"}, `{"p":{},"g":[["a"],["b"]]}`, directory.ErrMalformed},
		"path into a text":             {Config{ProfilePath: "$.p", GroupsPath: "$.g[*]"}, `{"p":{},"g":"admins"}`, directory.ErrMalformed},
		"filter on a text":             {Config{ProfilePath: "$.p", GroupsPath: "$.g[?@.name]"}, `{"p":{},"g":"admins"}`, directory.ErrMalformed},
		"path selects true as group":   {paths, `{"p":{},"g":true}`, directory.ErrMalformed},
		"too many groups":              {paths, `{"p":{},"g":["x"` + strings.Repeat(`,"x"`, directory.MaxGroups) + `]}`, directory.ErrTooLarge},
		"far too many groups":          {Config{ProfilePath: "$.p", GroupsPath: "$.g[*]"}, `{"p":{},"g":["x"` + strings.Repeat(`,"x"`, maxNodes) + `]}`, directory.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := answering(t, c.config, c.body)
			p, err := d.Person(t.Context(), query("ada", ""))
			if p != nil || !errors.Is(err, c.want) || errors.Is(err, directory.ErrNotFound) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestOnly404MeansThatThereIsNoSuchUser(t *testing.T) {
	for status, want := range map[int]error{
		http.StatusNotFound: directory.ErrNotFound, http.StatusGone: directory.ErrRejected, http.StatusBadRequest: directory.ErrRejected,
		http.StatusForbidden: directory.ErrRefused, http.StatusInternalServerError: directory.ErrUnavailable,
		http.StatusNotModified: directory.ErrUnavailable, http.StatusNoContent: directory.ErrMalformed,
	} {
		d, service := answering(t, Config{}, "")
		service.status = status
		_, err := d.Person(t.Context(), query("ada", ""))
		if !errors.Is(err, want) || directory.Failed(err) != (status != http.StatusNotFound) {
			t.Errorf("status %d: %v, want %v", status, err, want)
		}
	}
}

func TestASearchThatFindsNobodySaysSo(t *testing.T) {
	for path, body := range map[string]string{
		"$.p[*]":                     `{"p":[]}`,
		`$.p[?@.login == "eve@e.x"]`: `{"p":[{"login":"ada"}]}`,
	} {
		d, _ := answering(t, Config{ProfilePath: path, GroupsPath: "$.g"}, body)
		if p, err := d.Person(t.Context(), query("ada", "")); p != nil || !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestAnAttributeMayBeTheState(t *testing.T) {
	for status, barred := range map[string]bool{`"suspended"`: true, `"DEPROVISIONED"`: true, `"Active"`: false, `"married"`: false, `7`: false, `null`: false} {
		d, _ := answering(t, Config{ProfilePath: "$.p"}, `{"p":{"id":"ada","status":`+status+`}}`)
		p, err := d.Person(t.Context(), query("ada", ""))
		if err != nil || p.User.Disabled() != barred {
			t.Errorf("%s: %+v, %v", status, p, err)
		}
	}
}

func TestAStateIsReadInAnyCase(t *testing.T) {
	d, _ := answering(t, Config{}, `{"user":{"status":"suspended"}}`)
	p, err := d.Person(t.Context(), query("ada", ""))
	if err != nil || !p.User.Disabled() {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestWhatElseAContextHolds(t *testing.T) {
	d, _ := answering(t, Config{}, `{"user":{"id":"ada","created":"2026-01-02T03:04:05Z"},"linked":{"manager":{"id":"m","profile":{"a":1}},"none":null},
		"groups":[{"id":"g","type":"APP_GROUP","source":{"id":"s"},"objectClass":["c"],"profile":{"name":"G","description":"D"}}],
		"appusers":[{"app":"workday","profile":{"title":"T"}}],"unheard":{"of":1}}`)
	p, err := d.Person(t.Context(), query("ada", ""))
	if err != nil {
		t.Fatal(err)
	}
	want := []identity.Group{{
		ID: "g", Name: "G", Type: "APP_GROUP", Source: "s", ObjectClass: []string{"c"},
		Profile: map[string]any{"name": "G", "description": "D"},
	}}
	if !reflect.DeepEqual(p.Groups, want) || p.Linked["manager"].Profile["a"] != int64(1) || len(p.Linked) != 1 ||
		len(p.AppUsers) != 1 || p.AppUsers[0].App != "workday" || p.User.Created.Year() != 2026 {
		t.Errorf("%+v", p)
	}
}

func TestAnAppIsReadFromTheAnswerAboutAUser(t *testing.T) {
	const subject, app = "ada", "0oa1"
	for name, c := range map[string]struct {
		config Config
		body   string
		want   *identity.App
		err    error
	}{
		"by id":            {Config{}, `{"user":{},"app":{"id":"0oa1","clientId":"c","label":"L","profile":{"a":1}}}`, &identity.App{ID: "0oa1", ClientID: "c", Label: "L", Profile: map[string]any{"a": int64(1)}}, nil},
		"by client id":     {Config{}, `{"user":{},"app":{"id":"x","clientId":"0oa1","profile":{}}}`, &identity.App{ID: "x", ClientID: "0oa1", Profile: map[string]any{}}, nil},
		"without any id":   {Config{}, `{"user":{},"app":{"profile":{"a":1}}}`, &identity.App{ID: "0oa1", Profile: map[string]any{"a": int64(1)}}, nil},
		"another":          {Config{}, `{"user":{},"app":{"id":"0oa2"}}`, nil, directory.ErrNotFound},
		"none":             {Config{}, `{"user":{}}`, nil, directory.ErrNotFound},
		"null":             {Config{}, `{"user":{},"app":null}`, nil, directory.ErrNotFound},
		"a text":           {Config{}, `{"user":{},"app":"0oa1"}`, nil, directory.ErrMalformed},
		"another user's":   {Config{}, `{"user":{"id":"bob"},"app":{"id":"0oa1"}}`, nil, directory.ErrForeign},
		"by path":          {Config{AppPath: "$.x"}, `{"x":{"limit":40}}`, &identity.App{ID: "0oa1", Profile: map[string]any{"limit": int64(40)}}, nil},
		"by path, another": {Config{AppPath: "$.x"}, `{"x":{"id":"0oa2"}}`, nil, directory.ErrNotFound},
		"by path, two":     {Config{AppPath: "$.x[*]"}, `{"x":[{"id":"0oa1"},{"id":"0oa2"}]}`, nil, directory.ErrMalformed},
		"no path":          {Config{ProfilePath: "$.user"}, `{"user":{},"app":{"id":"0oa1"}}`, nil, directory.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			d, service := answering(t, c.config, c.body)
			a, err := d.App(directory.WithUser(t.Context(), query(subject, "")), app)
			if !errors.Is(err, c.err) || !reflect.DeepEqual(a, c.want) {
				t.Errorf("%+v, %v; want %+v, %v", a, err, c.want, c.err)
			}
			before := len(service.asked)
			if a, err := d.App(t.Context(), app); a != nil || !errors.Is(err, directory.ErrNotFound) || len(service.asked) != before {
				t.Errorf("on nobody's behalf: %+v, %v", a, err)
			}
			knows := c.config.ProfilePath == ""
			if got := d.CacheScope(query(subject, "").Principal).App; got != knows {
				t.Errorf("apps depend on users: %v, want %v", got, knows)
			}
		})
	}
}

func TestAnAppIsAskedForByItsOwnURL(t *testing.T) {
	url := Config{AppURL: "https://profiles.example/apps/{app}?full=1", Method: "POST", Body: `{"x":{subject}}`}
	d, service := answering(t, url, `{"app":{"id":"a/b","profile":{"n":1}}}`)
	a, err := d.App(t.Context(), "a/b")
	if err != nil || a.Profile["n"] != int64(1) {
		t.Fatalf("%+v, %v", a, err)
	}
	if r := service.asked[0]; r.Method != http.MethodGet || r.URL.String() != "https://profiles.example/apps/a%2Fb?full=1" || service.bodies[0] != "" {
		t.Errorf("asked %s %s with %q", r.Method, r.URL, service.bodies[0])
	}
	if d.CacheScope(query("ada", "c").Principal).App {
		t.Error("apps depend on users though they have a URL of their own")
	}
	for body, want := range map[string]error{
		`{"app":{"id":"c"}}`: directory.ErrForeign,
		`{"id":"a/b"}`:       directory.ErrMalformed,
		`{"app":[]}`:         directory.ErrMalformed,
	} {
		service.body = body
		if _, err := d.App(t.Context(), "a/b"); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
	service.status = http.StatusNotFound
	if _, err := d.App(t.Context(), "a/b"); !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
		t.Errorf("404: %v", err)
	}
}

func TestAnAssignmentBelongsToItsApp(t *testing.T) {
	const assigned = `"appuser":{"userName":"ada","profile":{"role":"admin"}}`
	for name, c := range map[string]struct {
		body string
		want string // user name
		err  error
	}{
		"app named by the answer":         {`{"user":{},"app":{"id":"0oa1"},` + assigned + `}`, "ada", nil},
		"client named by the answer":      {`{"user":{},"app":{"id":"x","clientId":"0oa1"},` + assigned + `}`, "ada", nil},
		"no app named":                    {`{"user":{},` + assigned + `}`, "ada", nil},
		"another app named":               {`{"user":{},"app":{"id":"0oa2"},` + assigned + `}`, "", directory.ErrNotFound},
		"named by itself":                 {`{"user":{},"app":{"id":"0oa2"},"appuser":{"app":"0oa1","userName":"a1"}}`, "a1", nil},
		"another named by itself":         {`{"user":{},"app":{"id":"0oa1"},"appuser":{"app":"0oa2","userName":"a2"}}`, "", directory.ErrNotFound},
		"among several":                   {`{"user":{},"appusers":[{"app":"0oa2","userName":"a2"},{"app":"0oa1","userName":"a1"}]}`, "a1", nil},
		"not among several":               {`{"user":{},"appusers":[{"app":"0oa2","userName":"a2"}]}`, "", directory.ErrNotFound},
		"none":                            {`{"user":{}}`, "", directory.ErrNotFound},
		"null":                            {`{"user":{},"appuser":null}`, "", directory.ErrNotFound},
		"another user's":                  {`{"user":{"id":"ada"},"appuser":{"id":"bob","userName":"bob"}}`, "", directory.ErrForeign},
		"of an answer about another user": {`{"user":{"id":"bob"},` + assigned + `}`, "", directory.ErrForeign},
		"malformed":                       {`{"user":{},"appuser":[]}`, "", directory.ErrMalformed},
		"malformed app":                   {`{"user":{},"app":1,` + assigned + `}`, "", directory.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := answering(t, Config{}, c.body)
			u, err := d.AppUser(t.Context(), query("ada", ""), "0oa1")
			if !errors.Is(err, c.err) || (u == nil) != (c.err != nil) {
				t.Fatalf("%+v, %v; want %v", u, err, c.err)
			}
			if u != nil && (u.UserName != c.want || u.App != "0oa1") {
				t.Errorf("%+v", u)
			}
		})
	}
}

func TestAnAnswerDependsOnTheClientWhereTheQuestionNamesIt(t *testing.T) {
	p := query("ada", "payroll").Principal
	for _, c := range []struct {
		config Config
		want   []string
	}{
		{Config{}, nil},
		{Config{URL: "https://profiles.example/{client}/{subject}"}, []string{"payroll"}},
		{Config{URL: "https://profiles.example/x", Method: "POST", Body: `[{subject},"{client}"]`}, []string{"payroll"}},
	} {
		d, _ := answering(t, c.config, "")
		if on := d.CacheScope(p); !slices.Equal(on.Caller, c.want) || on.Token {
			t.Errorf("%s: %+v, want %v", c.config.URL, on, c.want)
		}
	}
}

func TestARedirectElsewhereIsNotFollowed(t *testing.T) {
	d, service := answering(t, Config{Header: http.Header{"Authorization": {"secret"}}}, "")
	service.status, service.header = http.StatusFound, http.Header{"Location": {"https://evil.example/u/ada"}}
	if _, err := d.Person(t.Context(), query("ada", "")); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	for _, r := range service.asked {
		if r.URL.Host != "profiles.example" {
			t.Errorf("asked %s", r.URL.Host)
		}
	}
}

func TestConformsInsideAMerge(t *testing.T) {
	d, _ := answering(t, Config{URL: "https://profiles.example/{client}/{subject}"}, `{"user":{"id":"ada"},"app":{"id":"0oa1","profile":{"a":1}}}`)
	other := &directorytest.Fake{}
	m, err := directory.NewComposite([]directory.Source{
		{Name: "other", Directory: other, Issuers: []string{"corp"}},
		{Name: "http", Directory: d, Issuers: []string{"corp"}, Required: true},
	}, directory.CompositeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	q := query("ada", "payroll")
	if on := m.CacheScope(q.Principal); !on.App || on.Token || !slices.Equal(on.Caller, []string{"1", "1", "payroll"}) {
		t.Errorf("dependence %+v", on)
	}
	a, err := m.App(directory.WithUser(t.Context(), q), "0oa1")
	if err != nil || a.Profile["a"] != int64(1) {
		t.Errorf("%+v, %v", a, err)
	}
	foreign := *q.Principal
	foreign.IssuerName = "partner"
	if on := m.CacheScope(&foreign); on.App || on.Caller != nil {
		t.Errorf("dependence of another issuer's user: %+v", on)
	}
	if _, err := m.App(directory.WithUser(t.Context(), directory.Query{Principal: &foreign}), "0oa1"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("an app on behalf of another issuer's user: %v", err)
	}
	if _, err := m.App(context.Background(), "0oa1"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("an app on nobody's behalf: %v", err)
	}
}
