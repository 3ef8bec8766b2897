package selftest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// This file lists the attempts: requests that try to get identity past the gateway.
//
// Each value of an attempt is unique and begins with the mark of the run. A value that
// is found at an application therefore identifies the name that the client sent, even
// if a proxy or a server has changed that name.

// attempt is a dishonest request, with what the report says of it.
type attempt struct {
	request

	section    string // where the names are, for the report
	cookies    []line // the cookies of the Cookie header
	maybeToken bool   // it may be refused, as a bad or a second token
}

// attempts returns the attempts for a target: each spelling of each name in header
// and trailer sections over each protocol, repeated names, cookies, and names in
// Connection.
func (s *tester) attempts(t *target) []attempt {
	var all []attempt
	for _, protocol := range []string{protocol1, protocol2} {
		common, alone := s.spellings(protocol, t)
		// Each spelling once in each section.
		for _, names := range batches(common, headerBytes) {
			all = append(all, s.inHeaders(t, protocol, "header", names))
		}
		for _, names := range batches(common, trailerBytes) {
			all = append(all, s.inTrailers(t, protocol, names, false))
		}
		for _, names := range batches(distinctFields(common), trailerBytes) {
			all = append(all, s.inTrailers(t, protocol, names, true))
		}
		// A name three times: what deletes one line may leave the next.
		repeated := make([]string, 0, 8)
		for _, n := range s.plainNames() {
			repeated = append(repeated, n, n, n)
		}
		for _, names := range batches(repeated, headerBytes) {
			all = append(all, s.inHeaders(t, protocol, "repeated header", names))
		}
		// What may be taken for a token, one name a request.
		for _, name := range alone {
			a := s.inHeaders(t, protocol, "header", []string{name})
			a.maybeToken = true
			all = append(all, a)
		}
		// Cookies share one header, and so one request.
		all = append(all, s.cookies(t, protocol)...)
	}
	return append(all, s.inConnection(t)...)
}

// spellings returns the names that a protocol can carry. Names that a token is read
// from are sent alone and without a token: beside one, or beside other names, they
// would only make the request malformed.
func (s *tester) spellings(protocol string, t *target) (common, alone []string) {
	// Two names may share a spelling, and over HTTP/2 spellings in another case.
	seen := map[string]bool{}
	for _, n := range s.names {
		if n.Kind == forward.ReservedCookie {
			continue
		}
		for _, a := range aliasesOf(n) {
			if protocol != protocol1 { // names are in lower case (RFC 9113, section 8.2)
				a = strings.ToLower(a)
			}
			if seen[a] {
				continue
			}
			seen[a] = true
			switch {
			case !s.carriesToken(a):
				common = append(common, a)
			// Where the target sends a token already, a second one is refused.
			case t.place == nil:
				alone = append(alone, a)
			}
		}
	}
	return common, alone
}

// carriesToken reports whether a header of that name is a source of tokens,
// or makes the request one with two tokens.
func (s *tester) carriesToken(name string) bool {
	return slices.ContainsFunc(s.places, func(p token.Place) bool {
		return p.Kind == token.Header && forward.Canonicalize(p.Name) == forward.Canonicalize(name)
	})
}

// plainNames returns the owned header names as configured, without those that a
// token is read from.
func (s *tester) plainNames() []string {
	var names []string
	for _, n := range s.owned.Names() {
		if n.Kind == forward.ReservedCookie {
			continue
		}
		name := aliasesOf(n)[0]
		if !s.carriesToken(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// inHeaders returns a request with names in its header section, each with a value of
// its own.
func (s *tester) inHeaders(t *target, protocol, section string, names []string) attempt {
	a := attempt{request: request{protocol: protocol, host: t.host, path: t.path}, section: section}
	s.credentials(&a.request, t)
	a.lines = append(a.lines, s.withValues(names)...)
	return a
}

// inTrailers returns a request with names in its trailer section.
func (s *tester) inTrailers(t *target, protocol string, names []string, announced bool) attempt {
	a := attempt{request: request{protocol: protocol, host: t.host, path: t.path, announced: announced}, section: "trailer"}
	if announced {
		a.section = "announced trailer"
	}
	s.credentials(&a.request, t)
	a.trailers = s.withValues(names)
	return a
}

// withValues returns lines with a value of its own for each name. The last character
// keeps one value from being the beginning of another.
func (s *tester) withValues(names []string) []line {
	lines := make([]line, len(names))
	for i, name := range names {
		value := fmt.Sprintf("%s%d.", s.mark, i)
		if s.carriesToken(name) {
			// A scheme of its own, so that it is not taken for a token.
			value = "Selftest " + value
		}
		lines[i] = line{name, value}
	}
	return lines
}

// cookies returns requests with the spellings of owned cookies, beside the token
// where that is a cookie. A cookie that a token is read from is sent alone in its
// own spelling, without a token.
func (s *tester) cookies(t *target, protocol string) []attempt {
	var names []string
	all := make([]attempt, 0, 16)
	for _, n := range s.names {
		if n.Kind != forward.ReservedCookie {
			continue
		}
		for _, a := range aliasesOf(n) {
			reads := func(p token.Place) bool { return p.Kind == token.Cookie && p.Name == a }
			switch {
			case slices.Contains(names, a):
			case !slices.ContainsFunc(s.places, reads):
				names = append(names, a)
			case t.place == nil:
				alone := s.cookie(t, protocol, []string{a})
				alone.maybeToken = true
				all = append(all, alone)
			}
		}
	}
	for _, batch := range batches(names, headerBytes) {
		all = append(all, s.cookie(t, protocol, batch))
	}
	return all
}

// cookie returns a request with cookies, each with a value of its own.
func (s *tester) cookie(t *target, protocol string, names []string) attempt {
	a := attempt{request: request{protocol: protocol, host: t.host, path: t.path}, section: "cookie"}
	s.credentials(&a.request, t)
	a.cookies = s.withValues(names)
	text := make([]string, len(a.cookies))
	for i, c := range a.cookies {
		text[i] = c.name + "=" + c.value
	}
	value := strings.Join(text, "; ")
	// The token may be a cookie too. Two Cookie headers would be malformed.
	if i := slices.IndexFunc(a.lines, func(l line) bool { return l.name == "Cookie" }); i >= 0 {
		a.lines[i].value += "; " + value
	} else {
		a.lines = append(a.lines, line{"Cookie", value})
	}
	return a
}

// inConnection returns requests that name owned headers in Connection, so that the
// next proxy would delete what the gateway wrote, and requests that hide a header
// behind a bare line feed.
func (s *tester) inConnection(t *target) []attempt {
	names := s.plainNames()
	all := make([]attempt, 0, 16)
	for _, batch := range batches(names, headerBytes) {
		// The names in Connection alone, with headers of these names, and with an
		// upgrade, which proxies treat apart.
		only := s.inHeaders(t, protocol1, "connection", nil)
		only.connection = batch
		both := s.inHeaders(t, protocol1, "connection", batch)
		both.connection = batch
		upgrade := s.inHeaders(t, protocol1, "upgrade", batch)
		upgrade.connection = append([]string{"Upgrade"}, batch...)
		upgrade.lines = append(upgrade.lines, line{"Upgrade", "websocket"}, line{"Te", "trailers"})
		// net/http takes a bare line feed for the end of a line.
		bareLF := s.inHeaders(t, protocol1, "bare line feed", nil)
		for _, l := range s.withValues(batch) {
			bareLF.lines = append(bareLF.lines, line{"X-Selftest", "a\n" + l.name + ": " + l.value})
		}
		all = append(all, only, both, upgrade, bareLF)
	}
	return all
}

// batches splits names into lists that take at most that many bytes as lines.
// One request carries many names, so that all spellings take tens of requests instead
// of thousands.
func batches(names []string, bytes int) [][]string {
	var all [][]string
	batch := make([]string, 0, len(names))
	size := 0 // of the batch, in bytes
	for _, n := range names {
		cost := len(n) + 40 // with the value and the separators
		if len(batch) > 0 && (size+cost > bytes) {
			all = append(all, batch)
			batch, size = nil, 0
		}
		batch, size = append(batch, n), size+cost
	}
	if len(batch) > 0 {
		all = append(all, batch)
	}
	return all
}

// distinctFields returns the names for a Trailer header: the names without those that differ from an earlier one in
// case only: Trailer announces names without regard to case.
func distinctFields(names []string) []string {
	seen := map[string]bool{}
	var list []string
	for _, n := range names {
		if l := strings.ToLower(n); !seen[l] {
			seen[l] = true
			list = append(list, n)
		}
	}
	return list
}
