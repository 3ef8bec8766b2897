package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// controls are characters that a reader could take for the end of a line or
// of a value.
var controls = map[string]string{
	"carriage return and line feed": "\r\n", "line feed": "\n", "carriage return": "\r", "NUL": "\x00", "tab": "\t", "escape": "\x1b",
	"delete": "\x7f", "vertical tab": "\v", "next line": "\u0085", "line separator": "\u2028", "paragraph separator": "\u2029", "unit separator": "\x1f",
}

func TestControlCharactersInClaimsAreRefusedOrEncoded(t *testing.T) {
	for _, tc := range []struct{ options, claim string }{
		{"header X-User name", "name"},
		{"header X-User name {\nencode ascii\n}", "name"},
		{"header X-User name {\nencode latin1\n}", "name"},
		{"header X-User name {\nlist repeat\n}", "name"},
		{"header X-User name {\nescape backslash\n}", "name"},
		{"headers_from X-User- name", "name"},
	} {
		t.Run("refused: "+tc.options, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich {\n"+tc.options+"\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""))
			for name, c := range controls {
				for _, value := range []any{"ada" + c + "X-Admin: yes", []string{"a", "ada" + c + "X-Admin: yes"}} {
					if got := w.get("/", w.token("00u1ada", enrichtest.Claims{tc.claim: value})); got.StatusCode != 500 {
						t.Errorf("%s in %T: status %d", name, value, got.StatusCode)
					}
					w.nothingReceived()
				}
			}
		})
	}
	for _, encode := range []string{"percent", "base64", "base64url", "rfc2047", "rfc8187"} {
		t.Run("encoded: "+encode, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich {\nheader X-User name {\nencode "+encode+"\n}\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""))
			for name, c := range controls {
				got := w.get("/", w.token("00u1ada", enrichtest.Claims{"name": "ada" + c + "X-Admin: yes"}))
				wantStatus(t, got, 200)
				seen := w.received()
				wantHeader(t, seen, "X-Admin", "")
				if v := seen.Values("X-User"); len(v) != 1 || strings.Contains(v[0], c) {
					t.Errorf("%s: the application received %q", name, v)
				}
			}
		})
	}
}

// Whatever stands in a claim, the application receives one line with it, or
// the request is refused.
func TestNoClaimValueMakesASecondLine(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "enrich", "forward", "testdata", "claim_values.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Values []json.RawMessage }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	values := file.Values
	w := prepare(t)
	w.load("token_enrich {\nheader X-User name\nheader X-Json name {\nlist json\n}\nheader X-Code name {\nlist json\nencode base64url\n}\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""))
	passed := 0
	for _, value := range values {
		got := w.get("/", w.token("00u1ada", enrichtest.Claims{"name": value}))
		if got.StatusCode == 500 {
			w.nothingReceived()
			continue
		}
		wantStatus(t, got, 200)
		passed++
		seen := w.received()
		for _, f := range seen.Fields {
			switch strings.ToLower(f.Name) {
			case "x-user", "x-json", "x-code", "host", "user-agent", "accept-encoding", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "via":
			default:
				t.Errorf("%s: the application received %v", value, f)
			}
		}
		for _, name := range []string{"X-User", "X-Json", "X-Code"} {
			if n := len(seen.Like(name)); n > 1 {
				t.Errorf("%s: %d lines of %s", value, n, name)
			}
		}
	}
	if passed == 0 || passed == len(values) {
		t.Errorf("%d of %d values passed: the list proves nothing", passed, len(values))
	}
}

func TestDelimitersInGroupsCanBeReadBackOrAreRefused(t *testing.T) {
	groups := []string{"a,b", `c\d`, "e%2Cf", ",", `\`, "plain", "g,h,i", "%", "a+b", `\,`}
	percent := strings.NewReplacer("%25", "%", "%2C", ",", "%2B", "+")
	for _, tc := range []struct {
		name, options string
		decode        func(lines []string) []string
	}{
		{"backslash", "escape backslash", func(lines []string) []string {
			var list []string
			var b strings.Builder
			line := lines[0]
			for i := 0; i < len(line); i++ {
				switch {
				case line[i] == '\\' && i+1 < len(line):
					i++
					b.WriteByte(line[i])
				case line[i] == ',':
					list = append(list, b.String())
					b.Reset()
				default:
					b.WriteByte(line[i])
				}
			}
			return append(list, b.String())
		}},
		{"percent", "escape percent", func(lines []string) []string {
			var list []string
			for e := range strings.SplitSeq(lines[0], ",") {
				list = append(list, percent.Replace(e))
			}
			return list
		}},
		{"JSON", "list json", func(lines []string) []string {
			var list []string
			if err := json.Unmarshal([]byte(lines[0]), &list); err != nil {
				t.Error(err)
			}
			return list
		}},
		{"another delimiter", "list delimiter ;", func(lines []string) []string { return strings.Split(lines[0], ";") }},
		{"lines of their own", "list repeat\nescape percent", func(lines []string) []string {
			var list []string
			for e := range strings.SplitSeq(strings.Join(lines, ","), ",") { // as servers join them
				list = append(list, percent.Replace(e))
			}
			return list
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich {\nheader X-Groups groups {\n"+tc.options+"\n}\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""))
			wantStatus(t, w.get("/", w.token("00u1ada", enrichtest.Claims{"groups": groups})), 200)
			lines := w.received().Values("X-Groups")
			if len(lines) == 0 {
				t.Fatal("there is no header")
			}
			if back := tc.decode(lines); strings.Join(back, "\n") != strings.Join(groups, "\n") {
				t.Errorf("%q reads back as %q, want %q", lines, back, groups)
			}
		})
	}
	for _, options := range []string{"", "escape refuse", "list repeat", "list repeat\nescape refuse"} {
		t.Run("refused: "+options, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich {\nheader X-Groups groups {\n"+options+"\n}\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""))
			wantRefusal(t, w.get("/", w.token("00u1ada", enrichtest.Claims{"groups": []string{"a,b"}})), 500)
			w.nothingReceived()
		})
	}
}

func TestPresetsGiveTheirDocumentedHeaders(t *testing.T) {
	for _, tc := range []struct {
		preset string
		exact  map[string]string
	}{
		{"siteminder", map[string]string{"SM_USER": "ada", "SM_USERDN": "cn=ada", "SM_UNIVERSALID": "00u1ada", "SM_USERGROUPS": "a^b"}},
		{"remote_user", map[string]string{"Remote-User": "ada", "Remote-Groups": "a,b", "Remote-Name": "Ada", "Remote-Email": "ada@example.com"}},
		{"oauth2_proxy", map[string]string{
			"X-Forwarded-User": "00u1ada", "X-Forwarded-Email": "ada@example.com", "X-Forwarded-Groups": "a,b", "X-Forwarded-Preferred-Username": "ada",
			"X-Auth-Request-User": "00u1ada", "X-Auth-Request-Email": "ada@example.com", "X-Auth-Request-Groups": "a,b", "X-Auth-Request-Preferred-Username": "ada",
		}},
	} {
		t.Run(tc.preset, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich {\npreset "+tc.preset+"\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""))
			token := w.token("00u1ada", enrichtest.Claims{"preferred_username": "ada", "dn": "cn=ada", "groups": []string{"a", "b"}, "name": "Ada", "email": "ada@example.com"})
			w.attack("GET", "/", token, keys(tc.exact))
			seen := w.received()
			for name, value := range tc.exact {
				wantHeader(t, seen, name, value)
				if v := seen.Exact(name); len(v) != 1 {
					t.Errorf("%s is not spelled so: %v", name, seen.Like(name))
				}
			}
		})
	}
}
