package integration

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// fieldsOf shows what of an answer's header tells two refusals apart.
func fieldsOf(got answer) string {
	var b strings.Builder
	for _, name := range []string{"WWW-Authenticate", "Cache-Control", "Retry-After", "Content-Type", "Content-Length"} {
		fmt.Fprintf(&b, "%s: %q\n", name, got.Header.Values(name))
	}
	return b.String()
}

// permitted is what an error_description may hold (RFC 6750, section 3).
var permitted = regexp.MustCompile(`^[\x20-\x21\x23-\x5B\x5D-\x7E]*$`)

func TestChallengesSayWhatStrangersMayKnow(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich {\nrealm payroll\nresource https://app.example.com/payroll\nrequire_scope admin\n}\nreverse_proxy " + w.legacy.Addr())
	const meta = `resource_metadata="https://app.example.com/.well-known/oauth-protected-resource/payroll"`
	for _, tc := range []struct {
		name, token, want string
		code              int
	}{
		{"no token", "", `Bearer realm="payroll", ` + meta, 401},
		{"a bad token", "garbage", `Bearer realm="payroll", error="invalid_token", error_description="The access token is not valid.", ` + meta, 401},
		{"a scope", w.token("00u1ada"), `Bearer realm="payroll", error="insufficient_scope", scope="admin", ` + meta, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			got := w.get("/", tc.token)
			wantRefusal(t, got, tc.code)
			if all := got.Header.Values("WWW-Authenticate"); len(all) != 1 || all[0] != tc.want {
				t.Errorf("challenge %q, want %q", all, tc.want)
			}
			for _, m := range regexp.MustCompile(`error_description="([^"]*)"`).FindAllStringSubmatch(got.Header.Get("WWW-Authenticate"), -1) {
				if !permitted.MatchString(m[1]) {
					t.Errorf("the description %q holds what it may not", m[1])
				}
			}
		})
	}
	t.Run("the metadata", func(t *testing.T) {
		w := w.in(t)
		got := w.get("/.well-known/oauth-protected-resource/payroll", "garbage")
		wantStatus(t, got, 200)
		var meta struct {
			Resource string   `json:"resource"`
			Servers  []string `json:"authorization_servers"`
		}
		if err := json.Unmarshal([]byte(got.body), &meta); err != nil {
			t.Fatal(err)
		}
		if meta.Resource != "https://app.example.com/payroll" || len(meta.Servers) != 1 || meta.Servers[0] != w.issuer.Issuer() {
			t.Errorf("the metadata says %s", got.body)
		}
		w.nothingReceived()
	})
}

// The metadata are where clients look for them, whatever the resource's path.
func TestResourceMetadataOfEveryPath(t *testing.T) {
	for _, tc := range []struct{ resource, url, path, alike string }{
		{"https://app.example.com", "https://app.example.com/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/"},
		{"https://app.example.com/", "https://app.example.com/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/"},
		{"https://app.example.com/pay", "https://app.example.com/.well-known/oauth-protected-resource/pay", "/.well-known/oauth-protected-resource/pay", "/.well-known/oauth-protected-resource/pay/"},
		// Taken out of this URL again, the identifier still has its slash.
		{"https://app.example.com/pay/", "https://app.example.com/.well-known/oauth-protected-resource/pay/", "/.well-known/oauth-protected-resource/pay/", "/.well-known/oauth-protected-resource/pay"},
		{"https://app.example.com/a%2Fb?v=1", "https://app.example.com/.well-known/oauth-protected-resource/a%2Fb?v=1", "/.well-known/oauth-protected-resource/a%2Fb?v=1", "/.well-known/oauth-protected-resource/a%2Fb"},
	} {
		t.Run(tc.resource, func(t *testing.T) {
			w := prepare(t)
			// The placement of a matcher does not hide it.
			w.load("token_enrich /api* {\nresource " + tc.resource + "\n}\nreverse_proxy " + w.legacy.Addr())
			if got := w.get("/api", "").Header.Get("WWW-Authenticate"); got != `Bearer resource_metadata="`+tc.url+`"` {
				t.Errorf("the challenge is %s", got)
			}
			for _, path := range []string{tc.path, tc.alike} {
				for _, method := range []string{"GET", "HEAD"} {
					got := w.do(method, path, "")
					wantStatus(t, got, 200)
					if got.Header.Get("Content-Type") != "application/json" || method == "GET" && !strings.Contains(got.body, `"resource":"`+tc.resource+`"`) {
						t.Errorf("%s %s: %q, %s", method, path, got.Header.Get("Content-Type"), got.body)
					}
				}
			}
			w.nothingReceived()
			wantStatus(t, w.do("GET", "/.well-known/oauth-protected-resource/other", ""), 200) // the application's
			w.received()
		})
	}
}

// A client learns from both how to sign a proof (RFC 9449, section 7.1; RFC
// 9728, section 2).
func TestResourceMetadataNameTheAlgorithmsOfTheChallenge(t *testing.T) {
	for _, dpop := range []string{"off", "accept", "require"} {
		t.Run(dpop, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich {\nresource https://app.example.com\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock("dpop "+dpop))
			var challenged []string
			for _, challenge := range w.get("/", "").Header.Values("WWW-Authenticate") {
				for _, m := range regexp.MustCompile(`algs="([^"]*)"`).FindAllStringSubmatch(challenge, -1) {
					challenged = append(challenged, strings.Fields(m[1])...)
				}
			}
			var meta struct {
				Algorithms []string `json:"dpop_signing_alg_values_supported"`
			}
			got := w.get("/.well-known/oauth-protected-resource", "")
			if err := json.Unmarshal([]byte(got.body), &meta); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(meta.Algorithms, challenged) || (len(challenged) == 0) != (dpop == "off") {
				t.Errorf("the metadata name %v, the challenge %v", meta.Algorithms, challenged)
			}
		})
	}
}

// What a request is refused for shows in its status and code only.
func TestRefusalsOfAKindAreIdentical(t *testing.T) {
	w := prepare(t)
	w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()))
	first := ""
	for name, token := range map[string]string{
		"an unknown user": w.token("00u9nobody"), "a suspended one": w.token("00u3alan"),
	} {
		got := w.get("/", token)
		wantStatus(t, got, 403)
		all := got.body + "\n" + fieldsOf(got)
		if first == "" {
			first = all
		}
		if all != first {
			t.Errorf("%s shows: %s instead of %s", name, all, first)
		}
	}
	for name, token := range map[string]string{
		"bad signature of a known user": enrichtest.FlipSignature(w.token("00u1ada")), "bad signature of an unknown one": enrichtest.FlipSignature(w.token("00u9nobody")),
		"expired": w.token("00u1ada", enrichtest.Claims{"exp": 1000}), "expired and unknown": w.token("00u9nobody", enrichtest.Claims{"exp": 1000}), "garbage": "garbage",
	} {
		t.Run(name, func(t *testing.T) { w.in(t).wantInvalidToken(t, w.get("/", token)) })
	}
}
