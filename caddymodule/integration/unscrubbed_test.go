package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// P66, P54: beside a policy, nothing sends requests on unscrubbed. Such a
// configuration does not load; as its error says, a scrub mends it.
func TestRouteBesideAPolicyIsScrubbedOrDoesNotLoad(t *testing.T) {
	for _, tc := range []struct{ name, site, path string }{
		{"another handle", "%s\nhandle /in/* {\n" + site("") + "%a\n}\nhandle {\nreverse_proxy %a\n}", "/out"},
		{"before the policy", "%s\nroute {\nreverse_proxy /out %a\n" + site("") + "%a\n}", "/out"},
		{"an error route", "%s\nroute {\nerror /out 404\n" + site("") + "%a\n}\nhandle_errors {\nreverse_proxy %a\n}", "/out"},
		{"an error route's own scrub", "route {\nerror /out 404\n" + site("") + "%a\n}\nhandle_errors {\n%s\nreverse_proxy %a\n}", "/out"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			text := strings.ReplaceAll(tc.site, "%a", w.legacy.Addr())
			err := w.tryLoad(strings.ReplaceAll(text, "%s", ""))
			if err == nil || !strings.Contains(err.Error(), "token_enrich_scrub") || !strings.Contains(err.Error(), w.legacy.Addr()) {
				t.Fatalf("it loads, or the error does not say what to do: %v", err)
			}
			w.load(strings.ReplaceAll(text, "%s", "token_enrich_scrub"))
			for _, token := range []string{"", w.token("00u1ada")} {
				w.attack("GET", tc.path, token, keys(spoofedNames))
				w.wantHeaders(nothing(spoofedNames))
			}
		})
	}
}

// P65: caddy validate, which starts nothing, tells it.
func TestValidateTellsWhatLeadsPastAPolicy(t *testing.T) {
	const narrow = "token_enrich /api/admin/* {\nname narrow\nrequire `isMemberOfGroupName(\"IT\")`\n}\n"
	for name, site := range map[string]string{
		"a policy that never decides":       "token_enrich /api/* {\nname wide\n}\n" + narrow + "respond ok",
		"a policy behind another list's":    "token_enrich {\nname wide\n}\nhandle /x/* {\n" + narrow + "}\nrespond ok",
		"a route that forwards unscrubbed":  "handle /x {\ntoken_enrich {\nname narrow\n}\n}\nreverse_proxy wide:80",
		"an unscrubbed route without hosts": "handle /x {\ntoken_enrich {\nname narrow\n}\n}\nreverse_proxy wide:80",
	} {
		t.Run(name, func(t *testing.T) {
			text := configuration(corp, site)
			if strings.Contains(name, "hosts") {
				text = strings.Replace(text, "http://127.0.0.1:1", ":1", 1)
			}
			err := validate(t, text)
			if err == nil || !strings.Contains(err.Error(), "wide") {
				t.Errorf("want an error that says what stands where, got %v", err)
			}
		})
	}
}

// P65, P66: the check command tells the same as loading does.
func TestCheckTellsWhatLeadsPastAPolicy(t *testing.T) {
	const policy = "token_enrich {\nname payroll\n}\nreverse_proxy app:80\n"
	for _, tc := range []struct {
		name, sites string
		code        int
		want        string
	}{
		{"an error", "http://a.example {\nhandle /in/* {\n" + policy + "}\nhandle {\nreverse_proxy open:80\n}\n}\n", 1, "site a.example: reverse_proxy open:80 receives requests that neither policy \"payroll\" nor"},
		{"a warning", "http://a.example {\n" + policy + "}\nhttp://b.example {\nreverse_proxy app:80\n}\n", 0, "warning: site b.example: reverse_proxy app:80 reaches the same application as site a.example"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "Caddyfile")
			text := "{\nauto_https off\nstorage file_system " + t.TempDir() + "\ntoken_enrich {\n" + corp + "}\n}\n" + tc.sites
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			got := caddyCommand(t, "check", "--config", file)
			if got.code != tc.code || !strings.Contains(got.stdout+got.stderr, tc.want) {
				t.Errorf("status %d\nstdout: %s\nstderr: %s", got.code, got.stdout, got.stderr)
			}
		})
	}
}
