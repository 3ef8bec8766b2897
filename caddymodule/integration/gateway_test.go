package integration

import (
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// payroll is a policy with a bit of everything.
const payroll = `
	token_enrich {
		name payroll
		app 0oa1payroll
		claim login ` + "`String.substringBefore(user.email, \"@\")`" + `
		claim groups allow_list expression app.profile.groupallowlist
		claim all groups regex .*
		claim role appuser.role
		header X-User login
		header X-Groups groups
		header X-All all
		header X-Role role
	}
	reverse_proxy `

func TestGatewayGivesTheApplicationWhoIsCalling(t *testing.T) {
	w := prepare(t)
	w.load(payroll + w.legacy.Addr())
	for range 3 { // the second and third come from the decision cache
		if got := w.get("/x", w.token("00u1ada"), "X-User", "root", "x_user", "root"); got.StatusCode != 200 {
			t.Fatalf("status %d: %s", got.StatusCode, got.body)
		}
		seen := w.received()
		for name, want := range map[string]string{"X-User": "ada", "X-Groups": "IT", "X-All": "Everyone,IT,Ops", "X-Role": "admin"} {
			if v := seen.Values(name); len(v) != 1 || v[0] != want {
				t.Errorf("%s = %q, want %q", name, v, want)
			}
			if like := seen.Like(name); len(like) != 1 {
				t.Errorf("fields that fold to %s: %v", name, like)
			}
		}
		if v := seen.Values("Authorization"); len(v) != 0 {
			t.Error("the incoming token reached the application")
		}
	}
}

func TestRefusalsFollowTheFailureTable(t *testing.T) {
	w := prepare(t)
	w.load(payroll + w.legacy.Addr())
	for _, tc := range []struct {
		name, token string
		headers     []string
		status      int
		challenge   string
	}{
		{"no token", "", nil, 401, "Bearer"},
		{"another scheme counts as none", "", []string{"Authorization", "Basic YTpi"}, 401, "Bearer"},
		{"a scheme without a token", "", []string{"Authorization", "Bearer"}, 400, `Bearer error="invalid_request"`},
		{"two tokens", w.token("00u1ada"), []string{"Authorization", "Bearer x"}, 400, `Bearer error="invalid_request"`},
		{"garbage", "garbage", nil, 401, `Bearer error="invalid_token"`},
		{"a bad signature", enrichtest.FlipSignature(w.token("00u1ada")), nil, 401, `Bearer error="invalid_token"`},
		{"another audience", w.token("00u1ada", enrichtest.Claims{"aud": "api://other"}), nil, 401, `Bearer error="invalid_token"`},
		{"expired", w.token("00u1ada", enrichtest.Claims{"exp": 1000}), nil, 401, `Bearer error="invalid_token"`},
		{"too long", strings.Repeat("a", 17<<10), nil, 401, `Bearer error="invalid_token"`},
		{"a user that the directory does not know", w.token("00u9nobody"), nil, 403, ""},
		{"a suspended user", w.token("00u3alan"), nil, 403, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := w.get("/", tc.token, tc.headers...)
			if got.StatusCode != tc.status {
				t.Errorf("status %d, want %d", got.StatusCode, tc.status)
			}
			if c := got.Header.Get("WWW-Authenticate"); !strings.HasPrefix(c, tc.challenge) || tc.challenge == "" && c != "" {
				t.Errorf("challenge %q, want %q", c, tc.challenge)
			}
			if c := got.Header.Get("Cache-Control"); c != "no-store" {
				t.Errorf("Cache-Control %q, want no-store", c)
			}
			w.nothingReceived()
		})
	}
}
