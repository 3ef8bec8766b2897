package integration

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

func TestErrorsOfRulesAndHeadersAre500WithoutDetail(t *testing.T) {
	long := strings.Repeat("g", 5000)
	for _, tc := range []struct {
		name, options string
		claims        enrichtest.Claims
		code          int
		header        string // of X-Out
	}{
		{"a rule that errors", "claim out user.nosuch.deep\nheader X-Out out", nil, 500, ""},
		{"a rule that errors and may be left out", "claim out user.nosuch.deep {\non_error omit\n}\nheader X-Out out", enrichtest.Claims{"out": "forged"}, 200, ""},
		{"a rule on an unknown app", "claim out app.profile.x\nheader X-Out out\napp nosuch", nil, 500, ""},
		{"more groups than the limit", "claim out groups regex .* {\nlimit 2\n}\nheader X-Out out", nil, 500, ""},
		{"more groups than the limit, cut", "claim out groups regex .* {\nlimit 2\non_limit truncate\n}\nheader X-Out out", nil, 200, "Everyone,IT"},
		{"a value that is too long", "header X-Out out", enrichtest.Claims{"out": long}, 500, ""},
		{"a value that is too long and may be left out", "header X-Out out {\non_overflow omit\n}", enrichtest.Claims{"out": long}, 200, ""},
		{"headers over budget", "header_budget 100B\nheader X-Out out", enrichtest.Claims{"out": strings.Repeat("g", 200)}, 500, ""},
		{"an element with the delimiter", "header X-Out out", enrichtest.Claims{"out": []string{"a,b", "c"}}, 500, ""},
		{"an empty claim that must not be", "header X-Out out {\non_empty deny\n}", nil, 500, ""},
		{"an empty claim with a default", "header X-Out out {\non_empty default none\n}", nil, 200, "none"},
		{"an object", "header X-Out out", enrichtest.Claims{"out": map[string]any{"a": 1}}, 500, ""},
		{"a value that does not fit its encoding", "header X-Out out {\nencode ascii\n}", enrichtest.Claims{"out": "Łukasz"}, 500, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich {\n" + tc.options + "\n}\nreverse_proxy " + w.legacy.Addr())
			for range 2 {
				got := w.get("/", w.token("00u1ada", tc.claims), "X-Out", "root")
				if tc.code != 200 {
					wantRefusal(t, got, tc.code)
					w.nothingReceived()
					if c := got.Header.Get("WWW-Authenticate"); c != "" {
						t.Errorf("a challenge with a 500: %q", c)
					}
					continue
				}
				wantStatus(t, got, 200)
				wantHeader(t, w.received(), "X-Out", tc.header)
			}
		})
	}
}

func TestRuleThatErrorsIsNamedInTheLogWithoutWhatItWorkedOn(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich {\nname payroll\nclaim out user.email.nosuch\nheader X-Out out\n}\nreverse_proxy " + w.legacy.Addr())
	token := w.token("00u1ada")
	wantRefusal(t, w.get("/", token), 500)
	eventually(t, "the log line", func() bool { return strings.Contains(w.logged(), "claim_error") })
	log := w.logged()
	for _, want := range []string{`"payroll"`, `claim \"out\"`, "1:"} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not hold %s", want)
		}
	}
	for _, no := range []string{"ada@example.com", "00u1ada", token} {
		if strings.Contains(log, no) {
			t.Errorf("the log holds %s", no)
		}
	}
}

// The path is judged as the application will make it out.
func TestErrorRoutesSeeTheClassOfARefusal(t *testing.T) {
	w := prepare(t)
	w.load(`token_enrich {
		require_scope admin
	}
	reverse_proxy ` + w.legacy.Addr() + `
	handle_errors {
		respond "{err.status_code} {token_enrich.reason} {token_enrich.subject} {err.message}"
	}`)
	for _, tc := range []struct{ token, want string }{
		{"", "401 no_token  authentication required"},
		{"garbage", "401 invalid_token  invalid token"},
		{w.token("00u1ada"), "403 insufficient_scope  insufficient scope"},
		{w.token("00u9nobody", enrichtest.Claims{"scp": "admin"}), "403 unknown_user  forbidden"},
		{w.token("00u3alan", enrichtest.Claims{"scp": "admin"}), "403 denied  forbidden"},
	} {
		if got := w.get("/", tc.token); got.body != tc.want {
			t.Errorf("the error route says %q, want %q", got.body, tc.want)
		}
	}
	w.nothingReceived()
}

// A gateway without issuers is a defect that no configuration can bring
// about: its stages panic.
func TestPanicInAStageIs500AndReachesNobody(t *testing.T) {
	p, err := enrich.CompilePolicy(enrich.PolicyDefinition{Name: "p"})
	if err != nil {
		t.Fatal(err)
	}
	g := &enrich.Gateway{Clock: time.Now, Logger: slog.New(slog.DiscardHandler), Observer: enrichtest.Silent{}}
	passed := false
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, err := g.Enrich(r, p, enrich.RequestInfo{})
		var refusal *enrich.Refusal
		switch {
		case err == nil:
			passed = true
		case !errors.As(err, &refusal), !errors.Is(err, enrich.ErrPanic):
			t.Errorf("the panic became %v", err)
		default:
			http.Error(rw, refusal.Error(), refusal.Kind.Status())
		}
	}))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer abc")
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 500 || string(body) != "internal error\n" || passed {
		t.Errorf("status %d, body %q, passed on: %v", resp.StatusCode, body, passed)
	}
}
