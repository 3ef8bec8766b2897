package okta

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
)

type object = map[string]any

// organization is a server that behaves as Okta's documents say: shapes, error
// bodies, Link headers on lines of their own with an opaque cursor, rate limits
// by endpoint, and tokens.
type organization struct {
	t     *testing.T
	world directorytest.World
	fault directorytest.Fault
	http  *httptest.Server

	apiToken  string            // SSWS
	app       *jose.JSONWebKey  // public key of the service app "0oaservice"
	linked    map[string]string // manager by user id
	clock     func() time.Time
	skew      time.Duration // of the server's clock
	groupPage int

	closing chan struct{}

	mu       sync.Mutex
	requests []string        // method and path
	tokens   map[string]bool // access tokens that are good
	issued   int
	used     map[string]bool // jti of assertions
	limit    int             // requests a window and bucket; 0: none
	limits   map[string]int  // by bucket; where there are any, buckets are as fine as Okta's
	window   time.Duration
	left     map[string]int
	resets   map[string]time.Time
	mayNot   string // a path prefix that is forbidden
	override func(w http.ResponseWriter, r *http.Request) bool
}

const apiToken = "00secretSSWStokenOfTheOrganization"

func newOrganization(t *testing.T, w directorytest.World) *organization {
	o := &organization{
		t: t, world: w, apiToken: apiToken, clock: time.Now, groupPage: 200, window: time.Minute,
		closing: make(chan struct{}), tokens: map[string]bool{}, used: map[string]bool{}, left: map[string]int{}, resets: map[string]time.Time{}, linked: map[string]string{},
	}
	o.http = httptest.NewServer(http.HandlerFunc(o.serve))
	t.Cleanup(func() {
		close(o.closing)
		o.http.CloseClientConnections()
		o.http.Close()
	})
	return o
}

func (o *organization) asked(prefix string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := 0
	for _, r := range o.requests {
		if strings.HasPrefix(r, prefix) {
			n++
		}
	}
	return n
}

func refuse(w http.ResponseWriter, status int, code, summary string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Okta-Request-Id", "reqVy8wsvmBQN27h4soUE3ZEnA")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(object{
		"errorCode": code, "errorSummary": summary, "errorLink": code, "errorId": "oaeHfmOAx1iRLa0H10DeMz5fQ", "errorCauses": []any{},
	})
}

func (o *organization) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Okta-Request-Id", "reqVy8wsvmBQN27h4soUE3ZEnA")
	_ = json.NewEncoder(w).Encode(v) // who asked may be gone
}

func (o *organization) serve(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.requests = append(o.requests, r.Method+" "+r.URL.Path)
	override := o.override
	o.mu.Unlock()
	w.Header().Set("Date", o.clock().Add(o.skew).UTC().Format(http.TimeFormat))
	if override != nil && override(w, r) {
		return
	}
	switch o.fault {
	case directorytest.Slow:
		<-o.closing
		return
	case directorytest.Broken:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"id":"00u1ada","profile":<html>`))
		return
	case directorytest.Cut:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "100000")
		_, _ = w.Write([]byte(`{"id":"00u1ada",`))
		return
	default: // told below, or nothing that a server does
	}
	if r.URL.Path == "/oauth2/v1/token" {
		o.token(w, r)
		return
	}
	if !o.authorized(r) {
		refuse(w, http.StatusUnauthorized, "E0000011", "Invalid token provided")
		return
	}
	if !o.withinLimit(w, r) {
		refuse(w, http.StatusTooManyRequests, "E0000047", "API call exceeded rate limit due to too many requests.")
		return
	}
	if o.mayNot != "" && strings.HasPrefix(r.URL.Path, o.mayNot) {
		refuse(w, http.StatusForbidden, "E0000006", "You do not have permission to perform the requested action")
		return
	}
	o.route(w, r)
}

func (o *organization) authorized(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.fault != directorytest.Refusing && (scheme == "SSWS" && o.app == nil && token == o.apiToken || scheme == "Bearer" && o.tokens[token])
}

// withinLimit counts by endpoint and says so in the headers.
func (o *organization) withinLimit(w http.ResponseWriter, r *http.Request) bool {
	limit := o.limit
	path := strings.SplitN(r.URL.Path, "/", 6) // "", api, v1, users, an id, the rest
	bucket := strings.Join(path[:4], "/")
	if o.limits != nil {
		switch len(path) {
		case 5:
			bucket += "/{id}"
		case 6:
			bucket += "/{id}/*"
		}
		limit = o.limits[bucket]
	}
	if limit == 0 {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := o.clock().Add(o.skew)
	if !now.Before(o.resets[bucket]) {
		o.left[bucket] = limit
		o.resets[bucket] = now.Truncate(time.Second).Add(o.window)
	}
	o.left[bucket]--
	w.Header().Set("X-Rate-Limit-Limit", strconv.Itoa(limit))
	w.Header().Set("X-Rate-Limit-Remaining", strconv.Itoa(max(o.left[bucket], 0)))
	w.Header().Set("X-Rate-Limit-Reset", strconv.FormatInt(o.resets[bucket].Unix(), 10))
	return o.left[bucket] >= 0
}

func (o *organization) route(w http.ResponseWriter, r *http.Request) {
	path := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/api/v1/"), "/")
	for i := range path {
		path[i] = unescape(path[i])
	}
	switch {
	case path[0] == "users" && len(path) == 1:
		o.search(w, r)
	case path[0] == "users" && len(path) == 2:
		if u := o.user(path[1]); u != nil {
			if o.fault == directorytest.Huge {
				u["profile"].(object)["bio"] = strings.Repeat("x", 9<<20)
			}
			o.answer(w, u)
			return
		}
		refuse(w, http.StatusNotFound, "E0000007", "Not found: Resource not found: someone (User)")
	case path[0] == "users" && len(path) == 3 && path[2] == "groups":
		o.groups(w, r, path[1])
	case path[0] == "users" && len(path) == 4 && path[2] == "linkedObjects":
		switch manager := o.linked[path[1]]; {
		case path[3] == "subordinate":
			o.answer(w, []object{o.self("00u1"), o.self("00u2")})
		case path[3] != "manager":
			refuse(w, http.StatusNotFound, "E0000007", "Not found: Resource not found: (LinkedObject)")
		case manager == "":
			o.answer(w, []object{})
		default:
			o.answer(w, []object{o.self(manager)})
		}
	case path[0] == "apps" && len(path) == 1:
		o.listApps(w, r)
	case path[0] == "apps" && len(path) == 2:
		for _, a := range o.world.Apps {
			if a.ID == path[1] {
				o.answer(w, o.appJSON(a))
				return
			}
		}
		refuse(w, http.StatusNotFound, "E0000007", "Not found: Resource not found: (AppInstance)")
	case path[0] == "apps" && len(path) == 4 && path[2] == "users":
		for _, a := range o.world.Apps {
			for _, u := range a.Users {
				if a.ID == path[1] && u.ID == path[3] {
					o.answer(w, object{"id": u.ID, "scope": "USER", "status": "ACTIVE", "credentials": object{"userName": u.UserName}, "profile": u.Profile})
					return
				}
			}
		}
		refuse(w, http.StatusNotFound, "E0000007", "Not found: Resource not found: (AppUser)")
	default:
		refuse(w, http.StatusNotFound, "E0000008", "The requested path was not found")
	}
}

// unescape reads a path segment.
func unescape(s string) string {
	v, err := url.PathUnescape(s)
	if err != nil {
		return s
	}
	return v
}

func (o *organization) self(id string) object {
	return object{"_links": object{"self": object{"href": o.http.URL + "/api/v1/users/" + id}}}
}

func (o *organization) userJSON(u directorytest.User) object {
	profile := maps.Clone(u.Profile)
	profile["login"] = u.Login
	profile["secondEmail"] = nil
	return object{
		"id": u.ID, "status": u.Status, "created": "2024-01-02T03:04:05.000Z", "activated": nil, "statusChanged": "2024-01-02T03:04:06.000Z",
		"lastLogin": nil, "lastUpdated": "2024-05-01T09:00:00.000Z", "passwordChanged": "2024-01-02T03:04:06.000Z", "type": object{"id": "oty1"},
		"profile": profile, "_links": object{"self": object{"href": o.http.URL + "/api/v1/users/" + u.ID}},
	}
}

// user finds by id, login in any case, or the part of a login before the @
// where only one user has it.
func (o *organization) user(name string) object {
	if o.fault == directorytest.Foreign || name == "me" {
		return o.userJSON(o.world.Users[len(o.world.Users)-1])
	}
	var short []directorytest.User
	for _, u := range o.world.Users {
		if u.ID == name || strings.EqualFold(u.Login, name) {
			return o.userJSON(u)
		}
		if before, _, ok := strings.Cut(u.Login, "@"); ok && strings.EqualFold(before, name) {
			short = append(short, u)
		}
	}
	if len(short) == 1 {
		return o.userJSON(short[0])
	}
	return nil
}

// search knows the one form of expression that is used: an attribute and a
// JSON string.
func (o *organization) search(w http.ResponseWriter, r *http.Request) {
	left, right, ok := strings.Cut(r.URL.Query().Get("search"), " eq ")
	var value string
	if !ok || json.Unmarshal([]byte(right), &value) != nil || !strings.HasPrefix(left, "profile.") {
		refuse(w, http.StatusBadRequest, "E0000031", "Invalid search criteria.")
		return
	}
	limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
	found := []object{}
	for _, u := range o.world.Users {
		u := o.userJSON(u)
		if s, _ := u["profile"].(object)[strings.TrimPrefix(left, "profile.")].(string); strings.EqualFold(s, value) && len(found) < limit {
			found = append(found, u)
		}
	}
	switch o.fault {
	case directorytest.Foreign:
		found = []object{o.userJSON(o.world.Users[len(o.world.Users)-1])}
	case directorytest.Huge:
		found[0]["profile"].(object)["bio"] = strings.Repeat("x", 9<<20)
	default:
	}
	o.answer(w, found)
}

func (o *organization) groups(w http.ResponseWriter, r *http.Request, id string) {
	i := slices.IndexFunc(o.world.Users, func(u directorytest.User) bool { return u.ID == id })
	if i < 0 {
		refuse(w, http.StatusNotFound, "E0000007", "Not found: Resource not found: (User)")
		return
	}
	start := 0
	if after := r.URL.Query().Get("after"); after != "" {
		cursor, err := base64.RawURLEncoding.DecodeString(after)
		if err != nil {
			o.t.Errorf("a cursor that was never given: %s", after)
		}
		start, _ = strconv.Atoi(string(cursor))
	}
	ids := o.world.Users[i].Groups
	end := min(start+o.groupPage, len(ids))
	page := []object{}
	for _, id := range ids[start:end] {
		for _, g := range o.world.Groups {
			if g.ID == id {
				page = append(page, object{
					"id": g.ID, "created": "2019-11-12T19:56:23.000Z", "lastMembershipUpdated": "2024-04-30T08:00:00.000Z", "objectClass": []string{"okta:user_group"},
					"type": "OKTA_GROUP", "profile": object{"name": g.Name, "description": nil}, "_links": object{"source": object{"href": o.http.URL + "/api/v1/apps/0oaAD"}},
				})
			}
		}
	}
	self := o.http.URL + r.URL.RequestURI()
	w.Header().Add("Link", `<`+self+`>; rel="self"`)
	if o.fault == directorytest.Incomplete {
		w.Header().Add("Link", `<https://elsewhere.example.com/api/v1/users/00u1ada/groups?after=x>; rel="next"`)
	} else if end < len(ids) {
		cursor := base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(end)))
		w.Header().Add("Link", fmt.Sprintf(`<%s%s?after=%s&limit=%d>; rel="next"`, o.http.URL, r.URL.Path, cursor, o.groupPage))
	}
	o.answer(w, page)
}

func (o *organization) appJSON(a directorytest.App) object {
	return object{
		"id": a.ID, "name": "oidc_client", "label": "Payroll", "status": "ACTIVE", "signOnMode": "OPENID_CONNECT", "profile": a.Profile,
		"credentials": object{"oauthClient": object{"client_id": a.ClientID}}, "settings": object{"app": object{"domain": "example.com"}},
	}
}

func (o *organization) listApps(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("filter") != `name eq "oidc_client"` {
		refuse(w, http.StatusBadRequest, "E0000031", "Invalid search criteria.")
		return
	}
	list := []object{}
	if r.URL.Query().Get("after") == "" && len(o.world.Apps) > 0 {
		// A first page with nothing of interest.
		w.Header().Add("Link", `<`+o.http.URL+r.URL.RequestURI()+`&after=x>; rel="next"`)
	} else {
		for _, a := range o.world.Apps {
			list = append(list, o.appJSON(a))
		}
	}
	o.answer(w, list)
}

// token checks the assertion as Okta documents it.
func (o *organization) token(w http.ResponseWriter, r *http.Request) {
	refusal := func(why string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(object{"error": "invalid_client", "error_description": why})
	}
	if o.app == nil || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") == "" ||
		r.FormValue("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || r.Method != http.MethodPost {
		refusal("bad form")
		return
	}
	signed, err := jose.ParseSignedCompact(r.FormValue("client_assertion"), []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512})
	if err != nil || signed.Signatures[0].Header.KeyID != o.app.KeyID {
		refusal("bad assertion")
		return
	}
	payload, err := signed.Verify(o.app)
	var raw object
	if err != nil || json.Unmarshal(payload, &raw) != nil {
		refusal("bad signature")
		return
	}
	id, _ := raw["jti"].(string)
	exp, _ := raw["exp"].(float64)
	now := o.clock()
	o.mu.Lock()
	defer o.mu.Unlock()
	if raw["iss"] != "0oaservice" || raw["sub"] != "0oaservice" || raw["aud"] != o.http.URL+"/oauth2/v1/token" || id == "" || o.used[id] ||
		exp <= float64(now.Unix()) || exp > float64(now.Add(time.Hour).Unix()) {
		refusal("bad claims")
		return
	}
	o.used[id] = true
	o.issued++
	token := fmt.Sprintf("eyJhbGciOiJSUzI1NiJ9.token-%d.x", o.issued)
	o.tokens[token] = true
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(object{"token_type": "Bearer", "expires_in": 3600, "access_token": token, "scope": r.FormValue("scope")})
}
