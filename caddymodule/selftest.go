package caddymodule

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// Bounds of a selftest.
const (
	maxSelftest = 10 * time.Minute
	maxAttempts = 50_000
	maxPassages = 1000 // of which a table shows the first

	// The lines of one request: headers below what common limits allow,
	// trailers below the 4 KiB that Go's server reads over HTTP/1.1.
	headerBytes  = 12 << 10
	trailerBytes = 3 << 10
)

// passage is something that got through.
type passage struct {
	// What went wrong: passed (the client's value arrived), answered (it came
	// back in the answer), lost (a header of ours is missing), doubled (a
	// header of ours stands there more often), reached (a spelling of a path
	// that is refused as it stands reached the application).
	Kind string `json:"kind"`

	Protocol string `json:"protocol"`
	Site     string `json:"site"`
	Path     string `json:"path"`
	Token    bool   `json:"token"`
	Section  string `json:"section"`
	Sent     string `json:"sent"`
	Upstream string `json:"upstream,omitempty"`
	Arrived  string `json:"arrived,omitempty"`
}

// verdict is what a selftest found.
type verdict struct {
	Requests  int            `json:"requests"`
	Reached   int            `json:"reached"`
	Refused   map[string]int `json:"refused"`
	Names     []string       `json:"names"`
	Spellings int            `json:"spellings"`
	Targets   int            `json:"targets"`
	Accepted  bool           `json:"token_accepted"`
	Answer    string         `json:"token_answer,omitempty"`
	Guarded   guardedPaths   `json:"guarded_paths"`
	Passed    []passage      `json:"passed"`
	More      int            `json:"passed_more,omitempty"`
	Notes     []string       `json:"notes,omitempty"`
}

// selftester tries one configuration that runs already.
type selftester struct {
	owned  *forward.ReservedNames
	places []token.Place
	names  []forward.ReservedName // what is written, and headers and cookies that tokens are read from
	token  string
	probes *probes
	mark   string          // what values of the client begin with
	judged pathreading.Set // the readings of a path that every policy judges

	methods []string // those that are tried besides GET
	verdict
}

// newSelftester prepares the attempts against a running app.
func newSelftester(app *App, text string, p *probes) *selftester {
	s := &selftester{owned: app.owned.Load(), token: text, probes: p, judged: pathreading.All}
	var run [4]byte
	_, _ = rand.Read(run[:]) // never fails (crypto/rand)
	s.mark = "ste-" + hex.EncodeToString(run[:]) + "-"
	s.Passed, s.Refused, s.Guarded.Refused = []passage{}, map[string]int{}, map[string]int{}
	for _, pol := range app.policies {
		s.judged &= pol.compiled.Readings()
		for _, place := range pol.compiled.Places() {
			if place.Scheme != "DPoP" && !slices.Contains(s.places, place) {
				s.places = append(s.places, place)
			}
		}
	}
	spellings := map[string]bool{}
	s.names = s.owned.Names()
	for _, place := range s.places {
		switch {
		case place.Kind == token.Cookie:
			s.names = append(s.names, forward.ReservedName{Name: place.Name, Kind: forward.ReservedCookie})
		case place.Kind == token.Header && place.Name != "Authorization": // which is owned where it is written
			s.names = append(s.names, forward.ReservedName{Name: place.Name, Kind: forward.ReservedHeader})
		}
	}
	for _, n := range s.names {
		s.Names = append(s.Names, n.Name)
		for _, a := range aliasesOf(n) {
			spellings[a] = true
		}
	}
	slices.Sort(s.Names)
	s.Names = slices.Compact(s.Names)
	s.Spellings = len(spellings)
	return s
}

// aliasesOf gives the spellings of a name that a client may send.
func aliasesOf(n forward.ReservedName) []string {
	switch n.Kind {
	case forward.ReservedPrefix:
		return forward.Aliases(n.Name + madeUpWord)
	case forward.ReservedParts:
		return forward.Aliases(n.Name + "-1")
	case forward.ReservedCookie:
		// One framework or another reads each of these as the cookie itself, or did.
		return append(forward.Aliases(n.Name), n.Name+"[x]", strings.ReplaceAll(n.Name, "_", "%5F"), "="+n.Name,
			"\t"+n.Name+"\t", "\xa0"+n.Name, n.Name+"\x85", "\u2003"+n.Name+"\u3000", n.Name+"%20", `"`+n.Name+`"`, "("+n.Name, "a=1,"+n.Name, "a=1 "+n.Name, `a="1"`+n.Name)
	case forward.ReservedHeader:
	}
	return forward.Aliases(n.Name)
}

// target is a path of a site, asked with a token or without.
type target struct {
	wire       *wire
	host, path string
	place      *token.Place // nil: without a token
	usual      map[string]map[string]int
	refused    bool // an honest request is
}

// try sends everything there is to each path of a site. It ends early when ctx
// does.
func (s *selftester) try(ctx context.Context, w *wire, at site) error {
	targets := make([]*target, 0, 2*len(at.paths))
	for _, path := range at.paths {
		s.Targets++
		bare := &target{wire: w, host: at.host, path: path}
		if _, _, err := s.measure(ctx, bare); err != nil {
			return err
		}
		with, err := s.withToken(ctx, bare)
		if err != nil {
			return err
		}
		for _, t := range []*target{bare, with} {
			for _, a := range s.attempts(t) {
				if err := s.attack(ctx, t, a); err != nil {
					return err
				}
			}
			targets = append(targets, t)
		}
	}
	return s.tryGuarded(ctx, targets)
}

// withToken finds the place where the path takes the token.
func (s *selftester) withToken(ctx context.Context, bare *target) (*target, error) {
	var first *target
	for i := range s.places {
		t := &target{wire: bare.wire, host: bare.host, path: bare.path, place: &s.places[i]}
		ours, answer, err := s.measure(ctx, t)
		if err != nil {
			return nil, err
		}
		if ours {
			s.Accepted = true
			return t, nil
		}
		if first == nil {
			first = t
			if s.Answer == "" {
				s.Answer = answer
			}
		}
	}
	return first, nil
}

// measure sends an honest request and notes which headers of ours arrive.
func (s *selftester) measure(ctx context.Context, t *target) (ours bool, answer string, err error) {
	a := attempt{protocol: protocol1, host: t.host, path: t.path}
	s.credentials(&a, t)
	r, err := s.send(ctx, t, a)
	if err != nil {
		return false, "", fmt.Errorf("asking https://%s%s: %w", t.host, t.path, err)
	}
	t.usual = map[string]map[string]int{}
	for _, p := range s.probes.take() {
		counts := s.count(p)
		t.usual[p.upstream] = merge(t.usual[p.upstream], counts)
		ours = ours || len(counts) > 0
	}
	t.refused = r.refuses(len(t.usual) > 0)
	answer = fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if c := r.header.Get("WWW-Authenticate"); c != "" {
		answer += ", " + c
	}
	return ours, answer, nil
}

// count tells how often each name of ours stands in a request, without what
// the client put there.
func (s *selftester) count(p probed) map[string]int {
	counts := map[string]int{}
	for name, values := range p.header {
		switch {
		case s.owned.Contains(name):
			for _, v := range values {
				if !strings.Contains(v, s.mark) {
					counts[forward.Canonicalize(name)]++
				}
			}
		case name == "Cookie":
			for _, n := range s.owned.Names() {
				if n.Kind == forward.ReservedCookie && strings.Contains("; "+strings.Join(values, "; "), "; "+n.Name+"=") {
					counts["cookie "+n.Canonical]++
				}
			}
		}
	}
	return counts
}

func merge(a, b map[string]int) map[string]int {
	if a == nil {
		return b
	}
	for k, n := range b {
		a[k] = max(a[k], n)
	}
	return a
}

// credentials puts the token where the target takes it.
func (s *selftester) credentials(a *attempt, t *target) {
	if t.place == nil {
		return
	}
	switch p := t.place; p.Kind {
	case token.Header:
		a.lines = append(a.lines, line{p.Name, strings.TrimSpace(p.Scheme + " " + s.token)})
	case token.Cookie:
		a.lines = append(a.lines, line{"Cookie", p.Name + "=" + s.token})
	case token.Query:
		a.query = url.Values{p.Name: {s.token}}.Encode()
	}
}

// send counts a request and sends it.
func (s *selftester) send(ctx context.Context, t *target, a attempt) (*reply, error) {
	if s.Requests++; s.Requests > maxAttempts {
		return nil, fmt.Errorf("over %d requests: choose with --site and --path", maxAttempts)
	}
	s.probes.take()
	return t.wire.send(ctx, a)
}

// attack sends a dishonest request and judges what came of it.
func (s *selftester) attack(ctx context.Context, t *target, a tried) error {
	r, err := s.send(ctx, t, a.attempt)
	if ctx.Err() != nil {
		return fmt.Errorf("the selftest took longer than %v: choose with --site and --path", maxSelftest)
	}
	if err != nil {
		s.Refused["no answer"]++
		return nil
	}
	received := s.probes.take()
	if len(received) > 0 {
		s.Reached++
	} else if len(t.usual) > 0 && a.method == "" && !a.maybeToken {
		s.Refused[fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))]++
	}
	for _, p := range received {
		for _, h := range []http.Header{p.header, p.trailer} {
			for name, values := range h {
				for _, l := range s.marked(strings.Join(values, "\n"), a) {
					s.report(t, a, "passed", l, p.upstream, name)
				}
			}
		}
		if a.method == "" { // the usual was measured with GET
			s.compare(t, a, p)
		}
	}
	for name, values := range r.header {
		for _, l := range s.marked(strings.Join(values, "\n"), a) {
			s.report(t, a, "answered", l, "", name)
		}
	}
	for _, l := range s.marked(string(r.body), a) {
		s.report(t, a, "answered", l, "", "body")
	}
	return nil
}

// compare tells which of our headers an application received less or more
// often than it does of an honest request.
func (s *selftester) compare(t *target, a tried, p probed) {
	usual := t.usual[p.upstream]
	if usual == nil {
		return
	}
	counts := s.count(p)
	for name, n := range usual {
		switch {
		case counts[name] < n:
			s.report(t, a, "lost", strings.Join(a.connection, ", "), p.upstream, name)
		case counts[name] > n:
			s.report(t, a, "doubled", "", p.upstream, name)
		}
	}
	for name := range counts {
		if usual[name] == 0 {
			s.report(t, a, "doubled", "", p.upstream, name)
		}
	}
}

// report notes what passed: what was sent, at which application and where it
// arrived. Beyond a bound it only counts.
func (s *selftester) report(t *target, a tried, kind, sent, upstream, arrived string) {
	if len(s.Passed) >= maxPassages {
		s.More++
		return
	}
	s.Passed = append(s.Passed, passage{
		Kind: kind, Protocol: a.protocol, Site: t.host, Path: t.path, Token: t.place != nil,
		Section: a.section, Sent: sent, Upstream: upstream, Arrived: arrived,
	})
}

// marked finds values of the client in a text and tells under which names
// they were sent.
func (s *selftester) marked(text string, a tried) []string {
	if !strings.Contains(text, s.mark) {
		return nil
	}
	var names []string
	for _, l := range slices.Concat(a.lines, a.trailers, a.cookies) {
		_, value, ok := strings.Cut(l.value, s.mark)
		if ok && strings.Contains(text+" ", s.mark+value) && !slices.Contains(names, l.name) {
			names = append(names, l.name)
		}
	}
	return names
}
