package caddymodule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// option reads one option of a block; the dispenser stands on its name.
type option struct {
	name  string
	parse func(d *caddyfile.Dispenser) error
	// repeatable options may stand more than once; of all others a repeat is
	// an error, because one of the two would be lost silently.
	repeatable bool
}

// Option is an option of a directory kind, for the guests of
// token_enrich.directories.
type Option option

// TextOption reads an option of exactly one argument.
func TextOption(name string, to *string) Option { return Option(text(name, to)) }

// TextsOption reads an option of one or more arguments.
func TextsOption(name string, to *[]string) Option { return Option(texts(name, to)) }

// FlagOption reads an option without arguments.
func FlagOption(name string, to *bool) Option { return Option(flag(name, to)) }

// WordOption reads an option whose one argument is one of words.
func WordOption(name string, to *string, words ...string) Option {
	return Option(word(name, to, words...))
}

// CustomOption reads an option by a function of the guest's own; the
// dispenser stands on its name.
func CustomOption(name string, parse func(d *caddyfile.Dispenser) error) Option {
	return Option{name: name, parse: parse}
}

// RepeatedOption is a CustomOption that may stand more than once.
func RepeatedOption(name string, parse func(d *caddyfile.Dispenser) error) Option {
	return Option{name: name, parse: parse, repeatable: true}
}

// parseBlock reads the block that d stands before. An unknown or repeated
// option is an error that names the block, the word and the nearest right one.
func parseBlock(d *caddyfile.Dispenser, block string, options []option) error {
	seen := make(map[string]bool, len(options))
	last := ""
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if name == "{" && last != "" {
			return d.Errf("%s takes no block", last)
		}
		last = name
		i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
		if i < 0 {
			names := make([]string, len(options))
			for i, o := range options {
				names[i] = o.name
			}
			return d.Errf("%s has no option %q%s%s", block, name, nearest.Hint(name, names), homeHint(name))
		}
		if seen[name] && !options[i].repeatable {
			return d.Errf("%s: option %q stands twice", block, name)
		}
		seen[name] = true
		if err := options[i].parse(d); err != nil {
			return err
		}
	}
	return nil
}

// text reads an option of exactly one argument. An empty one is refused: it
// would be taken for an option that was left out, as when a variable between
// quotes is not set.
func text(name string, to *string) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		if d.Val() == "" {
			return d.Errf("%s: the text is empty; leave the option out for the default", name)
		}
		*to = d.Val()
		return noMore(d)
	}}
}

// texts reads an option of one or more arguments, appended to what is there.
func texts(name string, to *[]string) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		for _, arg := range args {
			switch {
			case arg == "":
				return d.Errf("%s: a text is empty", name)
			case slices.Contains(*to, arg):
				return d.Errf("%s: %q stands twice", name, arg)
			}
			*to = append(*to, arg)
		}
		return noMore(d)
	}}
}

// words reads an option of one or more arguments, each one of known.
func words(name string, to *[]string, known ...string) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) error {
		if err := texts(name, to).parse(d); err != nil {
			return err
		}
		for _, w := range *to {
			if err := oneOf(name, w, known); err != nil {
				return d.Err(err.Error())
			}
		}
		return nil
	}}
}

// flag reads an option without arguments.
func flag(name string, to *bool) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) error {
		*to = true
		return noMore(d)
	}}
}

// word reads an option whose one argument is one of words.
func word(name string, to *string, words ...string) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		if err := oneOf(name, d.Val(), words); err != nil {
			return d.Err(err.Error())
		}
		*to = d.Val()
		return noMore(d)
	}}
}

// duration reads an option whose one argument is a Caddy duration. None at all
// is refused: it would be taken for an option that was left out.
func duration[D ~int64](name string, to *D) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) error {
		if err := pointer(name, &to).parse(d); err != nil {
			return err
		}
		if *to == 0 {
			return d.Errf("%s: %q is no time at all; leave it out for the default", name, d.Val())
		}
		return nil
	}}
}

// pointer reads a duration of which 0 means something else than "left out".
func pointer[D ~int64](name string, to **D) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		v, err := caddy.ParseDuration(d.Val())
		if err != nil || v < 0 {
			return d.Errf("%s: %q is not a duration such as 30s, 5m or 1d", name, d.Val())
		}
		if *to == nil {
			*to = new(D)
		}
		**to = D(v)
		return noMore(d)
	}}
}

// number reads an option whose one argument is a whole number from 0 up.
func number(name string, to *int) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		n, err := strconv.Atoi(d.Val())
		if err != nil || n < 0 {
			return d.Errf("%s: %q is not a whole number", name, d.Val())
		}
		*to = n
		return noMore(d)
	}}
}

// count reads an option whose one argument is a whole number from 1 up.
func count(name string, to *int) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		n, err := strconv.Atoi(d.Val())
		if err != nil || n < 1 {
			return d.Errf("%s: %q is not a whole number from 1 up", name, d.Val())
		}
		*to = n
		return noMore(d)
	}}
}

// byteSize reads an option whose one argument is a size such as 8KiB.
func byteSize(name string, to *int64) option {
	return option{name: name, parse: func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		n, err := humanize.ParseBytes(d.Val())
		if err != nil || n == 0 || n > maxBytesOption {
			return d.Errf("%s: %q is not a size such as 8KiB or 256MiB", name, d.Val())
		}
		*to = int64(n)
		return noMore(d)
	}}
}

// maxBytesOption keeps a slip of the keyboard from asking for more memory
// than any machine has: 1 TiB.
const maxBytesOption = 1 << 40

// noMore refuses further arguments, and a block where none belongs.
func noMore(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// list gives words as a sentence has them: a, b or c.
func list(words []string) string {
	var s strings.Builder
	for i, w := range words {
		switch {
		case i == 0:
		case i == len(words)-1:
			s.WriteString(" or ")
		default:
			s.WriteString(", ")
		}
		s.WriteString(w)
	}
	return s.String()
}

// prefixed puts the name of an option before an error, where there is one.
func prefixed(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}
