package forward

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// NameKind tells how an owned name stands for header or cookie names.
type NameKind uint8

// The kinds of owned names.
const (
	ReservedHeader NameKind = iota // this header
	ReservedPrefix                 // every header that begins with it (headers_from)
	ReservedParts                  // Name-<digits> (on_overflow split)
	ReservedCookie                 // this cookie (the re-signed token's own)
)

// String returns the word that check and selftest print.
func (k NameKind) String() string {
	switch k {
	case ReservedPrefix:
		return "prefix"
	case ReservedParts:
		return "parts"
	case ReservedCookie:
		return "cookie"
	default:
		return "header"
	}
}

// ReservedName is a name that only the gateway may write.
type ReservedName struct {
	// Name is the configured spelling.
	Name string

	// Canonical is Canonicalize(Name).
	Canonical string

	// Kind is what the name is of.
	Kind NameKind

	// Exact says that the spelling must survive on the wire.
	Exact bool

	// Token says that the re-signed token goes there; claims do not.
	Token bool
}

// Reserved lists the names that the contract may write, by kind and name.
func (c *HeaderPlan) Reserved() []ReservedName { return slices.Clone(c.reserved) }

// listReserved fills in what Reserved, Write and ReservedNames need.
func (c *HeaderPlan) listReserved() {
	for i := range c.headers {
		h := &c.headers[i]
		canonical := Canonicalize(h.name)
		c.reserved = append(c.reserved, ReservedName{Name: h.name, Canonical: canonical, Kind: ReservedHeader, Exact: h.exact})
		if h.onOverflow == overflowSplit {
			c.reserved = append(c.reserved, ReservedName{Name: h.name, Canonical: canonical, Kind: ReservedParts, Exact: h.exact})
		}
		c.clear = append(c.clear, h.key)
		if key := http.CanonicalHeaderKey(h.name); key != h.key {
			c.clear = append(c.clear, key)
		}
	}
	for _, t := range c.targets {
		if t.Header != "" {
			c.reserved = append(c.reserved, ReservedName{Name: t.Header, Canonical: Canonicalize(t.Header), Kind: ReservedHeader, Token: true})
		}
		if t.Cookie != "" {
			c.reserved = append(c.reserved, ReservedName{Name: t.Cookie, Canonical: Canonicalize(t.Cookie), Kind: ReservedCookie, Token: true})
		}
	}
	slices.SortStableFunc(c.reserved, func(a, b ReservedName) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return strings.Compare(a.Canonical, b.Canonical)
	})
	var open []ReservedName
	for _, o := range c.reserved {
		if o.Kind == ReservedPrefix || o.Kind == ReservedParts {
			open = append(open, o)
		}
	}
	if len(open) > 0 {
		c.sweeper = newReservedNames(open)
	}
}

// ReservedNames is the union of the names that several contracts may write and, once
// made by [ReservedNames.Except], of those that tokens are read from. It never changes.
type ReservedNames struct {
	names   []ReservedName
	headers nameSet
	parts   nameSet
	cookies nameSet

	prefixes []string // folded
	first    [256]bool

	// The headers that tokens are read from, which are owned too, and their map
	// keys in http.Header by their folds.
	read     nameSet
	readKeys map[string][]string

	// What the token itself is read from and Scrub therefore leaves alone.
	credentialHeaders map[string]bool // map keys of http.Header
	credentialCookies []string        // cookie names as they stand
	credentials       []string        // what CredentialHeaders gives
}

// nameSet is a set of folded names with a filter by length, so that most
// headers of a request are told apart without being folded.
type nameSet struct {
	names   map[string]struct{}
	lengths [MaxNameBytes + 1]bool
}

func (s *nameSet) add(canonical string) {
	if s.names == nil {
		s.names = make(map[string]struct{})
	}
	s.names[canonical] = struct{}{}
	s.lengths[len(canonical)] = true
}

func (s *nameSet) clone() nameSet {
	return nameSet{names: maps.Clone(s.names), lengths: s.lengths}
}

// nameBuffer is where a name is folded; it stays on the caller's stack.
type nameBuffer [MaxNameBytes]byte

// has reports whether name folds to a member.
func (s *nameSet) has(name string, buf *nameBuffer) bool {
	if len(name) > MaxNameBytes || !s.lengths[len(name)] {
		return false
	}
	for i := range len(name) {
		buf[i] = canonicalBytes[name[i]]
	}
	_, in := s.names[string(buf[:len(name)])]
	return in
}

// NewReservedNames makes the union over all contracts of a configuration; nil ones
// are passed over.
func NewReservedNames(contracts ...*HeaderPlan) *ReservedNames {
	var names []ReservedName
	seen := make(map[ReservedName]bool)
	for _, c := range contracts {
		if c == nil {
			continue
		}
		for _, n := range c.reserved {
			if !seen[n] {
				seen[n] = true
				names = append(names, n)
			}
		}
	}
	return newReservedNames(names)
}

func newReservedNames(names []ReservedName) *ReservedNames {
	o := &ReservedNames{names: names}
	prefixes := make(map[string]bool)
	for _, n := range names {
		switch n.Kind {
		case ReservedHeader:
			o.headers.add(n.Canonical)
		case ReservedParts:
			o.parts.add(n.Canonical)
		case ReservedCookie:
			o.cookies.add(n.Canonical)
		case ReservedPrefix:
			if !prefixes[n.Canonical] {
				prefixes[n.Canonical] = true
				o.prefixes = append(o.prefixes, n.Canonical)
				o.first[n.Canonical[0]] = true
			}
		}
	}
	return o
}

// Except returns a copy that owns the sources as well: their aliases are
// deleted like those of what we write. Its Scrub leaves the sources in place,
// in their own spelling: the incoming token has to be read there first. Once it
// has been read (or there was none), call [ReservedNames.ScrubCredentials].
// Authorization alone is owned only where a token is written to it:
// applications have credentials of their own there, and it has no alias.
// A source that claims are written to is an error: the client's token would be
// deleted before it is read.
func (o *ReservedNames) Except(s Sources) (*ReservedNames, error) {
	if err := s.checkLengths(); err != nil {
		return nil, err
	}
	written := writtenNames(o.names)
	for _, name := range s.Headers {
		if i, covered := written.covering(name); covered {
			return nil, sourceError(name, o.names[i])
		}
	}
	return o.except(s), nil
}

// except is Except of sources that are checked.
func (o *ReservedNames) except(s Sources) *ReservedNames {
	spared := *o
	spared.credentialHeaders = make(map[string]bool)
	spared.readKeys = make(map[string][]string)
	spared.read, spared.cookies = o.read.clone(), o.cookies.clone()
	for _, name := range s.Headers {
		key, canonical := http.CanonicalHeaderKey(name), Canonicalize(name)
		if key == "Authorization" && !o.Contains(name) || spared.credentialHeaders[key] {
			continue
		}
		spared.credentialHeaders[key] = true
		spared.read.add(canonical)
		spared.readKeys[canonical] = append(spared.readKeys[canonical], key)
	}
	known := make(map[string]bool, len(s.Cookies))
	for _, name := range s.Cookies {
		if !known[name] {
			known[name] = true
			spared.cookies.add(Canonicalize(name))
			spared.credentialCookies = append(spared.credentialCookies, name)
		}
	}
	spared.credentials = slices.Sorted(maps.Keys(spared.credentialHeaders))
	if len(spared.credentialCookies) > 0 {
		spared.credentials = append(spared.credentials, "Cookie")
	}
	return &spared
}

// CredentialHeaders lists the headers, in canonical case, that ScrubCredentials deletes
// or takes cookies out of. The list is shared and must not be changed.
func (o *ReservedNames) CredentialHeaders() []string {
	if o == nil {
		return nil
	}
	return o.credentials
}

// Names lists the owned names.
func (o *ReservedNames) Names() []ReservedName {
	if o == nil {
		return nil
	}
	return slices.Clone(o.names)
}

// Contains reports whether a header of that name could be mistaken for one
// that we write.
func (o *ReservedNames) Contains(name string) bool {
	if o == nil {
		return false
	}
	var buf nameBuffer
	return o.owns(name, &buf)
}

func (o *ReservedNames) owns(name string, buf *nameBuffer) bool {
	if name == "" {
		return false
	}
	if o.headers.has(name, buf) {
		return true
	}
	if o.first[canonicalBytes[name[0]]] {
		for _, p := range o.prefixes {
			if hasCanonicalPrefix(name, p) {
				return true
			}
		}
	}
	if o.parts.names != nil {
		if base, isPart := partOf(name); isPart {
			return o.parts.has(base, buf)
		}
	}
	return false
}

// partOf takes the number and the separator before it off a name of the form
// Name-<digits>.
func partOf(name string) (base string, isPart bool) {
	i := len(name)
	for i > 0 && '0' <= name[i-1] && name[i-1] <= '9' {
		i--
	}
	if i == len(name) || i < 2 || canonicalBytes[name[i-1]] != Symbol {
		return "", false
	}
	return name[:i-1], true
}
