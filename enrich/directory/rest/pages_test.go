package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// TestAnAnswerThatSaysThereIsMoreHasNoKnownGroups holds C32: page one is never taken
// for all groups, however a service says that there is another.
func TestAnAnswerThatSaysThereIsMoreHasNoKnownGroups(t *testing.T) {
	const value = `"value":["a","b"]`
	paths := Config{ProfilePath: "$.user", GroupsPath: "$.value[*]"}
	deep := Config{ProfilePath: "$.data.user", GroupsPath: "$.data.user.groups.nodes[*].name"}
	for name, c := range map[string]struct {
		config Config
		header http.Header
		body   string
		sign   string
	}{
		"@odata.nextLink":                 {paths, nil, `{"user":{},` + value + `,"@odata.nextLink":"https://profiles.example/2"}`, "odata.nextLink"},
		"@odata.nextLink of the member":   {paths, nil, `{"user":{},` + value + `,"value@odata.nextLink":"https://profiles.example/2"}`, "odata.nextLink"},
		"an empty page with a next link":  {paths, nil, `{"user":{},"value":[],"@odata.nextLink":"x"}`, "odata.nextLink"},
		"@odata.count":                    {paths, nil, `{"user":{},` + value + `,"@odata.count":3}`, "odata.count"},
		"Link: rel=next":                  {paths, http.Header{"Link": {`<https://profiles.example/0>; rel="prev", <https://profiles.example/2>; rel="next"`}}, `{"user":{},` + value + `}`, "Link: rel=next"},
		"Link that cannot be read":        {paths, http.Header{"Link": {`<https://profiles.example/2`}}, `{"user":{},` + value + `}`, "Link: rel=next"},
		"X-Next-Page":                     {paths, http.Header{"X-Next-Page": {"2"}}, `{"user":{},` + value + `}`, "X-Next-Page"},
		"X-Total-Count":                   {paths, http.Header{"X-Total-Count": {"3"}}, `{"user":{},` + value + `}`, "X-Total-Count"},
		"Content-Range":                   {paths, http.Header{"Content-Range": {"groups 0-1/120"}}, `{"user":{},` + value + `}`, "Content-Range"},
		"nextPageToken":                   {paths, nil, `{"user":{},` + value + `,"nextPageToken":"CAE"}`, "nextPageToken"},
		"next_page_token":                 {paths, nil, `{"user":{},` + value + `,"next_page_token":"CAE"}`, "nextPageToken"},
		"nextCursor":                      {paths, nil, `{"user":{},` + value + `,"nextCursor":"x"}`, "nextCursor"},
		"NextToken":                       {paths, nil, `{"user":{},` + value + `,"NextToken":"x"}`, "nextToken"},
		"next":                            {paths, nil, `{"user":{},` + value + `,"next":"/2"}`, "next"},
		"__next":                          {paths, nil, `{"user":{},` + value + `,"__next":"/2"}`, "next"},
		"a number of the next page":       {paths, nil, `{"user":{},` + value + `,"next_page":2}`, "nextPage"},
		"meta.next":                       {paths, nil, `{"user":{},` + value + `,"meta":{"next":"/2"}}`, "meta.next"},
		"meta.pagination.next_url":        {paths, nil, `{"user":{},` + value + `,"meta":{"pagination":{"next_url":"/2"}}}`, "meta.pagination.nextUrl"},
		"response_metadata.next_cursor":   {paths, nil, `{"user":{},` + value + `,"response_metadata":{"next_cursor":"dGVhbQ=="}}`, "responseMetadata.nextCursor"},
		"_links.next":                     {paths, nil, `{"user":{},` + value + `,"_links":{"next":{"href":"/2"}}}`, "links.next"},
		"links, a list":                   {paths, nil, `{"user":{},` + value + `,"link":[{"rel":"self","href":"/1"},{"rel":"next","href":"/2"}]}`, "link: rel=next"},
		"links, by relation":              {paths, nil, `{"user":{},` + value + `,"links":[{"relation":"next","url":"/2"}]}`, "links: rel=next"},
		"a total":                         {paths, nil, `{"user":{},` + value + `,"total":120}`, "total"},
		"a total in a text":               {paths, nil, `{"user":{},` + value + `,"total":"120"}`, "total"},
		"totalResults":                    {paths, nil, `{"user":{},` + value + `,"totalResults":120}`, "totalResults"},
		"page.totalElements":              {paths, nil, `{"user":{},` + value + `,"page":{"size":2,"number":0,"totalElements":3}}`, "page.totalElements"},
		"pages in all":                    {paths, nil, `{"user":{},` + value + `,"page":1,"total_pages":2}`, "totalPages"},
		"count":                           {paths, nil, `{"user":{},` + value + `,"count":3,"next":null}`, "count"},
		"has_more":                        {paths, nil, `{"user":{},` + value + `,"has_more":true}`, "hasMore"},
		"isLast":                          {paths, nil, `{"user":{},` + value + `,"isLast":false}`, "isLast: false"},
		"truncated":                       {paths, nil, `{"user":{},` + value + `,"IsTruncated":"true"}`, "isTruncated"},
		"metadata.continue":               {paths, nil, `{"user":{},` + value + `,"metadata":{"continue":"x"}}`, "metadata.continue"},
		"pageInfo of GraphQL":             {deep, nil, `{"data":{"user":{"groups":{"nodes":[{"name":"a"}],"pageInfo":{"hasNextPage":true,"endCursor":"x"}}}}}`, "pageInfo.hasNextPage"},
		"totalCount of GraphQL":           {deep, nil, `{"data":{"user":{"groups":{"nodes":[{"name":"a"}],"totalCount":2}}}}`, "totalCount"},
		"in the shape of a context":       {Config{}, nil, `{"user":{"login":"ada"},"groups":["a"],"paging":{"next":"/2"}}`, "paging.next"},
		"a total in the shape":            {Config{}, nil, `{"user":{"login":"ada"},"groups":["a"],"total":2}`, "total"},
		"groups at any depth":             {Config{ProfilePath: "$.user", GroupsPath: "$..roles[*]"}, nil, `{"user":{"x":{"roles":["a"],"nextPageToken":"x"}}}`, "nextPageToken"},
		"a list of lists":                 {Config{ProfilePath: "$.user", GroupsPath: "$.teams[*].roles[*]"}, nil, `{"user":{},"teams":[{"roles":["a"]},{"roles":["b"],"has_more":true}]}`, "hasMore"},
		"a filter that lets few through":  {Config{ProfilePath: "$.user", GroupsPath: "$.value[?@.on==true].id"}, nil, `{"user":{},"value":[{"id":"a","on":true},{"id":"b","on":false}],"total":3}`, "total"},
		"the list itself":                 {Config{ProfilePath: "$.user", GroupsPath: "$.value"}, nil, `{"user":{},` + value + `,"total":3}`, "total"},
		"another next than is configured": {Config{ProfilePath: "$.user", GroupsPath: "$.value[*]", Next: "$.nextLnk"}, nil, `{"user":{},` + value + `,"nextLink":"/2"}`, "nextLink"},
		"a link where none is configured": {Config{ProfilePath: "$.user", GroupsPath: "$.value[*]", Next: nextLink}, nil, `{"user":{},` + value + `,"nextLink":"/2"}`, "nextLink"},
	} {
		t.Run(name, func(t *testing.T) {
			d, service := answering(t, c.config, c.body)
			service.header = c.header
			p, err := d.Person(t.Context(), query("ada", ""))
			if err != nil {
				t.Fatal(err)
			}
			if p.GroupsKnown || p.Groups != nil || !strings.Contains(p.GroupsUnknown, "("+c.sign+")") {
				t.Errorf("groups %v, known %v, because %q; want the sign %q", p.Groups, p.GroupsKnown, p.GroupsUnknown, c.sign)
			}
			if len(service.asked) != 1 {
				t.Errorf("asked %d times", len(service.asked))
			}
			// The operator may say that all this means nothing.
			c.config.Next = nextNone
			d, service = answering(t, c.config, c.body)
			service.header = c.header
			if p, err := d.Person(t.Context(), query("ada", "")); err != nil || !p.GroupsKnown || p.GroupsUnknown != "" {
				t.Errorf("next none: known %v, %q, %v", p != nil && p.GroupsKnown, p.GroupsUnknown, err)
			}
		})
	}
}

func TestAPartialContentIsAPart(t *testing.T) {
	d, service := answering(t, Config{}, `{"user":{"login":"ada"},"groups":["a"]}`)
	service.status = http.StatusPartialContent
	if p, err := d.Person(t.Context(), query("ada", "")); err != nil || p.GroupsKnown || !strings.Contains(p.GroupsUnknown, "status 206") {
		t.Errorf("%v, %v", p, err)
	}
}

func TestAnAnswerThatIsWholeIsNotDoubted(t *testing.T) {
	paths := Config{ProfilePath: "$.user", GroupsPath: "$.value[*]"}
	for name, c := range map[string]struct {
		config Config
		header http.Header
		body   string
	}{
		"nothing besides":               {paths, nil, `{"user":{},"value":["a"]}`},
		"null and empty":                {paths, nil, `{"user":{},"value":["a"],"next":null,"nextLink":"","next_page":0,"has_more":false,"_links":{"next":{"href":null}},"metadata":{"continue":""}}`},
		"totals that agree":             {paths, http.Header{"X-Total-Count": {"1"}, "Content-Range": {"groups 0-0/1"}}, `{"user":{},"value":["a"],"total":1,"count":1,"page":{"totalPages":1,"totalElements":1},"last":true}`},
		"a range of unknown length":     {paths, http.Header{"Content-Range": {"groups 0-0/*"}}, `{"user":{},"value":["a"]}`},
		"links to other pages":          {paths, http.Header{"Link": {`<https://profiles.example/1>; rel="first self"`}}, `{"user":{},"value":["a"],"links":[{"rel":"self"}],"_links":{"last":{"href":"/1"}},"last":"/1"}`},
		"attributes of the user":        {paths, nil, `{"user":{"next":"Grace","total":3,"has_more":true,"count":9},"value":["a"]}`},
		"members of a group":            {Config{ProfilePath: "$.user", GroupsPath: "$.value[*]"}, nil, `{"user":{},"value":[{"id":"a","count":9,"next":"b","profile":{"total":3}}]}`},
		"a total further out":           {Config{ProfilePath: "$.hits[*]", GroupsPath: "$.hits[0].groups[*]"}, nil, `{"total":1,"hits":[{"groups":[]}]}`},
		"a user's last name":            {Config{ProfilePath: "$.user", GroupsPath: "$.user.groups[*]"}, nil, `{"user":{"first":"Ada","last":"Lovelace","groups":[]}}`},
		"pages of what is not asked of": {Config{ProfilePath: "$.user"}, nil, `{"user":{},"next":"/2"}`},
		"pages of other lists":          {paths, nil, `{"user":{},"value":["a"],"devices":{"items":[],"next":"/2","total":9}}`},
	} {
		t.Run(name, func(t *testing.T) {
			d, service := answering(t, c.config, c.body)
			service.header = c.header
			p, err := d.Person(t.Context(), query("ada", ""))
			if err != nil {
				t.Fatal(err)
			}
			if p.GroupsUnknown != "" || p.GroupsKnown != (c.config.GroupsPath != "") {
				t.Errorf("known %v, because %q", p.GroupsKnown, p.GroupsUnknown)
			}
		})
	}
}

// paged is a service that answers in pages.
type paged struct {
	pages  int
	link   bool
	method []string
	alter  func(page int, answer object, w http.ResponseWriter) (done bool)
}

func (s *paged) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.method = append(s.method, r.Method)
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	page = max(page, 1)
	answer := object{"value": []string{fmt.Sprintf("g%d", page), "everyone"}}
	if page == 1 {
		answer["user"] = object{"login": "ada"}
	}
	next := "/u?page=" + strconv.Itoa(page+1)
	w.Header().Set("Content-Type", "application/json")
	if s.alter != nil && s.alter(page, answer, w) {
		return
	}
	switch {
	case page >= s.pages:
	case s.link:
		w.Header().Set("Link", "<"+next+`>; rel="next"`)
	default:
		if _, set := answer["next"]; !set {
			answer["next"] = next
		}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func openPaged(t *testing.T, s *paged, change func(*Config)) *Directory {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c := Config{URL: server.URL + "/u?s={subject}", ProfilePath: "$.user", GroupsPath: "$.value[*]", Next: "$.next"}
	if change != nil {
		change(&c)
	}
	d, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func TestPagesAreFollowed(t *testing.T) {
	for name, c := range map[string]struct {
		service paged
		change  func(*Config)
	}{
		"by a path":    {paged{pages: 3}, nil},
		"by a link":    {paged{pages: 3, link: true}, func(c *Config) { c.Next = nextLink }},
		"after a POST": {paged{pages: 3}, func(c *Config) { c.Method, c.Body = http.MethodPost, `{"s":{subject}}` }},
		"by the query alone": {paged{pages: 3, alter: func(page int, a object, _ http.ResponseWriter) bool {
			if page < 3 {
				a["next"] = "?page=" + strconv.Itoa(page+1)
			}
			return false
		}}, nil},
		"with a total over all pages": {paged{pages: 3, alter: func(_ int, a object, _ http.ResponseWriter) bool { a["total"] = 6; return false }}, nil},
		"with the user on each page": {paged{pages: 3, alter: func(_ int, a object, _ http.ResponseWriter) bool {
			a["user"] = object{"login": "ada"}
			return false
		}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := openPaged(t, &c.service, c.change)
			p, err := d.Person(t.Context(), query("ada", ""))
			if err != nil {
				t.Fatal(err)
			}
			if len(p.Groups) != 4 || !p.GroupsKnown || p.Groups[3].ID != "g3" {
				t.Errorf("groups %v, known %v, %q", p.Groups, p.GroupsKnown, p.GroupsUnknown)
			}
			if m := c.service.method; len(m) != 3 || m[1] != http.MethodGet || m[2] != http.MethodGet {
				t.Errorf("asked by %v", m)
			}
		})
	}
}

func TestPagesThatCannotBeFollowedAreNeverTheWhole(t *testing.T) {
	set := func(on int, name string, v any) func(int, object, http.ResponseWriter) bool {
		return func(page int, a object, _ http.ResponseWriter) bool {
			if page == on {
				a[name] = v
			}
			return false
		}
	}
	status := func(on, code int) func(int, object, http.ResponseWriter) bool {
		return func(page int, _ object, w http.ResponseWriter) bool {
			if page == on {
				w.WriteHeader(code)
			}
			return page == on
		}
	}
	for name, c := range map[string]struct {
		service paged
		want    error // nil: answered, with groups that are unknown
	}{
		"another host":                  {paged{pages: 3, alter: set(2, "next", "http://other.example/u?page=3")}, nil},
		"another port":                  {paged{pages: 3, alter: set(1, "next", "http://127.0.0.1:1/u?page=2")}, nil},
		"no host, by two slashes":       {paged{pages: 3, alter: set(1, "next", "//other.example/u?page=2")}, nil},
		"more than the last page has":   {paged{pages: 2, alter: set(2, "total", 9)}, nil},
		"a token for the next page":     {paged{pages: 3, alter: set(1, "next", "CAEQAA")}, directory.ErrMalformed},
		"a number of the next page":     {paged{pages: 3, alter: set(1, "next", 2)}, directory.ErrMalformed},
		"a circle":                      {paged{pages: 3, alter: set(3, "next", "/u?page=2")}, directory.ErrMalformed},
		"a page without groups":         {paged{pages: 3, alter: set(2, "value", nil)}, nil},
		"a page that is not there":      {paged{pages: 3, alter: status(2, http.StatusNotFound)}, directory.ErrRejected},
		"a page that fails":             {paged{pages: 3, alter: status(3, http.StatusInternalServerError)}, directory.ErrUnavailable},
		"a page about another user":     {paged{pages: 3, alter: set(2, "user", object{"login": "bob"})}, directory.ErrForeign},
		"a page with no list of groups": {paged{pages: 3, alter: set(2, "value", "a,b")}, directory.ErrMalformed},
		"over fifty pages":              {paged{pages: 51}, directory.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			d := openPaged(t, &c.service, nil)
			p, err := d.Person(t.Context(), query("ada", ""))
			switch {
			case c.want == nil && (err != nil || p.GroupsKnown || p.GroupsUnknown == ""):
				t.Errorf("%v; known %v, %q", err, p != nil && p.GroupsKnown, p.GroupsUnknown)
			case c.want != nil && (!errors.Is(err, c.want) || errors.Is(err, directory.ErrNotFound)):
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	t.Run("fifty pages are read", func(t *testing.T) {
		d := openPaged(t, &paged{pages: 50}, nil)
		if p, err := d.Person(t.Context(), query("ada", "")); err != nil || len(p.Groups) != 51 {
			t.Errorf("%v", err)
		}
	})
	t.Run("over 10,000 groups", func(t *testing.T) {
		many := make([]string, 6000)
		for i := range many {
			many[i] = strconv.Itoa(i)
		}
		d := openPaged(t, &paged{pages: 2, alter: func(_ int, a object, _ http.ResponseWriter) bool { a["value"] = many; return false }}, nil)
		if _, err := d.Person(t.Context(), query("ada", "")); !errors.Is(err, directory.ErrTooLarge) {
			t.Errorf("%v", err)
		}
	})
}

// TestTheTimeOutIsOverAllPages proves that a service cannot hold a look-up for the
// directory's time-out once for each page.
func TestTheTimeOutIsOverAllPages(t *testing.T) {
	ended := make(chan struct{})
	s := &paged{pages: 50}
	s.alter = func(page int, _ object, _ http.ResponseWriter) bool {
		if page == 2 {
			<-ended
		}
		return page == 2
	}
	g, err := directory.NewResilient(openPaged(t, s, nil), directory.ResilientOptions{Name: "people", Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(ended) })
	if _, err := g.Person(t.Context(), query("ada", "")); !errors.Is(err, directory.ErrTimeout) {
		t.Errorf("%v", err)
	}
}

// TestATextInThePlaceOfGroups holds C33.
func TestATextInThePlaceOfGroups(t *testing.T) {
	for name, c := range map[string]struct {
		config Config
		body   string
		want   []string // nil: unknown
	}{
		"a list in a text":                    {Config{ProfilePath: "$.u", GroupsPath: "$.u.roles"}, `{"u":{"roles":"[admin, user]"}}`, nil},
		"a name in a text":                    {Config{ProfilePath: "$.u", GroupsPath: "$.u.roles"}, `{"u":{"roles":"admin"}}`, []string{"admin"}},
		"parted by the option":                {Config{ProfilePath: "$.u", GroupsPath: "$.u.roles", GroupsDelimiter: ","}, `{"u":{"roles":"[admin, user]"}}`, []string{"admin", "user"}},
		"an empty text, parted":               {Config{ProfilePath: "$.u", GroupsPath: "$.u.roles", GroupsDelimiter: ","}, `{"u":{"roles":""}}`, []string{}},
		"JSON in a text":                      {Config{ProfilePath: "$.u", GroupsPath: "$.u.roles", GroupsDelimiter: "json"}, `{"u":{"roles":"[\"a\",{\"id\":\"b\"}]"}}`, []string{"a", "b"}},
		"no JSON in a text":                   {Config{ProfilePath: "$.u", GroupsPath: "$.u.roles", GroupsDelimiter: "json"}, `{"u":{"roles":"a,b"}}`, nil},
		"one group by the option":             {Config{ProfilePath: "$.u", GroupsPath: "$.u.roles", GroupsDelimiter: "none"}, `{"u":{"roles":"CN=A,DC=example"}}`, []string{"CN=A,DC=example"}},
		"one named attribute of a list":       {Config{ProfilePath: "$.u", GroupsPath: `$.attributes[?@.name=="groups"].value`}, `{"u":{},"attributes":[{"name":"groups","value":"a,b"}]}`, nil},
		"the same, parted":                    {Config{ProfilePath: "$.u", GroupsPath: `$.attributes[?@.name=="groups"].value`, GroupsDelimiter: ","}, `{"u":{},"attributes":[{"name":"groups","value":"a,b"}]}`, []string{"a", "b"}},
		"names of a list are groups":          {Config{ProfilePath: "$.u", GroupsPath: "$.groups[*].name"}, `{"u":{},"groups":[{"name":"Sales, EMEA"}]}`, []string{"Sales, EMEA"}},
		"elements of a list are groups":       {Config{ProfilePath: "$.u", GroupsPath: "$.groups[*]"}, `{"u":{},"groups":["Domain Users","Sales, EMEA"]}`, []string{"Domain Users", "Sales, EMEA"}},
		"but for what the option parts":       {Config{ProfilePath: "$.u", GroupsPath: "$.groups[*]", GroupsDelimiter: ";"}, `{"u":{},"groups":["a;b","Sales, EMEA"]}`, []string{"a", "b", "Sales, EMEA"}},
		"in the shape of a context":           {Config{GroupsDelimiter: " "}, `{"user":{"login":"ada"},"groups":"a b"}`, []string{"a", "b"}},
		"in the shape, JSON that is none":     {Config{GroupsDelimiter: "json"}, `{"user":{"login":"ada"},"groups":"a b"}`, nil},
		"what groups_path finds is not there": {Config{ProfilePath: "$.u", GroupsPath: "$.groups[*]"}, `{"u":{}}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := answering(t, c.config, c.body)
			p, err := d.Person(t.Context(), query("ada", ""))
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, g := range p.Groups {
				got = append(got, g.Name+cutID(g.ID, g.Name))
			}
			if c.want == nil {
				if p.GroupsKnown || p.GroupsUnknown == "" || len(got) > 0 {
					t.Errorf("groups %q, known %v, %q", got, p.GroupsKnown, p.GroupsUnknown)
				}
				return
			}
			if !p.GroupsKnown || strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("groups %q, known %v, %q", got, p.GroupsKnown, p.GroupsUnknown)
			}
		})
	}
}

// cutID returns the id of a group that has no name.
func cutID(id, name string) string {
	if name == "" {
		return id
	}
	return ""
}

func TestSettingsOfGroupsThatAreWrongAreRefused(t *testing.T) {
	for says, c := range map[string]Config{
		`unknown value "lnk" (want a JSONPath query such as $.next, link or none) (did you mean "link"?)`: {Next: "lnk"},
		"next: not a JSONPath query":                                      {Next: "$.a["},
		`groups_delimiter: unknown value "jsn"`:                           {GroupsDelimiter: "jsn"},
		"next: no groups are read":                                        {ProfilePath: "$.a", Next: "link"},
		"groups_delimiter: no groups are read":                            {ProfilePath: "$.a", GroupsDelimiter: ","},
		"groups_delimiter: brackets and quotes enclose groups and cannot": {GroupsDelimiter: "["},
	} {
		c.URL = "https://h/{subject}"
		if err := Check(c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}
