package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestJSONIsReadAsStrictlyAsACaddyfile: what the reader of a Caddyfile refuses
// at once must not mean a default when it comes as JSON.
func TestJSONIsReadAsStrictlyAsACaddyfile(t *testing.T) {
	const issuer = `"url":"https://idp.example.com","audience":["x"]`
	for _, tc := range []struct {
		name, app, issuer, policy string
		want                      []string
	}{
		{"nothing wrong", "", "", "", nil},
		{"a wrong on_missing_user", "", "", `"on_missing_user":"contniue"`, []string{"on_missing_user", `"contniue"`, `did you mean "continue"`}},
		{"a wrong on_directory_error", "", "", `"on_directory_error":"drop"`, []string{"on_directory_error", `unknown value "drop" (want deny or continue)`}},
		{"a wrong cross_origin", "", "", `"cross_origin":"alow"`, []string{"cross_origin", `did you mean "allow"`}},
		{"a wrong upstream_token", "", "", `"upstream_token":"kep"`, []string{"upstream_token", `did you mean "keep"`}},
		{"a wrong log_decision", "", "", `"log_decision":"al"`, []string{"log_decision", `did you mean "all"`}},
		{"a wrong log_subject", "", "", `"log_subject":"plan"`, []string{"log_subject", `did you mean "plain"`}},
		{"a wrong user_placeholder", "", "", `"user_placeholder":"yes"`, []string{"user_placeholder", `unknown value "yes" (want on or off)`}},
		{"a negative max_connection", "", "", `"max_connection":"-5m"`, []string{"max_connection", "negative"}},
		{"a require_acr of nothing", "", "", `"require_acr":{}`, []string{"require_acr", "empty"}},
		{"a negative max_age", "", "", `"require_acr":{"max_age":"-1h"}`, []string{"max_age", "negative"}},
		{"one place twice", "", "", `"token_from":[{"kind":"query","name":"t"},{"kind":"query","name":"t"}]`, []string{"duplicate source query t"}},
		{"a claim file of another token", "", "", `"claims":[{"okta_claims":{"file":"/dev/null","token":"acess"}}]`, []string{"okta_claims", `did you mean "access"`}},
		{"a test without a name", "", "", `"tests":[{"subject":"a","expect":[{"kind":"denied"}]}]`, []string{"no name"}},
		{"a test without a caller", "", "", `"tests":[{"name":"a","expect":[{"kind":"denied"}]}]`, []string{`test "a"`, "no caller"}},
		{"a test that expects nothing", "", "", `"tests":[{"name":"a","subject":"a"}]`, []string{`test "a" expects nothing`}},
		{"a test that expects a wrong kind", "", "", `"tests":[{"name":"a","subject":"a","expect":[{"kind":"clam"}]}]`, []string{`did you mean "claim"`}},
		{"a test of another issuer", "", "", `"tests":[{"name":"a","subject":"a","issuer":"idp.example.org","expect":[{"kind":"denied"}]}]`, []string{`did you mean "idp.example.com"`}},
		{"an unknown member", "", "", `"realms":"x"`, []string{`"realms"`}},

		{"a wrong on_denylist_error", `"on_denylist_error":"contineu"`, "", "", []string{"on_denylist_error", `did you mean "continue"`}},
		{"a wrong explain", `"explain":"value"`, "", "", []string{"explain", `did you mean "values"`}},
		{"a negative deny_max_age", `"deny_max_age":"-1s"`, "", "", []string{"deny_max_age", "negative"}},
		{"a negative fresh", `"cache":{"fresh":"-1s"}`, "", "", []string{"cache: fresh", "negative"}},
		{"a negative refresh_after", `"cache":{"refresh_after":"-1s"}`, "", "", []string{"cache: refresh_after", "negative"}},
		{"a negative unconfirmed_max", `"cache":{"unconfirmed_max":"-1s"}`, "", "", []string{"cache: unconfirmed_max", "negative"}},
		{"a negative stale_if_error", `"cache":{"stale_if_error":"-1s"}`, "", "", []string{"cache: stale_if_error", "negative"}},
		{"a life of absence below nothing", `"cache":{"negative":"-1s"}`, "", "", []string{"cache: negative", "is negative"}},
		{"a negative decision_memory", `"cache":{"decision_memory":-1}`, "", "", []string{"cache: decision_memory", "negative"}},
		{"a cache too small for an entry, beside Redis", `"cache":{"memory":1,"redis":{"url":"redis://127.0.0.1:1"}}`, "", "", []string{"cache: memory", "1048576"}},
		{"a negative memory, beside Redis", `"cache":{"memory":-1,"redis":{"url":"redis://127.0.0.1:1"}}`, "", "", []string{"cache: memory", "1048576"}},
		{"a nonce without proofs", "", `"dpop_nonce":true`, "", []string{"dpop_nonce needs dpop"}},
		{"a misspelt algorithm", "", `"algorithms":["EDDSA"]`, "", []string{`"EDDSA"`, `did you mean "EdDSA"`}},
		{"an app by a placeholder", "", "", `"app":"{env.APP}"`, []string{"app: ", "not supported here"}},
		{"a place of no kind", "", "", `"token_from":[{"kind":"heder","name":"x"}]`, []string{"token_from", `"heder"`}},
		{"an unknown member of the cache", `"cache":{"stale":"1s"}`, "", "", []string{`"stale"`}},
		{"a wrong auth_method", "", `"introspect":{"url":"https://idp.example.com/i","client_id":"a","client_secret":"b","auth_method":"bsic"}`, "", []string{"auth_method", `did you mean "basic"`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			member := func(text string) string {
				if text == "" {
					return ""
				}
				return "," + text
			}
			text := fmt.Sprintf(`{"admin":{"disabled":true},"storage":{"module":"file_system","root":%q},"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},"apps":{
				"token_enrich":{"issuers":[{%s%s}]%s},
				"http":{"servers":{"s":{"listen":["127.0.0.1:1"],"routes":[{"handle":[{"handler":"token_enrich"%s}]}]}}}}}`,
				filepath.ToSlash(t.TempDir()), issuer, member(tc.issuer), member(tc.app), member(tc.policy))
			var c caddy.Config
			if err := caddy.StrictUnmarshalJSON([]byte(text), &c); err != nil {
				t.Fatal(err)
			}
			err := caddy.Validate(&c)
			if (err == nil) != (tc.want == nil) {
				t.Fatalf("it loads with %v", err)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestAnEmptyIssuerIsAnErrorAndNoPanic(t *testing.T) {
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON([]byte(`{"admin":{"disabled":true},"apps":{"token_enrich":{"issuers":[null]}}}`), &c); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&c); err == nil || !strings.Contains(err.Error(), "issuer 1 is empty") {
		t.Errorf("it loads with %v", err)
	}
}
