package directories

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/ldap"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/rest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/sql"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// kinds are all kinds of directory that the gateway brings along.
func kinds() []string {
	return []string{"file", "http", "ldap", "okta", "scim", "sql", "userinfo"}
}

func TestEveryKindIsRegistered(t *testing.T) {
	var got []string
	for _, m := range caddy.GetModules("token_enrich.directories") {
		got = append(got, m.ID.Name())
		if _, ok := m.New().(caddyfile.Unmarshaler); !ok {
			t.Errorf("%s has no Caddyfile", m.ID)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, kinds()) {
		t.Errorf("registered are %v, want %v", got, kinds())
	}
}

// adapt gives the JSON configuration of a Caddyfile.
func adapt(t *testing.T, text []byte) ([]byte, []caddyconfig.Warning, error) {
	t.Helper()
	return caddyconfig.GetAdapter("caddyfile").Adapt(text, map[string]any{"filename": "Caddyfile"})
}

// directoryJSON gives the JSON of the one directory of a global option.
func directoryJSON(t *testing.T, block string) (string, error) {
	t.Helper()
	config, _, err := adapt(t, []byte("{\n\ttoken_enrich {\n\t\tissuer https://idp.example.com {\n\t\t\tname corp\n\t\t\taudience a\n\t\t}\n"+block+"\n\t}\n}\n"))
	if err != nil {
		return "", err
	}
	var parsed struct {
		Apps struct {
			Gateway struct {
				Directories []json.RawMessage `json:"directories"`
			} `json:"token_enrich"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &parsed); err != nil || len(parsed.Apps.Gateway.Directories) != 1 {
		t.Fatalf("no directory in %s (%v)", config, err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, parsed.Apps.Gateway.Directories[0], "", "\t"); err != nil {
		t.Fatal(err)
	}
	return out.String(), nil
}

// TestAdaptation holds each kind, with every option, to the JSON beside it in
// testdata.
func TestAdaptation(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil || len(files) < len(kinds()) {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".caddyfiletest"), func(t *testing.T) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			block, want, ok := strings.Cut(string(text), "\n----------\n")
			if !ok {
				t.Fatal("no line of dashes")
			}
			got, err := directoryJSON(t, block)
			if err != nil {
				t.Fatal(err)
			}
			if got != strings.TrimSpace(want) {
				t.Errorf("adapts to\n%s", got)
			}
			again, err := directoryJSON(t, block)
			if err != nil || again != got {
				t.Errorf("adapts to something else the second time (%v)", err)
			}
		})
	}
}

func TestWhatIsMisspeltIsNamedWithTheRightWord(t *testing.T) {
	for block, says := range map[string]string{
		"directory htp https://h/{subject}":                                  `did you mean "http"?`,
		"directory http https://h/{subject} {\n profile_pth $.a\n}":          `did you mean "profile_path"?`,
		"directory http https://h/{subject} {\n method get\n}":               `did you mean "GET"?`,
		"directory http https://h/{subject} {\n method GET\n method POST\n}": `duplicate option "method"`,
		"directory http https://h/{subject} {\n header X-A\n}":               "ount",
		"directory http https://h/{subject} {\n header X-A b c\n}":           "ount",
		"directory http https://h/{subject} {\n header X-A b {\n c\n }\n}":   "header takes no block",
		"directory http https://h/{subject} {\n insecure_plaintext on\n}":    "ount",
		"directory http":                                         "ount",
		"directory http https://a https://b":                     "ount",
		"directory okta https://a {\n tokn x\n}":                 `did you mean "token"?`,
		"directory okta https://a {\n app_users offf\n}":         `did you mean "off"?`,
		"directory okta":                                         "ount",
		"directory scim https://a {\n user_filter mail\n}":       "want userName, externalId, emails.value or id",
		"directory scim https://a {\n basic u\n}":                "ount",
		"directory ldap ldaps://a {\n bind_pasword x\n}":         `did you mean "bind_password"?`,
		"directory ldap ldaps://a {\n connections none\n}":       "whole number",
		"directory ldap ldaps://a {\n start_tls on\n}":           "ount",
		"directory sql postgres":                                 "ount",
		"directory sql postgress a":                              `unknown database "postgress" (did you mean "postgres"?)`,
		"directory sql mysql a":                                  `unknown database "mysql"; want postgres`,
		"directory sql postgres a b":                             "ount",
		"directory sql postgres a {\n group_query q\n}":          `did you mean "groups_query"?`,
		"directory sql postgres a {\n statement_timeout soon\n}": "not a duration",
		"directory userinfo corp":                                "ount",
		"directory userinfo {\n isuer corp\n}":                   `did you mean "issuer"?`,
		"directory userinfo {\n issuer corp\n timeout 0.5x\n}":   "not a duration",
		"directory file ./a {\n required\n optional\n}":          "cannot be combined",
	} {
		_, err := directoryJSON(t, block)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s\n\terror %v, want one that says %q", block, err, says)
		}
		if err != nil && !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%s\n\terror %v names no line", block, err)
		}
	}
}

// secrets sets what the examples read from their surroundings.
func secrets(t *testing.T) {
	t.Helper()
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for _, name := range []string{"SCIM_TOKEN", "LDAP_PASSWORD", "DB_PASSWORD", "PROFILES_TOKEN"} {
		t.Setenv(name, secret)
	}
	t.Setenv("OKTA_CLIENT_ID", "0oa9gateway")
	t.Setenv("OKTA_KEY_FILE", enrichtest.KeyFile(t))
	t.Setenv("DIRECTORY_FILE", "../../examples/directory.yaml") // from here, not from the root
}

const secret = "only-for-tests-" + "5up3r"

// validate loads a configuration as far as it can be without starting it.
func validate(t *testing.T, config []byte) error {
	t.Helper()
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON(config, &c); err != nil {
		t.Fatalf("reading the adapted configuration: %v", err)
	}
	return caddy.Validate(&c)
}

func TestEveryKindHasAnExampleThatLoadsOffline(t *testing.T) {
	secrets(t)
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			name := "../../examples/directories/" + kind + ".Caddyfile"
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if formatted := caddyfile.Format(text); !bytes.Equal(formatted, text) {
				t.Error("it is not formatted: caddy fmt --overwrite")
			}
			config, warnings, err := adapt(t, text)
			if err != nil {
				t.Fatal(err)
			}
			for _, w := range warnings {
				t.Errorf("warning: %s", w.Message)
			}
			if !bytes.Contains(config, []byte(`"kind":"`+kind+`"`)) {
				t.Errorf("no directory %s in it", kind)
			}
			if bytes.Contains(config, []byte(secret)) {
				t.Error("the adapted configuration holds the secret")
			}
			if err := validate(t, config); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWhatIsWrongFailsTheLoad proves that each kind is opened, not only read,
// and that no error holds a secret.
func TestWhatIsWrongFailsTheLoad(t *testing.T) {
	secrets(t)
	for block, says := range map[string]string{
		"directory http https://h/u":                                                                "{subject}",
		"directory http https://{subject}.h/":                                                       "scheme, host or port",
		"directory http https://h/{subject} {\n header Authorization {env.NO_SUCH}\n}":              "env.NO_SUCH",
		"directory http https://h/{subject} {\n header Host x\n}":                                   "cannot be set",
		"directory http https://h/{http.request.host}/{subject}":                                    "use {env.*}",
		"directory http https://h/{subject} {\n groups_path groups\n}":                              "groups_path",
		"directory http https://h/{subject} {\n ca /nowhere.pem\n}":                                 "CA file",
		"directory http http://h/{subject}":                                                         "use https",
		"directory okta https://a":                                                                  "either token or client_id",
		"directory okta https://a {\n client_id x\n private_key /nowhere.pem\n}":                    "private key",
		"directory scim https://a {\n bearer {env.SCIM_TOKEN}\n basic u {env.SCIM_TOKEN}\n}":        "bearer and basic cannot be combined",
		"directory ldap ldap://ldap.example.com {\n base dc=example\n}":                             "ldaps",
		"directory ldap ldaps://a {\n base dc=example\n bind_dn cn=x\n}":                            "bind_password",
		"directory ldap ldaps://a {\n base dc=example\n user_filter (uid=x)\n}":                     "{subject}",
		"directory sql postgres postgres://u:{env.DB_PASSWORD}@h/d {\n user_query \"select $1\"\n}": "sslmode=verify-full",
		"directory http https://h/{sub}":                                                            `unknown placeholder {sub}`,
		"directory http https://h/{subjct}":                                                         `unknown placeholder {subjct} (did you mean "subject"?)`,
		"directory userinfo":                                                                        "issuer is required",
		"directory userinfo {\n issuer crop\n}":                                                     `no issuer is named "crop"`,
		"directory userinfo {\n issuer corp\n issuers a\n}":                                         "omit issuers",
		"directory file ./nowhere.yaml":                                                             "nowhere.yaml",
	} {
		config, _, err := adapt(t, []byte("{\n\ttoken_enrich {\n\t\tissuer https://idp.example.com {\n\t\t\tname corp\n\t\t\taudience a\n\t\t}\n"+block+"\n\t}\n}\n"))
		if err == nil {
			err = validate(t, config)
		} else if !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("%s\n\terror %v names no line", block, err)
		}
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s\n\terror %v, want one that says %q", block, err, says)
		}
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s\n\tthe error holds the secret", block)
		}
	}
}

func TestPlaceholdersAreExpandedOnceAndOnlyWhereTheyMay(t *testing.T) {
	secrets(t)
	t.Setenv("TRICK", "{env.DB_PASSWORD}")
	h := &HTTP{Config: rest.Config{
		URL: "https://h/{client}/{env.OKTA_CLIENT_ID}/{subject}?i={issuer}&a={app}", AppURL: "https://h/{app}/{env.OKTA_CLIENT_ID}",
		Header: map[string][]string{"Authorization": {"Bearer {env.SCIM_TOKEN}", "{env.TRICK}"}},
		Body:   `{"a":"{env.SCIM_TOKEN}"}`, GroupsPath: "$.a[?@.b=='{env.SCIM_TOKEN}']",
	}}
	written := h.Header
	if err := h.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if h.URL != "https://h/{client}/0oa9gateway/{subject}?i={issuer}&a={app}" || h.AppURL != "https://h/{app}/0oa9gateway" {
		t.Errorf("URLs %s and %s", h.URL, h.AppURL)
	}
	if got := h.Header["Authorization"]; got[0] != "Bearer "+secret || got[1] != "{env.DB_PASSWORD}" {
		t.Errorf("headers %v", h.Header)
	}
	if written.Get("Authorization") != "Bearer {env.SCIM_TOKEN}" {
		t.Error("the configuration as it was written has changed")
	}
	if !strings.Contains(h.Body+h.GroupsPath, "{env.SCIM_TOKEN}") || strings.Contains(h.Body+h.GroupsPath, secret) {
		t.Error("a body or a path was expanded")
	}
	l := &LDAP{Config: ldap.Config{URL: "ldaps://{env.OKTA_CLIENT_ID}", BindPassword: "{env.LDAP_PASSWORD}", Base: "{env.LDAP_PASSWORD}", UserFilter: "(uid={env.LDAP_PASSWORD})", GroupFilter: "({dn})"}}
	if err := l.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if l.BindPassword != secret || strings.Contains(l.Base+l.UserFilter+l.GroupFilter, secret) {
		t.Errorf("%+v", l)
	}
	s := &SQL{Config: sql.Config{DSN: "postgres://u:{env.DB_PASSWORD}@h/d", UserQuery: "select '{env.DB_PASSWORD}', $1"}}
	if err := s.Provision(caddy.Context{}); err != nil || s.DSN != "postgres://u:"+secret+"@h/d" || strings.Contains(s.UserQuery, secret) {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestAPrivateKeyIsAFileOrTheKeyItself(t *testing.T) {
	name := enrichtest.KeyFile(t)
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("KEY", string(text))
	t.Setenv("KEY_FILE", name)
	const jwk = `{"kty":"EC","crv":"P-256","d":"{env.KEY}"}`
	for written, want := range map[string]string{
		name: string(text), string(text): string(text), "{env.KEY}": string(text), "{env.KEY_FILE}": string(text),
		"{file." + name + "}": strings.TrimRight(string(text), "\n"), jwk: jwk, "": "",
	} {
		key := written
		if err := expandKey(&key); err != nil || key != want {
			t.Errorf("%q gives %q, %v", written, key, err)
		}
	}
	key := "MIGHAgEAMBMGByqGSM49"
	if err := expandKey(&key); err == nil || strings.Contains(err.Error(), "MIGH") {
		t.Errorf("a key in another form: %v", err)
	}
}

func TestAskedAttributesHoldWhatTheSubjectIsComparedWith(t *testing.T) {
	l := &LDAP{}
	if l.attributes() != nil {
		t.Error("all attributes are asked for by name")
	}
	l.DirectorySettings.Attributes, l.Match = []string{"cn", "mail"}, []string{"login", "mail", "employeeNumber"}
	if got := l.attributes(); !slices.Equal(got, []string{"cn", "mail", "employeeNumber"}) || len(l.DirectorySettings.Attributes) != 2 {
		t.Errorf("asked are %v", got)
	}
	l.DirectorySettings.Attributes, l.Match = []string{"cn"}, []string{"email"}
	if got := l.attributes(); !slices.Equal(got, []string{"cn", "mail", "email"}) {
		t.Errorf("asked are %v", got)
	}
}
