package integration

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// profiles is a service of somebody's own; it counts what it is asked.
func profiles(t *testing.T) (url string, asked *sync.Map) {
	t.Helper()
	asked = new(sync.Map)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, _ := asked.LoadOrStore(r.URL.String(), new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		if r.Header.Get("X-Api-Key") != "k1" || len(r.Header.Values("Authorization"))+len(r.Header.Values("X-Stray")) > 0 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		subject, ok := strings.CutPrefix(r.URL.Path, "/profile/")
		if !ok || !strings.HasPrefix(subject, "00u") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"user":    map[string]any{"id": subject, "profile": map[string]any{"email": subject + "@example.com"}},
			"groups":  []any{"Everyone", map[string]any{"id": "00gIT", "name": "IT"}},
			"app":     map[string]any{"id": "0oa1payroll", "profile": map[string]any{"groupallowlist": []any{"00gIT"}}},
			"appuser": map[string]any{"userName": "app-" + subject, "profile": map[string]any{"client": r.URL.Query().Get("c")}},
		})
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestAServiceOfOnesOwn(t *testing.T) {
	w := prepare(t)
	url, asked := profiles(t)
	w.load(`token_enrich {
		app 0oa1payroll
		claim mail user.email
		claim name appuser.userName
		claim client appuser.client
		claim groups allow_list expression app.profile.groupallowlist
		header X-Mail mail
		header X-Name name
		header X-Client client
		header X-Groups groups
	}
	reverse_proxy `+w.legacy.Addr(), w.issuerBlock(""), `directory http `+url+`/profile/{subject}?c={client} {
		header X-Api-Key k1
	}`)
	expect := func(token, want string) {
		t.Helper()
		got := w.get("/", token, "X-Stray", "1")
		last, _ := w.legacy.Last()
		have := strings.Join([]string{
			strings.Join(last.Values("X-Mail"), "|"), strings.Join(last.Values("X-Name"), "|"),
			strings.Join(last.Values("X-Client"), "|"), strings.Join(last.Values("X-Groups"), "|"),
		}, " ")
		if got.StatusCode != http.StatusOK || have != want {
			t.Errorf("status %d, %q, want %q", got.StatusCode, have, want)
		}
	}
	expect(w.token("00u1ada"), "00u1ada@example.com app-00u1ada 0oa1payroll IT")
	expect(w.token("00u1ada", enrichtest.Claims{"cid": "other"}), "00u1ada@example.com app-00u1ada other IT")
	expect(w.token("00u2grace"), "00u2grace@example.com app-00u2grace 0oa1payroll IT")
	expect(w.token("00u1ada", enrichtest.Claims{"unrelated": 1}), "00u1ada@example.com app-00u1ada 0oa1payroll IT")
	if got := w.get("/", w.token("nobody")); got.StatusCode != http.StatusForbidden {
		t.Errorf("a user whom the service does not know: %d", got.StatusCode)
	}
	// A user who is unknown has made the app unknown to nobody.
	expect(w.token("00u3new"), "00u3new@example.com app-00u3new 0oa1payroll IT")
	asked.Range(func(url, n any) bool {
		if n.(*atomic.Int64).Load() > 3 { // person, app, assignment
			t.Errorf("asked %s %d times", url, n.(*atomic.Int64).Load())
		}
		return true
	})
}

func TestUserinfoIsTheCallersOwn(t *testing.T) {
	w := prepare(t)
	w.issuer.SetPerson("ada", enrichtest.Claims{"email": "ada@example.com", "groups": []string{"IT"}})
	w.issuer.SetPerson("bob", enrichtest.Claims{"email": "bob@example.com", "groups": []string{}})
	w.load(`token_enrich {
		claim mail user.email
		claim groups groups starts_with I
		header X-Mail mail
		header X-Groups groups
	}
	reverse_proxy `+w.legacy.Addr(), w.issuerBlock(""), `directory userinfo {
		issuer corp
	}`)
	ask := func(token, mail, groups string) {
		t.Helper()
		got := w.get("/", token)
		last, _ := w.legacy.Last()
		if have := strings.Join(last.Values("X-Mail"), "|") + " " + strings.Join(last.Values("X-Groups"), "|"); got.StatusCode != http.StatusOK || have != mail+" "+groups {
			t.Errorf("status %d, %q, want %q", got.StatusCode, have, mail+" "+groups)
		}
	}
	hits := func() int { return w.issuer.Hits(enrichtest.Userinfo) }
	ada := w.token("ada")
	ask(ada, "ada@example.com", "IT")
	ask(w.token("bob"), "bob@example.com", "")
	before := hits()
	ask(ada, "ada@example.com", "IT")
	if hits() != before {
		t.Error("the same token asks again at once")
	}
	// What fewer scopes show is not what more scopes showed.
	w.issuer.SetPerson("ada", enrichtest.Claims{"email": "ada@other.example", "groups": []string{}})
	ask(w.token("ada", enrichtest.Claims{"scp": []string{"openid"}}), "ada@other.example", "")
	ask(w.token("ada", enrichtest.Claims{"cid": "0oa2"}), "ada@other.example", "")
	if hits() != before+2 {
		t.Errorf("%d further questions, want 2", hits()-before)
	}
	w.issuer.OnUserinfo(func(string, *http.Request) (int, any) {
		return http.StatusOK, map[string]any{"sub": "bob", "email": "bob@example.com"}
	})
	if got := w.get("/", w.token("carol")); got.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("an answer about another subject: %d", got.StatusCode)
	}
}
