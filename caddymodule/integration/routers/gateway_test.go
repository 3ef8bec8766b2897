// Package routers tries the gateway before real routers of other makers: the
// same hostile spellings of paths go to each, and none may serve an area that
// the policy of that area refused to the caller (SECURITY P55). Caddy is one
// per process, so nothing here runs in parallel.
package routers

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/standard"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// The areas of every application. An answer of none serves nothing: the
// application knows no such path.
const (
	admin    = "admin"
	deletion = "delete" // what /admin/users/…/delete does, within admin
	public   = "public"
	other    = "other"
	none     = "none"
)

// form is a way in which a site protects areas.
type form struct {
	name   string
	site   string   // the site, with PROXY where it forwards
	user   []string // areas that are refused to a user who is no administrator
	nobody []string // areas that are refused without a token
}

// open forwards everything.
var open = form{name: "open", site: "token_enrich_scrub\nPROXY"}

// forms are the forms of policies that choose by path.
var forms = []form{
	{
		name: "before",
		site: "@admin path /admin /admin/*\ntoken_enrich @admin {\n" + administrators + "\n}\ntoken_enrich\nPROXY",
		user: []string{admin, deletion}, nobody: []string{admin, deletion, public, other},
	},
	{
		name: "deep",
		site: "@delete path /admin/users/*/delete /admin/users/*/delete/\ntoken_enrich @delete {\n" + administrators + "\n}\ntoken_enrich\nPROXY",
		user: []string{deletion}, nobody: []string{admin, deletion, public, other},
	},
	{
		name: "regexp",
		site: "@admin path_regexp ^/admin(/|$)\ntoken_enrich @admin {\n" + administrators + "\n}\ntoken_enrich\nPROXY",
		user: []string{admin, deletion}, nobody: []string{admin, deletion, public, other},
	},
	{
		name:   "not",
		site:   "@private not path /public /public/*\ntoken_enrich @private\nPROXY",
		nobody: []string{admin, deletion, other},
	},
	{
		name: "require-not",
		site: "token_enrich {\nrequire `token.role == \"admin\" OR !(request.path == \"/admin\" OR String.startsWith(request.path, \"/admin/\"))`\n}\nPROXY",
		user: []string{admin, deletion}, nobody: []string{admin, deletion, public, other},
	},
	{
		name: "require",
		site: "token_enrich {\nanonymous\nrequire `token.role == \"admin\" OR request.path == \"/public\" OR String.startsWith(request.path, \"/public/\")`\n}\nPROXY",
		user: []string{admin, deletion, other}, nobody: []string{admin, deletion, other},
	},
	{
		name: "handle",
		site: "@admin token_enrich_path /admin /admin/*\nhandle @admin {\ntoken_enrich {\n" + administrators + "\n}\nPROXY\n}\nhandle {\ntoken_enrich\nPROXY\n}",
		user: []string{admin, deletion}, nobody: []string{admin, deletion, public, other},
	},
	{
		name:   "handle-not",
		site:   "@public token_enrich_path /public /public/*\nhandle @public {\ntoken_enrich_scrub\nPROXY\n}\nhandle {\ntoken_enrich\nPROXY\n}",
		nobody: []string{admin, deletion, other},
	},
}

const administrators = "require `token.role == \"admin\"`"

// application is one router behind the gateway.
type application struct {
	name  string
	proxy string // how a site forwards to it
}

// nowhere is an application that is reached and serves nothing.
var nowhere = application{name: "nowhere", proxy: "respond area:none"}

// gateway is a running Caddy with a site for each form before each application.
type gateway struct {
	addr   string
	issuer *enrichtest.Provider
}

// startGateway runs a Caddy until the test ends.
func startGateway(t *testing.T, applications []application) *gateway {
	t.Helper()
	g := &gateway{addr: cachetest.FreeAddr(t), issuer: enrichtest.NewProvider(t)}
	_, port, err := net.SplitHostPort(g.addr)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	fmt.Fprintf(&text, `{
	admin off
	auto_https off
	storage file_system %s
	log {
		output discard
	}
	servers {
		protocols h1
	}
	token_enrich {
		issuer %s {
			audience app
			timeout 30s
		}
	}
}
`, t.TempDir(), g.issuer.Issuer())
	for _, a := range applications {
		for _, f := range slices.Concat([]form{open}, forms) {
			fmt.Fprintf(&text, "http://%s {\nbind 127.0.0.1\n%s\n}\n", g.host(f, a)+":"+port, strings.ReplaceAll(f.site, "PROXY", a.proxy))
		}
	}
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	config, _, err := adapter.Adapt([]byte(text.String()), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(config, true); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}

// host is the host of the site that protects an application in a form.
func (g *gateway) host(f form, a application) string { return f.name + "." + a.name + ".test" }

// token is a good token of a user, or of an administrator.
func (g *gateway) token(role string) string {
	return g.issuer.Mint(enrichtest.Claims{"sub": "ada", "aud": "app", "client_id": "browser", "role": role})
}
