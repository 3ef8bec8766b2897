package integration

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// loginProxy behaves as oauth2-proxy does with the flags of the README: 202 or 401
// at /oauth2/auth, its pages below /oauth2/, and its session in a cookie that is
// split into parts where it is large.
type loginProxy struct {
	*httptest.Server

	session string // the cookie's whole value
	token   string // of the person whom it logs in

	mu      sync.Mutex
	refuses bool          // whether it knows the person and does not want them
	asked   []http.Header // at /oauth2/auth
}

// newLoginProxy starts a login proxy that logs in whoever comes, with that token.
func newLoginProxy(t *testing.T, token string) *loginProxy {
	t.Helper()
	p := &loginProxy{session: strings.Repeat("s3ss10n-", 800), token: token}
	mux := http.NewServeMux()
	mux.HandleFunc("/oauth2/auth", p.auth)
	mux.HandleFunc("/oauth2/start", p.start)
	mux.HandleFunc("/oauth2/callback", p.callback)
	mux.HandleFunc("/oauth2/sign_out", p.signOut)
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// The names of its cookies, and how long each may be.
const (
	proxyCookie    = "_oauth2_proxy"
	proxyCSRF      = proxyCookie + "_csrf"
	maxProxyCookie = 4000
)

func (p *loginProxy) auth(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.Header.Clone())
	refuses := p.refuses
	p.mu.Unlock()
	var value strings.Builder
	for i := 0; ; i++ {
		part, err := r.Cookie(proxyCookie + "_" + strconv.Itoa(i))
		if err != nil {
			break
		}
		value.WriteString(part.Value)
	}
	switch {
	case value.String() != p.session:
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
	case refuses:
		http.Error(w, "Forbidden", http.StatusForbidden)
	default:
		http.SetCookie(w, plainCookie(proxyCookie+"_refreshed", "x"))
		w.Header().Set("X-Auth-Request-User", "proxy-user")
		w.Header().Set("X-Auth-Request-Access-Token", p.token)
		w.WriteHeader(http.StatusAccepted)
	}
}

// start sends the browser to the provider, as the tests play it.
func (p *loginProxy) start(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, plainCookie(proxyCSRF, "nonce"))
	http.Redirect(w, r, "https://idp.example/authorize?state="+url.QueryEscape("nonce:"+r.FormValue("rd")), http.StatusFound)
}

func (p *loginProxy) callback(w http.ResponseWriter, r *http.Request) {
	nonce, rd, _ := strings.Cut(r.FormValue("state"), ":")
	if c, err := r.Cookie(proxyCSRF); err != nil || c.Value != nonce || r.FormValue("code") == "" {
		http.Error(w, "no login was begun here", http.StatusForbidden)
		return
	}
	http.SetCookie(w, plainCookie(proxyCSRF, ""))
	for i, rest := 0, p.session; rest != ""; i++ {
		part := rest[:min(len(rest), maxProxyCookie)]
		rest = rest[len(part):]
		http.SetCookie(w, plainCookie(proxyCookie+"_"+strconv.Itoa(i), part))
	}
	http.Redirect(w, r, sameOriginOr(rd), http.StatusFound)
}

func (p *loginProxy) signOut(w http.ResponseWriter, r *http.Request) {
	for _, c := range r.Cookies() {
		if strings.HasPrefix(c.Name, proxyCookie) {
			http.SetCookie(w, plainCookie(c.Name, ""))
		}
	}
	http.Redirect(w, r, sameOriginOr(r.FormValue("rd")), http.StatusFound)
}

// plainCookie returns a cookie for every path, without Secure: the tests speak
// plain HTTP. One without a value deletes it.
func plainCookie(name, value string) *http.Cookie {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode} // #nosec G124 -- plain HTTP on loopback
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// sameOriginOr returns a target of the same origin, else the root.
func sameOriginOr(rd string) string {
	if !strings.HasPrefix(rd, "/") || strings.HasPrefix(rd, "//") {
		return "/"
	}
	return rd
}

// lastAsked returns the headers of the latest request to /oauth2/auth.
func (p *loginProxy) lastAsked(t *testing.T) http.Header {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.asked) == 0 {
		t.Fatal("the login proxy was not asked")
	}
	return p.asked[len(p.asked)-1]
}

// loginProxyRecipe returns the routes of the README's recipe, with the tests'
// addresses in place of its own.
func loginProxyRecipe(t *testing.T, login, legacy string) string {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)\n```caddyfile\n(.*?)```\n").FindAllStringSubmatch(string(readme), -1) {
		body, ok := strings.CutPrefix(m[1], "app.example.com {\n")
		if ok && strings.Contains(body, "uri /oauth2/auth") {
			return strings.NewReplacer("login:4180", login, "legacy:8080", legacy).Replace(strings.TrimSuffix(body, "}\n"))
		}
	}
	t.Fatal("the README shows no login proxy")
	return ""
}

// navigation is what a browser sends with a page that a person opens.
var navigation = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "none", "Accept", "text/html"}

// withLoginProxy runs the README's recipe, and browses with a jar for cookies.
func withLoginProxy(t *testing.T) (*world, *loginProxy) {
	t.Helper()
	w := prepare(t)
	p := newLoginProxy(t, w.token("00u1ada"))
	w.load(loginProxyRecipe(t, p.Listener.Addr().String(), w.legacy.Addr()))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := *client
	browser.Jar = jar
	w.client = &browser
	return w, p
}

// visit opens a page that must answer with a redirect, and returns where to.
func (w *world) visit(path string) *url.URL {
	w.t.Helper()
	got := w.get(path, "", navigation...)
	wantStatus(w.t, got, 302)
	to, err := url.Parse(got.Header.Get("Location"))
	if err != nil {
		w.t.Fatal(err)
	}
	return to
}

// logIn goes from a page to the login and back, and returns where the person ends.
func (w *world) logIn(page string) string {
	w.t.Helper()
	provider := w.visit(w.visit(page).String())
	return w.visit("/oauth2/callback?code=c0de&state=" + url.QueryEscape(provider.Query().Get("state"))).String()
}

// setCookie gives the browser a cookie of the application.
func (w *world) setCookie(name, value string) {
	w.client.Jar.SetCookies(&url.URL{Scheme: "http", Host: w.addr, Path: "/"}, []*http.Cookie{plainCookie(name, value)})
}

func TestStrangersMeetTheLoginProxy(t *testing.T) {
	w, p := withLoginProxy(t)
	token := []string{"X-Auth-Request-Access-Token", w.token("00u2grace")}
	for _, tc := range []struct {
		name, method, target string
		headers              []string
		code                 int
		location             string
	}{
		{"a page", "GET", "/a/page?x=1&y=%2F", navigation, 302, "/oauth2/start?rd=%2Fa%2Fpage%3Fx%3D1%26y%3D%252F"},
		{"a page of another host by its looks", "GET", "//evil.example/", navigation, 302, "/oauth2/start?rd=%2F%2Fevil.example%2F"},
		{"a page, with a token of its own", "GET", "/", append(token, navigation...), 302, "/oauth2/start?rd=%2F"},
		{"a script's request", "GET", "/api", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Accept", "*/*"}, 401, ""},
		{"a script's request, with a token of its own", "GET", "/api", token, 401, ""},
		{"the same in another spelling", "GET", "/api", []string{"X_auth_request_access_token", token[1]}, 401, ""},
		{"with the headers of the login proxy", "GET", "/api", []string{"X-Auth-Request-User", "ada", "X-Forwarded-Access-Token", token[1]}, 401, ""},
		{"a bearer token", "GET", "/api", []string{"Authorization", "Bearer " + token[1]}, 401, ""},
		{"a frame", "GET", "/", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, 401, ""},
		{"a form", "POST", "/", navigation, 401, ""},
		{"a WebSocket", "GET", "/", []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-Fetch-Mode", "websocket"}, 401, ""},
		{"a session that was made up", "GET", "/", []string{"Cookie", proxyCookie + "_0=made-up"}, 401, ""},
		{"a path that is the login's to some servers", "GET", "/oauth2/..%2fadmin", navigation, 400, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			got := w.do(tc.method, tc.target, "", tc.headers...)
			wantStatus(t, got, tc.code)
			if to := got.Header.Get("Location"); to != tc.location {
				t.Errorf("sent to %q, want %q", to, tc.location)
			}
			w.nothingReceived()
		})
	}
	if asked := p.lastAsked(t); len(asked["X-Auth-Request-Access-Token"]) > 0 || asked.Get("X-Forwarded-Uri") == "" {
		t.Errorf("the login proxy was asked with %v", asked)
	}
}

func TestPeopleWhoLoggedInAtTheLoginProxy(t *testing.T) {
	w, p := withLoginProxy(t)
	w.setCookie("first", "1")
	if end := w.logIn("/a/page?x=1&y=2"); end != "/a/page?x=1&y=2" {
		t.Fatalf("the login ended at %q", end)
	}
	w.setCookie("last", "2")
	w.nothingReceived()
	t.Run("the application learns who they are, and nothing else", func(t *testing.T) {
		w := w.in(t)
		got := w.get("/a/page?x=1&y=2", "", append([]string{
			"X-User", "grace", "x_user", "grace", "X-Auth-Request-Access-Token", w.token("00u2grace"),
		}, navigation...)...)
		wantStatus(t, got, 200)
		if set := got.Header.Values("Set-Cookie"); len(set) > 0 {
			t.Errorf("a cookie of the login proxy's answer came through: %q", set)
		}
		seen := w.received()
		wantHeader(t, seen, "X-User", "00u1ada")
		wantHeader(t, seen, "X-Auth-Request-Access-Token", "")
		if cookies := seen.Values("Cookie"); !slices.Equal(cookies, []string{"first=1; last=2"}) {
			t.Errorf("the application's cookies are %.100q", cookies)
		}
		for _, secret := range []string{proxyCookie, p.token, p.session[:16]} {
			if strings.Contains(string(seen.Raw), secret) {
				t.Errorf("the application received %.16s…", secret)
			}
		}
	})
	t.Run("a script in a page of the application does not learn the token", func(t *testing.T) {
		w := w.in(t)
		got := w.get("/oauth2/auth", "")
		wantStatus(t, got, 202)
		for name := range got.Header {
			if strings.HasPrefix(name, "X-Auth-Request-") {
				t.Errorf("the answer has %s", name)
			}
		}
	})
	t.Run("pages of other origins cannot act for them", func(t *testing.T) {
		upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
		for _, tc := range []struct {
			method, site string
			headers      []string
			code         int
		}{
			{"GET", "cross-site", navigation[:4], 200},
			{"POST", "same-origin", nil, 200},
			{"POST", "none", nil, 200},
			{"POST", "cross-site", nil, 403},
			{"POST", "same-site", nil, 403},
			{"DELETE", "cross-site", nil, 403},
			{"GET", "same-origin", upgrade, 200},
			{"GET", "same-site", upgrade, 403},
			{"GET", "cross-site", upgrade, 403},
		} {
			w := w.in(t)
			got := w.do(tc.method, "/", "", append([]string{"Sec-Fetch-Site", tc.site}, tc.headers...)...)
			if got.StatusCode != tc.code || len(w.legacy.Requests()) != map[int]int{200: 1}[tc.code] {
				t.Errorf("%s from %s: status %d, %d requests received", tc.method, tc.site, got.StatusCode, len(w.legacy.Requests()))
			}
			w.legacy.Forget()
		}
	})
	t.Run("whom the login proxy refuses is told so", func(t *testing.T) {
		w := w.in(t)
		refuse := func(is bool) {
			p.mu.Lock()
			p.refuses = is
			p.mu.Unlock()
		}
		refuse(true)
		wantStatus(t, w.get("/", "", navigation...), 403)
		refuse(false)
		w.nothingReceived()
	})
	t.Run("they log out", func(t *testing.T) {
		w := w.in(t)
		if to := w.visit("/oauth2/sign_out?rd=%2Fbye").String(); to != "/bye" {
			t.Errorf("after the logout they are at %q", to)
		}
		if to := w.visit("/a/page").Path; to != "/oauth2/start" {
			t.Errorf("the next page is %q, want the login", to)
		}
		w.nothingReceived()
	})
	t.Run("nobody gets in while the login proxy is down", func(t *testing.T) {
		w := w.in(t)
		p.Close()
		wantStatus(t, w.get("/", "", navigation...), 502)
		w.nothingReceived()
	})
}

func TestTheCookiesOfTheLoginProxyStayAtTheGateway(t *testing.T) {
	w, p := withLoginProxy(t)
	session := proxyCookie + "_0=" + p.session
	// Each is sent with S in place of the session.
	for sent, want := range map[string]string{
		"S":          "",
		"S; a=1":     "a=1",
		"a=1; S":     "a=1",
		"a=1;S":      "a=1",
		"S;a=1;b=":   "a=1;b=",
		"a=1; S;b=2": "a=1;b=2",
		"_oauth2_proxy=x; S; a=1; _oauth2_proxy_csrf_Ab-9=x; b=2; _oauth2_proxy_csrf=x": "a=1; b=2",
		"my_oauth2_proxy=1; S; a=_oauth2_proxy=2":                                       "my_oauth2_proxy=1; a=_oauth2_proxy=2",
	} {
		wantStatus(t, w.get("/", "", "Cookie", strings.Replace(sent, "S", session, 1)), 200)
		if got := strings.Join(w.received().Values("Cookie"), "\n"); got != want {
			t.Errorf("%s: the application received the cookies %.100q, want %q", sent, got, want)
		}
	}
}
