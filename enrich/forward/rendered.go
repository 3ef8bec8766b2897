package forward

import (
	"net/http"
	"slices"
)

// RenderedHeaders holds the field lines of one decision. It is shared by all
// requests that the decision serves. The zero value and nil write nothing.
type RenderedHeaders struct {
	fields   []Field
	outcomes []HeaderOutcome
	bytes    int
	values   []string       // of all fields, in their order
	clear    []string       // keys that are ours but not written this time
	sweeper  *ReservedNames // our names that cannot be listed; nil if none
}

// Field is one header that is written.
type Field struct {
	// Name is the header's name as configured, with the number of the part
	// where it was split.
	Name string

	// Claim is the claim that it shows.
	Claim string

	// Values are the field lines, encoded.
	Values []string

	// Bytes is what the lines take of the budget.
	Bytes int

	key string
}

// Outcome is why a header is not written, or not in one piece.
type Outcome uint8

// The outcomes of a header that is not simply written.
const (
	OmittedEmpty    Outcome = iota + 1 // the claim is empty, on_empty omit
	OmittedOverflow                    // too long, on_overflow omit
	Truncated                          // too long, on_overflow truncate_list
	Split                              // too long, on_overflow split
)

// String returns the word that explain and logs use.
func (o Outcome) String() string {
	switch o {
	case OmittedEmpty:
		return "omitted: empty"
	case OmittedOverflow:
		return "omitted: too long"
	case Truncated:
		return "truncated"
	case Split:
		return "split"
	}
	return "written"
}

// HeaderOutcome names a header that is not written as it is, and why.
type HeaderOutcome struct {
	// Header is the header's configured name, Outcome what became of it.
	Header  string
	Outcome Outcome
}

// Overflowed reports whether the value was too long, whatever became of it.
func (n HeaderOutcome) Overflowed() bool { return n.Outcome >= OmittedOverflow }

func (r *RenderedHeaders) record(header string, o Outcome) {
	r.outcomes = append(r.outcomes, HeaderOutcome{Header: header, Outcome: o})
}

// finish prepares what Write needs.
func (r *RenderedHeaders) finish(reserved []string) {
	n := 0
	written := make(map[string]bool, len(r.fields))
	for _, f := range r.fields {
		n += len(f.Values)
		written[f.key] = true
	}
	r.values = make([]string, 0, n)
	for _, f := range r.fields {
		r.values = append(r.values, f.Values...)
	}
	for _, key := range reserved {
		if !written[key] {
			r.clear = append(r.clear, key)
		}
	}
}

// Write puts the field lines into h and deletes what else h has under names
// of the plan. A header's values belong to it alone: later handlers
// edit values in place (Caddy's own header replacements do), which must not
// reach the next request.
func (r *RenderedHeaders) Write(h http.Header) {
	if r == nil {
		return
	}
	if r.sweeper != nil {
		r.sweeper.sweep(h)
	}
	for _, key := range r.clear {
		delete(h, key)
	}
	lines := slices.Clone(r.values)
	for i := range r.fields {
		n := len(r.fields[i].Values)
		h[r.fields[i].key] = lines[:n:n]
		lines = lines[n:]
	}
}

// What the parts of a RenderedHeaders take in memory, for Weight.
const (
	renderedWeight = 160 // the struct and the heads of its slices
	fieldWeight    = 96
	stringWeight   = 16
)

// Weight is about how many bytes of memory the rendering holds, for a cache
// that is bounded in bytes.
func (r *RenderedHeaders) Weight() int {
	if r == nil {
		return 0
	}
	n := renderedWeight + r.bytes + len(r.clear)*stringWeight + len(r.outcomes)*fieldWeight/2
	for _, f := range r.fields {
		n += fieldWeight + 2*len(f.Values)*stringWeight
	}
	return n
}

// Fields lists what Write writes, in the order of the configuration.
func (r *RenderedHeaders) Fields() []Field {
	if r == nil {
		return nil
	}
	fields := slices.Clone(r.fields)
	for i := range fields {
		fields[i].Values = slices.Clone(fields[i].Values)
	}
	return fields
}

// Outcomes lists the headers that are not simply written, for explain and for
// the metric that counts overflows.
func (r *RenderedHeaders) Outcomes() []HeaderOutcome {
	if r == nil {
		return nil
	}
	return slices.Clone(r.outcomes)
}
