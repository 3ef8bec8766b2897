package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

// status asks the admin endpoint how the gateway is.
func (w *world) status() map[string]any {
	w.t.Helper()
	got := w.adminDo("GET", "/token_enrich/status", "")
	var status map[string]any
	if err := json.Unmarshal([]byte(got.body), &status); got.StatusCode != 200 || err != nil {
		w.t.Fatalf("the status is answered %d %s: %v", got.StatusCode, got.body, err)
	}
	return status
}

// part gives the named part of a list in the status.
func part(t *testing.T, status map[string]any, list, name string) map[string]any {
	t.Helper()
	all, _ := status[list].([]any)
	for _, one := range all {
		if m, _ := one.(map[string]any); m["name"] == name || m["tier"] == name {
			return m
		}
	}
	t.Fatalf("%s has no %s: %v", list, name, status[list])
	return nil
}

// wantMembers fails the test unless an object has these values.
func wantMembers(t *testing.T, what string, got, want map[string]any) {
	t.Helper()
	for name, v := range want {
		if asJSON(t, got[name]) != asJSON(t, v) {
			t.Errorf("%s: %s is %v, want %v", what, name, got[name], v)
		}
	}
}

// wantNobody fails the test where a text holds something of the people, or of
// a token.
func wantNobody(t *testing.T, what, text string, tokens ...string) {
	t.Helper()
	for _, person := range []string{"Ampere", "grace", "alan@", "00u", "00g", "@example.com", "Engineering", "Everyone", "0oa1"} {
		if strings.Contains(text, person) {
			t.Errorf("%s names %q: %s", what, person, text)
		}
	}
	for _, token := range tokens {
		wantNoToken(t, what, text, token)
	}
}

// wantNoToken fails the test where a text holds a token, whole or in parts.
func wantNoToken(t *testing.T, what, text, token string) {
	t.Helper()
	for segment := range strings.SplitSeq(token, ".") {
		if len(segment) >= 16 && strings.Contains(text, segment[:16]) {
			t.Errorf("%s holds %s… of a token", what, segment[:16])
		}
	}
}

func TestStatusOfAGatewayThatIsWell(t *testing.T) {
	w := prepare(t)
	w.load(signingSite(w), w.standard(), w.signer())
	w.signed()
	incoming := w.token("00u1ada")
	signed := w.tokenOf("Authorization", incoming)
	status := w.status()
	for _, name := range []string{"issuers", "directories", "tiers", "keys", "decisions", "policies"} {
		if status[name] == nil {
			t.Errorf("the status has no %s", name)
		}
	}
	issuer := part(t, status, "issuers", "corp")
	wantMembers(t, "the issuer", issuer, map[string]any{"ready": true, "failing": false, "keys": 1, "keys_skipped": 0, "fetch_errors": 0, "issuer": w.issuer.Issuer()})
	dir := part(t, status, "directories", "file")
	wantMembers(t, "the directory", dir, map[string]any{"ready": true, "state": "closed", "failures": 0})
	keys, _ := status["keys"].(map[string]any)
	wantMembers(t, "the keys", keys, map[string]any{"ready": true, "keys": 1, "error": nil})
	for what, m := range map[string]map[string]any{"issuer": issuer, "directory": dir, "keys": keys} {
		if since, _ := m["since"].(string); len(since) < 20 || strings.HasPrefix(since, "0001") {
			t.Errorf("the %s does not say since when: %v", what, m)
		}
	}
	if asJSON(t, status["policies"]) != `["payroll"]` {
		t.Errorf("the policies are %v", status["policies"])
	}
	got := w.adminDo("GET", "/token_enrich/status", "")
	wantNobody(t, "the status", got.body, incoming, signed)
	wantNoPrivatePart(t, got.body)
	if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Type") != "application/json" {
		t.Errorf("it is answered with %v", got.Header)
	}
	wantStatus(t, w.adminDo("POST", "/token_enrich/status", "{}"), 405)
	if ready := w.get("/ready", ""); ready.StatusCode != 200 || ready.body != "ready\n" || ready.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("/ready answers %d %q %v", ready.StatusCode, ready.body, ready.Header)
	}
}

func TestStatusWithoutADirectoryAndSigning(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich_ready /ready\nrespond ok", w.issuerBlock(""))
	eventually(t, "the issuer's keys", func() bool { return w.get("/ready", "").StatusCode == 200 })
	status := w.status()
	for name, want := range map[string]string{"directories": "[]", "policies": "[]", "keys": "null"} {
		if got := asJSON(t, status[name]); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if got := w.get("/ready/", ""); got.body != "ok" {
		t.Errorf("another path is answered %q", got.body)
	}
}

func TestStatusWhileTheIssuerIsDown(t *testing.T) {
	w := prepare(t)
	w.issuer.Break(enrichtest.KeySet, enrichtest.Status(500, "down for ada@example.com"))
	w.load(signingSite(w), w.issuerBlock("")+"\ndirectory file "+w.directory, w.signer())
	incoming := w.token("00u1ada")
	wantRefusal(t, w.get("/", incoming), 503)
	if ready := w.get("/ready", ""); ready.StatusCode != 503 || ready.body != "not ready\n" {
		t.Errorf("/ready answers %d %q", ready.StatusCode, ready.body)
	}
	issuer := part(t, w.status(), "issuers", "corp")
	wantMembers(t, "the issuer", issuer, map[string]any{"ready": false, "failing": true, "last_error": "error", "keys": 0})
	if n, _ := issuer["fetch_errors"].(float64); n < 1 {
		t.Errorf("it counts %v errors", issuer["fetch_errors"])
	}
	wantNobody(t, "the status", w.adminDo("GET", "/token_enrich/status", "").body, incoming)
	w.issuer.Mend(enrichtest.KeySet)
	eventually(t, "the issuer is well again", func() bool { return w.get("/", incoming).StatusCode == 200 })
	wantMembers(t, "the issuer", part(t, w.status(), "issuers", "corp"), map[string]any{"ready": true, "failing": false, "last_error": nil, "keys": 1})
	eventually(t, "the gateway is ready", func() bool { return w.get("/ready", "").StatusCode == 200 })

	// Once it has keys, an issuer that goes down is no reason to send nobody.
	w.issuer.Break(enrichtest.KeySet, enrichtest.Status(500, "down"))
	n := 0
	eventually(t, "a fetch for an unknown key fails", func() bool {
		n++
		w.get("/", w.issuer.Mint(enrichtest.Claims{"aud": audience}, enrichtest.WithHeader("kid", fmt.Sprint("new", n))))
		return part(t, w.status(), "issuers", "corp")["failing"] == true
	})
	wantMembers(t, "the issuer", part(t, w.status(), "issuers", "corp"), map[string]any{"ready": true, "failing": true})
	if ready := w.get("/ready", ""); ready.StatusCode != 200 {
		t.Errorf("/ready answers %d %q", ready.StatusCode, ready.body)
	}
}

// One of two issuers that is down takes nobody else's requests away.
func TestReadinessWhileOneOfTwoIssuersIsDown(t *testing.T) {
	w := prepare(t)
	partner := enrichtest.NewProvider(t)
	partner.Break(enrichtest.KeySet, enrichtest.Status(500, ""))
	second := strings.NewReplacer(w.issuer.Issuer(), partner.Issuer(), "name corp", "name partner").Replace(w.issuerBlock(""))
	w.load("token_enrich_ready /ready\ntoken_enrich\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""), second)
	wantStatus(t, w.get("/", w.token("ada")), 200)
	if ready := w.get("/ready", ""); ready.StatusCode != 200 || ready.body != "degraded\n" {
		t.Errorf("/ready answers %d %q", ready.StatusCode, ready.body)
	}
	partner.Mend(enrichtest.KeySet)
	eventually(t, "both issuers are well", func() bool { return w.get("/ready", "").body == "ready\n" })
}

func TestStatusWhileTheDirectoryIsDown(t *testing.T) {
	w := prepare(t)
	s, option := w.shaky("")
	w.load(signingSite(w), option, w.signer())
	w.signed()
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	s.fail(directory.ErrUnavailable)
	eventually(t, "the breaker opens", func() bool {
		wantRefusal(t, w.get("/", w.token("00u2grace")), 503)
		return w.get("/ready", "").body == "degraded\n"
	})
	if ready := w.get("/ready", ""); ready.StatusCode != 200 {
		t.Errorf("/ready answers %d while the directory is down", ready.StatusCode)
	}
	status := w.status()
	all, _ := status["directories"].([]any)
	dir, _ := all[0].(map[string]any)
	wantMembers(t, "the directory", dir, map[string]any{"ready": false, "state": "open"})
	if n, _ := dir["failures"].(float64); n < 1 || dir["last_error"] == nil || dir["last_error_at"] == nil {
		t.Errorf("the directory is %v", dir)
	}
	wantNobody(t, "the status", w.adminDo("GET", "/token_enrich/status", "").body)
}

func TestStatusIsAnsweredWithoutTheAppToo(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich_ready /ready\nrespond ok")
	config, err := adapt("{\nadmin " + w.admin + "\nauto_https off\n}\nhttp://" + w.addr + " {\nrespond ok\n}")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.run(config); err != nil {
		t.Fatal(err)
	}
	got := w.adminDo("GET", "/token_enrich/status", "")
	wantStatus(t, got, 503)
	if !strings.Contains(got.body, "no token_enrich") {
		t.Errorf("the answer is %s", got.body)
	}
}

// TestStatusAndMetricsCountSessions is about sessions that begin and end (L20).
func TestStatusAndMetricsCountSessions(t *testing.T) {
	w := prepareLogins(t)
	w.load(w.loginSite(""), w.scriptedCorp())
	status := w.status()
	wantMembers(t, "the issuer", part(t, status, "issuers", "corp"), map[string]any{"login": true})
	none := map[string]any{"idle": 0, "logout": 0, "max": 0, "new_login": 0, "revoked": 0}
	if got := asJSON(t, status["sessions"]); got != asJSON(t, map[string]any{"store": "cookie", "begun": 0, "ended": none}) {
		t.Errorf("at first the sessions are %s", got)
	}
	seen := map[string]int{}
	for _, s := range w.metrics() {
		seen[s.name]++
	}
	if seen["logins_total"] != len(login.Outcomes()) || seen["sessions_ended_total"] != len(login.EndCauses()) {
		t.Errorf("before the first login there are %d series of logins and %d of ends", seen["logins_total"], seen["sessions_ended_total"])
	}
	ada := w.person(nil, "00u1ada")
	ada.logsIn("/")
	wantPage(t, ada.sends("GET", "/.token-enrich/logout", fromHere...), 200) // this provider ends no sessions
	w.load(w.loginSite("realm other"), w.scriptedCorp())                     // counts go on over a reload
	none["logout"] = 1
	if got := asJSON(t, w.status()["sessions"]); got != asJSON(t, map[string]any{"store": "cookie", "begun": 1, "ended": none}) {
		t.Errorf("after a logout the sessions are %s", got)
	}
	if n := w.metric("logins_total", "issuer", "corp", "outcome", "ok"); n != 1 {
		t.Errorf("%v logins are counted, want one", n)
	}
	w.load("respond ok", w.issuerBlock(""))
	if status := w.status(); status["sessions"] != nil || part(t, status, "issuers", "corp")["login"] != false {
		t.Errorf("where nobody logs in the status says %v", status)
	}
}
