package caddymodule

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// places are where the options of a block stand in a Caddyfile, and under the
// empty name its head, for what is judged when the whole block is known. What
// came as JSON has none.
type places map[string][]caddyfile.Token

func newPlaces(head caddyfile.Token) places {
	return places{"": {head}}
}

// sameHead reports whether two blocks are one, as of a snippet that is imported
// twice. Where nothing is known of it, they are.
func (p places) sameHead(other places) bool {
	if p == nil || other == nil {
		return true
	}
	a, b := p[""][0], other[""][0]
	return a.File == b.File && a.Line == b.Line
}

// noting has the options note their places as they are read.
func (p places) noting(options []option) []option {
	noting := make([]option, len(options))
	for i, o := range options {
		noting[i] = o
		noting[i].parse = func(d *caddyfile.Dispenser) error {
			p[o.name] = append(p[o.name], d.Token())
			return o.parse(d)
		}
	}
	return noting
}

// locate puts before an error the place of the option that an *optionError in it
// names, or that of the head.
func (p places) locate(err error) error {
	at := p[""][0]
	if wrong, ok := errors.AsType[*optionError](err); ok && wrong.index < len(p[wrong.option]) {
		at = p[wrong.option][wrong.index]
	}
	return errorAt(at, err)
}

// optionError is an error in one option of a block.
type optionError struct {
	option string // nothing: the block as a whole
	index  int    // of an option that may stand more than once
	err    error
}

func (e *optionError) Error() string { return e.err.Error() }

func (e *optionError) Unwrap() error { return e.err }
