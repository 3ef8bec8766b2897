package forward

import (
	"errors"
	"slices"
)

// rendering is the state of one call of Render.
type rendering struct {
	out  *RenderedHeaders
	left int // bytes of the budget
}

// Render turns the claims of a decision, which are canonical values, into
// field lines. It is called once per decision; the result serves every
// request that the decision serves. A failure is a [*headerError] that wraps
// one of errRefused, errTooLarge, errBudget and errEmptyDenied; then nothing
// of the decision may reach the application.
func (p *HeaderPlan) Render(claims map[string]any) (*RenderedHeaders, error) {
	r := rendering{
		out:  &RenderedHeaders{fields: make([]Field, 0, len(p.headers)), sweeper: p.sweeper},
		left: p.budget,
	}
	for i := range p.headers {
		if err := r.add(&p.headers[i], claims[p.headers[i].claim]); err != nil {
			return nil, err
		}
	}
	for _, prefix := range p.every {
		if err := r.addEvery(p, prefix, claims); err != nil {
			return nil, err
		}
	}
	r.out.finish(p.clear)
	return r.out, nil
}

// addEvery writes a header for each claim that is not empty, except where
// the plan has a header of that name already.
func (r *rendering) addEvery(p *HeaderPlan, prefix string, claims map[string]any) error {
	names := make([]string, 0, len(claims))
	for name, value := range claims {
		if !isEmpty(value) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	seen := make(map[string]bool, len(names))
	for _, claim := range names {
		h, err := fromClaim(prefix, claim)
		if err != nil {
			return &headerError{Header: prefix, Reason: err.Error(), Err: errRefused}
		}
		canonical := Canonicalize(h.name)
		if _, own := p.writes(canonical); own {
			continue
		}
		if seen[canonical] {
			return &headerError{Header: prefix, Reason: errTwice.Error(), Err: errRefused}
		}
		seen[canonical] = true
		if err := r.add(h, claims[claim]); err != nil {
			return err
		}
	}
	return nil
}

// add renders one header.
func (r *rendering) add(h *header, value any) error {
	if isEmpty(value) {
		return r.empty(h)
	}
	items, s, err := h.items(value)
	if err != nil {
		return h.refuse(err)
	}
	// A list of one empty text is no more than the text. Looked at before it
	// is encoded, because RFC 8187 has something to write for no text, too.
	if s != jsonList && len(items) == 1 && items[0] == "" {
		return r.empty(h)
	}
	lines, err := h.lines(items, s)
	switch {
	case err != nil:
		return h.refuse(err)
	case r.fits(h, lines):
		r.write(h, "", lines)
		return nil
	}
	return r.overflow(h, items, s, lines)
}

// empty does what on_empty says.
func (r *rendering) empty(h *header) error {
	switch h.onEmpty {
	case emptyOmit:
		r.out.record(h.name, OmittedEmpty)
		return nil
	case emptyDeny:
		return &headerError{Header: h.name, Err: errEmptyDenied}
	}
	lines := []string{h.fallback} // which is no text, for on_empty empty
	if r.fits(h, lines) {
		r.write(h, "", lines)
		return nil
	}
	return r.overflow(h, nil, oneJSON, lines)
}

// fits reports whether the lines keep the header's bound and the budget.
func (r *rendering) fits(h *header, lines []string) bool {
	return size(lines) <= h.maxBytes && onWire(h.name, lines) <= r.left
}

// write adds the lines of a header, or of one part of it, to the rendering.
func (r *rendering) write(h *header, suffix string, lines []string) {
	n := onWire(h.name+suffix, lines)
	r.left -= n
	r.out.bytes += n
	r.out.fields = append(r.out.fields, Field{
		Name: h.name + suffix, Claim: h.claim, Values: lines, Bytes: n,
		key: h.key + suffix,
	})
}

// size is the number of bytes of the values.
func size(lines []string) int {
	n := 0
	for _, l := range lines {
		n += len(l)
	}
	return n
}

// lineOverhead is what a field line takes on the wire besides name and
// value: colon, space, carriage return, line feed.
const lineOverhead = 4

// onWire is the number of bytes that the lines take in an HTTP/1.1 request.
func onWire(name string, lines []string) int {
	return len(lines)*(len(name)+lineOverhead) + size(lines)
}

// refuse names the header in an error.
func (h *header) refuse(err error) error {
	if reason, ok := errors.AsType[refusal](err); ok {
		return &headerError{Header: h.name, Reason: string(reason), Err: errRefused}
	}
	return &headerError{Header: h.name, Err: errors.Join(errRefused, err)}
}
