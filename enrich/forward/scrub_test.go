package forward

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

func reservedNames(t testing.TB) *ReservedNames {
	t.Helper()
	return NewReservedNames(
		mustCompile(t, Definition{
			Preset:      "siteminder",
			Headers:     []HeaderDefinition{{Name: "X-User-Groups", Claim: "g", OnOverflow: "split"}, {Name: "X-User", Claim: "u"}},
			HeadersFrom: []HeadersFrom{{Prefix: "X-Claim-"}},
		}),
		nil,
		mustCompile(t, Definition{Headers: []HeaderDefinition{{Name: "X-User", Claim: "u"}, {Name: "X-Mail", Claim: "m"}}}, Target{Cookie: "app.token"}),
	)
}

func TestScrubDeletesEveryAlias(t *testing.T) {
	o := reservedNames(t)
	for _, name := range []string{
		"X-User-Groups", "X-User-Groups-1", "X-User-Groups-0099", "X-User", "X-Mail", "SM_USER", "SM_USERDN", "SM_USERGROUPS",
		"X-Claim-Email", "X-Claim-",
	} {
		for _, alias := range Aliases(name) {
			req := httptest.NewRequest(http.MethodGet, "/", nil)
			req.Header = http.Header{"Accept": {"*/*"}}
			req.Header[alias] = []string{"admin", "root"}                                  // as it came
			req.Header[http.CanonicalHeaderKey(alias)] = []string{"admin"}                 // as net/http keeps it
			req.Header.Add(strings.ReplaceAll(name, "-", "_"), "and another spelling too") // several at once
			before := len(req.Header) - 1
			if got := o.Scrub(req); got != before {
				t.Errorf("%q: %d of %d removed", alias, got, before)
			}
			if len(req.Header) != 1 {
				t.Fatalf("%q: the application gets %q", alias, req.Header)
			}
		}
	}
}

func TestScrubLeavesOtherHeadersAlone(t *testing.T) {
	o := reservedNames(t)
	h := http.Header{}
	for _, name := range []string{
		"X-Users", "X-Use", "X-User-Group", "X-User-Groups-", "X-User-Groups-1a", "X-User-Groups1", "X-User-1", "X-User-Groups-1-2", "X-Claim", "Claim-Email",
		"X-Forwarded-For", "Authorization", "Cookie", "User-Agent", "Accept", "Range", "X", "-", "1", "-1", "", strings.Repeat("X-User", 100),
	} {
		h[name] = []string{"value"}
	}
	req := &http.Request{Header: h.Clone()}
	if n := o.Scrub(req); n != 0 || !reflect.DeepEqual(req.Header, h) {
		t.Errorf("removed %d: %q", n, req.Header)
	}
}

func TestScrubAnswersForAnOwnedThatIsNil(t *testing.T) {
	var o *ReservedNames
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Connection", "X-User-Groups")
	req.Trailer = http.Header{"X-User": nil}
	if n := o.Scrub(req); n != 0 || req.Trailer != nil || req.Header.Get("Connection") != "" {
		t.Errorf("%d, %v, %v", n, req.Trailer, req.Header)
	}
	if o.ScrubCredentials(req) != 0 || o.Names() != nil || o.Contains("X-User") {
		t.Error("a nil ReservedNames owns something")
	}
}

func TestConnectionKeepsWhatUpgradesNeed(t *testing.T) {
	for _, tc := range []struct{ in, want []string }{
		{nil, nil},
		{[]string{"keep-alive"}, []string{"keep-alive"}},
		{[]string{"Upgrade"}, []string{"Upgrade"}},
		{[]string{"keep-alive, Upgrade"}, []string{"keep-alive, Upgrade"}},
		{[]string{"close"}, []string{"close"}},
		{[]string{"X-User-Groups"}, nil},
		{[]string{"x-user-groups, close"}, []string{"close"}},
		{[]string{"close", "X-User"}, []string{"close"}},
		{[]string{"upgrade , HTTP2-Settings"}, []string{"Upgrade"}},
		{[]string{"X-User,UPGRADE", " keep-alive", "TE"}, []string{"keep-alive, Upgrade"}},
		{[]string{"\"close\""}, nil},
		{[]string{"close;X-User"}, nil},
		{[]string{"close X-User"}, nil},
		{[]string{"close\tX-User"}, nil},
		{[]string{"", ","}, []string{"", ","}},
		{[]string{"close", "close", "close", "close"}, []string{"close"}},
	} {
		h := http.Header{}
		if tc.in != nil {
			h["Connection"] = slices.Clone(tc.in)
		}
		keepConnection(h)
		if !slices.Equal(h["Connection"], tc.want) {
			t.Errorf("%q becomes %q, want %q", tc.in, h["Connection"], tc.want)
		}
		if _, there := h["Connection"]; there && tc.want == nil {
			t.Errorf("%q leaves an empty header", tc.in)
		}
	}
}

// gateway is a server that scrubs, writes our header and proxies.
func gateway(t *testing.T, upstream string) *httptest.Server {
	t.Helper()
	target, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	c := mustCompile(t, Definition{Headers: []HeaderDefinition{{Name: "X-User-Groups", Claim: "g"}}})
	r, err := c.Render(map[string]any{"g": "staff"})
	if err != nil {
		t.Fatal(err)
	}
	o := NewReservedNames(c)
	proxy := httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		o.Scrub(req)
		r.Write(req.Header)
		proxy.ServeHTTP(w, req)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// application reports the headers and trailers that reached it.
func application(t *testing.T) (*httptest.Server, <-chan [2]http.Header) {
	t.Helper()
	seen := make(chan [2]http.Header, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			t.Errorf("reading the body: %v", err)
		}
		seen <- [2]http.Header{req.Header, req.Trailer}
	}))
	t.Cleanup(server.Close)
	return server, seen
}

func TestTrailersAndConnectionOverHTTP1(t *testing.T) {
	app, seen := application(t)
	server := gateway(t, app.URL)
	const chunked = "POST / HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n"
	const trailer = "\r\n1\r\na\r\n0\r\nX-User-Groups: admin\r\nX_User_Groups: admin\r\nX-Other: 1\r\n\r\n"
	for name, request := range map[string]string{
		"a declared trailer":               chunked + "Trailer: X-User-Groups\r\n" + trailer,
		"another trailer declared":         chunked + "Trailer: X-Other\r\n" + trailer,
		"an undeclared trailer":            chunked + trailer,
		"our header named in Connection":   "GET / HTTP/1.1\r\nHost: gateway\r\nConnection: X-User-Groups\r\n\r\n",
		"named in a second Connection":     "GET / HTTP/1.1\r\nHost: gateway\r\nConnection: keep-alive\r\nConnection: x-user-groups\r\n\r\n",
		"our header sent, twice":           "GET / HTTP/1.1\r\nHost: gateway\r\nX-User-Groups: admin\r\nx-user-groups: root\r\n\r\n",
		"an alias of our header sent":      "GET / HTTP/1.1\r\nHost: gateway\r\nX_User_Groups: admin\r\nX.User.Groups: root\r\n\r\n",
		"an upgrade that names our header": "GET / HTTP/1.1\r\nHost: gateway\r\nConnection: Upgrade, X-User-Groups\r\nUpgrade: websocket\r\n\r\n",
	} {
		conn := dialTLS(t, server)
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		resp.Body.Close()
		conn.Close()
		check(t, name, <-seen)
	}
}

func TestTrailersOverHTTP2(t *testing.T) {
	app, seen := application(t)
	server := gateway(t, app.URL)
	for _, declared := range []string{"X-User-Groups", "X-Other"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, io.MultiReader(strings.NewReader("body")))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("x_user_groups", "admin")
		req.Trailer = http.Header{declared: {"admin"}}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.ProtoMajor != 2 {
			t.Fatalf("the test speaks %s", resp.Proto)
		}
		check(t, "trailer "+declared, <-seen)
	}
}

func check(t *testing.T, name string, seen [2]http.Header) {
	t.Helper()
	header, trailer := seen[0], seen[1]
	if got := header["X-User-Groups"]; !slices.Equal(got, []string{"staff"}) {
		t.Errorf("%s: the application gets %q", name, got)
	}
	for key := range header {
		if key != "X-User-Groups" && Canonicalize(key) == "x-user-groups" {
			t.Errorf("%s: the alias %q arrives", name, key)
		}
	}
	if len(trailer) > 0 {
		t.Errorf("%s: trailers arrive: %q", name, trailer)
	}
}

func dialTLS(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos = []string{"http/1.1"}
	config.ServerName = "example.com"
	conn, err := tlsDial(t.Context(), server.Listener.Addr().String(), config)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestScrubDoesNotAllocateWhereNothingIsOurs(t *testing.T) {
	req, o := browserRequest(), tenOwned(t)
	if n := testing.AllocsPerRun(100, func() { o.Scrub(req) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { o.ScrubCredentials(req) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if len(req.Header) != 20 {
		t.Errorf("%d headers are left", len(req.Header))
	}
}

func TestOwnsTellsWhatAContractMayWrite(t *testing.T) {
	c := mustCompile(t, Definition{
		Headers:     []HeaderDefinition{{Name: "SM_USER", Claim: "u", Exact: true}, {Name: "X-Groups", Claim: "g", OnOverflow: "split"}},
		HeadersFrom: []HeadersFrom{{Prefix: "X-Claim-", Claims: []string{"a"}}},
	}, Target{Header: "Authorization"}, Target{Cookie: "app_token"})
	want := []ReservedName{
		{Name: "Authorization", Canonical: "authorization", Kind: ReservedHeader, Token: true},
		{Name: "SM_USER", Canonical: "sm-user", Kind: ReservedHeader, Exact: true},
		{Name: "X-Claim-a", Canonical: "x-claim-a", Kind: ReservedHeader},
		{Name: "X-Groups", Canonical: "x-groups", Kind: ReservedHeader},
		{Name: "X-Claim-", Canonical: "x-claim-", Kind: ReservedPrefix},
		{Name: "X-Groups", Canonical: "x-groups", Kind: ReservedParts},
		{Name: "app_token", Canonical: "app-token", Kind: ReservedCookie, Token: true},
	}
	if got := c.Reserved(); !reflect.DeepEqual(got, want) {
		t.Errorf("owns %+v", got)
	}
	o := NewReservedNames(c, c, nil)
	if got := o.Names(); !reflect.DeepEqual(got, want) {
		t.Errorf("the union with itself owns %+v", got)
	}
	for i, kind := range []string{"header", "prefix", "parts", "cookie"} {
		if NameKind(i).String() != kind {
			t.Errorf("kind %d is called %s", i, NameKind(i))
		}
	}
}

func TestTheIncomingTokenIsSparedUntilItIsRead(t *testing.T) {
	c := mustCompile(t, header1(HeaderDefinition{}), Target{Header: "Authorization"}, Target{Header: "X-Token"}, Target{Cookie: "session"})
	o, err := NewReservedNames(c).Except(Sources{Headers: []string{"authorization", "X-Elsewhere"}, Cookies: []string{"session", "other"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := o.CredentialHeaders(); !slices.Equal(got, []string{"Authorization", "X-Elsewhere", "Cookie"}) {
		t.Errorf("spared are %q", got)
	}
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header = http.Header{
		"Authorization": {"Bearer t"}, "X-Token": {"forged"}, "X_token": {"forged"}, "X-Elsewhere": {"t"},
		"Cookie": {"a=1; session=t; SESSION=forged; s=2"},
	}
	if n := o.Scrub(req); n != 3 {
		t.Errorf("%d removed", n)
	}
	want := http.Header{"Authorization": {"Bearer t"}, "X-Elsewhere": {"t"}, "Cookie": {"a=1; session=t; s=2"}}
	if !reflect.DeepEqual(req.Header, want) {
		t.Errorf("before the token is read: %q", req.Header)
	}
	if n := o.ScrubCredentials(req); n != 3 {
		t.Errorf("%d removed", n)
	}
	want = http.Header{"Cookie": {"a=1; s=2"}} // A16: a place that is only read is owned too
	if !reflect.DeepEqual(req.Header, want) {
		t.Errorf("after it: %q", req.Header)
	}

	for _, name := range []string{"X-User", "x_user"} {
		if _, err := NewReservedNames(c).Except(Sources{Headers: []string{name}}); err == nil {
			t.Errorf("tokens may be read from %s, which claims are written to", name)
		}
	}
	claims := NewReservedNames(mustCompile(t, Definition{
		Headers:     []HeaderDefinition{{Name: "X-Parts", Claim: "p", OnOverflow: "split"}},
		HeadersFrom: []HeadersFrom{{Prefix: "X-Claim-"}},
	}))
	for _, name := range []string{"X-Claim-Token", "X-Parts-1"} {
		if _, err := claims.Except(Sources{Headers: []string{name}}); err == nil {
			t.Errorf("tokens may be read from %s, which claims are written to", name)
		}
	}
}

// A16: an alias of a header that a token is read from is gone, and has made the
// header one that stands twice.
func TestAliasOfAReadHeaderIsASecondToken(t *testing.T) {
	o, err := NewReservedNames().Except(Sources{Headers: []string{"X-Auth-Token", "Authorization", "x_auth.key"}, Cookies: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ in, want http.Header }{
		{http.Header{"X-Auth-Token": {"t"}, "X-Other": {"1"}}, http.Header{"X-Auth-Token": {"t"}, "X-Other": {"1"}}},
		{http.Header{"X-Auth-Token": {"t"}, "X!auth!token": {"f"}, "X_AUTH_TOKEN": {"f"}}, http.Header{"X-Auth-Token": {"t", ""}}},
		{http.Header{"X!auth!token": {"f", "g"}}, http.Header{"X-Auth-Token": {"", ""}}},
		{http.Header{"X-Auth-Token": {"t", "u", "v"}, "X!auth!token": {"f"}}, http.Header{"X-Auth-Token": {"t", "u", "v"}}},
		{http.Header{"X-Auth-Key": {"f"}, "X_auth.key": {"t"}}, http.Header{"X_auth.key": {"t", ""}}},
		{http.Header{"Authorization": {"Basic x"}, "Authorization-": {"f"}}, http.Header{"Authorization": {"Basic x"}, "Authorization-": {"f"}}},
	} {
		r := &http.Request{Header: tc.in.Clone()}
		shared := r.Header["X-Auth-Token"]
		o.Scrub(r)
		if !reflect.DeepEqual(r.Header, tc.want) {
			t.Errorf("%q becomes %q, want %q", tc.in, r.Header, tc.want)
		}
		if !slices.Equal(shared, tc.in["X-Auth-Token"]) {
			t.Errorf("the caller's slice was edited: %q", shared)
		}
	}
	r := &http.Request{Header: http.Header{"X-Auth-Token": {"t"}, "X_auth.key": {"k"}, "Cookie": {"a=1; t=x"}}}
	o.ScrubCredentials(r, token.Place{Kind: token.Header, Name: "X-Auth-Token"})
	if want := (http.Header{"X-Auth-Token": {"t"}, "Cookie": {"a=1"}}); !reflect.DeepEqual(r.Header, want) {
		t.Errorf("left is %q", r.Header)
	}
	if _, err := NewReservedNames().Except(Sources{Headers: []string{strings.Repeat("x", maxNameBytes+1)}}); !errors.Is(err, errHeaderName) {
		t.Errorf("a name that is too long: %v", err)
	}
}

func TestSparedPlacesCostNoAllocation(t *testing.T) {
	o, err := tenOwned(t).Except(Sources{Headers: []string{"X-Auth-Token"}, Cookies: []string{"session"}})
	if err != nil {
		t.Fatal(err)
	}
	r := browserRequest()
	place := token.Place{Kind: token.Cookie, Name: "session"}
	if n := testing.AllocsPerRun(100, func() {
		o.Scrub(r)
		o.ScrubCredentials(r, place)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if !strings.Contains(r.Header.Get("Cookie"), "session=") {
		t.Errorf("left is %q", r.Header.Get("Cookie"))
	}
}

func TestASignedTokenReplacesWhatStoodAtItsTarget(t *testing.T) {
	req := httptest.NewRequest(http.MethodGet, "/", nil)
	req.Header.Set("Authorization", "Basic x")
	if err := (Target{Header: "authorization"}).Write(req, "Bearer abc"); err != nil || !slices.Equal(req.Header["Authorization"], []string{"Bearer abc"}) {
		t.Errorf("%v, %q", err, req.Header)
	}
	if err := (Target{Cookie: "token"}).Write(req, "abc"); err != nil || !slices.Equal(req.Header["Cookie"], []string{"token=abc"}) {
		t.Errorf("%v, %q", err, req.Header)
	}
	for _, value := range []string{"a\nb", "ü", " a"} {
		if err := (Target{Header: "X-Token"}).Write(req, value); err == nil {
			t.Errorf("writes %q", value)
		}
		if err := (Target{Cookie: "token"}).Write(req, value); err == nil {
			t.Errorf("writes the cookie %q", value)
		}
	}
}

func FuzzScrub(f *testing.F) {
	f.Add("X_User.Groups-7", "close, X-User", "app_token=1; a=b", "X-Claim-Z")
	f.Add("x-mail", "upgrade", "app%2Etoken=1", "Accept")
	f.Add("SM-USER", ",", "a=\"; app.token=1", "X-User-Groups-1")
	o := reservedNames(f)
	f.Fuzz(func(t *testing.T, name, connection, cookie, other string) {
		req := &http.Request{Header: http.Header{"Accept": {"*/*"}}, Trailer: http.Header{name: nil}}
		req.Header[name] = []string{"1"}
		req.Header[other] = []string{"2"}
		req.Header["Connection"] = []string{connection}
		req.Header["Cookie"] = []string{cookie}
		o.Scrub(req)
		for key := range req.Header {
			if o.Contains(key) {
				t.Errorf("%q is left", key)
			}
			canonical := Canonicalize(key)
			for _, n := range o.Names() {
				if n.Kind != ReservedCookie && covers(n, key) {
					t.Errorf("%q, which folds to %q, is left", key, canonical)
				}
			}
		}
		for _, c := range cookiesOf(req) {
			if Canonicalize(c) == "app-token" {
				t.Errorf("the cookie %q is left of %q", c, cookie)
			}
		}
		for option := range strings.SplitSeq(strings.Join(req.Header["Connection"], ","), ",") {
			switch strings.ToLower(strings.Trim(option, " \t")) {
			case "", "upgrade", "close", "keep-alive":
			default:
				t.Errorf("Connection keeps %q", option)
			}
		}
		if req.Trailer != nil {
			t.Error("trailers are left")
		}
		before := fmt.Sprint(req.Header)
		if o.Scrub(req) != 0 || fmt.Sprint(req.Header) != before {
			t.Error("a second scrub finds more")
		}
	})
}

// Behind an upgrade to another HTTP a client could send requests of its own.
func TestUpgradesThatCarryRequestsAreDropped(t *testing.T) {
	for _, tc := range []struct {
		in   []string
		kept bool
	}{
		{[]string{"websocket"}, true},
		{[]string{"WebSocket"}, true},
		{[]string{"tcp"}, true},
		{[]string{"h2c"}, false},
		{[]string{"H2C"}, false},
		{[]string{"h2c-14"}, false},
		{[]string{"h2"}, false},
		{[]string{"HTTP/2.0"}, false},
		{[]string{"TLS/1.0"}, false},
		{[]string{"SPDY/3.1"}, false},
		{[]string{"websocket, h2c"}, false},
		{[]string{"websocket,\th2c "}, false},
		{[]string{"websocket", "h2c"}, false},
		{[]string{",,h2c"}, false},
	} {
		r := &http.Request{Header: http.Header{"Upgrade": slices.Clone(tc.in), "Http2-Settings": {"AAMAAABkAAQAAP__"}}}
		(*ReservedNames)(nil).Scrub(r)
		if _, there := r.Header["Upgrade"]; there != tc.kept {
			t.Errorf("%q: kept %v, want %v", tc.in, there, tc.kept)
		}
		if _, there := r.Header["Http2-Settings"]; there {
			t.Errorf("%q leaves HTTP2-Settings", tc.in)
		}
	}
}

// What the client sends into a tunnel is written to an HTTP/1 application as it
// stands, between two requests of ours.
func TestWhatFollowsConnectIsDropped(t *testing.T) {
	for _, tc := range []struct {
		name, method, proto string
		major               int
		header              http.Header
		kept                bool
	}{
		{"HTTP/1.1", "CONNECT", "HTTP/1.1", 1, http.Header{}, false},
		{"HTTP/2", "CONNECT", "HTTP/2.0", 2, http.Header{}, false},
		{"HTTP/3", "CONNECT", "HTTP/3.0", 3, http.Header{}, false},
		{"another protocol over HTTP/2", "CONNECT", "HTTP/2.0", 2, http.Header{":protocol": {"connect-udp"}}, false},
		{"another protocol over HTTP/3", "CONNECT", "connect-udp", 3, http.Header{}, false},
		{"a name that HTTP/3 does not use", "CONNECT", "HTTP/3.0", 3, http.Header{":protocol": {"websocket"}}, false},
		{"a WebSocket over HTTP/2", "CONNECT", "HTTP/2.0", 2, http.Header{":protocol": {"websocket"}}, true},
		{"a WebSocket over HTTP/3", "CONNECT", "websocket", 3, http.Header{}, true},
		{"another method", "POST", "HTTP/2.0", 2, http.Header{}, true},
	} {
		tc.header.Set("Content-Length", "5")
		body := io.NopCloser(strings.NewReader("hello"))
		r := &http.Request{Method: tc.method, Proto: tc.proto, ProtoMajor: tc.major, Header: tc.header, Body: body, ContentLength: -1, TransferEncoding: []string{"chunked"}}
		(*ReservedNames)(nil).Scrub(r)
		if tc.kept {
			if r.Body != body || r.ContentLength != -1 || r.TransferEncoding == nil || r.Header.Get("Content-Length") == "" {
				t.Errorf("%s: the body is gone", tc.name)
			}
		} else if r.Body != http.NoBody || r.ContentLength != 0 || r.TransferEncoding != nil || r.Header.Get("Content-Length") != "" {
			t.Errorf("%s: the body is left", tc.name)
		}
	}
}
