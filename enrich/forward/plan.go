package forward

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
)

// This file holds what a compiled definition knows of its own names: which it
// writes, which it reserves, and which of them cannot be combined.

// HeaderPlan is a compiled [Definition]. It never changes and is safe for
// concurrent use.
type HeaderPlan struct {
	headers []header
	every   []string // the prefixes of headers_from that take every claim
	everyAt []string // the paths of their settings
	budget  int
	targets []Target

	reserved []ReservedName
	written  map[string]string // the canonical form of each header → its name
	clear    []string          // map keys that Write deletes whatever is written
	sweeper  *ReservedNames    // the names that cannot be listed; nil if none
}

// Reserved returns the names that the plan may write, by kind and canonical form.
func (p *HeaderPlan) Reserved() []ReservedName { return slices.Clone(p.reserved) }

// listReserved fills in what Reserved, Write and NewReservedNames need.
func (p *HeaderPlan) listReserved() {
	for i := range p.headers {
		h := &p.headers[i]
		canonical := Canonicalize(h.name)
		p.reserved = append(p.reserved, ReservedName{Name: h.name, Canonical: canonical, Kind: ReservedHeader, Exact: h.exact})
		if h.onOverflow == overflowSplit {
			p.reserved = append(p.reserved, ReservedName{Name: h.name, Canonical: canonical, Kind: ReservedParts, Exact: h.exact})
		}
		p.clear = append(p.clear, h.key)
		if key := http.CanonicalHeaderKey(h.name); key != h.key {
			p.clear = append(p.clear, key)
		}
	}
	for _, t := range p.targets {
		if t.Header != "" {
			p.reserved = append(p.reserved, ReservedName{Name: t.Header, Canonical: Canonicalize(t.Header), Kind: ReservedHeader, Token: true})
		}
		if t.Cookie != "" {
			p.reserved = append(p.reserved, ReservedName{Name: t.Cookie, Canonical: Canonicalize(t.Cookie), Kind: ReservedCookie, Token: true})
		}
	}
	slices.SortStableFunc(p.reserved, func(a, b ReservedName) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return strings.Compare(a.Canonical, b.Canonical)
	})
	var open []ReservedName
	for _, o := range p.reserved {
		if o.Kind == ReservedPrefix || o.Kind == ReservedParts {
			open = append(open, o)
		}
	}
	if len(open) > 0 {
		p.sweeper = newReservedNames(open)
	}
}

// add adds a header to the plan. A server could take two headers with one canonical
// form for one.
func (p *HeaderPlan) add(h *header) error {
	canonical := Canonicalize(h.name)
	if other, twice := p.written[canonical]; twice {
		return fmt.Errorf("header %q: %w: servers that normalize names confuse it with %q, which is also written", h.name, errHeaderName, other)
	}
	p.written[canonical] = h.name
	p.headers = append(p.headers, *h)
	return nil
}

// addPrefixes adds the headers_from: their prefixes, and the headers of the claims
// that they name.
func (p *HeaderPlan) addPrefixes(from []HeadersFrom) error {
	for i, f := range from {
		path := setting.Index("headers_from", i)
		if err := checkPrefix(f.Prefix); err != nil {
			return setting.Wrap(fmt.Errorf("headers_from %q: %w", f.Prefix, err), path)
		}
		canonical := Canonicalize(f.Prefix)
		for _, other := range from[:i] {
			if o := Canonicalize(other.Prefix); strings.HasPrefix(canonical, o) || strings.HasPrefix(o, canonical) {
				return setting.Wrap(fmt.Errorf("headers_from %q: %w: its names overlap with those of %q", f.Prefix, errHeaderName, other.Prefix), path)
			}
		}
		p.reserved = append(p.reserved, ReservedName{Name: f.Prefix, Canonical: canonical, Kind: ReservedPrefix})
		if len(f.Claims) == 0 {
			p.every, p.everyAt = append(p.every, f.Prefix), append(p.everyAt, path)
			continue
		}
		for _, claim := range f.Claims {
			h, err := fromClaim(f.Prefix, claim)
			if err == nil && claim == "*" {
				err = errors.New("omit the claims of headers_from to write every claim")
			}
			if err != nil {
				return setting.Wrap(fmt.Errorf("headers_from %q: claim %q: %w", f.Prefix, claim, err), path)
			}
			h.setting = path
			if err := p.add(h); err != nil {
				return setting.Wrap(fmt.Errorf("headers_from %q: claim %q: %w", f.Prefix, claim, err), path, p.settingOf(Canonicalize(h.name)))
			}
		}
		if len(p.headers) > maxHeaders {
			return setting.Wrap(fmt.Errorf("headers_from %q: more than %d headers in one policy", f.Prefix, maxHeaders), path, p.headers[0].setting)
		}
	}
	return nil
}

// settingOf returns the path of the setting that writes a header of that canonical
// form, empty where none does.
func (p *HeaderPlan) settingOf(canonical string) string {
	for i := range p.headers {
		if Canonicalize(p.headers[i].name) == canonical {
			return p.headers[i].setting
		}
	}
	for i, t := range p.targets {
		if t.Header != "" && Canonicalize(t.Header) == canonical {
			return setting.Index("tokens", i)
		}
	}
	return ""
}

// Shows reports whether a header may show the claim.
func (p *HeaderPlan) Shows(claim string) bool {
	return len(p.every) > 0 || slices.ContainsFunc(p.headers, func(h header) bool { return h.claim == claim })
}

// Claims returns the names of the claims that headers show, unsorted; all says that
// they show any claim that there is.
func (p *HeaderPlan) Claims() (names []string, all bool) {
	for i := range p.headers {
		names = append(names, p.headers[i].claim)
	}
	return names, len(p.every) > 0
}

// CheckClaims returns an error where two computed claims of those names would be
// written to one header by a headers_from that takes every claim. It finds at load
// what Render would otherwise have to refuse at the first request.
func (p *HeaderPlan) CheckClaims(names []string) error {
	for i, prefix := range p.every {
		wrong := func(err error) error {
			return setting.Wrap(fmt.Errorf("headers_from %q: %w", prefix, err), p.everyAt[i])
		}
		seen := make(map[string]string, len(names))
		for _, claim := range names {
			h, err := fromClaim(prefix, claim)
			if err != nil {
				return wrong(fmt.Errorf("claim %q: %w", claim, err))
			}
			canonical := Canonicalize(h.name)
			if other, twice := seen[canonical]; twice && other != claim {
				return wrong(fmt.Errorf("%w: the claims %q and %q map to the same header", errHeaderName, other, claim))
			}
			if other, twice := p.writes(canonical); twice {
				return wrong(fmt.Errorf("%w: the claim %q maps to the header %q, which is also written", errHeaderName, claim, other))
			}
			seen[canonical] = claim
		}
	}
	return nil
}

// writes returns the header that may be written under a name of that canonical
// form: itself, or one of its numbered parts. Headers of a headers_from that takes
// every claim are not among them.
func (p *HeaderPlan) writes(canonical string) (name string, may bool) {
	if name, may = p.written[canonical]; may {
		return name, true
	}
	base, isPart := partOf(canonical)
	if !isPart || p.sweeper == nil {
		return "", false
	}
	_, may = p.sweeper.parts.names[base]
	return p.written[base], may
}

// Labels returns the configured names that headers are written for: a closed set,
// for a metric's label.
func (p *HeaderPlan) Labels() []string {
	names := make([]string, 0, len(p.headers)+len(p.every))
	for i := range p.headers {
		names = append(names, p.headers[i].name)
	}
	return append(names, p.every...)
}

// Label returns the one of Labels that a header was written for: its own name, or
// the prefix of the headers_from that derived it from a claim's.
func (p *HeaderPlan) Label(header string) string {
	canonical := Canonicalize(header)
	if _, named := p.written[canonical]; named {
		return header
	}
	for _, prefix := range p.every {
		if strings.HasPrefix(canonical, Canonicalize(prefix)) {
			return prefix
		}
	}
	return header
}

// ownTargets adds the places of the re-signed tokens, so that no claim is written
// there.
func (p *HeaderPlan) ownTargets(targets []Target) error {
	cookies := make(map[string]string)
	for i, t := range targets {
		path := setting.Index("tokens", i)
		if err := t.check(); err != nil {
			return setting.Wrap(err, path)
		}
		names, name := p.written, t.Header
		if t.Cookie != "" {
			names, name = cookies, t.Cookie
		}
		canonical := Canonicalize(name)
		if other, twice := names[canonical]; twice {
			return setting.Wrap(fmt.Errorf("token %q: %w: servers that normalize names confuse it with %q, which is also written", name, errHeaderName, other), path, p.settingOf(canonical))
		}
		names[canonical] = name
	}
	p.targets = slices.Clone(targets)
	return nil
}

// checkParts refuses a name that is also that of a part of a header with
// on_overflow split.
func (p *HeaderPlan) checkParts() error {
	for i := range p.headers {
		h := &p.headers[i]
		if h.onOverflow != overflowSplit {
			continue
		}
		for canonical, name := range p.written {
			if base, isPart := partOf(canonical); isPart && base == Canonicalize(h.name) {
				return setting.Wrap(fmt.Errorf("header %q: %w: on_overflow split may write it for %q", name, errHeaderName, h.name), h.setting, p.settingOf(canonical))
			}
		}
	}
	return nil
}
