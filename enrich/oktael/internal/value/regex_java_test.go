package value

import "testing"

func TestCheckJavaRefusesWhatReadsOtherwiseInRE2(t *testing.T) {
	for _, p := range []string{"[a-z&&[^b]]", "[a-c[x-z]]", "[^a[b]]", "(?U)a", "(?iU:a)", `[\]&&a]`, "[[:alpha:]]", "[]a[b]"} {
		if CheckJava(p) == nil {
			t.Errorf("%s: no error", p)
		}
	}
	for _, p := range []string{
		"", "^[a-z0-9_-]{3,16}$", ".*groupA.*|.*groupB.*", "a&&b", "(?i)a", "(?<U>a)", "(?P<U>a)", `\[a[b]`, `[\[]`,
		`\Q[a[b]\E`, `[a]b[c]`, "[]a]", "[^]a]", `[\Q[\E]`,
	} {
		if err := CheckJava(p); err != nil {
			t.Errorf("%s: %v", p, err)
		}
	}
}
