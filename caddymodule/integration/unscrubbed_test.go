package integration

import (
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
