package selftest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// attempt is a request that tries to get something past the gateway.
type attempt struct {
	request

	section    string
	cookies    []line // what stands in Cookie, cookie by cookie
	maybeToken bool   // it may be refused, as a bad or a second token
}

// attempts lists everything that is tried at a target: each spelling of each
// name in header and trailer sections of each protocol, repeated names, names
// in Connection, cookies.
func (s *selftester) attempts(t *target) []attempt {
	var all []attempt
	for _, protocol := range []string{protocol1, protocol2} {
		common, alone := s.spellings(protocol, t)
		for _, names := range batches(common, headerBytes) {
			all = append(all, s.make(t, protocol, "header", names))
		}
		for _, names := range batches(common, trailerBytes) {
			all = append(all, s.trailing(t, protocol, names, false))
		}
		for _, names := range batches(distinctFields(common), trailerBytes) {
			all = append(all, s.trailing(t, protocol, names, true))
		}
		repeated := make([]string, 0, 8)
		for _, n := range s.plainNames(t) {
			repeated = append(repeated, n, n, n)
		}
		for _, names := range batches(repeated, headerBytes) {
			all = append(all, s.make(t, protocol, "repeated header", names))
		}
		for _, name := range alone {
			a := s.make(t, protocol, "header", []string{name})
			a.maybeToken = true
			all = append(all, a)
		}
		all = append(all, s.cookies(t, protocol)...)
	}
	return append(all, s.hops(t)...)
}

// spellings are the names that a protocol can carry. Those that a token is
// read from come alone, where none is sent: beside a token, or beside other
// names, they would only make the request malformed.
func (s *selftester) spellings(protocol string, t *target) (common, alone []string) {
	seen := map[string]bool{}
	for _, n := range s.names {
		if n.Kind == forward.OwnedCookie {
			continue
		}
		for _, a := range aliasesOf(n) {
			if protocol != protocol1 {
				a = strings.ToLower(a)
			}
			if seen[a] {
				continue
			}
			seen[a] = true
			switch {
			case !s.carriesToken(a):
				common = append(common, a)
			case t.place == nil:
				alone = append(alone, a)
			}
		}
	}
	return common, alone
}

// carriesToken reports whether a header of that name is where a token is read,
// or makes the request one with two tokens.
func (s *selftester) carriesToken(name string) bool {
	return slices.ContainsFunc(s.places, func(p token.Place) bool {
		return p.Kind == token.Header && forward.Fold(p.Name) == forward.Fold(name)
	})
}

// plainNames are the owned header names as configured.
func (s *selftester) plainNames(t *target) []string {
	var names []string
	for _, n := range s.owned.Names() {
		if n.Kind == forward.OwnedCookie {
			continue
		}
		name := aliasesOf(n)[0]
		if !s.carriesToken(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// make puts names into the header section, each with a value of its own.
func (s *selftester) make(t *target, protocol, section string, names []string) attempt {
	a := attempt{request: request{protocol: protocol, host: t.host, path: t.path}, section: section}
	s.credentials(&a.request, t)
	a.lines = append(a.lines, s.valued(names)...)
	return a
}

// trailing puts names into the trailer section.
func (s *selftester) trailing(t *target, protocol string, names []string, announced bool) attempt {
	a := attempt{request: request{protocol: protocol, host: t.host, path: t.path, announced: announced}, section: "trailer"}
	if announced {
		a.section = "announced trailer"
	}
	s.credentials(&a.request, t)
	a.trailers = s.valued(names)
	return a
}

// valued gives each name a value that tells it apart from all others of the
// request. The last character keeps one value from being the beginning of
// another.
func (s *selftester) valued(names []string) []line {
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

// cookies puts spellings of owned cookies into Cookie, beside the token where
// that is a cookie. A cookie that a token is read from comes alone in its own
// spelling, where no token is sent.
func (s *selftester) cookies(t *target, protocol string) []attempt {
	var names []string
	all := make([]attempt, 0, 16)
	for _, n := range s.names {
		if n.Kind != forward.OwnedCookie {
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

// cookie puts cookies into one request, each with a value of its own.
func (s *selftester) cookie(t *target, protocol string, names []string) attempt {
	a := attempt{request: request{protocol: protocol, host: t.host, path: t.path}, section: "cookie"}
	s.credentials(&a.request, t)
	a.cookies = s.valued(names)
	text := make([]string, len(a.cookies))
	for i, c := range a.cookies {
		text[i] = c.name + "=" + c.value
	}
	value := strings.Join(text, "; ")
	if i := slices.IndexFunc(a.lines, func(l line) bool { return l.name == "Cookie" }); i >= 0 {
		a.lines[i].value += "; " + value
	} else {
		a.lines = append(a.lines, line{"Cookie", value})
	}
	return a
}

// hops names our headers in Connection, so that the next proxy would delete
// what the gateway wrote; and tries how else HTTP/1.1 can be bent.
func (s *selftester) hops(t *target) []attempt {
	names := s.plainNames(t)
	all := make([]attempt, 0, 16)
	for _, batch := range batches(names, headerBytes) {
		only := s.make(t, protocol1, "connection", nil)
		only.connection = batch
		both := s.make(t, protocol1, "connection", batch)
		both.connection = batch
		upgrade := s.make(t, protocol1, "upgrade", batch)
		upgrade.connection = append([]string{"Upgrade"}, batch...)
		upgrade.lines = append(upgrade.lines, line{"Upgrade", "websocket"}, line{"Te", "trailers"})
		// A line that ends in a bare line feed, and one that goes on in the
		// next: net/http reads both.
		bent := s.make(t, protocol1, "bare line feed", nil)
		for _, l := range s.valued(batch) {
			bent.lines = append(bent.lines, line{"X-Selftest", "a\n" + l.name + ": " + l.value})
		}
		all = append(all, only, both, upgrade, bent)
	}
	return all
}

// batches splits names so that one request stays below common limits.
func batches(names []string, bytes int) [][]string {
	var all [][]string
	batch := make([]string, 0, len(names))
	size := 0
	for _, n := range names {
		cost := len(n) + 40
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

// distinctFields keeps one spelling of names that differ in case only:
// trailers are announced without regard to it.
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
