package block

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
)

// Positions are the source positions of a block's options in a Caddyfile, by
// their paths in JSON: realm, headers[2]. The block itself is under the empty
// path. What came as JSON has none, and nil for them. With them, an error that is
// found when the whole block is known still names the line that it is about.
type Positions struct {
	at map[string]position
}

// position is the position of one option.
type position struct {
	caddyfile.Token
	order int // in which the options were read: an import mixes lines and files
}

// NewPositions returns the positions of a block that begins at head.
func NewPositions(head caddyfile.Token) *Positions {
	return &Positions{at: map[string]position{"": {Token: head}}}
}

// Head returns the position of the block itself.
func (p *Positions) Head() caddyfile.Token { return p.at[""].Token }

// SameHead reports whether two blocks begin at the same place, as those of a
// snippet do that is imported twice. It reports true where either came as JSON.
func (p *Positions) SameHead(other *Positions) bool {
	if p == nil || other == nil {
		return true
	}
	a, b := p.Head(), other.Head()
	return a.File == b.File && a.Line == b.Line
}

// Record returns the options such that parsing them records their positions.
func (p *Positions) Record(options []Option) []Option {
	recording := make([]Option, len(options))
	elements := make(map[string]int) // by list
	for i, o := range options {
		recording[i] = o
		recording[i].Parse = func(d *caddyfile.Dispenser) error {
			path := o.Name
			if o.List != "" {
				path = setting.Index(o.List, elements[o.List])
				elements[o.List]++
			}
			p.at[path] = position{Token: d.Token(), order: len(p.at)}
			return o.Parse(d)
		}
	}
	return recording
}

// Locate puts before an error the file and line of the setting that it is about:
// the nearest recorded one around each path of the error, and of several the
// last one, because the block was valid without it. An error
// without a path is about the block.
func (p *Positions) Locate(err error) error {
	at := p.at[""]
	var located interface{ SettingPaths() []string }
	if errors.As(err, &located) {
		for _, path := range located.SettingPaths() {
			if t := p.around(path); t.order > at.order {
				at = t
			}
		}
	}
	return ErrorAt(at.Token, err)
}

// LocateEach locates each of the errors that errors.Join put together.
func (p *Positions) LocateEach(err error) error {
	list := Split(err)
	for i, e := range list {
		list[i] = p.Locate(e)
	}
	return errors.Join(list...)
}

// around returns the position of the innermost recorded setting that holds the
// one of that path: of headers[2] for headers[2].encode.
func (p *Positions) around(path string) position {
	for {
		if at, ok := p.at[path]; ok {
			return at
		}
		path = path[:max(0, strings.LastIndexByte(path, '.'))]
	}
}

// ErrorAt puts before an error the file and line that it is about.
func ErrorAt(at caddyfile.Token, err error) error {
	return fmt.Errorf("%s:%d: %w", at.File, at.Line, err)
}

// WrapErr adds to an error the line that d is at; nil stays nil.
func WrapErr(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// Split returns the errors that errors.Join put together, at any depth; one that
// is about a setting stays whole.
func Split(err error) []error {
	if _, ok := err.(interface{ SettingPaths() []string }); ok { //nolint:errorlint // what is within stays within
		return []error{err}
	}
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // likewise
	if !ok {
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, Split(e)...)
	}
	return list
}
