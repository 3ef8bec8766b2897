package userinfo

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// canned is a transport that answers what a test wrote, and remembers what it
// was asked.
type canned struct {
	status int
	kind   string
	body   string
	header http.Header
	asked  []*http.Request
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	c.asked = append(c.asked, r)
	h := http.Header{"Content-Type": {"application/json"}}
	if c.kind != "" {
		h.Set("Content-Type", c.kind)
	}
	maps.Copy(h, c.header)
	status := c.status
	if status == 0 {
		status = http.StatusOK
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(c.body)), ContentLength: int64(len(c.body)), Request: r}, nil
}

const far = "https://idp.example.com"

// answering gives a directory over an endpoint that answers body.
func answering(t testing.TB, c Config, body string) (*Directory, *canned) {
	t.Helper()
	if c.Issuer == "" {
		c.Issuer, c.Identifier = "corp", far
	}
	if c.Endpoint == nil {
		c.Endpoint = func(context.Context) (string, error) { return far + "/userinfo", nil }
	}
	service := &canned{body: body}
	d, err := New(c, Options{Transport: service, Clock: func() time.Time { return time.Unix(1_700_000_000, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return d, service
}

// query is ada's, edited.
func query(edit func(*identity.Principal)) directory.Query {
	p := &identity.Principal{
		Issuer: far, IssuerName: "corp", Subject: "ada", Client: client, Claims: map[string]any{"sub": "ada"},
		Expiry: time.Unix(1_700_000_600, 0), Scopes: []string{"openid", "email"},
	}
	if edit != nil {
		edit(p)
	}
	return directory.Query{Principal: p, Token: "ada's-token"}
}

func TestTheTokenGoesToItsOwnIssuerAndNowhereElse(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(*identity.Principal)
		want error
	}{
		"own":                          {nil, nil},
		"another issuer by name":       {func(p *identity.Principal) { p.IssuerName = "partner" }, directory.ErrRejected},
		"another issuer by iss":        {func(p *identity.Principal) { p.Issuer = far + "/" }, directory.ErrRejected},
		"bound to a DPoP key":          {func(p *identity.Principal) { p.Confirmation.KeyThumbprint = "x" }, directory.ErrRejected},
		"bound to a certificate":       {func(p *identity.Principal) { p.Confirmation.CertificateThumbprint = "x" }, directory.ErrRejected},
		"without a sub":                {func(p *identity.Principal) { p.Claims = nil }, directory.ErrRejected},
		"with a sub that is no text":   {func(p *identity.Principal) { p.Claims = map[string]any{"sub": int64(1)} }, directory.ErrRejected},
		"a client's":                   {func(p *identity.Principal) { p.ServiceAccount = true }, directory.ErrNotFound},
		"with another subject and sub": {func(p *identity.Principal) { p.Subject = "ada@example.com" }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d, service := answering(t, Config{}, `{"sub":"ada","name":"Ada"}`)
			p, err := d.Person(t.Context(), query(c.edit))
			if !errors.Is(err, c.want) || (p == nil) != (c.want != nil) {
				t.Fatalf("%v, %v; want %v", p, err, c.want)
			}
			if c.want != nil {
				if len(service.asked) != 0 {
					t.Error("the endpoint was asked")
				}
				return
			}
			r := service.asked[0]
			if r.URL.String() != far+"/userinfo" || r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer ada's-token" ||
				r.Header.Get("Accept") != "application/json, application/jwt" {
				t.Errorf("asked %s %s with %v", r.Method, r.URL, r.Header)
			}
		})
	}
	d, service := answering(t, Config{}, `{"sub":"ada"}`)
	q := query(nil)
	q.Token = ""
	if _, err := d.Person(t.Context(), q); !errors.Is(err, directory.ErrRejected) || len(service.asked) != 0 {
		t.Errorf("without a token: %v", err)
	}
	service.status, service.header = http.StatusFound, http.Header{"Location": {"https://evil.example/steal"}}
	if _, err := d.Person(t.Context(), query(nil)); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("redirected elsewhere: %v", err)
	}
	for _, r := range service.asked {
		if r.URL.Host != "idp.example.com" {
			t.Errorf("the token went to %s", r.URL.Host)
		}
	}
}

func TestAnEndpointThatIsNotSafeIsNotAsked(t *testing.T) {
	for name, c := range map[string]struct {
		identifier, endpoint string
		fails                error
		ok                   bool
	}{
		"at the issuer":               {far, far + "/me", nil, true},
		"at another host":             {far, "https://openid.example.net/me?x=1", nil, true},
		"plaintext":                   {far, "http://idp.example.com/me", nil, false},
		"on this machine":             {far, "https://127.0.0.1/me", nil, false},
		"on this machine, plain":      {far, "http://localhost:2019/load", nil, false},
		"on this machine, by IPv6":    {far, "https://[::1]/me", nil, false},
		"both on this machine":        {"http://localhost:9000", "http://127.0.0.1:9000/me", nil, true},
		"none":                        {far, "", nil, false},
		"no address":                  {far, "userinfo", nil, false},
		"with a user":                 {far, "https://a:b@idp.example.com/", nil, false},
		"metadata that cannot be had": {far, "", errors.New("down: " + far), false},
		"no address at all":           {far, "https://%zz/", nil, false},
		"another scheme":              {far, "ftp://idp.example.com/me", nil, false},
		"with a fragment":             {far, far + "/me#x", nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			d, service := answering(t, Config{Issuer: "corp", Identifier: c.identifier, Endpoint: func(context.Context) (string, error) {
				return c.endpoint, c.fails
			}}, `{"sub":"ada"}`)
			_, err := d.Person(t.Context(), query(func(p *identity.Principal) { p.Issuer = c.identifier }))
			if (err == nil) != c.ok || (!c.ok && !errors.Is(err, directory.ErrUnavailable)) {
				t.Errorf("error %v", err)
			}
			if (len(service.asked) == 1) != c.ok || (c.ok && service.asked[0].URL.String() != c.endpoint) {
				t.Errorf("asked %d times", len(service.asked))
			}
		})
	}
}

func TestAnEndpointMayMove(t *testing.T) {
	at := far + "/me"
	d, service := answering(t, Config{Endpoint: func(context.Context) (string, error) { return at, nil }}, `{"sub":"ada"}`)
	for _, at = range []string{far + "/me", "https://other.example.com/me", "https://other.example.com/you"} {
		if _, err := d.Person(t.Context(), query(nil)); err != nil {
			t.Fatal(err)
		}
		if got := service.asked[len(service.asked)-1].URL.String(); got != at {
			t.Errorf("asked %s, want %s", got, at)
		}
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Error(err)
	}
	if _, err := d.Person(t.Context(), query(nil)); !errors.Is(err, directory.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestWhatTheEndpointSays(t *testing.T) {
	for name, c := range map[string]struct {
		claim  string
		body   string
		groups []string
		known  bool
		err    error
	}{
		"groups by name":            {"", `{"sub":"ada","groups":["b","a","b"]}`, []string{"b", "a"}, true, nil},
		"no groups":                 {"", `{"sub":"ada","groups":[]}`, nil, true, nil},
		"groups not told":           {"", `{"sub":"ada"}`, nil, false, nil},
		"groups null":               {"", `{"sub":"ada","groups":null}`, nil, false, nil},
		"groups a text":             {"", `{"sub":"ada","groups":"a b"}`, nil, false, nil},
		"groups under another name": {"roles", `{"sub":"ada","groups":["x"],"roles":[{"id":"1","name":"r"},{"name":"s"}]}`, []string{"1", "s"}, true, nil},
		"groups elsewhere":          {"", `{"sub":"ada","groups":["a"],"_claim_names":{"groups":"src1"}}`, nil, false, nil},
		"something else elsewhere":  {"", `{"sub":"ada","groups":["a"],"_claim_names":{"photo":"src1"}}`, []string{"a"}, true, nil},
		"groups left out":           {"", `{"sub":"ada","groups":["a"],"hasgroups":"true"}`, nil, false, nil},
		"a group of no kind":        {"", `{"sub":"ada","groups":[true]}`, nil, false, directory.ErrMalformed},
		"a group by half a number":  {"", `{"sub":"ada","groups":[1.5]}`, nil, false, directory.ErrMalformed},
		"groups by number":          {"", `{"sub":"ada","groups":[1,{"id":2,"name":"b"},"1"]}`, []string{"1", "2"}, true, nil},
		"an empty group":            {"", `{"sub":"ada","groups":[""]}`, nil, false, directory.ErrMalformed},
		"too many groups":           {"", `{"sub":"ada","groups":["x"` + strings.Repeat(`,"x"`, directory.MaxGroups) + `]}`, nil, false, directory.ErrTooLarge},
		"another sub":               {"", `{"sub":"bob","groups":["a"]}`, nil, false, directory.ErrForeign},
		"sub in another case":       {"", `{"sub":"Ada"}`, nil, false, directory.ErrForeign},
		"sub a list":                {"", `{"sub":["ada"]}`, nil, false, directory.ErrForeign},
		"no sub":                    {"", `{"name":"Ada"}`, nil, false, directory.ErrForeign},
		"no object":                 {"", `["ada"]`, nil, false, directory.ErrMalformed},
		"nothing":                   {"", ``, nil, false, directory.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			d, _ := answering(t, Config{GroupsClaim: c.claim}, c.body)
			p, err := d.Person(t.Context(), query(nil))
			if !errors.Is(err, c.err) || errors.Is(err, directory.ErrNotFound) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err != nil {
				return
			}
			var ids []string
			for _, g := range p.Groups {
				ids = append(ids, g.ID)
			}
			if !slices.Equal(ids, c.groups) || p.GroupsKnown != c.known {
				t.Errorf("groups %v known %v, want %v known %v", ids, p.GroupsKnown, c.groups, c.known)
			}
			claim := cmp.Or(c.claim, "groups")
			if v, isList := p.User.Profile[claim].([]any); isList {
				t.Errorf("the attribute %s is %v: the groups, or a part of them", claim, v)
			}
		})
	}
	d, _ := answering(t, Config{}, `{"sub":"ada","preferred_username":"al","email":"a@b.c","updated_at":1700000000,"address":{"country":"X"},"iss":"i","aud":"a","exp":1}`)
	p, err := d.Person(t.Context(), query(nil))
	if err != nil {
		t.Fatal(err)
	}
	u := p.User
	if u.ID != "ada" || u.Login != "al" || u.Profile["email"] != "a@b.c" || u.Profile["sub"] != "ada" || u.LastUpdated.Unix() != 1_700_000_000 || u.Profile["iss"] != nil || u.Profile["exp"] != nil {
		t.Errorf("user %+v", u)
	}
}

func TestATokenThatIsRefusedClosesTheWayForNobodyElse(t *testing.T) {
	d, service := answering(t, Config{}, `{"sub":"ada"}`)
	g, err := directory.NewResilient(d, directory.ResilientOptions{Failures: 3})
	if err != nil {
		t.Fatal(err)
	}
	for _, service.status = range []int{401, 403, 429, 401, 403, 429, 401, 401, 401, 401} {
		_, err := g.Person(t.Context(), query(nil))
		want := "refused"
		if service.status == 429 {
			want = "throttled"
		}
		if directory.Class(err) != want {
			t.Fatalf("status %d: %v", service.status, err)
		}
	}
	service.status = 0
	if _, err := g.Person(t.Context(), query(nil)); err != nil {
		t.Errorf("the next caller: %v", err)
	}
	service.status = 500
	for range 3 {
		_, _ = g.Person(t.Context(), query(nil))
	}
	if g.State() != directory.StateOpen {
		t.Errorf("an endpoint that is down leaves the circuit %v", g.State())
	}
}

func TestASignedAnswerIsHeldToItsIssuerAndClient(t *testing.T) {
	s := newSigner(t)
	good := func() object { return object{"sub": "ada", "iss": far, "aud": client, "exp": 1_700_000_100} }
	for name, c := range map[string]struct {
		edit func(object)
		p    func(*identity.Principal)
		want error
	}{
		"good":                       {nil, nil, nil},
		"several audiences":          {func(o object) { o["aud"] = []string{"x", client} }, nil, nil},
		"without an expiry":          {func(o object) { delete(o, "exp") }, nil, nil},
		"just expired":               {func(o object) { o["exp"] = 1_699_999_990 }, nil, nil},
		"expired":                    {func(o object) { o["exp"] = 1_699_999_970 }, nil, directory.ErrMalformed},
		"expired, with a fraction":   {func(o object) { o["exp"] = 1_699_999_000.5 }, nil, directory.ErrMalformed},
		"an expiry that is none":     {func(o object) { o["exp"] = "never" }, nil, directory.ErrMalformed},
		"not valid yet":              {func(o object) { o["nbf"] = 1_700_000_031 }, nil, directory.ErrMalformed},
		"valid in a moment":          {func(o object) { o["nbf"] = 1_700_000_029 }, nil, nil},
		"a beginning that is none":   {func(o object) { o["nbf"] = "soon" }, nil, directory.ErrMalformed},
		"another issuer":             {func(o object) { o["iss"] = far + "/" }, nil, directory.ErrForeign},
		"no issuer":                  {func(o object) { delete(o, "iss") }, nil, directory.ErrForeign},
		"another audience":           {func(o object) { o["aud"] = "other" }, nil, directory.ErrForeign},
		"no audience":                {func(o object) { delete(o, "aud") }, nil, directory.ErrForeign},
		"a token without client":     {nil, func(p *identity.Principal) { p.Client = "" }, directory.ErrForeign},
		"a token and aud both empty": {func(o object) { o["aud"] = "" }, func(p *identity.Principal) { p.Client = "" }, directory.ErrForeign},
		"another sub":                {func(o object) { o["sub"] = "bob" }, nil, directory.ErrForeign},
	} {
		t.Run(name, func(t *testing.T) {
			claims := good()
			if c.edit != nil {
				c.edit(claims)
			}
			text, err := s.sign(claims)
			if err != nil {
				t.Fatal(err)
			}
			d, service := answering(t, Config{Verify: s.verify}, text+"\n")
			service.kind = "application/jwt"
			p, err := d.Person(t.Context(), query(c.p))
			if !errors.Is(err, c.want) || (p == nil) != (c.want != nil) {
				t.Errorf("%v, %v; want %v", p, err, c.want)
			}
		})
	}
	text, err := newSigner(t).sign(good())
	if err != nil {
		t.Fatal(err)
	}
	plain, err := json.Marshal(good())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		verify func(context.Context, string) (map[string]any, error)
		kind   string
		body   string
	}{
		"another key":                       {s.verify, "application/jwt", text},
		"no way to verify":                  {nil, "application/jwt", text},
		"JSON that is called a JWT":         {s.verify, "application/jwt", string(plain)},
		"a JWT that is called JSON":         {s.verify, "application/json", text},
		"a JWT that is called text":         {s.verify, "text/plain", text},
		"a JWT with another content's name": {s.verify, "application/token-introspection+jwt", text},
	} {
		d, service := answering(t, Config{Verify: c.verify}, c.body)
		service.kind = c.kind
		if p, err := d.Person(t.Context(), query(nil)); p != nil || !errors.Is(err, directory.ErrMalformed) {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

// A signed answer that says until when it holds is used no longer.
func TestASignedAnswerIsKeptUntilItExpires(t *testing.T) {
	s := newSigner(t)
	for exp, want := range map[any]time.Duration{1_700_000_100: 100 * time.Second, 1_699_999_990: 0, nil: -1} {
		claims := object{"sub": "ada", "iss": far, "aud": client}
		if exp != nil {
			claims["exp"] = exp
		}
		text, err := s.sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		d, service := answering(t, Config{Verify: s.verify}, text)
		service.kind = "application/jwt"
		p, err := d.Person(t.Context(), query(nil))
		if err != nil {
			t.Fatal(err)
		}
		if (p.Keep == nil) != (want < 0) || p.Keep != nil && *p.Keep != want {
			t.Errorf("exp %v: kept for %v, want %v", exp, p.Keep, want)
		}
	}
}

func TestWhatAnAnswerDependsOn(t *testing.T) {
	d, _ := answering(t, Config{}, "")
	of := func(edit func(*identity.Principal)) string {
		on := d.CacheScope(query(edit).Principal)
		if !on.Token || on.App {
			t.Errorf("dependence %+v", on)
		}
		return fmt.Sprintf("%q", on.Caller)
	}
	base := of(nil)
	for name, c := range map[string]struct {
		edit func(*identity.Principal)
		same bool
	}{
		"scopes in another order": {func(p *identity.Principal) { p.Scopes = []string{"email", "openid", "email"} }, true},
		"fewer scopes":            {func(p *identity.Principal) { p.Scopes = []string{"openid"} }, false},
		"scopes run together":     {func(p *identity.Principal) { p.Scopes = []string{"openid email"} }, false},
		"another client":          {func(p *identity.Principal) { p.Client = "other" }, false},
		"another expiry":          {func(p *identity.Principal) { p.Expiry = p.Expiry.Add(time.Second) }, false},
		"another sub":             {func(p *identity.Principal) { p.Claims = map[string]any{"sub": "bob"} }, false},
		"another subject alone":   {func(p *identity.Principal) { p.Subject = "bob" }, true}, // stands in the key by itself
	} {
		if (of(c.edit) == base) != c.same {
			t.Errorf("%s: %s, and %s before", name, of(c.edit), base)
		}
	}
}

func TestConfigurationsThatAreWrongInThemselvesAreRefused(t *testing.T) {
	at := func(context.Context) (string, error) { return far, nil }
	for name, c := range map[string]Config{
		"no name":       {Identifier: far, Endpoint: at},
		"no identifier": {Issuer: "corp", Endpoint: at},
		"no endpoint":   {Issuer: "corp", Identifier: far},
		"missing CA":    {Issuer: "corp", Identifier: far, Endpoint: at, CAFile: "/nowhere/ca.pem"},
	} {
		if _, err := New(c, Options{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

// TestACertifiedProvider asks a provider that others wrote.
func TestACertifiedProvider(t *testing.T) {
	op := enrichtest.StartOIDCProvider(t, enrichtest.OPConfig{})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, op.Issuer+"/.well-known/openid-configuration", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	var metadata struct {
		Userinfo string `json:"userinfo_endpoint"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&metadata); err != nil || metadata.Userinfo == "" {
		t.Fatalf("metadata: %v", err)
	}
	d, err := New(Config{Issuer: "corp", Identifier: op.Issuer, Endpoint: func(context.Context) (string, error) { return metadata.Userinfo, nil }}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	ask := func(sub, token string) (*identity.Person, error) {
		return d.Person(t.Context(), directory.Query{
			Principal: &identity.Principal{Issuer: op.Issuer, IssuerName: "corp", Subject: sub, Client: enrichtest.OPClient, Claims: map[string]any{"sub": sub}},
			Token:     token,
		})
	}
	token := op.Mint(enrichtest.Grant{Subject: "alice", Format: enrichtest.FormatUserinfo, Scope: "openid profile email groups"})
	p, err := ask("alice", token)
	if err != nil {
		t.Fatal(err)
	}
	if u := p.User; u.ID != "alice" || u.Profile["name"] != "Alice Ærø" || u.Profile["email"] != "alice@example.com" || u.Profile["email_verified"] != true {
		t.Errorf("user %+v", u)
	}
	if !p.GroupsKnown || len(p.Groups) != 2 || p.Groups[0].Name != "admins" || p.Groups[1].Name != "dev" {
		t.Errorf("groups %+v, known %v", p.Groups, p.GroupsKnown)
	}
	less, err := ask("bob", op.Mint(enrichtest.Grant{Subject: "bob", Format: enrichtest.FormatUserinfo, Scope: "openid"}))
	if err != nil || less.GroupsKnown || less.User.Profile["email"] != nil {
		t.Errorf("with fewer scopes: %+v, %v", less, err)
	}
	if _, err := ask("bob", token); !errors.Is(err, directory.ErrForeign) {
		t.Errorf("alice's token for bob: %v", err)
	}
	if _, err := ask("alice", "no-such-token"); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("a token that it does not know: %v", err)
	}
	op.Revoke(token)
	if _, err := ask("alice", token); !errors.Is(err, directory.ErrRefused) {
		t.Errorf("a revoked token: %v", err)
	}
}
