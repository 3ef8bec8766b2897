package selftest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// This file sends the requests, and compares what applications receive.
//
// First an honest request to each path measures the baseline: which headers of the
// gateway arrive where. An attempt has failed if none of its values arrives and the
// baseline is unchanged: no header of the gateway is missing or there more often.

// tester sends requests to one configuration that runs already, and records in the
// report what got through.
type tester struct {
	owned    *forward.ReservedNames
	places   []token.Place
	names    []forward.ReservedName // what the gateway writes, and the headers and cookies that tokens are read from
	token    string
	probes   *probes
	mark     string          // begins each value that the client makes up
	readings pathreading.Set // the readings of a path that all policies match
	Report
}

// newTester returns a tester of a running app.
func newTester(app *caddymodule.App, accepted string, p *probes) *tester {
	s := &tester{owned: app.OwnedNames(), token: accepted, probes: p, readings: pathreading.All}
	// Each run has a mark of its own, so that values of an earlier run, which an
	// application may have stored, are not taken for its own.
	var run [4]byte
	_, _ = rand.Read(run[:]) // never fails (crypto/rand)
	s.mark = "ste-" + hex.EncodeToString(run[:]) + "-"
	s.Bypasses, s.Refused, s.Guarded.Refused = []Bypass{}, map[string]int{}, map[string]int{}
	// A spelling is refused for certain only if each policy matches that reading.
	for _, pol := range app.Policies() {
		s.readings &= pol.Policy().Readings()
		for _, place := range pol.Policy().Places() {
			if place.Scheme != "DPoP" && !slices.Contains(s.places, place) {
				s.places = append(s.places, place)
			}
		}
	}
	// Places of tokens are tested like owned names: what is there must not reach an
	// application either.
	spellings := map[string]bool{}
	s.names = s.owned.Names()
	for _, pol := range app.Policies() {
		if site := pol.Site(); site != nil {
			cookie := forward.ReservedName{Name: site.Origin().TransactionCookie(), Kind: forward.ReservedCookie}
			if !slices.ContainsFunc(s.names, func(n forward.ReservedName) bool { return n.Name == cookie.Name }) {
				s.names = append(s.names, cookie)
			}
		}
	}
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

// aliasesOf returns the spellings of a name that a client may send. The first one
// is the name as configured.
func aliasesOf(n forward.ReservedName) []string {
	switch n.Kind {
	case forward.ReservedPrefix:
		return forward.Aliases(n.Name + exampleWord)
	case forward.ReservedParts:
		return forward.Aliases(n.Name + "-1")
	case forward.ReservedCookie:
		// Each of these is, or was, read as the cookie itself by some framework.
		return append(forward.Aliases(n.Name), n.Name+"[x]", strings.ReplaceAll(n.Name, "_", "%5F"), "="+n.Name,
			"\t"+n.Name+"\t", "\xa0"+n.Name, n.Name+"\x85", "\u2003"+n.Name+"\u3000", n.Name+"%20", `"`+n.Name+`"`, "("+n.Name, "a=1,"+n.Name, "a=1 "+n.Name, `a="1"`+n.Name)
	case forward.ReservedHeader:
	}
	return forward.Aliases(n.Name)
}

// target is a path of a site, requested with a token or without.
type target struct {
	client     *client
	host, path string
	place      *token.Place // where the token is sent; nil: without a token

	// baseline is what an honest request leads to: by upstream, how often each
	// name of the gateway arrives. refused means that the request is refused.
	baseline map[string]map[string]int
	refused  bool
}

// testSite sends all attempts to each path of a site. It ends early when ctx does.
func (s *tester) testSite(ctx context.Context, c *client, at site) error {
	targets := make([]*target, 0, 2*len(at.paths))
	for _, path := range at.paths {
		s.Targets++
		// The baseline is measured without a token first, then with it.
		bare := &target{client: c, host: at.host, path: path}
		if _, _, err := s.measureBaseline(ctx, bare); err != nil {
			return err
		}
		with, err := s.tokenTarget(ctx, bare)
		if err != nil {
			return err
		}
		for _, t := range []*target{bare, with} {
			for _, a := range s.attempts(t) {
				if err := s.send(ctx, t, a); err != nil {
					return err
				}
			}
			targets = append(targets, t)
		}
	}
	return s.sendGuarded(ctx, targets)
}

// tokenTarget returns the target for the place where the path takes the token. It
// is that of the first place where none does.
func (s *tester) tokenTarget(ctx context.Context, bare *target) (*target, error) {
	var first *target
	for i := range s.places {
		if s.places[i].Session {
			continue // a token is no session
		}
		t := &target{client: bare.client, host: bare.host, path: bare.path, place: &s.places[i]}
		enriched, answer, err := s.measureBaseline(ctx, t)
		if err != nil {
			return nil, err
		}
		if enriched {
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

// measureBaseline sends an honest request and records which headers of the gateway
// arrive. It reports whether any does, and returns the answer as text.
func (s *tester) measureBaseline(ctx context.Context, t *target) (enriched bool, answer string, err error) {
	// HTTP/1.1 is enough: an honest request is the same in both protocols.
	a := request{protocol: protocol1, host: t.host, path: t.path}
	s.credentials(&a, t)
	r, err := s.exchange(ctx, t, a)
	if err != nil {
		return false, "", fmt.Errorf("requesting https://%s%s: %w", t.host, t.path, err)
	}
	t.baseline = map[string]map[string]int{}
	for _, p := range s.probes.take() {
		counts := s.count(p)
		t.baseline[p.upstream] = merge(t.baseline[p.upstream], counts)
		enriched = enriched || len(counts) > 0
	}
	// A path that is refused with the token or without is a guarded one.
	t.refused = r.isRefusal(len(t.baseline) > 0)
	answer = fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if c := r.header.Get("WWW-Authenticate"); c != "" {
		answer += ", " + c
	}
	return enriched, answer, nil
}

// count returns how often each name of the gateway is in a request, without the
// values of the client, which begin with the mark of the run.
func (s *tester) count(p observation) map[string]int {
	counts := map[string]int{}
	for name, values := range p.header {
		switch {
		case s.owned.Contains(name):
			for _, v := range values {
				if !strings.Contains(v, s.mark) {
					counts[forward.Canonicalize(name)]++
				}
			}
		// Cookies that the gateway writes: the client's own of that name are dropped.
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

// merge adds the counts of b to a. The larger one counts, since one request may reach
// an application several times, as with forward_auth.
func merge(a, b map[string]int) map[string]int {
	if a == nil {
		return b
	}
	for k, n := range b {
		a[k] = max(a[k], n)
	}
	return a
}

// credentials adds the token to a request, at the source that the target uses. It does
// nothing for a target without a token.
func (s *tester) credentials(a *request, t *target) {
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

// exchange counts a request and sends it. Afterwards the probes hold only what it
// led to.
func (s *tester) exchange(ctx context.Context, t *target, a request) (*reply, error) {
	if s.Requests++; s.Requests > maxAttempts {
		return nil, fmt.Errorf("more than %d requests: narrow the test with --site and --path", maxAttempts)
	}
	s.probes.take()
	return t.client.send(ctx, a)
}

// send sends an attempt and records what got through: values of the client at an
// application or in the answer, and differences from the baseline.
func (s *tester) send(ctx context.Context, t *target, a attempt) error {
	r, err := s.exchange(ctx, t, a.request)
	if ctx.Err() != nil {
		return fmt.Errorf("the selftest took longer than %v: narrow it with --site and --path", maxSelftest)
	}
	// A server may close the connection of a malformed request without an answer.
	if err != nil {
		s.Refused["no answer"]++
		return nil
	}
	received := s.probes.take()
	if len(received) > 0 {
		s.Reached++
	} else if len(t.baseline) > 0 && !a.maybeToken {
		s.Refused[fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))]++
	}
	for _, p := range received {
		for _, h := range []http.Header{p.header, p.trailer} {
			for name, values := range h {
				for _, l := range s.markedNames(strings.Join(values, "\n"), a) {
					s.record(t, a, "passed", l, p.upstream, name)
				}
			}
		}
		s.compare(t, a, p)
	}
	// A value that comes back was read before the request was scrubbed.
	for name, values := range r.header {
		for _, l := range s.markedNames(strings.Join(values, "\n"), a) {
			s.record(t, a, "answered", l, "", name)
		}
	}
	for _, l := range s.markedNames(string(r.body), a) {
		s.record(t, a, "answered", l, "", "body")
	}
	return nil
}

// compare records the headers of the gateway that an application received less or
// more often than with an honest request. A missing header may have been deleted by
// Connection; one too many may be a copy that the client forged.
func (s *tester) compare(t *target, a attempt, p observation) {
	baseline := t.baseline[p.upstream]
	if baseline == nil {
		return // an application that honest requests do not reach
	}
	counts := s.count(p)
	for name, n := range baseline {
		switch {
		case counts[name] < n:
			s.record(t, a, "lost", strings.Join(a.connection, ", "), p.upstream, name)
		case counts[name] > n:
			s.record(t, a, "doubled", "", p.upstream, name)
		}
	}
	// A header that an honest request does not have was written once too often.
	for name := range counts {
		if baseline[name] == 0 {
			s.record(t, a, "doubled", "", p.upstream, name)
		}
	}
}

// record adds a bypass to the report. Beyond maxBypasses it only counts: a gateway
// that lets everything through would otherwise fill the memory.
func (s *tester) record(t *target, a attempt, kind, sent, upstream, arrived string) {
	if len(s.Bypasses) >= maxBypasses {
		s.More++
		return
	}
	s.Bypasses = append(s.Bypasses, Bypass{
		Kind: kind, Protocol: a.protocol, Site: t.host, Path: t.path, Token: t.place != nil,
		Section: a.section, Sent: sent, Upstream: upstream, Arrived: arrived,
	})
}

// markedNames returns the names under which the client sent the values that are in
// a text.
func (s *tester) markedNames(text string, a attempt) []string {
	if !strings.Contains(text, s.mark) {
		return nil
	}
	var names []string
	// The part behind the mark identifies the line.
	for _, l := range slices.Concat(a.lines, a.trailers, a.cookies) {
		_, value, ok := strings.Cut(l.value, s.mark)
		if ok && strings.Contains(text+" ", s.mark+value) && !slices.Contains(names, l.name) {
			names = append(names, l.name)
		}
	}
	return names
}
