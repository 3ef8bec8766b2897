package selftest

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
)

// P55: the plain path is refused, and so is every spelling of it.
func TestSelftestTriesGuardedPaths(t *testing.T) {
	for _, tc := range []struct {
		name, site string
		paths      int
	}{
		{"a policy with a matcher", "@admin path /admin /admin/*\ntoken_enrich @admin {\nrequire `token.role == \"admin\"`\n}\ntoken_enrich {\nheader X-User sub\n}\nreverse_proxy app:80\n", 5},
		{"a policy for all but an area", "@private not path /public /public/*\ntoken_enrich @private {\nheader X-User sub\n}\nreverse_proxy app:80\n", 1},
		{"a requirement", "token_enrich {\nanonymous\nheader X-User sub\nrequire `request.path != \"/secret\" AND !String.startsWith(request.path, \"/admin/\")`\n}\nreverse_proxy app:80\n", 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := selftestOf(t, "http://a.example {\n"+tc.site+"}\n", "", "")
			if err != nil {
				t.Fatal(err)
			}
			if v.Guarded.Paths != tc.paths || v.Guarded.Spellings < 50*tc.paths || v.Guarded.Refused["400 Bad Request"] == 0 {
				t.Errorf("%+v, want %d paths, each in many spellings", v.Guarded, tc.paths)
			}
			for _, p := range v.Bypasses {
				t.Errorf("got through: %+v", p)
			}
		})
	}
}

// Caddy's own path matcher knows one reading of a path, so the policy inside is
// led past.
func TestSelftestFindsPathsThatLeadPastAPolicy(t *testing.T) {
	v, err := selftestOf(t, `http://a.example {
	handle /admin/* {
		token_enrich {
			header X-User sub
			require `+"`token.role == \"admin\"`"+`
		}
		reverse_proxy app:80
	}
	handle {
		token_enrich {
			header X-User sub
		}
		reverse_proxy app:80
	}
}
`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for _, protocol := range []string{protocol1, protocol2} {
		for _, sent := range []string{"/admin;x/selftest", `/admin\selftest`, "/%2561dmin/selftest"} {
			if !v.has(Bypass{Kind: "reached", Protocol: protocol, Path: "/admin/selftest", Section: "path", Sent: sent, Upstream: "app:80", Token: true}) {
				t.Errorf("%s, %s is not among %d that got through", protocol, sent, len(v.Bypasses))
			}
		}
	}
	for _, p := range v.Bypasses {
		if p.Kind != "reached" || !p.Token {
			t.Errorf("got through: %+v", p)
		}
	}
}

// A policy that narrows its readings has said that its application knows no
// others; what was not tried is said.
func TestSelftestTriesTheReadingsThatPoliciesJudge(t *testing.T) {
	v, err := selftestOf(t, "http://a.example {\n@admin path /admin /admin/*\ntoken_enrich @admin {\npath_readings backslashes double_decoding\nrequire `token.role == \"admin\"`\n}\ntoken_enrich {\nheader X-User sub\n}\nreverse_proxy app:80\n}\n", "", "/admin/x")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range v.Bypasses {
		t.Errorf("got through: %+v", p)
	}
	if v.Guarded.Paths == 0 || len(v.Notes) != 1 || !strings.Contains(v.Notes[0], "encoded_slashes parameters") {
		t.Errorf("%+v, notes %q", v.Guarded, v.Notes)
	}
}

// What an application serves that is not the path's own is no way past its
// policy, nor is the page of a refusal.
func TestSelftestKnowsTheApplicationOfAPath(t *testing.T) {
	v, err := selftestOf(t, `http://a.example {
	handle /admin/* {
		token_enrich {
			header X-User sub
		}
		reverse_proxy admin:80
	}
	handle {
		token_enrich_scrub
		reverse_proxy public:80
	}
	handle_errors {
		token_enrich_scrub
		reverse_proxy pages:80
	}
}
`, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if v.Guarded.Paths != 1 || len(v.Bypasses) != 0 {
		t.Errorf("%+v, and got through: %+v", v.Guarded, v.Bypasses)
	}
}

func TestSpellingsOfAPath(t *testing.T) {
	got := pathSpellings("a.example", "/admin/x", "/public/y", pathreading.All)
	for _, want := range []string{"/%61dmin/x", "/%2561dmin/x", "/ADMIN/x", "/admin;x/x", "//admin/x", `/admin\x`, "/admin%2fx", "/public/y/..%2f..%2fadmin/x", `/public/y/..\..\admin/x`, "/admin/x%2f..%2f..%2fpublic/y", "/public/y/..;/..;/admin/x", "/public/y/../../admin/x", "http://a.example/admin/x"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
	for _, path := range []string{"/a", "/a/", "/a/b/", "/é"} {
		for _, spelling := range pathSpellings("::1", path, "/x", pathreading.All) {
			if spelling == path || strings.ContainsAny(spelling, " \r\n") {
				t.Errorf("%q of %q cannot be sent", spelling, path)
			}
		}
	}
}
