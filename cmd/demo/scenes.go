package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 1 << 20

// scene is one request and what is to be expected of it.
type scene struct {
	title  string
	person string      // whose token; empty: no token
	order  string      // how the token differs: a query of the provider's
	path   string      // of the request
	sends  [][2]string // headers that the client sends
	status int
	sees   map[string]string // headers that the application receives
	signed bool              // and a token that verifies against the gateway's keys
}

func scenes() []scene {
	ada := map[string]string{"X-User": "ada", "X-Name": "Ada%20Ampere", "X-Groups": "Payroll-Admin"}
	grace := map[string]string{"X-User": "grace", "X-Name": "Grace%20Gauss", "X-Groups": "Payroll-User"}
	return []scene{
		{
			title:  "Ada is let in. Of her four groups the application learns the one on its allow list.",
			person: "ada", path: "/", status: http.StatusOK, sees: ada, signed: true,
		},
		{
			title:  "Grace is let in, with another name and another group; her token is signed with ES256.",
			person: "grace", order: "alg=ES256", path: "/", status: http.StatusOK, sees: grace, signed: true,
		},
		{
			title:  "Grace pretends to be Ada, in every spelling: what she sends is removed; what the directory says arrives.",
			person: "grace", path: "/", status: http.StatusOK, sees: grace, signed: true,
			sends: [][2]string{
				{"X-User", "ada"}, {"X_Groups", "Payroll-Admin"}, {"x.groups", "Payroll-Admin"}, {"Connection", "X-Groups"},
			},
		},
		{
			title:  "Ada may go where only payroll administrators may.",
			person: "ada", path: "/admin/", status: http.StatusOK, sees: map[string]string{"X-User": "00u1ada"},
		},
		{
			title:  "Grace may not.",
			person: "grace", path: "/admin/", status: http.StatusForbidden,
		},
		{
			title:  "Nor by the same path without its slash.",
			person: "grace", path: "/admin", status: http.StatusForbidden,
		},
		{
			title:  "Nor by a spelling that only some applications read as that path.",
			person: "grace", path: "/x/..%2fadmin/", status: http.StatusBadRequest,
		},
		{
			title:  "Alan has a valid token, but his account is suspended.",
			person: "alan", path: "/", status: http.StatusForbidden,
		},
		{
			title:  "A valid token for a user whom the directory does not know.",
			person: "nobody", path: "/", status: http.StatusForbidden,
		},
		{
			title: "No token.",
			path:  "/", status: http.StatusUnauthorized,
		},
		{
			title:  "A token that has expired.",
			person: "ada", order: "ttl=-5m", path: "/", status: http.StatusUnauthorized,
		},
		{
			title:  "A token for another application.",
			person: "ada", order: "aud=api://other", path: "/", status: http.StatusUnauthorized,
		},
		{
			title:  "An ID token, which identifies a user and grants no access.",
			person: "ada", order: "kind=id", path: "/", status: http.StatusUnauthorized,
		},
	}
}

// introduce prints the address of each part.
func (s *stage) introduce(out io.Writer) {
	fmt.Fprintf(out, "gateway       %s (Caddyfile.example)\n", s.gateway)
	fmt.Fprintf(out, "admin         http://%s/token_enrich/status\n", s.admin)
	fmt.Fprintf(out, "provider      %s\n", s.issuer)
	fmt.Fprintf(out, "application   http://%s (behind the gateway: it believes every header)\n", s.legacy)
	if s.log != "" {
		fmt.Fprintf(out, "Caddy's log   %s\n", s.log)
	}
}

// explain prints the requests for a person to make.
func (s *stage) explain(out io.Writer) {
	s.invite(out)
	for i, sc := range scenes() {
		s.requestStep(sc).show(out, i+1)
	}
	for _, q := range s.questions() {
		fmt.Fprintf(out, "\n%s\n   curl -s", q.title)
		if q.body != "" {
			fmt.Fprintf(out, " -d '%s'", q.body)
		}
		fmt.Fprintf(out, " %s\n", q.url)
	}
	fmt.Fprintf(out, "\nEdit examples/directory.yaml while this runs: the next request sees it. Ctrl-C ends it.\n")
}

// question is one that an operator asks at the admin address.
type question struct{ title, body, url string }

func (s *stage) questions() []question {
	base := "http://" + s.admin + "/token_enrich/"
	return []question{
		{
			title: "Why Grace may not do what only payroll administrators may:",
			body:  `{"issuer":"corp","subject":"` + people()["grace"].Subject + `","client":"` + client + `","policy":"payroll-admin"}`,
			url:   base + "explain",
		},
		{title: "The status of the gateway:", url: base + "status"},
	}
}

// step is a request or a visit, as it is shown and tried.
type step struct {
	title, how, want string
	try              func(context.Context) (string, error)
}

// show prints what is done and what to expect.
func (t step) show(out io.Writer, n int) {
	fmt.Fprintf(out, "\n%d. %s\n   %s\n   expect %s\n", n, t.title, t.how, t.want)
}

func (s *stage) requestStep(sc scene) step {
	return step{
		title: sc.title, how: s.curl(sc), want: expectation(sc.status, sc.sees, sc.signed),
		try: func(ctx context.Context) (string, error) { return s.ask(ctx, sc) },
	}
}

// curl is the request as a command line.
func (s *stage) curl(sc scene) string {
	line := "curl -s -i"
	if sc.status == http.StatusOK {
		line = "curl -s"
	}
	if sc.person != "" {
		line += fmt.Sprintf(` -H "Authorization: Bearer $(curl -s '%s')"`, s.tokenURL(sc))
	}
	for _, h := range sc.sends {
		line += fmt.Sprintf(" -H '%s: %s'", h[0], h[1])
	}
	return line + " " + s.gateway + sc.path
}

func (s *stage) tokenURL(sc scene) string {
	url := s.issuer + "/token/" + sc.person
	if sc.order != "" {
		url += "?" + sc.order
	}
	return url
}

func expectation(status int, sees map[string]string, signed bool) string {
	parts := []string{fmt.Sprintf("%d %s", status, http.StatusText(status))}
	for _, name := range slices.Sorted(maps.Keys(sees)) {
		parts = append(parts, name+": "+sees[name])
	}
	if signed {
		parts = append(parts, "X-Gateway-Token, signed by the gateway")
	}
	return strings.Join(parts, ", ")
}

// play makes every request and visit and prints the result. It reports whether
// all were as expected.
func (s *stage) play(ctx context.Context, out io.Writer) bool {
	all, err := s.steps()
	if err != nil {
		fmt.Fprintf(out, "FAILED: %v\n", err)
		return false
	}
	passed := 0
	for i, t := range all {
		t.show(out, i+1)
		outcome, err := t.try(ctx)
		if err != nil {
			fmt.Fprintf(out, "   FAILED: %v\n", err)
			continue
		}
		passed++
		fmt.Fprintf(out, "   ok: %s\n", outcome)
	}
	fmt.Fprintf(out, "\n%d of %d as expected\n", passed, len(all))
	return passed == len(all)
}

// ask makes one request and compares; the error says what differs.
func (s *stage) ask(ctx context.Context, sc scene) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.gateway+sc.path, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("making the request: %w", err)
	}
	for _, h := range sc.sends {
		r.Header[h[0]] = append(r.Header[h[0]], h[1])
	}
	if sc.person != "" {
		token, err := fetch(ctx, s.tokenURL(sc))
		if err != nil {
			return "", err
		}
		r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	a, err := send(r)
	if err != nil {
		return "", err
	}
	if a.code != sc.status {
		return "", fmt.Errorf("the answer is %s", a.status)
	}
	if sc.status != http.StatusOK {
		return strings.TrimSpace(a.status + " " + a.challenge), nil
	}
	seen, err := received(a.body)
	if err != nil {
		return "", err
	}
	return a.status, s.compare(ctx, sc.sees, sc.signed, seen)
}

// compare holds what the application received against what it should have.
func (s *stage) compare(ctx context.Context, sees map[string]string, signed bool, seen http.Header) error {
	var wrong []string
	for name, want := range sees {
		if got := seen[name]; !slices.Equal(got, []string{want}) {
			wrong = append(wrong, fmt.Sprintf("%s is %q", name, got))
		}
	}
	for name := range seen {
		canonical := textproto.CanonicalMIMEHeaderKey(strings.NewReplacer("_", "-", ".", "-").Replace(name))
		if _, expected := sees[canonical]; expected && canonical != name {
			wrong = append(wrong, name+" came through")
		}
	}
	if seen.Get("Authorization") != "" {
		wrong = append(wrong, "the incoming token came through")
	}
	if strings.Contains(seen.Get("Cookie"), "token_enrich") {
		wrong = append(wrong, "the session came through")
	}
	if signed {
		if err := s.verify(ctx, seen.Get("X-Gateway-Token")); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// verify checks the gateway's token as an application would: against the key
// set that the gateway publishes.
func (s *stage) verify(ctx context.Context, text string) error {
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return fmt.Errorf("reading the gateway's token: %w", err)
	}
	body, err := fetch(ctx, s.gateway+"/.well-known/jwks.json")
	if err != nil {
		return err
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(body, &set); err != nil {
		return fmt.Errorf("reading the gateway's keys: %w", err)
	}
	var claims jwt.Claims
	if err := token.Claims(&set, &claims); err != nil {
		return fmt.Errorf("verifying the gateway's token: %w", err)
	}
	if claims.Issuer != s.gateway {
		return fmt.Errorf("the gateway's token names issuer %q", claims.Issuer)
	}
	return nil
}

// received reads the headers out of the application's text.
func received(body []byte) (http.Header, error) {
	lines := bufio.NewScanner(strings.NewReader(string(body)))
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "GET ") {
		return nil, errors.New("the answer is not the application's")
	}
	out := http.Header{}
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		out[name] = append(out[name], value)
	}
	return out, nil
}

// answer is what is kept of a response.
type answer struct {
	code      int
	status    string
	challenge string // WWW-Authenticate
	body      []byte
}

func fetch(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	a, err := send(r)
	if err == nil && a.code != http.StatusOK {
		err = fmt.Errorf("asking %s: %s", r.URL.Host, a.status)
	}
	return a.body, err
}

func send(r *http.Request) (answer, error) {
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, fmt.Errorf("sending a request: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	return read(response)
}

func read(response *http.Response) (answer, error) {
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return answer{}, fmt.Errorf("reading an answer: %w", err)
	}
	return answer{response.StatusCode, response.Status, response.Header.Get("WWW-Authenticate"), body}, nil
}
