package block

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// places are where the options of a block stand in a Caddyfile, and under the
// empty name its head, for what is judged when the whole block is known. What
// came as JSON has none.
type Positions map[string][]caddyfile.Token

func NewPositions(head caddyfile.Token) Positions {
	return Positions{"": {head}}
}

// Head returns where the block itself stands.
func (p Positions) Head() caddyfile.Token { return p[""][0] }

// SameHead reports whether two blocks are one, as of a snippet that is imported
// twice. Where nothing is known of it, they are.
func (p Positions) SameHead(other Positions) bool {
	if p == nil || other == nil {
		return true
	}
	a, b := p.Head(), other.Head()
	return a.File == b.File && a.Line == b.Line
}

// noting has the options note their places as they are read.
func (p Positions) Record(options []Option) []Option {
	noting := make([]Option, len(options))
	for i, o := range options {
		noting[i] = o
		noting[i].Parse = func(d *caddyfile.Dispenser) error {
			p[o.Name] = append(p[o.Name], d.Token())
			return o.Parse(d)
		}
	}
	return noting
}

// locate puts before an error the place of the option that an *optionError in it
// names, or that of the head.
func (p Positions) Locate(err error) error {
	at := p.Head()
	if wrong, ok := errors.AsType[*OptionError](err); ok && wrong.Index < len(p[wrong.Option]) {
		at = p[wrong.Option][wrong.Index]
	}
	return ErrorAt(at, err)
}

// optionError is an error in one option of a block.
type OptionError struct {
	Option string // nothing: the block as a whole
	Index  int    // of an option that may stand more than once
	Err    error
}

func (e *OptionError) Error() string { return e.Err.Error() }

func (e *OptionError) Unwrap() error { return e.Err }

// WrapErr gives an error, where there is one, the line that d stands on.
func WrapErr(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// ErrorAt gives an error the place in the Caddyfile that it is about.
func ErrorAt(at caddyfile.Token, err error) error {
	return fmt.Errorf("%s:%d: %w", at.File, at.Line, err)
}

// Unjoin gives the errors that errors.Join put together.
func Unjoin(err error) []error {
	var list interface{ Unwrap() []error }
	if errors.As(err, &list) {
		return list.Unwrap()
	}
	return []error{err}
}
