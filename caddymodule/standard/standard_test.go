package standard_test

import (
	"slices"
	"testing"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/standard"
)

// The ordinary build imports this package alone, so each module and command of
// the gateway must come with it.
func TestTheOrdinaryBuildHasEveryModule(t *testing.T) {
	for _, id := range []string{
		"token_enrich", "admin.api.token_enrich", "http.matchers.token_enrich_path", "http.reverse_proxy.transport.token_enrich",
		"http.handlers.token_enrich", "http.handlers.token_enrich_hook", "http.handlers.token_enrich_jwks", "http.handlers.token_enrich_ready", "http.handlers.token_enrich_scrub",
		"token_enrich.directories.file", "token_enrich.directories.http", "token_enrich.directories.ldap", "token_enrich.directories.okta",
		"token_enrich.directories.scim", "token_enrich.directories.sql", "token_enrich.directories.userinfo",
	} {
		if _, err := caddy.GetModule(id); err != nil {
			t.Error(err)
		}
	}
}

func TestTheOrdinaryBuildHasEveryCommand(t *testing.T) {
	registered, ok := caddycmd.Commands()["token-enrich"]
	if !ok {
		t.Fatal("there is no command token-enrich")
	}
	cmd := &cobra.Command{Use: registered.Name}
	registered.CobraFunc(cmd)
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	slices.Sort(names)
	if want := []string{"check", "deny", "eval", "explain", "keys", "purge", "selftest", "undeny"}; !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}
