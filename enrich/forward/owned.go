package forward

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// OwnedKind tells how an owned name stands for header or cookie names.
type OwnedKind uint8

// The kinds of owned names.
const (
	OwnedHeader OwnedKind = iota // this header
	OwnedPrefix                  // every header that begins with it (headers_from)
	OwnedParts                   // Name-<digits> (on_overflow split)
	OwnedCookie                  // this cookie (the re-signed token's own)
)

// String gives the word that check and selftest print.
func (k OwnedKind) String() string {
	switch k {
	case OwnedPrefix:
		return "prefix"
	case OwnedParts:
		return "parts"
	case OwnedCookie:
		return "cookie"
	default:
		return "header"
	}
}

// OwnedName is a name that only the gateway may write.
type OwnedName struct {
	// Name is the configured spelling.
	Name string

	// Fold is Fold(Name).
	Fold string

	// Kind is what the name is of.
	Kind OwnedKind

	// Exact says that the spelling must survive on the wire.
	Exact bool

	// Token says that the re-signed token goes there; claims do not.
	Token bool
}

// Owns lists the names that the contract may write, by kind and name.
func (c *Contract) Owns() []OwnedName { return slices.Clone(c.owns) }

// listOwned fills in what Owns, Write and Owned need.
func (c *Contract) listOwned() {
	for i := range c.headers {
		h := &c.headers[i]
		fold := Fold(h.name)
		c.owns = append(c.owns, OwnedName{Name: h.name, Fold: fold, Kind: OwnedHeader, Exact: h.exact})
		if h.onOverflow == overflowSplit {
			c.owns = append(c.owns, OwnedName{Name: h.name, Fold: fold, Kind: OwnedParts, Exact: h.exact})
		}
		c.clear = append(c.clear, h.key)
		if key := http.CanonicalHeaderKey(h.name); key != h.key {
			c.clear = append(c.clear, key)
		}
	}
	for _, t := range c.targets {
		if t.Header != "" {
			c.owns = append(c.owns, OwnedName{Name: t.Header, Fold: Fold(t.Header), Kind: OwnedHeader, Token: true})
		}
		if t.Cookie != "" {
			c.owns = append(c.owns, OwnedName{Name: t.Cookie, Fold: Fold(t.Cookie), Kind: OwnedCookie, Token: true})
		}
	}
	slices.SortStableFunc(c.owns, func(a, b OwnedName) int {
		if a.Kind != b.Kind {
			return int(a.Kind) - int(b.Kind)
		}
		return strings.Compare(a.Fold, b.Fold)
	})
	var open []OwnedName
	for _, o := range c.owns {
		if o.Kind == OwnedPrefix || o.Kind == OwnedParts {
			open = append(open, o)
		}
	}
	if len(open) > 0 {
		c.sweeper = newOwned(open)
	}
}

// Owned is the union of the names that several contracts may write and, once
// made by [Owned.Sparing], of those that tokens are read from. It never changes.
type Owned struct {
	names   []OwnedName
	headers foldSet
	parts   foldSet
	cookies foldSet

	prefixes []string // folded
	first    [256]bool

	// The headers that tokens are read from, which are owned too, and their map
	// keys in http.Header by their folds.
	read     foldSet
	readKeys map[string][]string

	// What the token itself is read from and Scrub therefore leaves alone.
	sparedHeaders map[string]bool // map keys of http.Header
	sparedCookies []string        // cookie names as they stand
	spared        []string        // what CredentialHeaders returns
}

// foldSet is a set of folded names with a filter by length, so that most
// headers of a request are told apart without being folded.
type foldSet struct {
	names   map[string]struct{}
	lengths [MaxNameBytes + 1]bool
}

func (s *foldSet) add(fold string) {
	if s.names == nil {
		s.names = make(map[string]struct{})
	}
	s.names[fold] = struct{}{}
	s.lengths[len(fold)] = true
}

func (s *foldSet) clone() foldSet {
	return foldSet{names: maps.Clone(s.names), lengths: s.lengths}
}

// foldBuffer is where a name is folded; it stays on the caller's stack.
type foldBuffer [MaxNameBytes]byte

// has reports whether name folds to a member.
func (s *foldSet) has(name string, buf *foldBuffer) bool {
	if len(name) > MaxNameBytes || !s.lengths[len(name)] {
		return false
	}
	for i := range len(name) {
		buf[i] = foldTable[name[i]]
	}
	_, in := s.names[string(buf[:len(name)])]
	return in
}

// NewOwned makes the union over all contracts of a configuration; nil ones
// are passed over.
func NewOwned(contracts ...*Contract) *Owned {
	var names []OwnedName
	seen := make(map[OwnedName]bool)
	for _, c := range contracts {
		if c == nil {
			continue
		}
		for _, n := range c.owns {
			if !seen[n] {
				seen[n] = true
				names = append(names, n)
			}
		}
	}
	return newOwned(names)
}

func newOwned(names []OwnedName) *Owned {
	o := &Owned{names: names}
	for _, n := range names {
		switch n.Kind {
		case OwnedHeader:
			o.headers.add(n.Fold)
		case OwnedParts:
			o.parts.add(n.Fold)
		case OwnedCookie:
			o.cookies.add(n.Fold)
		case OwnedPrefix:
			if !slices.Contains(o.prefixes, n.Fold) {
				o.prefixes = append(o.prefixes, n.Fold)
				o.first[n.Fold[0]] = true
			}
		}
	}
	return o
}

// Sources are the places that tokens are read from.
type Sources struct {
	// Headers and Cookies are their names as they are configured.
	Headers []string
	Cookies []string
}

// Sparing returns a copy that owns the sources as well: their aliases are
// deleted like those of what we write. Its Scrub leaves the sources in place,
// in their own spelling: the incoming token has to be read there first. Once it
// has been read (or there was none), call [Owned.ScrubCredentials].
// Authorization alone is owned only where a token is written to it:
// applications have credentials of their own there, and it has no alias.
// A source that claims are written to is an error: the client's token would be
// deleted before it is read.
func (o *Owned) Sparing(s Sources) (*Owned, error) {
	spared := *o
	spared.sparedHeaders = make(map[string]bool)
	spared.readKeys = make(map[string][]string)
	spared.read, spared.cookies = o.read.clone(), o.cookies.clone()
	for _, name := range slices.Concat(s.Headers, s.Cookies) {
		if len(name) > MaxNameBytes {
			return nil, fmt.Errorf("name of %d bytes: %w: tokens are read from places whose names have %d at most", len(name), ErrName, MaxNameBytes)
		}
	}
	for _, name := range s.Headers {
		for _, n := range o.names {
			if !n.Token && n.covers(name) {
				return nil, fmt.Errorf("header %q: %w: tokens are read from it, and claims are written to %s %q", name, ErrName, n.Kind, n.Name)
			}
		}
		key, fold := http.CanonicalHeaderKey(name), Fold(name)
		if key == "Authorization" && !o.OwnsHeader(name) || spared.sparedHeaders[key] {
			continue
		}
		spared.sparedHeaders[key] = true
		spared.read.add(fold)
		spared.readKeys[fold] = append(spared.readKeys[fold], key)
	}
	for _, name := range s.Cookies {
		if !slices.Contains(spared.sparedCookies, name) {
			spared.cookies.add(Fold(name))
			spared.sparedCookies = append(spared.sparedCookies, name)
		}
	}
	spared.spared = slices.Sorted(maps.Keys(spared.sparedHeaders))
	if len(spared.sparedCookies) > 0 {
		spared.spared = append(spared.spared, "Cookie")
	}
	return &spared, nil
}

// CredentialHeaders lists the headers, in canonical case, that ScrubCredentials deletes
// or takes cookies out of. The list is shared and must not be changed.
func (o *Owned) CredentialHeaders() []string {
	if o == nil {
		return nil
	}
	return o.spared
}

// covers reports whether a header of that name is owned by n.
func (n OwnedName) covers(header string) bool {
	fold := Fold(header)
	switch n.Kind {
	case OwnedHeader:
		return fold == n.Fold
	case OwnedPrefix:
		return strings.HasPrefix(fold, n.Fold)
	case OwnedParts:
		base, isPart := partOf(fold)
		return isPart && base == n.Fold
	default: // a cookie is no header
		return false
	}
}

// Names lists the owned names.
func (o *Owned) Names() []OwnedName {
	if o == nil {
		return nil
	}
	return slices.Clone(o.names)
}

// OwnsHeader reports whether a header of that name could be mistaken for one
// that we write.
func (o *Owned) OwnsHeader(name string) bool {
	if o == nil {
		return false
	}
	var buf foldBuffer
	return o.owns(name, &buf)
}

func (o *Owned) owns(name string, buf *foldBuffer) bool {
	if name == "" {
		return false
	}
	if o.headers.has(name, buf) {
		return true
	}
	if o.first[foldTable[name[0]]] {
		for _, p := range o.prefixes {
			if foldsToPrefix(name, p) {
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
	if i == len(name) || i < 2 || foldTable[name[i-1]] != Symbol {
		return "", false
	}
	return name[:i-1], true
}
