package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
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
			app := provisioned(t, `{
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
			for _, f := range app.attributeFindings() {
				texts = append(texts, f.Where+": "+f.Text)
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
