package integration

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// lastingSite is a site whose answers at /ws and /events last.
func (w *world) lastingSite(options string) string {
	app := streamingApp(w.t).Listener.Addr().String()
	return "token_enrich_hook /backchannel backchannel_logout {\nissuer corp\n}\n" +
		strings.Replace(w.loginSite(options), "reverse_proxy", "reverse_proxy /ws "+app+"\nreverse_proxy /events "+app+"\nreverse_proxy", 1)
}

// withBackChannel has the provider notify the hook of lastingSite.
func (w *world) withBackChannel(c *enrichtest.OPLoginClient) {
	c.BackchannelURI = w.origin() + "/backchannel"
}

// TestALogoutEndsTheSessionHereAndAtTheProvider is about a person who logs out here
// (L12).
func TestALogoutEndsTheSessionHereAndAtTheProvider(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, nil)
	w.load(w.lastingSite(""), atCorp(o))
	ada, other := w.person(o, "00u1ada"), w.person(o, "00u1ada")
	ada.logsIn("/")
	other.logsIn("/")
	before, open := ada.copied(), ada.begins()
	sentTo(t, ada.sends("GET", "/.token-enrich/login", fromHere...)) // somebody who comes back is let in without a form
	wantPage(t, ada.opens("/.token-enrich/logout"), 200)             // asks, since nobody says who sent the person
	ada.wantLives(true)
	got := ada.logsOut()
	wantPage(t, got, 200)
	if at := got.Request.URL; at.Path != "/.token-enrich/logout/done" {
		t.Errorf("the logout ends at %s", at)
	}
	if ada.cookie(sessionCookie) != "" {
		t.Error("the cookie stays")
	}
	before.wantLives(false)
	wantEnds(t, open)
	other.wantLives(true)
	sentTo(t, ada.opens("/"))
	if to := ada.op.SignIn(t, ada.client, sentTo(t, ada.opens("/")).String(), "00u2grace"); to == "" {
		t.Error("the provider did not ask who it is")
	}
	if n := w.metric("sessions_ended_total", "cause", "logout"); n != 1 {
		t.Errorf("%v logouts, want one", n)
	}
	w.load(strings.Replace(w.lastingSite(""), "login corp", "login corp\nlogout /bye /goodbye?x=1", 1), loginIssuer("corp", w.issuer.Issuer(), "", ""))
	grace := w.person(nil, "00u2grace")
	grace.logsIn("/")
	if to := sentTo(t, grace.sends("GET", "/bye", fromHere...)).String(); to != w.origin()+"/goodbye?x=1" {
		t.Errorf("the logout leads to %s", to) // this provider ends no sessions
	}
}

// TestALogoutElsewhereEndsTheSession is about the provider's notice of a logout (L12).
func TestALogoutElsewhereEndsTheSession(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, w.withBackChannel)
	w.load(w.lastingSite(""), atCorp(o))
	ada, elsewhere := w.person(o, "00u1ada"), w.person(o, "00u1ada")
	ada.logsIn("/")
	elsewhere.logsIn("/")
	open, stays := ada.begins(), elsewhere.begins()
	o.SignOut(t, ada.client, o.Issuer+"/session/end?client_id="+loginClient)
	ada.wantLives(false)
	wantEnds(t, open)
	elsewhere.wantLives(true)
	socket, ok := stays["a WebSocket"].(*tunnel)
	if !ok {
		t.Fatal("no WebSocket")
	}
	socket.lives()
	wantCall(t, ada.calls("/"), 401)
	ada.logsIn("/") // with the provider's form

	t.Run("by subject, what began until then", func(t *testing.T) {
		w := w.in(t)
		w.load(w.lastingSite(""), w.scriptedCorp())
		ada := w.person(nil, "00u1ada")
		ada.logsIn("/")
		notify := func(at time.Time, claims enrichtest.Claims) {
			t.Helper()
			all := enrichtest.Claims{"aud": loginClient, "iat": at.Unix(), "exp": at.Add(2 * time.Minute).Unix()}
			maps.Copy(all, claims)
			wantLoggedOut(t, w.postForm("/backchannel", formType, "logout_token="+w.logoutToken(all)))
		}
		notify(time.Now().Add(-time.Minute), enrichtest.Claims{"sub": "00u1ada"})
		ada.wantLives(true)
		notify(time.Now(), enrichtest.Claims{"sub": "00u2grace"})
		ada.wantLives(true)
		notify(time.Now(), enrichtest.Claims{"sub": "00u1ada"})
		ada.wantLives(false)
		eventually(t, "a login that began after the logout", func() bool {
			again := w.person(nil, "00u1ada")
			got := again.arrives("/")
			w.legacy.Forget()
			return got.StatusCode == 200 && again.lives()
		})
	})
}

// TestADenialEndsSessionsAndAPurgeDoesNot is about what operators do.
func TestADenialEndsSessionsAndAPurgeDoesNot(t *testing.T) {
	w := prepareLogins(t)
	w.load(w.lastingSite(""), w.scriptedCorp())
	for name, body := range map[string]map[string]string{
		"a session of the provider": {"sid": "s-1", "issuer": "corp"},
		"a person":                  {"user": "00u1ada", "issuer": "corp"},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			text := func() string { b, _ := json.Marshal(body); return string(b) }()
			w.issuer.SetAccount("00u1ada", enrichtest.Claims{"sid": "s-1"})
			ada := w.person(nil, "00u1ada")
			ada.logsIn("/")
			w.issuer.SetAccount("00u2grace", enrichtest.Claims{"sid": "s-2"})
			grace := w.person(nil, "00u2grace")
			grace.logsIn("/")
			for _, purge := range []string{`{"user":"00u1ada"}`, `{"all":true}`} {
				w.ordered("purge", purge)
				ada.wantLives(true)
			}
			open := ada.begins()
			w.deny(text)
			wantEnds(t, open)
			ada.wantLives(false)
			grace.wantLives(true)
			// The login was a moment ago, so that another one may end alike.
			if got := ada.copied().opens("/"); len(got.Header["Set-Cookie"]) != 1 {
				t.Errorf("the cookie is not cleared: %v", got.Header)
			} else {
				wantPage(t, got, 403)
			}
			w.issuer.SetAccount("00u1ada", enrichtest.Claims{"sid": "s-1"})
			again := w.person(nil, "00u1ada")
			got := again.arrives("/")
			wantPage(t, got, 403)
			if got.Request.URL.Path != "/.token-enrich/callback" || again.cookie(sessionCookie) != "" {
				t.Errorf("a denied person comes to %s", got.Request.URL.Path)
			}
			w.nothingReceived()
			w.undeny(text)
			again.logsIn("/")
		})
	}
	if n := w.metric("logins_total", "outcome", "revoked"); n != 2 {
		t.Errorf("%v logins were refused, want two", n)
	}
}
