package forward

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
)

// The values of the options, in the order of the names in enums.go.
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

// header is a compiled HeaderDefinition, or one that headers_from derived.
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

// Compile checks a definition and returns its plan. The targets are where the
// policy's re-signed tokens go: the plan reserves their names too, but
// [Target.Write] writes the tokens. Errors name the header; those about a name
// wrap errHeaderName.
func Compile(d Definition, targets ...Target) (*HeaderPlan, error) {
	p := &HeaderPlan{budget: d.Budget, written: make(map[string]string)}
	switch {
	case d.Budget == 0:
		p.budget = DefaultBudget
	case d.Budget < 0:
		return nil, setting.Wrap(errors.New("header_budget is negative"), "header_budget")
	case d.Budget > maxBudget:
		return nil, setting.Wrap(fmt.Errorf("header_budget is over %d bytes, which no common server accepts", maxBudget), "header_budget")
	}
	defs, err := withPreset(d)
	if err != nil {
		return nil, setting.Wrap(err, "preset")
	}
	fromPreset := len(defs) - len(d.Headers)
	if len(defs) > maxHeaders {
		return nil, setting.Wrap(fmt.Errorf("%d headers in one policy, at most %d", len(defs), maxHeaders), "preset", setting.Index("headers", maxHeaders-fromPreset))
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
		if err := p.add(h); err != nil {
			return nil, setting.Wrap(err, path)
		}
	}
	if err := p.addPrefixes(d.HeadersFrom); err != nil {
		return nil, err
	}
	if err := p.ownTargets(targets); err != nil {
		return nil, err
	}
	if err := p.checkParts(); err != nil {
		return nil, err
	}
	p.listReserved()
	return p, nil
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

// compileHeader checks one header by itself.
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
		h.delimiter = defaultDelimiter
	case h.delimiter == "":
		h.delimiter = defaultDelimiter
	}
	h.maxBytes = cmp.Or(h.maxBytes, DefaultMaxBytes)
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
			return fmt.Errorf("%s and %s cannot be combined", a, b)
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
		clash(d.Default == "" && h.onEmpty == emptyDefault, "on_empty default", "an empty default (write on_empty empty)"),
		checkMaxBytes(d.MaxBytes),
	)
}

// checkMaxBytes returns an error where a header's bound is out of range.
func checkMaxBytes(n int) error {
	switch {
	case n < 0:
		return errors.New("max_bytes is negative")
	case n > maxBudget:
		return fmt.Errorf("max_bytes is over %d", maxBudget)
	}
	return nil
}

// checkDelimiter refuses a delimiter that its own escape would change, or that the
// encoding cannot write.
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

// encodeDefault encodes the default text once, as it would be at each request.
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

// fromClaim makes the header that headers_from derives from a claim.
func fromClaim(prefix, claim string) (*header, error) {
	name := []byte(prefix + claim)
	for i, b := range name {
		if !isTokenByte(b) {
			name[i] = '-'
		}
	}
	if len(name) > maxNameBytes {
		return nil, errLong
	}
	return &header{
		name: string(name), key: http.CanonicalHeaderKey(string(name)), claim: claim,
		delimiter: defaultDelimiter, maxBytes: DefaultMaxBytes, structured: true,
	}, nil
}
