package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
)

func TestHookThatIsWrongInItselfDoesNotLoad(t *testing.T) {
	w := prepare(t)
	policy := "token_enrich\nrespond ok"
	for _, tc := range []struct{ name, hook, issuer, want string }{
		{"an unknown kind", "token_enrich_hook /x okta {\nissuer corp\n}", "", `unknown hook kind "okta"; want backchannel_logout`},
		{"a misspelt kind", "token_enrich_hook /x backchanel_logout {\nissuer corp\n}", "", `did you mean "backchannel_logout"`},
		{"no kind", "token_enrich_hook /x", "", "takes a path and a hook kind"},
		{"no path", "token_enrich_hook", "", "takes a path and a hook kind"},
		{"too much", "token_enrich_hook /x backchannel_logout corp", "", "takes a path and a hook kind"},
		{"a path without a slash", "token_enrich_hook x backchannel_logout {\nissuer corp\n}", "", "the path must begin with a slash"},
		{"no issuer", "token_enrich_hook /x backchannel_logout", "", "issuer is missing"},
		{"an unknown issuer", "token_enrich_hook /x backchannel_logout {\nissuer crop\n}", "", `no issuer is named "crop" (did you mean "corp"?)`},
		{"an unknown option", "token_enrich_hook /x backchannel_logout {\nissuers corp\n}", "", `has no option "issuers" (did you mean "issuer"?)`},
		{"a duplicate option", "token_enrich_hook /x backchannel_logout {\nissuer corp\nissuer corp\n}", "", "duplicate option"},
		{"any audience", "token_enrich_hook /x backchannel_logout {\nissuer corp\n}", "any", "audience is required"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			global := w.issuerBlock("")
			if tc.issuer == "any" {
				global = strings.Replace(global, "audience "+audience, "any_audience", 1)
			}
			err := w.tryLoad(tc.hook+"\n"+policy, global)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error that says %s", err, tc.want)
			}
		})
	}
	config, err := adapt(w.caddyfile("token_enrich_hook /x backchannel_logout {\nissuer corp\n}\n"+policy, w.issuerBlock("")))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ name, old, new, want string }{
		{"an unknown kind in JSON", `"kind":"backchannel_logout"`, `"kind":"okta"`, `unknown hook kind "okta"; want backchannel_logout`},
		{"no kind in JSON", `"kind":"backchannel_logout",`, ``, "want backchannel_logout"},
		{"no path in JSON", `"path":"/x"`, `"path":""`, "the path must begin with a slash"},
		{"no issuer in JSON", `"issuer":"corp",`, ``, "issuer is missing"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(string(config), tc.old, tc.new, 1)
			if text == string(config) {
				t.Fatalf("the configuration lacks %s: %s", tc.old, config)
			}
			if err := caddyLoad(text); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error that says %s", err, tc.want)
			}
		})
	}
}

func caddyLoad(config string) error { return caddy.Load([]byte(config), true) }

// Each Caddyfile of the two pages is whole, and loads.
func TestExamplesOfThePagesOnRevocationAndSendersLoad(t *testing.T) {
	pki := cachetest.NewPKI(t)
	t.Setenv("INTROSPECT_SECRET", "secret")
	for page, want := range map[string]int{"revocation": 3, "sender-constraints": 2} {
		text, err := os.ReadFile("../../docs/" + page + ".md")
		if err != nil {
			t.Fatal(err)
		}
		w := prepare(t)
		blocks := strings.Split(string(text), "```caddyfile\n")[1:]
		if len(blocks) != want {
			t.Errorf("%s has %d examples, want %d", page, len(blocks), want)
		}
		for n, block := range blocks {
			source, _, _ := strings.Cut(block, "```")
			if formatted := string(caddyfile.Format([]byte(source))); formatted != source {
				t.Errorf("%s, example %d is not formatted; formatted it is\n%s", page, n+1, formatted)
			}
			source = strings.NewReplacer("/etc/caddy/clients-ca.pem", pki.CA, "./directory.yaml", w.directory).Replace(source)
			head, ok := strings.CutPrefix(source, "{\n")
			if !ok {
				t.Fatalf("%s, example %d has no global options", page, n+1)
			}
			if err := validate(t, head); err != nil {
				t.Errorf("%s, example %d: %v", page, n+1, err)
			}
		}
	}
}
