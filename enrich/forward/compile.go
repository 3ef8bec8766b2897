package forward

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
)

// Contract is a compiled [Definition].
type Contract struct {
	headers []header
	every   []string // prefixes of headers_from that take every claim
	everyAt []string // the paths of their settings
	budget  int
	targets []Target

	owns    []OwnedName
	folds   map[string]string // fold of a header of this contract → its name
	clear   []string          // map keys that Write deletes whatever is written
	sweeper *Owned            // the names that cannot be listed; nil if none
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
	setting    string // the path of the setting that it comes from

	backslashes *strings.Replacer // nil but with escape backslash
}

// Compile checks a definition and makes a contract of it. The targets are
// where the policy's re-signed token goes; the contract owns them too, but
// writing the token is left to [Target.Write]. An error names the header; it is
// a *[setting.Error], in whose paths tokens[0] is the first target.
func Compile(d Definition, targets ...Target) (*Contract, error) {
	c := &Contract{budget: d.Budget, folds: make(map[string]string)}
	switch {
	case d.Budget == 0:
		c.budget = DefaultBudget
	case d.Budget < 0:
		return nil, setting.Wrap(errors.New("header_budget is negative"), "header_budget")
	case d.Budget > MaxBudget:
		return nil, setting.Wrap(fmt.Errorf("header_budget is over %d bytes, which no common server accepts", MaxBudget), "header_budget")
	}
	defs, err := withPreset(d)
	if err != nil {
		return nil, setting.Wrap(err, "preset")
	}
	fromPreset := len(defs) - len(d.Headers)
	if len(defs) > MaxHeaders {
		return nil, setting.Wrap(fmt.Errorf("%d headers in one policy, at most %d", len(defs), MaxHeaders), "preset", setting.Index("headers", MaxHeaders-fromPreset))
	}
	for i, hd := range defs {
		path := "preset"
		if i >= fromPreset {
			path = setting.Index("headers", i-fromPreset)
		}
		h, err := compileHeader(hd)
		if err != nil {
			return nil, setting.Wrap(fmt.Errorf("header %q: %w", hd.Name, err), path)
		}
		h.setting = path
		if err := c.own(h); err != nil {
			return nil, setting.Wrap(err, path)
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
	c.listOwned()
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
		replaced[Fold(h.Name)] = true
	}
	var defs []HeaderDefinition
	for _, h := range set {
		if !replaced[Fold(h.Name)] {
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
		words word
		text  string
		to    *uint8
	}{
		{listWords, d.List, &h.list},
		{escapeWords, d.Escape, &h.escape},
		{encodeWords, d.Encode, &h.encode},
		{emptyWords, d.OnEmpty, &h.onEmpty},
		{overflowWords, d.OnOverflow, &h.onOverflow},
		{valueWords, d.Value, &value},
	} {
		v, err := o.words.parse(o.text)
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
		clash(d.Default != "" && h.onEmpty != emptyDefault, "a default text", "on_empty "+emptyWords.names[h.onEmpty]),
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
func (c *Contract) own(h *header) error {
	fold := Fold(h.name)
	if other, twice := c.folds[fold]; twice {
		return fmt.Errorf("header %q: %w: servers that fold names take it for %q, which is written too", h.name, ErrName, other)
	}
	c.folds[fold] = h.name
	c.headers = append(c.headers, *h)
	return nil
}

func (c *Contract) ownPrefixes(from []HeadersFrom) error {
	for i, f := range from {
		path := setting.Index("headers_from", i)
		if err := checkPrefix(f.Prefix); err != nil {
			return setting.Wrap(fmt.Errorf("headers_from %q: %w", f.Prefix, err), path)
		}
		fold := Fold(f.Prefix)
		for _, other := range from[:i] {
			if o := Fold(other.Prefix); strings.HasPrefix(fold, o) || strings.HasPrefix(o, fold) {
				return setting.Wrap(fmt.Errorf("headers_from %q: %w: its names overlap with those of %q", f.Prefix, ErrName, other.Prefix), path)
			}
		}
		c.owns = append(c.owns, OwnedName{Name: f.Prefix, Fold: fold, Kind: OwnedPrefix})
		if len(f.Claims) == 0 {
			c.every, c.everyAt = append(c.every, f.Prefix), append(c.everyAt, path)
			continue
		}
		for _, claim := range f.Claims {
			h, err := fromClaim(f.Prefix, claim)
			if err == nil && claim == "*" {
				err = errors.New("headers_from takes every claim where it names none")
			}
			if err != nil {
				return setting.Wrap(fmt.Errorf("headers_from %q: claim %q: %w", f.Prefix, claim, err), path)
			}
			h.setting = path
			if err := c.own(h); err != nil {
				return setting.Wrap(fmt.Errorf("headers_from %q: claim %q: %w", f.Prefix, claim, err), path, c.settingOf(Fold(h.name)))
			}
		}
		if len(c.headers) > MaxHeaders {
			return setting.Wrap(fmt.Errorf("headers_from %q: over %d headers in one policy", f.Prefix, MaxHeaders), path, c.headers[0].setting)
		}
	}
	return nil
}

// settingOf returns the path of the setting that writes a header of that fold,
// empty where none does.
func (c *Contract) settingOf(fold string) string {
	for i := range c.headers {
		if Fold(c.headers[i].name) == fold {
			return c.headers[i].setting
		}
	}
	for i, t := range c.targets {
		if t.Header != "" && Fold(t.Header) == fold {
			return setting.Index("tokens", i)
		}
	}
	return ""
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
func (c *Contract) Shows(claim string) bool {
	return len(c.every) > 0 || slices.ContainsFunc(c.headers, func(h header) bool { return h.claim == claim })
}

// CheckClaims reports whether the computed claims of those names would give
// two headers one name under a headers_from that takes every claim. It finds
// at load what Render would otherwise have to refuse at the first request.
func (c *Contract) CheckClaims(names []string) error {
	for i, prefix := range c.every {
		wrong := func(err error) error {
			return setting.Wrap(fmt.Errorf("headers_from %q: %w", prefix, err), c.everyAt[i])
		}
		seen := make(map[string]string, len(names))
		for _, claim := range names {
			h, err := fromClaim(prefix, claim)
			if err != nil {
				return wrong(fmt.Errorf("claim %q: %w", claim, err))
			}
			fold := Fold(h.name)
			if other, twice := seen[fold]; twice && other != claim {
				return wrong(fmt.Errorf("%w: the claims %q and %q give the same header", ErrName, other, claim))
			}
			if other, twice := c.writes(fold); twice {
				return wrong(fmt.Errorf("%w: the claim %q gives the header %q, which is written too", ErrName, claim, other))
			}
			seen[fold] = claim
		}
	}
	return nil
}

// writes gives the header of the contract, other than by a headers_from that
// takes every claim, that may be written under a name of that fold: itself, or
// one of its numbered parts.
func (c *Contract) writes(fold string) (name string, may bool) {
	if name, may = c.folds[fold]; may {
		return name, true
	}
	base, isPart := partOf(fold)
	if !isPart || c.sweeper == nil {
		return "", false
	}
	_, may = c.sweeper.parts.names[base]
	return c.folds[base], may
}

// Labels are the configured names that headers are written for: a closed set,
// for a metric's label.
func (c *Contract) Labels() []string {
	names := make([]string, 0, len(c.headers)+len(c.every))
	for i := range c.headers {
		names = append(names, c.headers[i].name)
	}
	return append(names, c.every...)
}

// Label gives the one of Labels that a header was written for: its own, or the
// prefix of the headers_from that made its name of a claim's.
func (c *Contract) Label(header string) string {
	fold := Fold(header)
	if _, named := c.folds[fold]; named {
		return header
	}
	for _, prefix := range c.every {
		if strings.HasPrefix(fold, Fold(prefix)) {
			return prefix
		}
	}
	return header
}

// ownTargets takes the names of the re-signed tokens, so that no claim is
// written there.
func (c *Contract) ownTargets(targets []Target) error {
	cookies := make(map[string]string)
	for i, t := range targets {
		path := setting.Index("tokens", i)
		if err := t.check(); err != nil {
			return setting.Wrap(err, path)
		}
		names, name := c.folds, t.Header
		if t.Cookie != "" {
			names, name = cookies, t.Cookie
		}
		fold := Fold(name)
		if other, twice := names[fold]; twice {
			return setting.Wrap(fmt.Errorf("token %q: %w: servers that fold names take it for %q, which is written too", name, ErrName, other), path, c.settingOf(fold))
		}
		names[fold] = name
	}
	c.targets = slices.Clone(targets)
	return nil
}

// checkParts refuses a name that is also that of a part of a header with
// on_overflow split.
func (c *Contract) checkParts() error {
	for i := range c.headers {
		h := &c.headers[i]
		if h.onOverflow != overflowSplit {
			continue
		}
		for fold, name := range c.folds {
			if base, isPart := partOf(fold); isPart && base == Fold(h.name) {
				return setting.Wrap(fmt.Errorf("header %q: %w: on_overflow split may write it for %q", name, ErrName, h.name), h.setting, c.settingOf(fold))
			}
		}
	}
	return nil
}
