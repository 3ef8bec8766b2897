package selftest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// Bounds of a selftest.
const (
	maxSelftest = 10 * time.Minute
	maxAttempts = 50_000
	maxBypasses = 1000 // of which a table shows the first

	// The lines of one request: headers below what common limits allow,
	// trailers below the 4 KiB that Go's server reads over HTTP/1.1.
	headerBytes  = 12 << 10
	trailerBytes = 3 << 10
)

// Run runs a configuration in private and tries it. It takes the
// place of whatever configuration this process runs.
func Run(ctx context.Context, adapted []byte, host, path, text string) (_ *Report, err error) {
	ctx, cancel := context.WithTimeout(ctx, maxSelftest)
	defer cancel()
	folder, err := os.MkdirTemp("", "token-enrich-selftest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	p := newProbes()
	defer p.Close()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	private := &privateConfig{folder: folder, host: host, path: path, probes: p}
	if err := private.rewriteAll(adapted); err != nil {
		return nil, err
	}
	config, err := private.text()
	if err != nil {
		return nil, err
	}
	if err := caddy.Load(config, true); err != nil {
		return nil, fmt.Errorf("running the configuration in private: %w%s", err, private.leftOut())
	}
	defer func() { err = errors.Join(err, caddy.Stop()) }()
	app, err := caddymodule.ActiveApp()
	if err != nil {
		return nil, err
	}
	if len(app.Policies()) == 0 {
		return nil, errors.New("the configuration has no token_enrich directive")
	}
	s := newSelftester(app, text, p)
	s.Notes = private.notes
	if missing := s.judged.Missing(); len(missing) > 0 {
		s.Notes = append(s.Notes, "spellings of guarded paths were not tried that need path_readings "+strings.Join(missing, " "))
	}
	for _, server := range private.servers {
		w := newWire(server.addr, private.pem.pool())
		defer w.close()
		for _, site := range server.sites {
			if err := s.try(ctx, w, site); err != nil {
				return nil, err
			}
		}
	}
	return &s.Report, nil
}

func (c *privateConfig) leftOut() string {
	if len(c.notes) == 0 {
		return ""
	}
	return " (" + strings.Join(c.notes, "; ") + ")"
}

// selftester tries one configuration that runs already.
type selftester struct {
	owned  *forward.Owned
	places []token.Place
	names  []forward.OwnedName // what is written, and headers and cookies that tokens are read from
	token  string
	probes *probes
	mark   string          // what values of the client begin with
	judged pathreading.Set // the readings of a path that every policy judges
	Report
}

// newSelftester prepares the attempts against a running app.
func newSelftester(app *caddymodule.App, text string, p *probes) *selftester {
	s := &selftester{owned: app.OwnedNames(), token: text, probes: p, judged: pathreading.All}
	var run [4]byte
	_, _ = rand.Read(run[:]) // never fails (crypto/rand)
	s.mark = "ste-" + hex.EncodeToString(run[:]) + "-"
	s.Bypasses, s.Refused, s.Guarded.Refused = []Bypass{}, map[string]int{}, map[string]int{}
	for _, pol := range app.Policies() {
		s.judged &= pol.Policy().Readings()
		for _, place := range pol.Policy().Places() {
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
			s.names = append(s.names, forward.OwnedName{Name: place.Name, Kind: forward.OwnedCookie})
		case place.Kind == token.Header && place.Name != "Authorization": // which is owned where it is written
			s.names = append(s.names, forward.OwnedName{Name: place.Name, Kind: forward.OwnedHeader})
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
func aliasesOf(n forward.OwnedName) []string {
	switch n.Kind {
	case forward.OwnedPrefix:
		return forward.Aliases(n.Name + madeUpWord)
	case forward.OwnedParts:
		return forward.Aliases(n.Name + "-1")
	case forward.OwnedCookie:
		// One framework or another reads each of these as the cookie itself, or did.
		return append(forward.Aliases(n.Name), n.Name+"[x]", strings.ReplaceAll(n.Name, "_", "%5F"), "="+n.Name,
			"\t"+n.Name+"\t", "\xa0"+n.Name, n.Name+"\x85", "\u2003"+n.Name+"\u3000", n.Name+"%20", `"`+n.Name+`"`, "("+n.Name, "a=1,"+n.Name, "a=1 "+n.Name, `a="1"`+n.Name)
	case forward.OwnedHeader:
	}
	return forward.Aliases(n.Name)
}

// target is a path of a site, asked with a token or without.
type target struct {
	wire       *wire
	host, path string
	place      *token.Place // nil: without a token
	baseline   map[string]map[string]int
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
				if err := s.send(ctx, t, a); err != nil {
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
	a := request{protocol: protocol1, host: t.host, path: t.path}
	s.credentials(&a, t)
	r, err := s.exchange(ctx, t, a)
	if err != nil {
		return false, "", fmt.Errorf("asking https://%s%s: %w", t.host, t.path, err)
	}
	t.baseline = map[string]map[string]int{}
	for _, p := range s.probes.take() {
		counts := s.count(p)
		t.baseline[p.upstream] = merge(t.baseline[p.upstream], counts)
		ours = ours || len(counts) > 0
	}
	t.refused = r.refuses(len(t.baseline) > 0)
	answer = fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if c := r.header.Get("WWW-Authenticate"); c != "" {
		answer += ", " + c
	}
	return ours, answer, nil
}

// count tells how often each name of ours stands in a request, without what
// the client put there.
func (s *selftester) count(p observation) map[string]int {
	counts := map[string]int{}
	for name, values := range p.header {
		switch {
		case s.owned.OwnsHeader(name):
			for _, v := range values {
				if !strings.Contains(v, s.mark) {
					counts[forward.Fold(name)]++
				}
			}
		case name == "Cookie":
			for _, n := range s.owned.Names() {
				if n.Kind == forward.OwnedCookie && strings.Contains("; "+strings.Join(values, "; "), "; "+n.Name+"=") {
					counts["cookie "+n.Fold]++
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
func (s *selftester) credentials(a *request, t *target) {
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

// exchange counts a request and sends it.
func (s *selftester) exchange(ctx context.Context, t *target, a request) (*reply, error) {
	if s.Requests++; s.Requests > maxAttempts {
		return nil, fmt.Errorf("over %d requests: choose with --site and --path", maxAttempts)
	}
	s.probes.take()
	return t.wire.send(ctx, a)
}

// send sends a dishonest request and judges what came of it.
func (s *selftester) send(ctx context.Context, t *target, a attempt) error {
	r, err := s.exchange(ctx, t, a.request)
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
	} else if len(t.baseline) > 0 && !a.maybeToken {
		s.Refused[fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))]++
	}
	for _, p := range received {
		for _, h := range []http.Header{p.header, p.trailer} {
			for name, values := range h {
				for _, l := range s.marked(strings.Join(values, "\n"), a) {
					s.record(t, a, "passed", l, p.upstream, name)
				}
			}
		}
		s.compare(t, a, p)
	}
	for name, values := range r.header {
		for _, l := range s.marked(strings.Join(values, "\n"), a) {
			s.record(t, a, "answered", l, "", name)
		}
	}
	for _, l := range s.marked(string(r.body), a) {
		s.record(t, a, "answered", l, "", "body")
	}
	return nil
}

// compare tells which of our headers an application received less or more
// often than it does of an honest request.
func (s *selftester) compare(t *target, a attempt, p observation) {
	baseline := t.baseline[p.upstream]
	if baseline == nil {
		return
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
	for name := range counts {
		if baseline[name] == 0 {
			s.record(t, a, "doubled", "", p.upstream, name)
		}
	}
}

// record notes what passed: what was sent, at which application and where it
// arrived. Beyond a bound it only counts.
func (s *selftester) record(t *target, a attempt, kind, sent, upstream, arrived string) {
	if len(s.Bypasses) >= maxBypasses {
		s.More++
		return
	}
	s.Bypasses = append(s.Bypasses, Bypass{
		Kind: kind, Protocol: a.protocol, Site: t.host, Path: t.path, Token: t.place != nil,
		Section: a.section, Sent: sent, Upstream: upstream, Arrived: arrived,
	})
}

// marked finds values of the client in a text and tells under which names
// they were sent.
func (s *selftester) marked(text string, a attempt) []string {
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
