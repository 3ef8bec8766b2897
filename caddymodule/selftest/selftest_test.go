package selftest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// selftestOf runs a selftest of a Caddyfile's sites with a good token.
func selftestOf(t *testing.T, sites, host, path string, claims ...enrichtest.Claims) (*Report, error) {
	t.Helper()
	issuer := enrichtest.NewProvider(t)
	file := filepath.Join(t.TempDir(), "Caddyfile")
	text := fmt.Sprintf("{\n\tadmin 127.0.0.1:1\n\tauto_https off\n\ttoken_enrich {\n\t\tissuer %s {\n\t\t\tname corp\n\t\t\taudience x\n\t\t\tlogin {\n\t\t\t\tclient_id gateway\n\t\t\t}\n\t\t}\n\t\tsigning {\n\t\t\tissuer https://gateway.example.com\n\t\t}\n\t}\n}\n%s", issuer.Issuer(), sites)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, _, _, err := caddycmd.LoadConfig(file, "caddyfile")
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	all := enrichtest.Claims{"sub": "ada", "aud": "x", "client_id": "app", "groups": []string{"a", "b"}}
	for _, c := range claims {
		maps.Copy(all, c)
	}
	v, err := Run(t.Context(), config, Options{Site: host, Path: path, Token: issuer.Mint(all)})
	if v != nil {
		t.Logf("%d requests, %d reached, %d spellings, refused %v, %d passed", v.Requests, v.Reached, v.Spellings, v.Refused, len(v.Bypasses)+v.More)
	}
	return v, err
}

// has reports whether something got through that fits; empty fields fit all.
func (v *Report) has(want Bypass) bool {
	fits := func(want, got string) bool { return want == "" || want == got }
	for _, p := range v.Bypasses {
		if fits(want.Kind, p.Kind) && fits(want.Protocol, p.Protocol) && fits(want.Path, p.Path) && fits(want.Section, p.Section) &&
			fits(want.Sent, p.Sent) && fits(want.Upstream, p.Upstream) && fits(want.Arrived, p.Arrived) && want.Token == p.Token {
			return true
		}
	}
	return false
}

const selftested = `
http://a.example {
	token_enrich /in/* {
		name in
		header X-User sub
		header X-Groups groups
		headers_from X-Claim- client_id
	}
	token_enrich /minted/* {
		name minted
		anonymous
		token_from header X-Token
		token {
			audience app
			header cookie my_session
		}
	}
	token_enrich {
		name rest
		anonymous
		header SM_USER sub {
			exact
		}
		header X-Long groups {
			max_bytes 3
			on_overflow split
		}
	}
	handle /in/* {
		reverse_proxy https://app.example
	}
	handle /php/* {
		root * /nowhere
		php_fastcgi php.example:9000 {
			index off
		}
	}
	handle {
		reverse_proxy other.example:80
	}
	handle_errors {
		reverse_proxy pages.example:80
	}
}
`

func TestSelftestFindsNothingInAGoodConfiguration(t *testing.T) {
	v, err := selftestOf(t, selftested, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range v.Bypasses {
		t.Errorf("got through: %+v", p)
	}
	if !v.Accepted {
		t.Errorf("the token was not accepted: %s", v.Answer)
	}
	if v.Reached < v.Requests/2 {
		t.Errorf("only %d of %d requests reached an application", v.Reached, v.Requests)
	}
	for what, n := range v.Refused {
		t.Errorf("%d requests were refused: %s", n, what)
	}
	if v.Spellings < 500 {
		t.Errorf("only %d spellings", v.Spellings)
	}
}

func TestSelftestFindsWhatGetsThrough(t *testing.T) {
	const policy = "\ttoken_enrich /in/* {\n\t\tanonymous\n\t\theader X-User sub\n\t}\n"
	for _, tc := range []struct {
		name, site string
		want       []Bypass
	}{
		{
			"a proxy in a site without a policy", policy + "\treverse_proxy app:80\n}\nhttp://b.example {\n\treverse_proxy /early/* early:80",
			[]Bypass{
				{Kind: "passed", Protocol: protocol1, Path: "/early/selftest", Section: "header", Sent: "X-User", Upstream: "early:80", Arrived: "X-User"},
				{Kind: "passed", Protocol: protocol2, Path: "/early/selftest", Section: "header", Sent: "x~user"},
				{Kind: "passed", Protocol: protocol2, Path: "/early/selftest", Section: "header", Sent: "x+user", Token: true},
				{Kind: "passed", Protocol: protocol1, Path: "/early/selftest", Section: "trailer", Sent: "X-User"},
				{Kind: "passed", Protocol: protocol2, Path: "/early/selftest", Section: "announced trailer", Sent: "x-user"},
			},
		},
		{
			"a FastCGI application in a site without a policy", policy + "\treverse_proxy app:80\n}\nhttp://b.example {\n\tphp_fastcgi /early/* php:9000 {\n\t\tindex off\n\t}\n\treverse_proxy /early/* {\n\t\tto php:9000\n\t\ttransport fastcgi\n\t}",
			[]Bypass{{Kind: "passed", Path: "/early/selftest", Section: "header", Sent: "X-User", Upstream: "php:9000", Arrived: "X-User"}},
		},
		{
			"an error page of a site without a policy", policy + "\treverse_proxy app:80\n}\nhttp://b.example {\n\tbasic_auth /early/* {\n\t\tada $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n\t}\n\thandle_errors {\n\t\treverse_proxy pages:80\n\t}",
			[]Bypass{{Kind: "passed", Path: "/early/selftest", Section: "header", Sent: "X-User", Upstream: "pages:80"}},
		},
		{
			"an answer made of a header", "route {\n\trespond /early/* {header.X-User}\n" + policy + "\treverse_proxy app:80\n}",
			[]Bypass{{Kind: "answered", Path: "/early/selftest", Section: "header", Sent: "X-User", Arrived: "body"}},
		},
		{
			"a header copied before the policy", "route {\n\trequest_header X-Copy {header.X-User}\n" + policy + "\treverse_proxy app:80\n}",
			[]Bypass{{Kind: "passed", Path: "/in/selftest", Section: "header", Sent: "X-User", Arrived: "X-Copy", Token: true}},
		},
		{
			"a header of ours that is named in Connection behind the policy", "@up header Upgrade *\n\troute {\n" + policy + "\trequest_header @up Connection \"Upgrade, X-User\"\n\treverse_proxy app:80\n}",
			[]Bypass{{Kind: "lost", Protocol: protocol1, Path: "/in/selftest", Section: "upgrade", Arrived: "x-user", Token: true}},
		},
		{
			"a header of ours that is written once more", "@up header Upgrade *\n\troute {\n" + policy + "\trequest_header @up +X-User again\n\treverse_proxy app:80\n}",
			[]Bypass{{Kind: "doubled", Protocol: protocol1, Path: "/in/selftest", Section: "upgrade", Arrived: "x-user", Token: true}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := selftestOf(t, "http://a.example {\n\t"+tc.site+"\n}\n", "", "")
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range tc.want {
				if !v.has(p) {
					t.Errorf("%+v is not among %d that got through", p, len(v.Bypasses))
				}
			}
			for _, p := range v.Bypasses {
				if p.Kind == "passed" && !strings.HasPrefix(p.Path, "/early") && p.Arrived != "X-Copy" {
					t.Errorf("got through: %+v", p)
				}
			}
		})
	}
}

// A15, A16: cookies that tokens are written to and those that they are read from
// are tried in every spelling that some framework reads as the cookie itself.
func TestSelftestTriesCookiesThatAreWrittenOrRead(t *testing.T) {
	const site = `http://a.example {
	route {
		token_enrich /in/* {
			token_from cookie gw_token
			token_from header X-Auth-Token
			upstream_token keep
			header X-User sub
			token {
				audience app
				header cookie own_token
			}
		}
		reverse_proxy app:80
	}
}
http://b.example {
	reverse_proxy /early/* early:80
}
`
	v, err := selftestOf(t, site, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []string{protocol1, protocol2} {
		for _, name := range []string{"gw_token", "own_token"} {
			for _, sent := range []string{name, "\xa0" + name, name + "[x]", "=" + name, strings.ReplaceAll(name, "_", ".")} {
				if !v.has(Bypass{Kind: "passed", Protocol: protocol, Path: "/early/selftest", Section: "cookie", Sent: sent, Upstream: "early:80", Arrived: "Cookie"}) {
					t.Errorf("%s: %q in a site without a policy is not among %d that got through", protocol, sent, len(v.Bypasses)+v.More)
				}
			}
		}
		if !v.has(Bypass{Kind: "passed", Protocol: protocol, Path: "/early/selftest", Section: "header", Sent: "x!auth!token", Upstream: "early:80"}) && protocol == protocol2 {
			t.Errorf("%s: an alias of the token's header in a site without a policy is not among %d that got through", protocol, len(v.Bypasses)+v.More)
		}
	}
	for _, p := range v.Bypasses {
		if !strings.HasPrefix(p.Path, "/early") {
			t.Errorf("got through: %+v", p)
		}
	}
	if !v.Accepted || len(v.Refused) > 0 {
		t.Errorf("accepted %v, refused %v", v.Accepted, v.Refused)
	}
}

// The cookies of logins stay at the gateway, in every spelling (L5).
func TestSelftestTriesTheCookiesOfLogins(t *testing.T) {
	const site = `http://a.example {
	token_enrich {
		login corp
		external_url https://a.example
		header X-User sub
	}
	reverse_proxy app:80
}
`
	v, err := selftestOf(t, site, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range v.Bypasses {
		t.Errorf("got through: %+v", p)
	}
	for _, name := range []string{"__Host-token_enrich", "__Host-token_enrich_login"} {
		if !slices.Contains(v.Names, name) {
			t.Errorf("the cookie %s is not among the names that were tried: %v", name, v.Names)
		}
	}
	if !v.Accepted || len(v.Refused) > 0 {
		t.Errorf("accepted %v (%s), refused %v", v.Accepted, v.Answer, v.Refused)
	}
}

// What was not tried is said: a hole may be there.
func TestSelftestSaysWhatItDidNotTry(t *testing.T) {
	const policy = "token_enrich {\nheader X-User sub\n}\n"
	many := ""
	for i := range maxPaths + 3 {
		many += fmt.Sprintf("respond /p%d hello\n", i)
	}
	for _, tc := range []struct {
		name, site string
		want       []string
	}{
		{"nothing", "handle_path /a/* {\nreverse_proxy app:80 {\n@gone status 404\nhandle_response @gone {\nrespond 404\n}\n}\n}\n", nil},
		{"a policy's own matcher", "@debug header X-Debug *\nhandle /x {\ntoken_enrich @debug {\nname x\n}\n}\n", nil},
		{"a route of its own for a header", "@debug header X-Debug *\nhandle @debug {\nreverse_proxy app:80\n}\n", []string{"routes with header matchers were tested only"}},
		{"routes for a query, and not for an address", "@a query debug=1\n@b not remote_ip 10.0.0.0/8\nhandle @a {\nreverse_proxy app:80\n}\nhandle @b {\nrespond ok\n}\n", []string{"routes with query, remote_ip matchers were tested only"}},
		{"a route of its own for a method", "@post method POST\nhandle @post {\nreverse_proxy app:80\n}\n", []string{"routes with method matchers were tested only"}},
		{"too many paths", many, []string{"site a.example: 5 paths were not tested"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			config := map[string]any{}
			a := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
			text, _, err := a.Adapt([]byte("http://a.example {\n"+tc.site+"handle {\n"+policy+"reverse_proxy app:80\n}\n}\n"), nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(text, &config); err != nil {
				t.Fatal(err)
			}
			private := &privateConfig{folder: t.TempDir(), probes: newProbes()}
			t.Cleanup(private.probes.Close)
			if err := private.rewriteHTTP(jsontree.Object(config, "apps", "http")); err != nil {
				t.Fatal(err)
			}
			if len(private.notes) != len(tc.want) {
				t.Fatalf("the notes are %q, want %d", private.notes, len(tc.want))
			}
			for i, w := range tc.want {
				if !strings.Contains(private.notes[i], w) {
					t.Errorf("note %q, want %q in it", private.notes[i], w)
				}
			}
		})
	}
}

func TestSelftestTriesWhatIsChosen(t *testing.T) {
	const sites = "http://a.example, http://*.b.example {\n\ttoken_enrich {\n\t\theader X-User sub\n\t}\n\treverse_proxy app:80\n}\nhttp://c.example {\n\treverse_proxy open:80\n}\n"
	v, err := selftestOf(t, sites, "x.b.example:443", "/one")
	if err != nil {
		t.Fatal(err)
	}
	if v.Targets != 2 || len(v.Bypasses) != 0 {
		t.Errorf("%d targets, %d passed, want 2 and 0", v.Targets, len(v.Bypasses))
	}
	if v, err = selftestOf(t, sites, "c.example", ""); err != nil || !v.has(Bypass{Kind: "passed", Path: "/", Sent: "X-User", Section: "header"}) || v.Accepted {
		t.Errorf("a site without a policy: %+v, %v", v, err)
	}
	var unknown *UnknownSiteError
	if _, err = selftestOf(t, sites, "d.example", ""); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "a.example") {
		t.Errorf("an unknown site: %v", err)
	}
}

func TestSelftestSaysThatATokenProvesNothing(t *testing.T) {
	v, err := selftestOf(t, "http://a.example {\n\ttoken_enrich {\n\t\theader X-User sub\n\t}\n\treverse_proxy app:80\n}\n", "", "", enrichtest.Claims{"aud": "other"})
	if err != nil {
		t.Fatal(err)
	}
	if v.Accepted || !strings.Contains(v.Answer, "401") || !strings.Contains(v.Answer, "invalid_token") {
		t.Errorf("accepted %v, answer %q", v.Accepted, v.Answer)
	}
}

// TestSelftestReachesNothingReal proves that neither the addresses that a
// configuration listens on nor its upstreams are touched.
func TestSelftestReachesNothingReal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	touched := make(chan struct{}, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			_ = c.Close()
			touched <- struct{}{}
		}
	}()
	address := l.Addr().String()
	v, err := selftestOf(t, "http://"+address+" {\n\ttoken_enrich {\n\t\theader X-User sub\n\t}\n\treverse_proxy "+address+" {\n\t\thealth_uri /\n\t\thealth_interval 10ms\n\t}\n}\n", "", "")
	if err != nil {
		t.Fatal(err)
	}
	if !v.Accepted {
		t.Errorf("the token was not accepted: %s", v.Answer)
	}
	select {
	case <-touched:
		t.Error("the real application was asked")
	default:
	}
}
