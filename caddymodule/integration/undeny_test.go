package integration

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// denial is an entry of the deny list, as the admin endpoint shows it.
type denial struct {
	ID, Kind, Reason, Nodes string
	Until                   time.Time
}

// deny posts a denial that must succeed.
func (w *world) deny(body string) denial {
	w.t.Helper()
	got := w.order("deny", body)
	wantStatus(w.t, got, 200)
	var d denial
	if err := json.Unmarshal([]byte(got.body), &d); err != nil {
		w.t.Fatalf("the answer %q: %v", got.body, err)
	}
	return d
}

// denials is what the admin endpoint lists.
func (w *world) denials() []denial {
	w.t.Helper()
	got := w.admins(http.MethodGet, "deny", "")
	wantStatus(w.t, got, 200)
	var list struct{ Entries []denial }
	if err := json.Unmarshal([]byte(got.body), &list); err != nil || list.Entries == nil {
		w.t.Fatalf("the answer %q: %v", got.body, err)
	}
	return list.Entries
}

// undeny takes back what must be there, and gives how far it got.
func (w *world) undeny(body string) string {
	w.t.Helper()
	got := w.admins(http.MethodDelete, "deny", body)
	wantStatus(w.t, got, 200)
	var answer struct {
		Nodes   string
		Entries []denial
	}
	if err := json.Unmarshal([]byte(got.body), &answer); err != nil || len(answer.Entries) == 0 {
		w.t.Fatalf("the answer %q: %v", got.body, err)
	}
	return answer.Nodes
}

// TestADenialIsUndoneAtOnce (C21): a cached decision serves again, by each way
// of naming what was denied.
func TestADenialIsUndoneAtOnce(t *testing.T) {
	for _, tc := range []struct {
		name, deny, undeny string
		flags              []string
	}{
		{"by token id", `{"jti":"jti-1","issuer":"corp"}`, `{"jti":"jti-1","issuer":"corp"}`, []string{"--jti", "jti-1", "--issuer", "corp"}},
		{"by session", `{"sid":"sid-1","issuer":"corp"}`, `{"sid":"sid-1"}`, []string{"--sid", "sid-1"}},
		{"by user", `{"user":"ada","issuer":"corp"}`, `{"user":"ada"}`, []string{"--user", "ada"}},
		{"by entry", `{"user":"ada","issuer":"corp","for":"2h","reason":"mistaken for Grace"}`, `{"id":"%id"}`, []string{"%id"}},
	} {
		for _, way := range []string{"endpoint", "command"} {
			t.Run(tc.name+", "+way, func(t *testing.T) {
				w := prepare(t)
				w.editions(newEdition())
				token := w.token("ada", enrichtest.Claims{"jti": "jti-1", "sid": "sid-1"})
				wantStatus(t, w.get("/", token), 200)
				w.legacy.Forget()
				d := w.deny(tc.deny)
				other := w.deny(`{"user":"grace","issuer":"corp"}`)
				w.wantInvalidToken(t, w.get("/", token))
				if way == "endpoint" {
					if nodes := w.undeny(strings.ReplaceAll(tc.undeny, "%id", d.ID)); nodes != "this one" {
						t.Errorf("nodes: %q", nodes)
					}
				} else {
					args := []string{"undeny", "--address", w.admin}
					for _, f := range tc.flags {
						args = append(args, strings.ReplaceAll(f, "%id", d.ID))
					}
					out, complaints, err := within(t, args...)
					if err != nil || complaints != "" || out != "removed: "+d.ID+"; nodes: this one\n" {
						t.Fatalf("the command said %q, %q, %v", out, complaints, err)
					}
				}
				wantStatus(t, w.get("/", token), 200)
				w.legacy.Forget()
				w.wantInvalidToken(t, w.get("/", w.token("grace")))
				if got := w.admins(http.MethodDelete, "deny", `{"id":"`+d.ID+`"}`); got.StatusCode != 404 {
					t.Errorf("undone twice: %d %s", got.StatusCode, got.body)
				}
				// Denied anew, it is another entry.
				if again := w.deny(tc.deny); again.ID == d.ID || again.ID == other.ID {
					t.Error("the new denial is the old one")
				}
				w.wantInvalidToken(t, w.get("/", token))

				// An audit line for each (T9), without names (C8).
				log := w.logged()
				for message, n := range map[string]int{`"denied"`: 3, `"denial removed"`: 1} {
					lines := regexp.MustCompile(`(?m)^.*"msg":`+message+`.*$`).FindAllString(log, -1)
					if len(lines) != n {
						t.Errorf("%d lines %s, want %d", len(lines), message, n)
					}
					for _, l := range lines {
						for _, field := range []string{"entry", "kind", "until", "nodes", "remote"} {
							if !strings.Contains(l, `"`+field+`":`) {
								t.Errorf("no %s in %s", field, l)
							}
						}
					}
				}
				if strings.Contains(log, "jti-1") || strings.Contains(log, "sid-1") || strings.Contains(log, "mistaken") || strings.Contains(log, "Grace") {
					t.Error("the log names what was denied, or why")
				}
			})
		}
	}
}

func TestTheDenyListIsShown(t *testing.T) {
	w := prepare(t)
	w.editions(newEdition())
	if list := w.denials(); len(list) != 0 {
		t.Fatalf("%v", list)
	}
	began := time.Now()
	user := w.deny(`{"user":"ada","issuer":"corp"}`)
	session := w.deny(`{"sid":"s-1","issuer":"corp","for":"2h","reason":"laptop stolen"}`)
	token := w.deny(`{"jti":"j-1","issuer":"corp","for":"30d"}`)
	if w.denials()[1].ID != user.ID {
		t.Error("not in the order in which they end")
	}
	for _, tc := range []struct {
		denial
		kind, reason string
		lasts        time.Duration
	}{{session, "sid", "laptop stolen", 2 * time.Hour}, {user, "user", "", 25 * time.Hour}, {token, "jti", "", 720 * time.Hour}} {
		d := tc.denial
		if d.Kind != tc.kind || d.Reason != tc.reason || d.Nodes != "this one" || d.Until.Before(began.Add(tc.lasts-time.Second)) || d.Until.After(time.Now().Add(tc.lasts)) {
			t.Errorf("answered is %+v", d)
		}
		d.Nodes = ""
		if !slices.Contains(w.denials(), d) {
			t.Errorf("%+v is not listed: %+v", d, w.denials())
		}
	}
	out, complaints, err := within(t, "deny", "--list", "--address", w.admin)
	lines := strings.Split(out, "\n")
	if err != nil || complaints != "" || len(lines) != 5 {
		t.Fatalf("the command said %q, %q, %v", out, complaints, err)
	}
	for i, want := range []string{
		`^ENTRY +KIND +UNTIL +REASON$`, `^` + session.ID + `  sid   20\S+Z  laptop stolen$`, `^` + user.ID + `  user  20\S+Z  $`, `^` + token.ID + `  jti   20\S+Z  $`, `^$`,
	} {
		if !regexp.MustCompile(want).MatchString(lines[i]) {
			t.Errorf("line %d is %q, want %s", i, lines[i], want)
		}
	}
	asJSON, _, err := within(t, "deny", "--list", "--json", "--address", w.admin)
	if err != nil || asJSON != w.admins(http.MethodGet, "deny", "").body {
		t.Errorf("--json says %q, %v", asJSON, err)
	}
	for _, text := range []string{out, asJSON} {
		if strings.Contains(text, "ada") || strings.Contains(text, "s-1") || strings.Contains(text, "corp") {
			t.Errorf("the list has names: %s", text)
		}
	}
	// A shorter denial stands beside the longer one, and outlives its end.
	shorter := w.deny(`{"user":"ada","issuer":"corp","for":"1h"}`)
	w.undeny(`{"id":"` + user.ID + `"}`)
	w.wantInvalidToken(t, w.get("/", w.token("ada")))
	// A longer one takes its place, and by name all are taken back.
	longer := w.deny(`{"user":"ada","issuer":"corp"}`)
	if list := w.denials(); len(list) != 3 || slices.ContainsFunc(list, func(d denial) bool { return d.ID == shorter.ID }) || longer.ID == user.ID {
		t.Errorf("listed are %+v", list)
	}
	w.deny(`{"user":"ada","issuer":"corp","for":"1h"}`)
	out, complaints, err = within(t, "undeny", "--user", "ada", "--json", "--address", w.admin)
	if err != nil || complaints != "" || strings.Count(out, `"kind":"user"`) != 2 {
		t.Errorf("the command said %q, %q, %v", out, complaints, err)
	}
	wantStatus(t, w.get("/", w.token("ada")), 200)
}

// TestDenialsAreRefusedWithTheCause: an undo that names nothing, or that may mean
// more than one, changes nothing.
func TestDenialsAreRefusedWithTheCause(t *testing.T) {
	w, partner, _, _ := twoIssuers(t, policySite)
	d := w.deny(`{"user":"alice","issuer":"corp"}`)
	for _, tc := range []struct {
		method, body string
		code         int
		want         string
		headers      []string
	}{
		{"POST", `{"user":"ada","issuer":"corp","for":"soon"}`, 400, "for is not a duration such as 2h, 30m or 1d", nil},
		{"POST", `{"user":"ada","issuer":"corp","for":"0s"}`, 400, "for is 0s; it must be from 1s to 720h", nil},
		{"POST", `{"user":"ada","issuer":"corp","for":"-2h"}`, 400, "for is -2h; it must be from", nil},
		{"POST", `{"user":"ada","issuer":"corp","for":"31d"}`, 400, "for is 744h; it must be from 1s to 720h", nil},
		{"POST", `{"user":"ada","issuer":"corp","reason":"` + strings.Repeat("a", purgelog.MaxReason+1) + `"}`, 400, "the reason has 201 bytes, over the limit of 200", nil},
		{"POST", `{"user":"ada","issuer":"corp","reason":"x\ny"}`, 400, "the reason has an unprintable character at byte 1", nil},
		{"DELETE", `{}`, 400, "name exactly one of id, jti, sid and user", nil},
		{"DELETE", `{"issuer":"corp"}`, 400, "name exactly one of id, jti, sid and user", nil},
		{"DELETE", `{"id":"a","user":"ada"}`, 400, "name exactly one of id, jti, sid and user", nil},
		{"DELETE", `{"id":"a","jti":"a","sid":"a","issuer":"corp"}`, 400, "name exactly one of id, jti, sid and user", nil},
		{"DELETE", `{"id":"` + d.ID + `","issuer":"corp"}`, 400, "issuer requires jti, sid or user", nil},
		{"DELETE", `{"user":"alice"}`, 400, "issuer is required (want corp or partner)", nil},
		{"DELETE", `{"user":"alice","issuer":"crop"}`, 400, `did you mean \"corp\"?`, nil},
		{"DELETE", `{"user":"alice","issuer":"partner"}`, 404, "the deny list of this node has no such entry", nil},
		{"DELETE", `{"sid":"alice","issuer":"corp"}`, 404, "the deny list of this node has no such entry", nil},
		{"DELETE", `{"id":"0123456789abcdef"}`, 404, "the deny list of this node has no such entry", nil},
		{"DELETE", `{"entry":"` + d.ID + `"}`, 400, "unknown member", nil},
		{"DELETE", ``, 400, "empty", nil},
		{"DELETE", `{"id":"` + d.ID + `"}`, 403, "cross-origin", []string{"Sec-Fetch-Site", "cross-site"}},
	} {
		got := w.admins(tc.method, "deny", tc.body, tc.headers...)
		if got.StatusCode != tc.code || !strings.Contains(got.body, tc.want) {
			t.Errorf("%s %.80s: %d %s, want %d %s", tc.method, tc.body, got.StatusCode, got.body, tc.code, tc.want)
		}
		if strings.Contains(got.body, "ada") || strings.Contains(got.body, "alice") {
			t.Errorf("the answer says again what was sent: %s", got.body)
		}
	}
	if list := w.denials(); len(list) != 1 || list[0].ID != d.ID {
		t.Errorf("listed are %+v", list)
	}
	w.wantInvalidToken(t, w.get("/", w.token("alice")))
	wantStatus(t, w.get("/", partner.Mint(enrichtest.Claims{"sub": "alice", "aud": audience})), 200)
}

// TestALogoutCanBeTakenBack: the denial that a hook made, and not its memory of
// the logout token.
func TestALogoutCanBeTakenBack(t *testing.T) {
	for kind, claims := range map[string]enrichtest.Claims{"sid": {"sid": "s-1"}, "user": {"sub": "ada"}} {
		t.Run(kind, func(t *testing.T) {
			w := hooked(t)
			token := w.token("ada", enrichtest.Claims{"sid": "s-1"})
			wantStatus(t, w.get("/", token), 200)
			w.legacy.Forget()
			logout := w.logoutToken(claims)
			wantLoggedOut(t, w.logOut(logout))
			w.wantInvalidToken(t, w.get("/", token))
			list := w.denials()
			if len(list) != 1 || list[0].Kind != kind || list[0].Reason != "back-channel logout" {
				t.Fatalf("listed are %+v", list)
			}
			if log := w.logged(); !strings.Contains(log, list[0].ID) {
				t.Error("the log does not name the entry")
			}
			w.undeny(`{"id":"` + list[0].ID + `"}`)
			wantStatus(t, w.get("/", token), 200)
			wantNoLogout(t, w.logOut(logout))
			wantStatus(t, w.get("/", token), 200)
			if len(w.denials()) != 0 {
				t.Error("something is denied still")
			}
			w.legacy.Forget()
			wantLoggedOut(t, w.logOut(w.logoutToken(claims)))
			w.wantInvalidToken(t, w.get("/", token))
		})
	}
}

// TestUndoesReachTheOtherNodes (C4, C8): theirs us and ours them, with Redis in
// reach and not, and nobody's name or reason stands in Redis.
func TestUndoesReachTheOtherNodes(t *testing.T) {
	server := cachetest.StartRedis(t)
	w := prepare(t)
	w.editions(newEdition(), shared(server, "unconfirmed_max 1h"), "deny_max_age 1h")
	other := another(t, server)
	eventually(t, "our purge log", func() bool { return w.logAge() < time.Minute })
	token := w.token("ada", enrichtest.Claims{"jti": "j-1"})
	ofAda := other.KeyDeriver().DenialHash(w.issuer.Issuer(), "sub", "ada")
	refused := func() bool { return w.get("/", token).StatusCode == 401 }
	theirs := func() bool { return other.Denials().Denied(time.Now(), time.Now(), ofAda) }

	t.Run("ours", func(t *testing.T) {
		d := w.deny(`{"user":"ada","issuer":"corp","reason":"Ada lost her phone"}`)
		eventually(t, "the denial", theirs)
		list := other.Denials().Entries(time.Now())
		if len(list) != 1 || list[0].ID() != d.ID || list[0].Reason != "Ada lost her phone" || list[0].Claim != "sub" || d.Nodes != "all" {
			t.Errorf("the other node lists %+v", list)
		}
		if dump := dumpRedis(t, server); strings.Contains(dump, "phone") || strings.Contains(dump, "Ada") {
			t.Error("Redis holds the reason")
		}
		if nodes := w.undeny(`{"user":"ada"}`); nodes != "all" {
			t.Errorf("nodes: %q", nodes)
		}
		wantStatus(t, w.get("/", token), 200)
		eventually(t, "the undo", func() bool { return !theirs() })
	})
	t.Run("theirs", func(t *testing.T) {
		w.denies(other, "sub", "ada")
		eventually(t, "the denial", refused)
		if reach, err := other.Log().Undeny(t.Context(), other.Denials().Entries(time.Now())...); err != nil || reach != purgelog.AllNodes {
			t.Fatal(reach, err)
		}
		eventually(t, "the undo", func() bool { return !refused() })
	})
	t.Run("one that an older version made", func(t *testing.T) {
		w.denies(other, "jti", "j-1") // says no claim
		eventually(t, "the denial", refused)
		if list := w.denials(); len(list) != 1 || list[0].Kind != "unknown" {
			t.Errorf("listed are %+v", list)
		}
		w.undeny(`{"jti":"j-1"}`)
		wantStatus(t, w.get("/", token), 200)
	})
	t.Run("while Redis is down", func(t *testing.T) {
		d := w.deny(`{"user":"ada","issuer":"corp"}`)
		eventually(t, "the denial", theirs)
		server.Kill()
		if nodes := w.undeny(`{"id":"` + d.ID + `"}`); nodes != "this one, the others as soon as Redis can be reached" {
			t.Errorf("nodes: %q", nodes)
		}
		wantStatus(t, w.get("/", token), 200)
		if !theirs() {
			t.Fatal("the other node knows already")
		}
		server.Restart()
		eventually(t, "the undo on the other node", func() bool { return !theirs() })
		wantStatus(t, w.get("/", token), 200)
	})
	t.Run("what was undone before this node began", func(t *testing.T) {
		d := w.deny(`{"user":"ada","issuer":"corp"}`)
		w.undeny(`{"id":"` + d.ID + `"}`)
		last := w.deny(`{"jti":"last","issuer":"corp"}`)
		w.load("respond ok", w.issuerBlock(""))
		w.editions(newEdition(), shared(server, ""))
		eventually(t, "the log", func() bool {
			return slices.ContainsFunc(w.denials(), func(d denial) bool { return d.ID == last.ID })
		})
		wantStatus(t, w.get("/", token), 200)
	})
}

// TestAListThatWasNeverReadIsNotShownAsEmpty, and nothing is undone in it.
func TestAListThatWasNeverReadIsNotShownAsEmpty(t *testing.T) {
	server := cachetest.StartRedis(t)
	server.Kill()
	w := prepare(t)
	w.editions(newEdition(), shared(server, ""))
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if got := w.admins(method, "deny", `{"user":"ada"}`); got.StatusCode != 503 || !strings.Contains(got.body, "not been read yet") {
			t.Errorf("%s: %d %s", method, got.StatusCode, got.body)
		}
	}
}
