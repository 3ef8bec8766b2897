package integration

import (
	"fmt"
	"net"
	"net/http"
	"net/http/fcgi"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// shown are all placeholders in one line.
const shown = "{token_enrich.subject}|{token_enrich.issuer}|{token_enrich.client}|{token_enrich.status}|{token_enrich.reason}|" +
	"{token_enrich.claims.login}|{token_enrich.claims.groups}|{token_enrich.claims.address}|{token_enrich.claims.age}|" +
	"{token_enrich.claims.none}|{token_enrich.claims.unknown}|{http.auth.user.id}"

// explained is a policy whose claims are of every kind.
const explained = `
	token_enrich {
		name payroll
		claim login user.login
		claim groups groups regex .*
		claim none user.nothing
		user_placeholder on
		%o
	}`

func everyKind() enrichtest.Claims {
	return enrichtest.Claims{
		"address": map[string]any{"city": "Łódź", "lines": []any{"a", 1, nil}}, "age": 36, "evil": "{env.TOKEN_ENRICH_SECRET}", "nested": []any{"{env.TOKEN_ENRICH_SECRET}"},
		"none": "from the token", "deep": map[string]any{"a.b": "c"}, "https://corp.example/claim": "namespaced",
	}
}

const ada = `00u1ada|corp|0oa1payroll|fresh||ada@example.com|["Everyone","IT","Ops"]|{"city":"Łódź","lines":["a",1,null]}|36|||00u1ada`

func TestPlaceholdersHoldWhatWasDecided(t *testing.T) {
	w := prepare(t)
	file := filepath.Join(filepath.Dir(w.log), "access.json")
	w.load("log {\noutput file " + file + "\nformat json\n}\nlog_append who {token_enrich.subject}\nlog_append groups {token_enrich.claims.groups}" +
		strings.ReplaceAll(explained, "%o", "") + `
	map {token_enrich.claims.login} {tier} {
		ada@example.com gold
		default none
	}
	@gold vars {tier} gold
	@grace vars {token_enrich.subject} 00u2grace
	@it expression ` + "`{token_enrich.claims.groups}.contains('IT') && {token_enrich.status} == 'fresh'`" + `
	header >X-Answer {token_enrich.claims.login}
	handle /shown {
		respond "` + shown + `"
	}
	handle /named {
		respond "{token_enrich.claims.https://corp.example/claim}|{token_enrich.decision_id}"
	}
	handle /gold {
		respond @gold "gold"
		respond "none"
	}
	handle /grace {
		respond @grace "grace"
		respond "none"
	}
	handle /it {
		respond @it "it"
		respond "none"
	}
	handle {
		reverse_proxy ` + w.legacy.Addr() + ` {
			header_up X-Shown "` + shown + `"
			header_up X-Groups {token_enrich.claims.groups}
		}
	}`)
	token := w.token("00u1ada", everyKind())
	ids := map[string]bool{}
	for range 2 { // the second time from the decision cache
		if got := w.get("/shown", token); got.body != ada || got.Header.Get("X-Answer") != "ada@example.com" {
			t.Errorf("the placeholders are\n%s, want\n%s; X-Answer %q", got.body, ada, got.Header.Get("X-Answer"))
		}
		wantStatus(t, w.get("/", token), 200)
		seen := w.received()
		if v := seen.Values("X-Shown"); len(v) != 1 || v[0] != ada {
			t.Errorf("the application received %q", v)
		}
		wantHeader(t, seen, "X-Groups", `["Everyone","IT","Ops"]`)
		claim, id, _ := strings.Cut(w.get("/named", token).body, "|")
		if claim != "namespaced" || len(id) < 8 {
			t.Errorf("a claim with a namespace is %q, the decision %q", claim, id)
		}
		ids[id] = true
	}
	if len(ids) != 1 {
		t.Errorf("one decision has the ids %v", ids)
	}
	grace := w.token("00u2grace")
	for path, want := range map[string][2]string{"/gold": {"gold", "none"}, "/grace": {"none", "grace"}, "/it": {"it", "none"}} {
		if a, b := w.get(path, token).body, w.get(path, grace).body; a != want[0] || b != want[1] {
			t.Errorf("%s answers ada %q and grace %q, want %q", path, a, b, want)
		}
	}
	eventually(t, "the access log is written", func() bool { return len(entries(t, file)) >= 12 })
	first := entries(t, file)[0]
	wantMembers(t, "the access log", first, map[string]any{"who": "00u1ada", "groups": `["Everyone","IT","Ops"]`, "user_id": "00u1ada"})
}

func TestPlaceholdersOfARequestWithoutIdentityAreEmpty(t *testing.T) {
	const nobody = "||||%s||||||"
	w := prepare(t)
	w.load(strings.ReplaceAll(explained, "%o", "") + "\nrespond \"" + shown + "\"\nhandle_errors {\nrespond \"" + shown + "\"\n}")
	for token, class := range map[string]string{
		"": "no_token", "garbage": "invalid_token", w.token("00u9nobody", everyKind()): "unknown_user", w.token("00u3alan", everyKind()): "denied",
	} {
		want := fmt.Sprintf(nobody, class)
		got := strings.TrimSuffix(w.get("/", token).body, "|{http.auth.user.id}")
		if got = strings.TrimSuffix(got, "|"); got != strings.TrimSuffix(want, "|") {
			t.Errorf("a refusal of class %s shows %q, want %q", class, got, want)
		}
	}
	w.load(strings.ReplaceAll(explained, "%o", "anonymous") + "\nrespond \"" + shown + "\"")
	if got := w.get("/", "").body; !strings.HasPrefix(got, "|||anonymous|||||||") {
		t.Errorf("an anonymous request shows %q", got)
	}
}

// Where a matcher leaves a request out, the application must not take the
// placeholder's own text for a name.
func TestPlaceholdersOfARequestThatNoPolicyDecidesAreEmpty(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich /first* {\nname first\n}\ntoken_enrich /second* {\nname second\n}\nreverse_proxy " + w.legacy.Addr() + " {\nheader_up X-Shown \"<{token_enrich.subject}{token_enrich.claims.sub}{token_enrich.reason}>\"\n}")
	for path, want := range map[string]string{"/first": "<00u1ada00u1ada>", "/second": "<00u1ada00u1ada>", "/neither": "<>"} {
		wantStatus(t, w.get(path, w.token("00u1ada")), 200)
		wantHeader(t, w.received(), "X-Shown", want)
	}
}

// A policy in an error route decides anew, and what it finds is shown; why the
// first one refused still is.
func TestPlaceholdersOfAnErrorRouteShowItsOwnDecision(t *testing.T) {
	w := prepare(t)
	w.load(`
	token_enrich {
		name strict
		require ` + "`user.profile.lastName == \"Gauss\"`" + `
		upstream_token keep
	}
	respond "let in"
	handle_errors {
		token_enrich {
			name lenient
		}
		respond "{token_enrich.subject}|{token_enrich.status}|{token_enrich.reason}"
	}`)
	if got := w.get("/", w.token("00u1ada")).body; got != "00u1ada|fresh|denied" {
		t.Errorf("the error route shows %q", got)
	}
}

func TestWhatAPlaceholderHoldsIsNeverExpanded(t *testing.T) {
	t.Setenv("TOKEN_ENRICH_SECRET", "expanded")
	w := prepare(t)
	w.load(strings.ReplaceAll(explained, "%o", "header X-Evil evil") + `
	map {token_enrich.claims.evil} {mapped} {
		expanded wrong
		default right
	}
	header >X-Answer {token_enrich.claims.evil}
	handle /shown {
		respond "{token_enrich.claims.evil}|{token_enrich.claims.nested}|{mapped}"
	}
	handle /vars {
		route {
			vars kept {token_enrich.claims.evil}
			respond "{vars.kept}"
		}
	}
	handle {
		reverse_proxy ` + w.legacy.Addr() + ` {
			header_up X-Up {token_enrich.claims.evil}
		}
	}
	handle_errors {
		respond "{err.message}"
	}`)
	token := w.token("00u1ada", everyKind())
	got := w.get("/shown", token)
	const want = `{env.TOKEN_ENRICH_SECRET}|["{env.TOKEN_ENRICH_SECRET}"]|right`
	if got.body != want || got.Header.Get("X-Answer") != "{env.TOKEN_ENRICH_SECRET}" {
		t.Errorf("the answer is %q with %q", got.body, got.Header.Get("X-Answer"))
	}
	if got := w.get("/vars", token); got.body != "{env.TOKEN_ENRICH_SECRET}" {
		t.Errorf("a variable holds %q", got.body)
	}
	wantStatus(t, w.get("/", token), 200)
	seen := w.received()
	for _, name := range []string{"X-Up", "X-Evil"} {
		wantHeader(t, seen, name, "{env.TOKEN_ENRICH_SECRET}")
	}
	if text := string(seen.Raw) + w.logged(); strings.Contains(text, "expanded") {
		t.Error("a claim's value was expanded")
	}
}

// A PHP application behind FastCGI reads the claims and the user from its
// environment.
func TestFastCGIApplicationReceivesItsEnvironment(t *testing.T) {
	w := prepare(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = fcgi.Serve(l, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			env := fcgi.ProcessEnv(r)
			fmt.Fprintf(rw, "%s|%s|%s|%s|%q", env["REMOTE_USER"], env["APP_LOGIN"], env["APP_GROUPS"], env["APP_EVIL"], r.Header["X-User"])
		}))
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	t.Setenv("TOKEN_ENRICH_SECRET", "expanded")
	w.load(strings.ReplaceAll(explained, "%o", "header X-User login") + `
	reverse_proxy ` + l.Addr().String() + ` {
		transport fastcgi {
			env APP_LOGIN {token_enrich.claims.login}
			env APP_GROUPS {token_enrich.claims.groups}
			env APP_EVIL {token_enrich.claims.evil}
		}
	}`)
	got := w.get("/index.php", w.token("00u1ada", everyKind()), "X-User", "root", "Remote-User", "root")
	const want = `00u1ada|ada@example.com|["Everyone","IT","Ops"]|{env.TOKEN_ENRICH_SECRET}|["ada@example.com"]`
	if got.StatusCode != 200 || got.body != want {
		t.Errorf("the application sees %d %s, want %s", got.StatusCode, got.body, want)
	}
}
