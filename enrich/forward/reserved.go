package forward

import (
	"maps"
	"net/http"
	"slices"
)

// NameKind is how a reserved name matches header or cookie names.
type NameKind uint8

// The kinds of reserved names.
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

	// Kind is which headers or cookies the name matches.
	Kind NameKind

	// Exact says that HTTP/1 upstreams get the configured spelling.
	Exact bool

	// Token says that the re-signed token goes there; claims do not.
	Token bool
}

// ReservedNames is the union of the names that several plans may write and, once
// made by [ReservedNames.Except] or [Reservations.Union], of those that tokens are
// read from. It never changes and is safe for concurrent use; nil reserves nothing.
type ReservedNames struct {
	names   []ReservedName
	headers nameSet
	parts   nameSet
	cookies nameSet

	prefixes []string // in canonical form
	first    [256]bool

	// The headers that tokens are read from, which are reserved too, and their
	// map keys in http.Header by their canonical forms.
	read     nameSet
	readKeys map[string][]string

	// What the token itself is read from and Scrub therefore leaves alone.
	credentialHeaders map[string]bool // map keys of http.Header
	credentialCookies []string        // cookie names, not canonical
	credentials       []string        // what CredentialHeaders returns
}

// nameSet is a set of canonical names with a filter by length, so that most headers
// of a request need not be canonicalized.
type nameSet struct {
	names   map[string]struct{}
	lengths [maxNameBytes + 1]bool
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

// nameBuffer is where a name is canonicalized; it stays on the caller's stack.
type nameBuffer [maxNameBytes]byte

// has reports whether the canonical form of name is a member.
func (s *nameSet) has(name string, buf *nameBuffer) bool {
	if len(name) > maxNameBytes || !s.lengths[len(name)] {
		return false
	}
	for i := range len(name) {
		buf[i] = canonicalBytes[name[i]]
	}
	_, in := s.names[string(buf[:len(name)])]
	return in
}

// NewReservedNames returns the union over the plans of a configuration; nil ones
// are skipped.
func NewReservedNames(plans ...*HeaderPlan) *ReservedNames {
	var names []ReservedName
	seen := make(map[ReservedName]bool)
	for _, p := range plans {
		if p == nil {
			continue
		}
		for _, n := range p.reserved {
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

// Except returns a copy that reserves the sources as well: their aliases are
// deleted like those of written names. Its Scrub leaves the sources in place,
// in their own spelling: the incoming token has to be read there first. Once it
// has been read (or there was none), call [ReservedNames.ScrubCredentials].
// Authorization alone is reserved only where a token is written to it:
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

// Names returns the reserved names that are written, in the order of the plans.
func (o *ReservedNames) Names() []ReservedName {
	if o == nil {
		return nil
	}
	return slices.Clone(o.names)
}

// Contains reports whether a header of that name could be mistaken for one
// that is written.
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
	if i == len(name) || i < 2 || canonicalBytes[name[i-1]] != symbol {
		return "", false
	}
	return name[:i-1], true
}
