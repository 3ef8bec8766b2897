package integration

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// order posts to an admin endpoint as an operator's script does.
func (w *world) order(endpoint, body string, headers ...string) answer {
	w.t.Helper()
	return w.admins(http.MethodPost, endpoint, body, headers...)
}

func (w *world) admins(method, endpoint, body string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.admin+"/token_enrich/"+endpoint, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	kept := w.client
	w.client = nil
	defer func() { w.client = kept }()
	return w.send(r)
}

// ordered posts what must succeed and gives how far it got.
func (w *world) ordered(endpoint, body string) string {
	w.t.Helper()
	got := w.order(endpoint, body)
	wantStatus(w.t, got, 200)
	var changed struct {
		Nodes string `json:"nodes"`
	}
	if err := json.Unmarshal([]byte(got.body), &changed); err != nil {
		w.t.Fatalf("the answer %q: %v", got.body, err)
	}
	return changed.Nodes
}

// within runs caddy token-enrich inside the test's own process.
func within(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	registered, ok := caddycmd.Commands()["token-enrich"]
	if !ok {
		t.Fatal("there is no command token-enrich")
	}
	cmd := &cobra.Command{Use: "token-enrich"}
	registered.CobraFunc(cmd)
	var out, complaints bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&complaints)
	cmd.SetArgs(args)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), complaints.String(), err
}

// edition is a directory whose every answer says which edition of the people
// it is from.
type edition struct {
	directorytest.Fake
	number atomic.Int64
}

func newEdition() *edition {
	e := new(edition)
	e.PersonFunc = func(_ context.Context, q directory.Query) (*identity.Person, error) {
		return &identity.Person{
			User:        &identity.User{ID: "id-" + q.Principal.Subject, Login: q.Principal.Subject + "@example.com", Profile: map[string]any{"edition": e.number.Load(), "email": "mail-" + q.Principal.Subject + "@example.com"}},
			Groups:      []identity.Group{{ID: "group-" + q.Principal.Subject, Name: "Everybody"}},
			GroupsKnown: true,
		}, nil
	}
	e.AppFunc = func(_ context.Context, id string) (*identity.App, error) {
		return &identity.App{ID: id, Profile: map[string]any{"edition": e.number.Load()}}, nil
	}
	return e
}

// editions is a policy that shows of which edition user and app are.
const editions = `
	token_enrich {
		name payroll
		app 0oa1payroll
		claim user user.edition
		claim app app.profile.edition
		header X-User user
		header X-App app
	}
	reverse_proxy %a
	handle_errors {
		respond "{err.status_code} {err.message}"
	}`

func (w *world) editions(e *edition, more ...string) {
	w.t.Helper()
	w.load(strings.ReplaceAll(editions, "%a", w.legacy.Addr()), append([]string{w.issuerBlock(""), script(w.t, &e.Fake)}, more...)...)
}

// shown asks as the token's user and gives the editions that the application
// was told.
func (w *world) shown(token string) (user, app string) {
	w.t.Helper()
	wantStatus(w.t, w.get("/", token), 200)
	seen := w.received()
	return strings.Join(seen.Values("X-User"), " "), strings.Join(seen.Values("X-App"), " ")
}

func TestDenialEndsACachedDecisionAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		flags      []string
	}{
		{"by token id", `{"jti":"jti-1","issuer":"corp"}`, []string{"--jti", "jti-1"}},
		{"by session", `{"sid":"sid-1","issuer":"corp"}`, []string{"--sid", "sid-1"}},
		{"by user", `{"user":"ada","issuer":"corp"}`, []string{"--user", "ada"}},
	} {
		for _, way := range []string{"endpoint", "command"} {
			t.Run(tc.name+", "+way, func(t *testing.T) {
				w := prepare(t)
				w.editions(newEdition())
				token := w.token("ada", enrichtest.Claims{"jti": "jti-1", "sid": "sid-1"})
				others := map[string]string{
					"another token": w.token("grace", enrichtest.Claims{"jti": "jti-2", "sid": "sid-2"}),
					// What is said of a jti is not said of a sid or a user.
					"the same texts elsewhere": w.token("jti-1", enrichtest.Claims{"jti": "sid-1", "sid": "ada"}),
				}
				for range 2 {
					wantStatus(t, w.get("/", token), 200)
				}
				w.legacy.Forget()
				if way == "endpoint" {
					if nodes := w.ordered("deny", tc.body); nodes != "this one" {
						t.Errorf("nodes: %q", nodes)
					}
				} else {
					out, complaints, err := within(t, append([]string{"deny", "--issuer", "corp", "--address", w.admin}, tc.flags...)...)
					if err != nil || complaints != "" || !regexp.MustCompile(`^denied until 20\S+Z, entry [0-9a-f]{16}; nodes: this one\n$`).MatchString(out) {
						t.Fatalf("the command said %q, %q, %v", out, complaints, err)
					}
				}
				for range 2 {
					w.wantInvalidToken(t, w.get("/", token))
				}
				for name, other := range others {
					if got := w.get("/", other); got.StatusCode != 200 {
						t.Errorf("%s: status %d", name, got.StatusCode)
					}
				}
				if log := w.logged(); strings.Contains(log, "jti-1") || strings.Contains(log, "sid-1") {
					t.Error("the log names what was denied")
				}
			})
		}
	}
}

func TestDenialOfOneIssuerIsNotTheOthers(t *testing.T) {
	w, partner, _, _ := twoIssuers(t, policySite)
	w.ordered("deny", `{"user":"alice","issuer":"corp"}`)
	w.wantInvalidToken(t, w.get("/", w.token("alice")))
	wantStatus(t, w.get("/", partner.Mint(enrichtest.Claims{"sub": "alice", "aud": audience})), 200)
}

func TestDenialOutlivesAReload(t *testing.T) {
	w := prepare(t)
	e := newEdition()
	w.editions(e)
	token := w.token("ada", enrichtest.Claims{"jti": "jti-1"})
	w.ordered("deny", `{"jti":"jti-1","issuer":"corp"}`)
	for _, changed := range []string{"explain values", "cache {\nmemory 32MiB\n}", "cache {\nfresh 1m\nmemory 64MiB\n}", "deny_max_age 1m", ""} {
		w.editions(e, changed)
		w.wantInvalidToken(t, w.get("/", token))
	}
	// The first of several keys seals, and the last one names.
	other := base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{8}, 32))
	w.editions(e, "cache {\nseal_key "+sealKeyText+"\n}")
	w.ordered("deny", `{"jti":"jti-1","issuer":"corp"}`)
	w.editions(e, "cache {\nmemory 32MiB\nseal_key "+other+" "+sealKeyText+"\n}")
	w.wantInvalidToken(t, w.get("/", token))
}

// A user who is denied by name is denied also where the directory is asked by
// another claim than sub.
func TestDenialNamesTheSubjectClaimAndSub(t *testing.T) {
	for _, name := range []string{"ada", "ada@example.com"} {
		w := prepare(t)
		w.load(strings.ReplaceAll(editions, "%a", w.legacy.Addr()), w.issuerBlock("subject_claim mail"), script(t, &newEdition().Fake))
		token := w.token("ada", enrichtest.Claims{"mail": "ada@example.com"})
		wantStatus(t, w.get("/", token), 200)
		w.legacy.Forget()
		w.ordered("deny", `{"user":"`+name+`","issuer":"corp"}`)
		w.wantInvalidToken(t, w.get("/", token))
	}
}

func TestPurgedRecordIsFetchedAnewAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		flags      []string
		user, app  string // the editions after it
	}{
		{"by subject", `{"user":"ada"}`, []string{"--user", "ada"}, "2", "1"},
		{"by subject and issuer", `{"user":"ada","issuer":"corp"}`, []string{"--user", "ada", "--issuer", "corp"}, "2", "1"},
		{"by user id", `{"user":"id-ada"}`, []string{"--user", "id-ada"}, "2", "1"},
		{"by login", `{"user":"ada@example.com"}`, []string{"--user", "ada@example.com"}, "2", "1"},
		{"by e-mail in another case", `{"user":"Mail-Ada@example.com"}`, []string{"--user", "Mail-Ada@example.com"}, "2", "1"},
		{"by group", `{"group":"group-ada"}`, []string{"--group", "group-ada"}, "2", "1"},
		{"by app", `{"app":"0oa1payroll"}`, []string{"--app", "0oa1payroll"}, "1", "2"},
		{"everything", `{"all":true}`, []string{"--all"}, "2", "2"},
		{"somebody else", `{"user":"grace"}`, []string{"--user", "grace"}, "1", "1"},
		{"another group", `{"group":"group-grace"}`, []string{"--group", "group-grace"}, "1", "1"},
		{"a user by a group's id", `{"user":"group-ada"}`, []string{"--user", "group-ada"}, "1", "1"},
	} {
		for _, way := range []string{"endpoint", "command"} {
			t.Run(tc.name+", "+way, func(t *testing.T) {
				w := prepare(t)
				e := newEdition()
				e.number.Store(1)
				w.editions(e)
				token := w.token("ada")
				for range 2 {
					if user, app := w.shown(token); user != "1" || app != "1" {
						t.Fatalf("the application was told %q and %q", user, app)
					}
				}
				e.number.Store(2)
				if way == "endpoint" {
					if nodes := w.ordered("purge", tc.body); nodes != "this one" {
						t.Errorf("nodes: %q", nodes)
					}
				} else {
					out, complaints, err := within(t, append([]string{"purge", "--address", w.admin}, tc.flags...)...)
					if err != nil || complaints != "" || out != "purged; nodes: this one\n" {
						t.Fatalf("the command said %q, %q, %v", out, complaints, err)
					}
				}
				// The cached decision, and a decision about a new token.
				for _, token := range []string{token, w.token("ada")} {
					if user, app := w.shown(token); user != tc.user || app != tc.app {
						t.Errorf("the application was told %q and %q, want %q and %q", user, app, tc.user, tc.app)
					}
				}
				if strings.Contains(strings.ToLower(w.logged()), "mail-ada@") {
					t.Error("the log names who was purged")
				}
			})
		}
	}
}

func TestAdminEndpointsTakeNothingElse(t *testing.T) {
	w := prepare(t)
	w.editions(newEdition())
	for _, tc := range []struct {
		name, method, endpoint, body string
		code                         int
		headers                      []string
	}{
		{"an unknown member", "POST", "purge", `{"users":"ada"}`, 400, nil},
		{"an unknown member beside a known one", "POST", "deny", `{"jti":"a","issuer":"corp","until":1}`, 400, nil},
		{"nothing named", "POST", "purge", `{}`, 400, nil},
		{"all is false", "POST", "purge", `{"all":false}`, 400, nil},
		{"two named", "POST", "purge", `{"user":"ada","group":"g"}`, 400, nil},
		{"two named, one of them all", "POST", "purge", `{"user":"ada","all":true}`, 400, nil},
		{"a wrong issuer", "POST", "purge", `{"user":"ada","issuer":"nobody"}`, 400, nil},
		{"an issuer without a user", "POST", "purge", `{"group":"g","issuer":"corp"}`, 400, nil},
		{"a wrong issuer of a denial", "POST", "deny", `{"jti":"a","issuer":"nobody"}`, 400, nil},
		{"an issuer by its identifier", "POST", "deny", `{"jti":"a","issuer":"` + w.issuer.Issuer() + `"}`, 400, nil},
		{"a denial without an issuer", "POST", "deny", `{"jti":"a"}`, 400, nil},
		{"a denial of nothing", "POST", "deny", `{"issuer":"corp"}`, 400, nil},
		{"a denial of two", "POST", "deny", `{"jti":"a","sid":"b","issuer":"corp"}`, 400, nil},
		{"a number for a name", "POST", "deny", `{"jti":7,"issuer":"corp"}`, 400, nil},
		{"no JSON", "POST", "deny", `jti=a`, 400, nil},
		{"no body", "POST", "purge", ``, 400, nil},
		{"two values", "POST", "purge", `{"all":true}{"all":true}`, 400, nil},
		{"a list", "POST", "purge", `[{"all":true}]`, 400, nil},
		{"a body without end", "POST", "purge", `{"user":"` + strings.Repeat("a", 1<<20) + `"}`, 400, nil},
		{"a GET", "GET", "purge", ``, 405, nil},
		{"a PUT", "PUT", "deny", `{"jti":"a","issuer":"corp"}`, 405, nil},
		{"a path that is none", "POST", "allow", `{}`, 404, nil},
		{"a foreign page, by its site", "POST", "purge", `{"all":true}`, 403, []string{"Sec-Fetch-Site", "cross-site"}},
		{"a foreign page, by its origin", "POST", "deny", `{"user":"ada","issuer":"corp"}`, 403, []string{"Origin", "https://evil.example"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := w.admins(tc.method, tc.endpoint, tc.body, tc.headers...)
			if got.StatusCode != tc.code {
				t.Errorf("status %d, want %d: %s", got.StatusCode, tc.code, got.body)
			}
			if strings.Contains(got.body, "ada") || strings.Contains(got.body, "aaaa") {
				t.Errorf("the answer says again what was sent: %.200s", got.body)
			}
		})
	}
	for body, want := range map[string]string{
		`{"user":"ada","issuer":"crop"}`: `unknown issuer (did you mean \"corp\"?); want corp`,
		`{"user":"ada"}`:                 `issuer is required (want corp)`,
	} {
		if got := w.order("deny", body); !strings.Contains(got.body, want) {
			t.Errorf("%s: %s, want %s", body, got.body, want)
		}
	}
	for endpoint, body := range map[string]string{
		"purge":   `{"user":"ada","issuer":"crop"}`,
		"deny":    `{"user":"ada","issuer":"crop"}`,
		"explain": `{"subject":"ada","issuer":"crop"}`,
	} {
		if got := w.admins("POST", endpoint, body); got.StatusCode != 400 || !strings.Contains(got.body, `did you mean \"corp\"`) {
			t.Errorf("%s of a misspelt issuer answers %d: %s", endpoint, got.StatusCode, got.body)
		}
	}
	wantStatus(t, w.get("/", w.token("ada", enrichtest.Claims{"jti": "a"})), 200)
	if got := w.get("/token_enrich/purge", ""); got.StatusCode == 200 {
		t.Error("the site answers an admin endpoint")
	}
}
