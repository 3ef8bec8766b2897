package integration

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// twoServers serves one host on two ports by policies of two names, and another
// host on one port only.
const twoServers = `{
	admin off
	auto_https off
	token_enrich {
		issuer https://corp.example.com {
			name corp
			audience api://legacy
		}
	}
}
http://app.example.com:8001 {
	token_enrich /in/* {
		name inside
	}
	token_enrich {
		name one
	}
}
http://app.example.com:8002 {
	token_enrich {
		name two
	}
}
http://other.example.com:8002 {
	token_enrich {
		name other
	}
}
`

// TestExplainLooksAtTheServerOfThatPort asks more often than once: servers
// have no order.
func TestExplainLooksAtTheServerOfThatPort(t *testing.T) {
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if err := os.WriteFile(file, []byte(twoServers), 0o600); err != nil {
		t.Fatal(err)
	}
	explain := func(site, path string) outcome {
		return caddyCommand(t, "explain", "--offline", "--config", file, "--issuer", "corp", "--subject", "ada", "--json", "--site", site, "--path", path)
	}
	for _, tc := range []struct{ site, path, want string }{
		{"app.example.com:8001", "/", "one"},
		{"app.example.com:8001", "/in/x", "inside"},
		{"app.example.com:8002", "/in/x", "two"},
		{"app.example.com:8002", "/", "two"},
		{"other.example.com", "/", "other"},
		{"other.example.com:8002", "/", "other"},
	} {
		o := explain(tc.site, tc.path)
		o.wantCode(t, 0)
		var e struct{ Policy string }
		if err := json.Unmarshal([]byte(o.stdout), &e); err != nil || e.Policy != tc.want {
			t.Errorf("%s%s is decided by %q, want %q (%v)", tc.site, tc.path, e.Policy, tc.want, err)
		}
	}
	for _, tc := range []struct{ site, path, want string }{
		{"app.example.com", "/", `more than one policy decides requests for that site and path: "one" at :8001 and "two" at :8002`},
		{"app.example.com:8003", "/", "no policy decides"},
		{"other.example.com:8001", "/", "no policy decides"},
		{"app.example.com:port", "/", "site is not a host name"},
		{"app.example.com:8001", "/in;x/y", "the request would be refused: the path can be read in two ways"},
		{"app.example.com:8002", "/in/..;/y", "the request would be refused: the path can be read in two ways"},
	} {
		o := explain(tc.site, tc.path)
		if o.code != 1 || o.stdout != "" || !strings.Contains(o.stderr, tc.want) {
			t.Errorf("%s: exit status %d, and stderr does not say %q: %s", tc.site, o.code, tc.want, o.stderr)
		}
	}
}

func TestExplainAsksForOneCaller(t *testing.T) {
	w := prepare(t)
	w.load(policyOf("name a"), w.standard())
	token := w.token("00u1ada")
	for _, tc := range []struct{ name, body, want string }{
		{"nobody", `{"policy":"a"}`, "name a token, or an issuer and a subject"},
		{"a token and a made-up caller", `{"token":"` + token + `","issuer":"corp","subject":"00u2bob"}`, "name a token, or an issuer and a subject"},
		{"a token and an issuer", `{"token":"` + token + `","issuer":"corp"}`, "name a token, or an issuer and a subject"},
		{"an issuer alone", `{"issuer":"corp"}`, "issuer and subject are both required"},
		{"a subject alone", `{"subject":"00u1ada"}`, "issuer and subject are both required"},
		{"a policy and a site", `{"token":"` + token + `","policy":"a","site":"x"}`, "policy cannot be combined with site or path"},
	} {
		a := w.adminDo(http.MethodPost, "/token_enrich/explain", tc.body)
		if a.StatusCode != http.StatusBadRequest || !strings.Contains(a.body, tc.want) {
			t.Errorf("%s: got %d %s", tc.name, a.StatusCode, a.body)
		}
		wantNoToken(t, tc.name, a.body, token)
	}
	a := w.adminDo(http.MethodPost, "/token_enrich/explain", `{"token":"`+token+`"}`)
	if a.StatusCode != http.StatusOK || !strings.Contains(a.body, `"person_age_seconds":`) || !strings.Contains(a.body, `"age_seconds":`) {
		t.Errorf("a good question: got %d %s", a.StatusCode, a.body)
	}
	wantNoToken(t, "a good question", a.body, token)
	o := caddyCommand(t, "explain", "--address", w.admin, "--issuer", "corp", "--subject", "00u1ada")
	o.wantCode(t, 0)
	if !strings.Contains(o.stdout, "person fresh (") || !strings.Contains(o.stdout, " s old)") || strings.Contains(o.stdout, " ,") {
		t.Errorf("the command says %s", o.stdout)
	}
}
