package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// restarted stops Caddy and loads a site again.
func (w *world) restarted(site string, global ...string) {
	w.t.Helper()
	if err := caddy.Stop(); err != nil {
		w.t.Fatal(err)
	}
	w.load(site, global...)
}

// TestSessionsOutliveRestartsAndReloads is about what ends with a process and a
// configuration, and what does not (L10).
func TestSessionsOutliveRestartsAndReloads(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, nil)
	w.load(w.loginSite(""), atCorp(o))
	ada, grace := w.person(o, "00u1ada"), w.person(o, "00u2grace")
	ada.logsIn("/")
	grace.logsIn("/")
	ended := grace.copied()
	wantPage(t, grace.logsOut(), 200)
	ended.wantLives(false)

	w.load(w.loginSite("")+" {\n\t\theader_up X-Version 2\n\t}", atCorp(o))
	ada.wantLives(true)
	ended.wantLives(false) // ended sessions are remembered
	w.load(w.loginSite("header X-More email"), atCorp(o))
	ada.wantLives(false) // it holds no email
	w.load(w.loginSite(""), atCorp(o))
	ada.wantLives(true)
	ended.wantLives(false)

	w.restarted(w.loginSite(""), atCorp(o))
	ada.wantLives(true)
	storage := filepath.Dir(w.log)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(w.caddyfile(w.loginSite(""), atCorp(o)), "file_system "+storage, "file_system "+t.TempDir(), 1)
	config, err := adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.run(config); err != nil {
		t.Fatal(err)
	}
	ada.wantLives(false) // nobody has the key any more
	ada.logsIn("/")
	ada.wantLives(true)
}

// TestASessionEndsWhenIdleAndWhenOld lets real time pass: the shortest there is.
func TestASessionEndsWhenIdleAndWhenOld(t *testing.T) {
	w := prepareLogins(t)
	app := streamingApp(t)
	site := strings.Replace(w.loginSite(""), "reverse_proxy", "reverse_proxy /ws "+app.Listener.Addr().String()+"\nreverse_proxy /events "+app.Listener.Addr().String()+"\nreverse_proxy", 1)
	node := w.second(site, w.scriptedCorp(), "session {\nidle 10s\nmax 10s\n}")
	long := node.person(nil, "00u1ada")
	long.logsIn("/")
	open := long.begins()
	w.load(site, w.scriptedCorp(), "session {\nidle 10s\n}")
	idle, busy := w.person(nil, "00u1ada"), w.person(nil, "00u1ada")
	idle.logsIn("/")
	began := time.Now()
	busy.logsIn("/")
	renewals := 0
	eventually(t, "the end of the idle session", func() bool {
		got := busy.calls("/")
		wantStatus(t, got, 200)
		set, private := len(got.Header["Set-Cookie"]), got.Header.Get("Cache-Control")
		if set > 0 != (private == "private") || set > 1 {
			t.Fatalf("an answer with %d cookies has Cache-Control %q", set, private)
		}
		renewals += set
		w.legacy.Forget()
		return !idle.lives()
	})
	// Their times are whole seconds, so that two may follow one another at once.
	if most := int(time.Since(began)/time.Second) + 2; renewals < 1 || renewals > most {
		t.Errorf("the cookie was renewed %d times, want up to %d", renewals, most)
	}
	sentTo(t, idle.opens("/"))
	if idle.cookie(sessionCookie) != "" {
		t.Error("the cookie of the ended session stays")
	}
	wantEnds(t, open)
	long.wantLives(false)
	if n := w.metric("sessions_ended_total", "cause", "idle"); n < 1 {
		t.Errorf("%v sessions ended for idling", n)
	}
	// A configuration that shortens sessions shortens those that are under way.
	w.load(site, w.scriptedCorp(), "session {\nidle 10s\nmax 10s\n}")
	busy.wantLives(false)
	if n := w.metric("sessions_ended_total", "cause", "max"); n != 1 {
		t.Errorf("%v sessions ended for their age, want one", n)
	}
}

// TestTheCookieIsRenewedWhereNoSharedCacheSeesIt is about the answers that a new cookie
// goes with, and which.
func TestTheCookieIsRenewedWhereNoSharedCacheSeesIt(t *testing.T) {
	w := prepareLogins(t)
	app := streamingApp(t)
	site := strings.Replace(w.loginSite(""), "reverse_proxy", "reverse_proxy /ws "+app.Listener.Addr().String()+"\nreverse_proxy /events "+app.Listener.Addr().String()+"\nreverse_proxy", 1)
	w.load(site, w.scriptedCorp(), "session {\nidle 20s\n}")
	ada := w.person(nil, "00u1ada")
	ada.logsIn("/")
	if got := ada.copied().calls("/"); len(got.Header["Set-Cookie"]) > 0 || got.Header.Get("Cache-Control") != "" {
		t.Errorf("the first answer has %v", got.Header)
	}
	old := ada.copied()
	eventually(t, "a new cookie", func() bool { w.legacy.Forget(); return len(old.copied().calls("/").Header["Set-Cookie"]) > 0 })
	ada.calls("/")
	if ada.cookie(sessionCookie) == old.cookie(sessionCookie) {
		t.Fatal("the cookie was not renewed")
	}
	var before, after struct {
		IdleExpires time.Time `json:"idle_expires"`
	}
	for p, into := range map[*person]any{old: &before, ada: &after} {
		got := p.calls("/.token-enrich/session")
		wantStatus(t, got, 200)
		readJSON(t, got, into)
		if len(got.Header["Set-Cookie"]) > 0 {
			t.Error("session_info extends the session")
		}
	}
	if !after.IdleExpires.After(before.IdleExpires) {
		t.Errorf("idle ends at %v, and at %v before", after.IdleExpires, before.IdleExpires)
	}
	ada.wantLives(true)
	for _, tc := range []struct {
		name, status, header string
		renewed              bool
		caching              string
	}{
		{"says nothing", "200 OK", "", true, "private"},
		{"private", "200 OK", "Cache-Control: private, max-age=60\r\n", true, "private, max-age=60"},
		{"no-store", "200 OK", "Cache-Control: no-store\r\n", true, "no-store"},
		{"an error", "500 Oops", "", true, "private"},
		{"public", "200 OK", "Cache-Control: public\r\n", false, "public"},
		{"public, max-age", "200 OK", "Cache-Control: public, max-age=60\r\n", false, "public, max-age=60"},
		{"max-age", "200 OK", "Cache-Control: max-age=60\r\n", false, "max-age=60"},
		{"s-maxage", "200 OK", "Cache-Control: s-maxage=60\r\n", false, "s-maxage=60"},
		{"Expires", "200 OK", "Expires: Wed, 21 Oct 2065 07:28:00 GMT\r\n", false, ""},
		{"for a CDN", "200 OK", "CDN-Cache-Control: max-age=60\r\n", false, ""},
		{"not modified", "304 Not Modified", "ETag: \"x\"\r\n", false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := old.in(t)
			w.legacy.Respond(func(enrichtest.RawRequest) []byte {
				return fmt.Appendf(nil, "HTTP/1.1 %s\r\n%sContent-Length: 0\r\n\r\n", tc.status, tc.header)
			})
			got := p.copied().calls("/")
			if got := len(got.Header["Set-Cookie"]) > 0; got != tc.renewed {
				t.Errorf("renewed: %v, want %v", got, tc.renewed)
			}
			if c := got.Header.Get("Cache-Control"); c != tc.caching {
				t.Errorf("Cache-Control is %q, want %q", c, tc.caching)
			}
		})
	}
	old.begins() // which fails the test where an upgrade sets a cookie
}

// TestNothingIsTrustedOrDestroyedWhileTheKeyCannotBeRead starts a gateway on a storage
// that fails (L11).
func TestNothingIsTrustedOrDestroyedWhileTheKeyCannotBeRead(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, nil)
	storage := filepath.Join(t.TempDir(), "storage")
	away := storage + "-away"
	load := func(options string) {
		config, err := adapt(strings.Replace(w.caddyfile(w.loginSite(options), atCorp(o)), "file_system "+filepath.Dir(w.log), "file_system "+storage, 1))
		if err != nil {
			t.Fatal(err)
		}
		if err := w.run(config); err != nil {
			t.Fatal(err)
		}
	}
	load("")
	ada, stranger := w.person(o, "00u1ada"), w.person(o, "00u2grace")
	ada.logsIn("/")
	for name, options := range map[string]string{"where everybody logs in": "", "where strangers may come": "anonymous"} {
		if err := caddy.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(storage, away); err != nil {
			t.Fatal(err)
		}
		w.write(storage, "no folder")
		load(options)
		t.Run(name, func(t *testing.T) {
			ada, stranger := ada.in(t), stranger.in(t)
			// Each waits for the key, so they are sent at once.
			asks := map[string]func() answer{
				"a page": func() answer { return ada.opens("/") }, "a script": func() answer { return ada.calls("/") },
				"a form": func() answer {
					return ada.sends("POST", "/", append([]string{"Content-Type", formType}, fromHere...)...)
				},
				"the session's description": func() answer { return ada.calls("/.token-enrich/session") },
				"a login":                   func() answer { return ada.opens("/.token-enrich/login") },
				"a stranger's login":        func() answer { return stranger.opens("/.token-enrich/login") },
				"a callback":                func() answer { return ada.opens("/.token-enrich/callback?code=a&state=b") },
			}
			if options == "" {
				asks["a stranger's page"] = func() answer { return stranger.opens("/") }
			}
			var group sync.WaitGroup
			for what, ask := range asks {
				group.Go(func() {
					got := ask()
					page := what != "a script" && what != "the session's description"
					if got := strings.Contains(got.Header.Get("Content-Type"), "text/html"); got != page {
						t.Errorf("%s is answered by a page: %v, want %v", what, got, page)
					}
					if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" || len(got.Header["Set-Cookie"]) > 0 || got.Header.Get("Cache-Control") != "no-store" {
						t.Errorf("%s: status %d with %v", what, got.StatusCode, got.Header)
					}
				})
			}
			group.Wait()
			ada.nothingReceived()
			ada.session() // the browser keeps it
		})
		if err := os.Remove(storage); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(away, storage); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the key is read", func() bool { return ada.calls("/").StatusCode == 200 })
		w.legacy.Forget()
	}
	load("")
	stranger.logsIn("/")
	ada.wantLives(true)
}
