package forward

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestTheCommonNameIsReadFromADN(t *testing.T) {
	for _, tc := range []struct{ dn, want string }{
		{"CN=Admins,OU=Groups,DC=example,DC=com", "Admins"},
		{"cn=admins", "admins"},
		{"2.5.4.3=admins,dc=x", "admins"},
		{"CN = Domain Admins , OU=x", "Domain Admins"},
		{`CN=Lovelace\, Ada,OU=x`, "Lovelace, Ada"},
		{`CN=L\2C\20A,OU=x`, "L, A"},
		{`CN=\C3\86r\C3\B8,OU=x`, "Ærø"},
		{`CN=\ spaced\ ,OU=x`, " spaced "},
		{`CN=a\\b\+c\"d,OU=x`, `a\b+c"d`},
		{`CN="Lovelace, Ada",OU=x`, "Lovelace, Ada"},
		{`CN="a\"b" ,OU=x`, `a"b`},
		{"CN=a;OU=x", "a"},
		{"OU=Sales+CN=J. Smith,DC=x", "J. Smith"},
		{"uid=ada+cn=Ada,dc=x", "Ada"},
		{"CN=a=b,DC=x", "a=b"},
		{"CN=Æ日本🙂,DC=x", "Æ日本🙂"},
		{"CN=#sharp", ""}, // BER in hex
		{`CN=\#sharp`, "#sharp"},
		{"uid=ada,cn=users,dc=x", ""},
		{"OU=x,CN=y", ""},
		{"CN=", ""},
		{"CN=,DC=x", ""},
		{"admins", ""},
		{"", ""},
		{"=a", ""},
		{"C N=a", ""},
		{`CN=a\`, ""},
		{`CN=a\z`, ""},
		{`CN="a`, ""},
		{`CN="a"b,DC=x`, ""},
		{`CN=a"b`, ""},
		{"CN=a<b", ""},
		{`CN=\FF,DC=x`, ""},
		{"CN=a\x00b", ""},
	} {
		if got, ok := commonName(tc.dn); got != tc.want || ok != (tc.want != "") {
			if !ok && tc.want == "" {
				continue
			}
			t.Errorf("commonName(%q) = %q, %v, want %q", tc.dn, got, ok, tc.want)
		}
	}
}

func FuzzCommonName(f *testing.F) {
	for _, s := range []string{"a", "Lovelace, Ada", ` #+"<>;=\ `, "Æ🙂", "2C"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got, ok := commonName(name); ok && (got == "" || !utf8.ValidString(got)) {
			t.Fatalf("%q has the common name %q", name, got)
		}
		if name == "" || !utf8.ValidString(name) {
			return
		}
		// As RFC 4514, section 2.4, escapes: everything in hex, or the special
		// characters with a backslash.
		var inHex strings.Builder
		inHex.WriteString("ou=x+CN=")
		for i := range len(name) {
			inHex.WriteString(`\` + string(upperHex[name[i]>>4]) + string(upperHex[name[i]&15]))
		}
		inHex.WriteString(",dc=example")
		if got, ok := commonName(inHex.String()); !ok || got != name {
			t.Fatalf("%q reads as %q, %v", inHex.String(), got, ok)
		}
		escaped := strings.NewReplacer(
			`\`, `\\`, `"`, `\"`, `+`, `\+`, `,`, `\,`, `;`, `\;`, `<`, `\<`, `>`, `\>`, ` `, `\ `, `#`, `\#`, `=`, `\=`, "\x00", `\00`,
		).Replace(name)
		if got, ok := commonName("cn=" + escaped + ",dc=example"); !ok || got != name {
			t.Fatalf("%q reads as %q, %v", escaped, got, ok)
		}
	})
}
