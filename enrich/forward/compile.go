package forward

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// HeaderPlan is a compiled [Definition].
type HeaderPlan struct {
	headers []header
	every   []string // prefixes of headers_from that take every claim
	budget  int
	targets []Target

	reserved []ReservedName
	written  map[string]string // canonical of a header of this contract → its name
	clear    []string          // map keys that Write deletes whatever is written
	sweeper  *ReservedNames    // the names that cannot be listed; nil if none
}

// The values of the options, in the order of the words in words.go.
const (
	listDelimiter = uint8(iota)
	listJSON
	listRepeat
	listFirst
)

const (
	escapeRefuse = uint8(iota)
	escapeBackslash
	escapePercent
)

const (
	encodeUTF8 = uint8(iota)
	encodeASCII
	encodeLatin1
	encodePercent
	encodeBase64
	encodeBase64URL
	encodeRFC2047
	encodeRFC8187
)

const (
	emptyOmit = uint8(iota)
	emptyEmpty
	emptyDeny
	emptyDefault
)

const (
	overflowDeny = uint8(iota)
	overflowOmit
	overflowTruncate
	overflowSplit
)

// header is a compiled HeaderDefinition.
type header struct {
	name       string // as configured
	key        string // in http.Header: canonical, or as configured with exact
	claim      string
	list       uint8
	declared   bool // a value that is no list is a list of one
	structured bool // objects are written as JSON unasked (headers_from)
	count      bool
	commonName bool
	exact      bool
	escape     uint8
	encode     uint8
	onEmpty    uint8
	onOverflow uint8
	maxBytes   int
	delimiter  string
	fallback   string // the default text, encoded

	backslashes *strings.Replacer // nil but with escape backslash
}

// Compile checks a definition and makes a contract of it. The targets are
// where the policy's re-signed token goes; the contract owns them too, but
// writing the token is left to [Target.Write]. Errors name the header.
func Compile(d Definition, targets ...Target) (*HeaderPlan, error) {
	c := &HeaderPlan{budget: d.Budget, written: make(map[string]string)}
	switch {
	case d.Budget == 0:
		c.budget = DefaultBudget
	case d.Budget < 0:
		return nil, errors.New("header_budget is negative")
	case d.Budget > MaxBudget:
		return nil, fmt.Errorf("header_budget is over %d bytes, which no common server accepts", MaxBudget)
	}
	defs, err := withPreset(d)
	if err != nil {
		return nil, err
	}
	if len(defs) > MaxHeaders {
		return nil, fmt.Errorf("%d headers in one policy, at most %d", len(defs), MaxHeaders)
	}
	for _, hd := range defs {
		h, err := compileHeader(hd)
		if err != nil {
			return nil, fmt.Errorf("header %q: %w", hd.Name, err)
		}
		if err := c.own(h); err != nil {
			return nil, err
		}
	}
	if err := c.ownPrefixes(d.HeadersFrom); err != nil {
		return nil, err
	}
	if err := c.ownTargets(targets); err != nil {
		return nil, err
	}
	if err := c.checkParts(); err != nil {
		return nil, err
	}
	c.listReserved()
	return c, nil
}

// withPreset puts the preset's headers before the definition's own, without
// those that the definition replaces.
func withPreset(d Definition) ([]HeaderDefinition, error) {
	if d.Preset == "" {
		return d.Headers, nil
	}
	set, err := Preset(d.Preset)
	if err != nil {
		return nil, err
	}
	replaced := make(map[string]bool, len(d.Headers))
	for _, h := range d.Headers {
		replaced[Canonicalize(h.Name)] = true
	}
	var defs []HeaderDefinition
	for _, h := range set {
		if !replaced[Canonicalize(h.Name)] {
			defs = append(defs, h)
		}
	}
	return append(defs, d.Headers...), nil
}

func compileHeader(d HeaderDefinition) (*header, error) {
	if err := checkName(d.Name); err != nil {
		return nil, err
	}
	if d.Claim == "" {
		return nil, errors.New("no claim is named")
	}
	h := &header{
		name: d.Name, key: http.CanonicalHeaderKey(d.Name), claim: d.Claim,
		count: d.Count, exact: d.Exact, maxBytes: d.MaxBytes,
		delimiter: d.Delimiter,
		declared:  d.List != "" || d.Delimiter != "" || d.Escape != "",
	}
	if d.Exact {
		h.key = d.Name
	}
	var value uint8
	for _, o := range []struct {
		values enum
		text   string
		to     *uint8
	}{
		{listValues, d.List, &h.list},
		{escapeValues, d.Escape, &h.escape},
		{encodeValues, d.Encode, &h.encode},
		{emptyValues, d.OnEmpty, &h.onEmpty},
		{overflowValues, d.OnOverflow, &h.onOverflow},
		{valueValues, d.Value, &value},
	} {
		v, err := o.values.parse(o.text)
		if err != nil {
			return nil, err
		}
		*o.to = v
	}
	h.commonName = value == 1
	if err := h.checkSense(d); err != nil {
		return nil, err
	}
	switch {
	case h.list == listRepeat:
		h.delimiter = DefaultDelimiter
	case h.delimiter == "":
		h.delimiter = DefaultDelimiter
	}
	if h.maxBytes == 0 {
		h.maxBytes = DefaultMaxBytes
	}
	if err := h.checkDelimiter(); err != nil {
		return nil, err
	}
	if h.escape == escapeBackslash {
		first := h.firstOfDelimiter()
		h.backslashes = strings.NewReplacer(`\`, `\\`, first, `\`+first)
	}
	return h, h.encodeDefault(d)
}

// checkSense refuses options that contradict each other: one of them would
// silently do nothing, and the reader of the configuration would believe it.
func (h *header) checkSense(d HeaderDefinition) error {
	clash := func(on bool, a, b string) error {
		if on {
			return fmt.Errorf("%s and %s do not go together", a, b)
		}
		return nil
	}
	list := "list " + d.List
	noText := h.list == listJSON || h.list == listFirst
	return cmp.Or(
		clash(d.Delimiter != "" && h.list != listDelimiter, list, "delimiter"),
		clash(d.Escape != "" && noText, list, "escape"),
		clash(h.count && d.List != "", "count", list),
		clash(h.count && d.Delimiter != "", "count", "delimiter"),
		clash(h.count && d.Escape != "", "count", "escape"),
		clash(h.count && h.commonName, "count", "value cn"),
		clash(h.count && h.onOverflow >= overflowTruncate, "count", "on_overflow "+d.OnOverflow),
		clash(h.list == listFirst && h.onOverflow == overflowTruncate, list, "on_overflow truncate_list"),
		clash(h.list == listRepeat && h.onOverflow == overflowSplit, list, "on_overflow split"),
		clash(d.Default != "" && h.onEmpty != emptyDefault, "a default text", "on_empty "+emptyValues.names[h.onEmpty]),
		clash(d.Default == "" && h.onEmpty == emptyDefault, "on_empty default", "an empty text (write on_empty empty)"),
		checkMaxBytes(d.MaxBytes),
	)
}

func checkMaxBytes(n int) error {
	switch {
	case n < 0:
		return errors.New("max_bytes is negative")
	case n > MaxBudget:
		return fmt.Errorf("max_bytes is over %d", MaxBudget)
	}
	return nil
}

func (h *header) checkDelimiter() error {
	if h.list != listDelimiter || h.count {
		return nil
	}
	switch first := h.delimiter[0]; {
	case h.escape == escapeBackslash && strings.Contains(h.delimiter, `\`):
		return errors.New("escape backslash needs a delimiter without a backslash")
	case h.escape == escapePercent && strings.IndexByte("%0123456789ABCDEF", first) >= 0:
		return errors.New("escape percent needs a delimiter that does not begin with %, a digit or A to F")
	}
	// Between two letters, because white space is in order there.
	if _, err := h.encoded("a" + h.delimiter + "a"); err != nil {
		return fmt.Errorf("the delimiter %w", err)
	}
	return nil
}

func (h *header) encodeDefault(d HeaderDefinition) error {
	if h.onEmpty != emptyDefault {
		return nil
	}
	text, err := h.encoded(d.Default)
	if err != nil {
		return fmt.Errorf("the default text %w", err)
	}
	if len(text) > h.maxBytes {
		return fmt.Errorf("the default text has %d bytes, over max_bytes %d", len(text), h.maxBytes)
	}
	h.fallback = text
	return nil
}

// own adds a header to the contract.
func (c *HeaderPlan) own(h *header) error {
	canonical := Canonicalize(h.name)
	if other, twice := c.written[canonical]; twice {
		return fmt.Errorf("header %q: %w: servers that fold names take it for %q, which is written too", h.name, ErrName, other)
	}
	c.written[canonical] = h.name
	c.headers = append(c.headers, *h)
	return nil
}

func (c *HeaderPlan) ownPrefixes(from []HeadersFrom) error {
	for i, f := range from {
		if err := checkPrefix(f.Prefix); err != nil {
			return fmt.Errorf("headers_from %q: %w", f.Prefix, err)
		}
		canonical := Canonicalize(f.Prefix)
		for _, other := range from[:i] {
			if o := Canonicalize(other.Prefix); strings.HasPrefix(canonical, o) || strings.HasPrefix(o, canonical) {
				return fmt.Errorf("headers_from %q: %w: its names overlap with those of %q", f.Prefix, ErrName, other.Prefix)
			}
		}
		c.reserved = append(c.reserved, ReservedName{Name: f.Prefix, Canonical: canonical, Kind: ReservedPrefix})
		if len(f.Claims) == 0 {
			c.every = append(c.every, f.Prefix)
			continue
		}
		for _, claim := range f.Claims {
			h, err := fromClaim(f.Prefix, claim)
			if err == nil && claim == "*" {
				err = errors.New("headers_from takes every claim where it names none")
			}
			if err != nil {
				return fmt.Errorf("headers_from %q: claim %q: %w", f.Prefix, claim, err)
			}
			if err := c.own(h); err != nil {
				return fmt.Errorf("headers_from %q: claim %q: %w", f.Prefix, claim, err)
			}
		}
		if len(c.headers) > MaxHeaders {
			return fmt.Errorf("headers_from %q: over %d headers in one policy", f.Prefix, MaxHeaders)
		}
	}
	return nil
}

// fromClaim makes the header that headers_from derives from a claim.
func fromClaim(prefix, claim string) (*header, error) {
	name := []byte(prefix + claim)
	for i, b := range name {
		if !isTokenByte(b) {
			name[i] = '-'
		}
	}
	if len(name) > MaxNameBytes {
		return nil, errLong
	}
	return &header{
		name: string(name), key: http.CanonicalHeaderKey(string(name)), claim: claim,
		delimiter: DefaultDelimiter, maxBytes: DefaultMaxBytes, structured: true,
	}, nil
}

// Shows reports whether a header may show the claim.
func (c *HeaderPlan) Shows(claim string) bool {
	return len(c.every) > 0 || slices.ContainsFunc(c.headers, func(h header) bool { return h.claim == claim })
}

// CheckClaims reports whether the computed claims of those names would give
// two headers one name under a headers_from that takes every claim. It finds
// at load what Render would otherwise have to refuse at the first request.
func (c *HeaderPlan) CheckClaims(names []string) error {
	for _, prefix := range c.every {
		seen := make(map[string]string, len(names))
		for _, claim := range names {
			h, err := fromClaim(prefix, claim)
			if err != nil {
				return fmt.Errorf("headers_from %q: claim %q: %w", prefix, claim, err)
			}
			canonical := Canonicalize(h.name)
			if other, twice := seen[canonical]; twice && other != claim {
				return fmt.Errorf("headers_from %q: %w: the claims %q and %q give the same header", prefix, ErrName, other, claim)
			}
			if other, twice := c.writes(canonical); twice {
				return fmt.Errorf("headers_from %q: %w: the claim %q gives the header %q, which is written too", prefix, ErrName, claim, other)
			}
			seen[canonical] = claim
		}
	}
	return nil
}

// writes returns the header of the contract, other than by a headers_from that
// takes every claim, that may be written under a name of that fold: itself, or
// one of its numbered parts.
func (c *HeaderPlan) writes(canonical string) (name string, may bool) {
	if name, may = c.written[canonical]; may {
		return name, true
	}
	base, isPart := partOf(canonical)
	if !isPart || c.sweeper == nil {
		return "", false
	}
	_, may = c.sweeper.parts.names[base]
	return c.written[base], may
}

// Labels are the configured names that headers are written for: a closed set,
// for a metric's label.
func (c *HeaderPlan) Labels() []string {
	names := make([]string, 0, len(c.headers)+len(c.every))
	for i := range c.headers {
		names = append(names, c.headers[i].name)
	}
	return append(names, c.every...)
}

// Label returns the one of Labels that a header was written for: its own, or the
// prefix of the headers_from that made its name of a claim's.
func (c *HeaderPlan) Label(header string) string {
	canonical := Canonicalize(header)
	if _, named := c.written[canonical]; named {
		return header
	}
	for _, prefix := range c.every {
		if strings.HasPrefix(canonical, Canonicalize(prefix)) {
			return prefix
		}
	}
	return header
}

// ownTargets takes the names of the re-signed tokens, so that no claim is
// written there.
func (c *HeaderPlan) ownTargets(targets []Target) error {
	cookies := make(map[string]string)
	for _, t := range targets {
		if err := t.check(); err != nil {
			return err
		}
		names, name := c.written, t.Header
		if t.Cookie != "" {
			names, name = cookies, t.Cookie
		}
		canonical := Canonicalize(name)
		if other, twice := names[canonical]; twice {
			return fmt.Errorf("token %q: %w: servers that fold names take it for %q, which is written too", name, ErrName, other)
		}
		names[canonical] = name
	}
	c.targets = slices.Clone(targets)
	return nil
}

// checkParts refuses a name that is also that of a part of a header with
// on_overflow split.
func (c *HeaderPlan) checkParts() error {
	for i := range c.headers {
		h := &c.headers[i]
		if h.onOverflow != overflowSplit {
			continue
		}
		for canonical, name := range c.written {
			if base, isPart := partOf(canonical); isPart && base == Canonicalize(h.name) {
				return fmt.Errorf("header %q: %w: on_overflow split may write it for %q", name, ErrName, h.name)
			}
		}
	}
	return nil
}
