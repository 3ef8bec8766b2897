package integration

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// steppedSite is a site with a part that requires more of the login.
func (w *world) steppedSite(requirement string) string {
	return "token_enrich /admin* {\nname admin\nlogin corp\nrequire_acr " + requirement + "\nheader X-User sub\nheader X-Acr acr\n}\n" + w.loginSite("header X-Acr acr")
}

// TestAWeakSessionIsSentToStepUp goes the whole way at the certified provider (L4,
// L13).
func TestAWeakSessionIsSentToStepUp(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{ACRValues: []string{"urn:pwd", "urn:mfa"}}, func(c *enrichtest.OPLoginClient) {
		c.Metadata = map[string]any{"require_auth_time": true}
	})
	w.load(w.steppedSite("urn:mfa max_age 15m"), loginIssuer("corp", o.Issuer, "", allScopes+"\nacr_values urn:pwd"))
	ada := w.person(o, "00u1ada")
	ada.logsIn("/")
	wantStatus(t, ada.opens("/"), 200)
	wantHeader(t, w.received(), "X-Acr", "urn:pwd")

	challenge := wantCall(t, ada.calls("/admin/api", "Referer", ada.origin()+"/admin/page"), 401)
	for _, part := range []string{`error="insufficient_user_authentication"`, `acr_values="urn:mfa"`, `max_age="900"`} {
		if !strings.Contains(challenge, part) {
			t.Errorf("the challenge %q lacks %s", challenge, part)
		}
	}
	wantPage(t, ada.sends("POST", "/admin", append(slices.Clone(fromHere), "Content-Type", formType)...), 401)
	w.nothingReceived()
	ada.wantLives(true)
	weak := ada.copied()
	ada.logsIn("/admin/x?y=%2F") // with the provider's form, though it knows the person
	for _, path := range []string{"/admin/x", "/"} {
		wantStatus(t, ada.opens(path), 200)
		wantHeader(t, w.received(), "X-Acr", "urn:mfa")
	}
	weak.wantLives(false) // the session has a new id
	wantStatus(t, ada.calls("/admin/api"), 200)
	w.legacy.Forget()

	grace := w.person(o, "00u2grace")
	grace.logsIn("/")
	address := loginURLOf(t, grace.calls("/admin/api", "Referer", grace.origin()+"/admin/page"))
	got := grace.arrives(address)
	wantStatus(t, got, 200)
	if at := got.Request.URL.Path; at != "/admin/page" {
		t.Errorf("a script's login ends at %s", at)
	}
	if n := w.metric("sessions_ended_total", "cause", "new_login"); n != 2 {
		t.Errorf("%v sessions were replaced, want two", n)
	}
}

// TestAProviderThatGivesLessIsNoLoop is about a provider that ignores what it is asked
// for.
func TestAProviderThatGivesLessIsNoLoop(t *testing.T) {
	w := prepareLogins(t)
	for name, c := range map[string]struct {
		requirement string
		claims      func(enrichtest.Claims)
	}{
		"another acr":             {"urn:mfa", func(c enrichtest.Claims) { c["acr"] = "urn:pwd" }},
		"no acr":                  {"urn:mfa", func(c enrichtest.Claims) { delete(c, "acr") }},
		"an older authentication": {"urn:mfa max_age 5m", func(c enrichtest.Claims) { c["auth_time"] = time.Now().Add(-time.Hour).Unix() }},
		"no auth_time":            {"urn:mfa max_age 5m", func(c enrichtest.Claims) { delete(c, "auth_time") }},
		"one that is to come":     {"urn:mfa max_age 5m", func(c enrichtest.Claims) { c["auth_time"] = time.Now().Add(time.Hour).Unix() }},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			w.load(w.steppedSite(c.requirement), w.scriptedCorp())
			w.issuer.OnIDToken(func(claims enrichtest.Claims) []enrichtest.MintOption { c.claims(claims); return nil })
			ada := w.person(nil, "00u1ada")
			ada.logsIn("/")
			got := ada.arrives("/admin")
			wantPage(t, got, 403)
			if got.Request.URL.Path != "/.token-enrich/callback" {
				t.Errorf("the login ends at %s", got.Request.URL.Path)
			}
			w.nothingReceived()
			ada.wantLives(true) // for the rest of the site
			w.issuer.OnIDToken(nil)
			ada.logsIn("/admin")
		})
	}
}

// TestStrangersAndPeopleShareASite is about anonymous beside login.
func TestStrangersAndPeopleShareASite(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, nil)
	w.load(w.loginSite("anonymous"), atCorp(o))
	ada := w.person(o, "00u1ada")
	for _, method := range []string{"GET", "HEAD", "POST"} {
		wantStatus(t, ada.sends(method, "/", "X-User", "root"), 200)
		wantHeader(t, w.received(), "X-User", "")
	}
	wantStatus(t, ada.arrives("/.token-enrich/login?return=/account%3Fa=1"), 200)
	if seen := w.received(); seen.Line != "GET /account?a=1 HTTP/1.1" {
		t.Errorf("the application was asked for %s", seen.Line)
	} else {
		wantHeader(t, seen, "X-User", "00u1ada")
	}
	before := ada.copied()
	wantPage(t, ada.logsOut(), 200)
	w.legacy.Forget()
	for _, tc := range []struct {
		method string
		header []string
		code   int
	}{
		{"GET", navigation, 200},
		{"HEAD", navigation, 200},
		{"GET", byScript, 200},
		{"POST", byScript, 401},
		{"DELETE", byScript, 401},
		{"POST", append(slices.Clone(fromHere), "Content-Type", formType), 401},
	} {
		p := before.copied()
		got := p.sends(tc.method, "/", tc.header...)
		wantStatus(t, got, tc.code)
		if p.cookie(sessionCookie) != "" {
			t.Errorf("%s: the ended session's cookie stays", tc.method)
		}
		if tc.code == 200 {
			wantHeader(t, w.received(), "X-User", "")
		}
		w.nothingReceived()
	}
	// A session that is there is somebody, and a bad token is nobody.
	wantStatus(t, w.get("/", "bad"), 401)
}

// partner is the scripted provider as a second issuer.
func (w *world) partner() string { return loginIssuer("partner", w.issuer.Issuer(), "", "") }

// TestPeopleChooseAmongProviders is about a policy with two (L1).
func TestPeopleChooseAmongProviders(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, nil)
	site := strings.Replace(w.loginSite("header X-Issuer iss"), "login corp", "login corp partner", 1)
	w.load(site, atCorp(o), w.partner())
	for name, issuer := range map[string]string{"corp": o.Issuer, "partner": w.issuer.Issuer()} {
		ada := w.person(o, "00u1ada")
		page := ada.arrives("/orders?id=7")
		wantPage(t, page, 200)
		all := links(page)
		i := slices.IndexFunc(all, func(link string) bool { return strings.Contains(link, "issuer="+name) })
		if i < 0 || len(all) != 2 {
			t.Fatalf("the page offers %q", all)
		}
		begun := ada.opens(all[i])
		callback := ada.follows(begun)
		if at := callback.Request.URL.Path; at != "/.token-enrich/callback/"+name {
			t.Errorf("the provider sends people back to %s", at)
		}
		if to := sentTo(t, callback).String(); to != ada.origin()+"/orders?id=7" {
			t.Errorf("the login ends at %s", to)
		}
		wantStatus(t, ada.opens("/"), 200)
		wantHeader(t, w.received(), "X-Issuer", issuer)
	}
	// The answer of one provider at the callback of the other.
	ada := w.person(o, "00u1ada")
	at := ada.sends("GET", sentTo(t, ada.opens("/.token-enrich/login?issuer=partner")).String())
	back, err := url.Parse(at.Header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/.token-enrich/callback/corp", "/.token-enrich/callback", "/.token-enrich/callback/other"} {
		got := ada.opens(path + "?" + back.RawQuery)
		if got.StatusCode == 303 || ada.cookie(sessionCookie) != "" {
			t.Errorf("%s answers %d", path, got.StatusCode)
		}
	}
	w.legacy.Forget()
}

// TestASessionIsGoodWhereItsProviderIs is about two policies of one site, and about two
// sites.
func TestASessionIsGoodWhereItsProviderIs(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, nil)
	elsewhere := "127.0.0.1:" + port(w.addr)
	w.load("token_enrich /partners* {\nname partners\nlogin partner\nheader X-User sub\n}\n"+w.loginSite("")+"\n}\nhttp://"+elsewhere+" {\n"+strings.Replace(w.loginSite(""), "name web", "name second", 1), atCorp(o), w.partner())
	ada := w.person(o, "00u1ada")
	ada.logsIn("/")
	page := ada.opens("/partners/x?y=1")
	wantPage(t, page, 403)
	all := links(page)
	if len(all) != 1 || !strings.Contains(all[0], "issuer=partner") {
		t.Fatalf("the page offers %q", all)
	}
	wantCall(t, ada.calls("/partners/api"), 403)
	w.nothingReceived()
	ada.wantLives(true)

	there := *ada.world
	there.addr = elsewhere
	second := there.person(o, "00u1ada")
	second.holds(sessionCookie, ada.cookie(sessionCookie))
	wantCall(t, second.calls("/"), 401) // the cookie of one site is no session of another
	second.logsIn("/x")

	got := ada.arrives(all[0])
	wantStatus(t, got, 200)
	if at := got.Request.URL.RequestURI(); at != "/partners/x?y=1" {
		t.Errorf("the login ends at %s", at)
	}
	wantPage(t, ada.opens("/"), 403) // now the other way round
	w.legacy.Forget()
}
