package check

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

func TestCheckNamesAttributesThatNoDirectoryKeeps(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct {
		name, profile, attributes string
		want                      string
	}{
		{"all are kept", "department: X", "", ""},
		{"the one that is read is kept", "department: X", "attributes department", ""},
		{"nobody has any", "", "", ""},
		{"everybody has another", "departments: X", "", `user.department is always null: no directory has an attribute of that name (did you mean "departments"?)`},
		{"another is kept", "department: X", "attributes departement", `user.department is always null: no directory has an attribute of that name (did you mean "departement"?)`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			people := filepath.Join(dir, strings.ReplaceAll(tc.name, " ", "-")+".yaml")
			if err := os.WriteFile(people, []byte("users:\n  - { id: u1, profile: { "+tc.profile+" } }\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			app, _ := loaded(t, `{
	admin off
	token_enrich {
		issuer https://idp.example.com {
			audience x
			jwks_url https://idp.example.com/keys
		}
		directory file `+people+` {
			`+tc.attributes+`
		}
	}
}
http://localhost {
	token_enrich {
		claim d user.department
		require "user.profile.department != 'Sales'"
		claim login user.login
	}
}
`)
			var texts []string
			c := newChecker(app)
			c.attributes()
			for _, w := range c.list {
				texts = append(texts, w.Where+": "+w.Text)
			}
			want := ""
			if tc.want != "" {
				want = "claim d: " + tc.want + "\nrequire: " + tc.want
			}
			if got := strings.Join(texts, "\n"); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestCheckNamesAttributesThatNoAppHas(t *testing.T) {
	people := filepath.Join(t.TempDir(), "people.yaml")
	if err := os.WriteFile(people, []byte(`users:
  - { id: u1, login: one }
  - { id: u2, login: ONE }
apps:
  - id: payroll
    attributes: { region: eu }
    profile: { groupallowlist: [g], maxLimit: 1 }
    users:
      - { id: u1, profile: { role: admin } }
`), 0o600); err != nil {
		t.Fatal(err)
	}
	app, _ := loaded(t, `{
	admin off
	token_enrich {
		issuer https://idp.example.com {
			audience x
			jwks_url https://idp.example.com/keys
		}
		directory file `+people+`
	}
}
http://localhost {
	token_enrich {
		claim good `+"`{app.profile.maxLimit, app.region, app.label, appuser.role, appuser.profile.role, appuser.userName}`"+`
		claim whole app.profile
		claim limit app.maxLimit
		claim groups allow_list expression app.profile.groupalowlist
		claim rol appuser.profile.rol
		require "appuser.roles == 'admin'"
	}
}
`)
	var texts []string
	for _, w := range Warnings(app, nil) {
		texts = append(texts, w.String())
	}
	const lacks = " is always null: no directory has an attribute of that name"
	for _, want := range []string{
		"directory file: names shared by two users, which match neither: 1",
		"policy policy-1: claim limit: app.maxLimit" + lacks,
		"policy policy-1: claim groups: app.profile.groupalowlist" + lacks + ` (did you mean "profile.groupallowlist"?)`,
		"policy policy-1: claim rol: appuser.rol" + lacks + ` (did you mean "role"?)`,
		"policy policy-1: require: appuser.roles" + lacks + ` (did you mean "role"?)`,
	} {
		if !slices.Contains(texts, want) {
			t.Errorf("no warning %q", want)
		}
	}
	if len(texts) != 5 {
		t.Errorf("the warnings are %q", texts)
	}
}

func TestCheckNamesWhatNoDirectoryIsThereFor(t *testing.T) {
	app, _ := loaded(t, `{
	admin off
	token_enrich {
		issuer https://idp.example.com {
			audience x
			jwks_url https://idp.example.com/keys
		}
	}
}
http://localhost {
	token_enrich {
		claim d user.department
		claim s token.sub
	}
}
`)
	want := caddymodule.Warning{Policy: "policy-1", Where: "claim d", Text: "user.department is always null: no directory is configured"}
	c := newChecker(app)
	c.attributes()
	if got := c.list; len(got) != 1 || got[0] != want {
		t.Errorf("got %v, want %v", got, want)
	}
}
