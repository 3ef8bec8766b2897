// Package block reads the blocks of a Caddyfile: options with their types, enums
// and durations that are checked alike in a Caddyfile and in JSON, source
// positions for errors that are found later, and the placeholders that
// configuration may hold. Directory modules of other authors use it too.
package block

import (
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Option is one option of a block. The functions of this package make those of
// the common types; one with a syntax of its own sets Parse.
type Option struct {
	// Name is the word that begins the option.
	Name string

	// Parse reads the option's arguments and block; d is at the name.
	Parse func(d *caddyfile.Dispenser) error

	// List is the name, in JSON, of the list that the option adds an element to.
	// Such an option may be repeated; a repeat of any other is an error, because
	// one of the two would be lost silently.
	List string

	// check checks the value that the option holds, for CheckValues. Nil: every
	// value is valid.
	check func() error
}

// Parse reads the block that follows d. name is that of the block, for
// errors: an unknown option (with the nearest known one), a repeated option, a
// block behind an option that takes none.
func Parse(d *caddyfile.Dispenser, name string, options []Option) error {
	seen := make(map[string]bool, len(options))
	last := ""
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		if word == "{" && last != "" {
			return d.Errf("%s takes no block", last)
		}
		last = word
		i := slices.IndexFunc(options, func(o Option) bool { return o.Name == word })
		if i < 0 {
			known := make([]string, len(options))
			for i, o := range options {
				known[i] = o.Name
			}
			return d.Errf("%s has no option %q%s", name, word, suggest.DidYouMean(word, known))
		}
		if seen[word] && options[i].List == "" {
			return d.Errf("%s: duplicate option %q", name, word)
		}
		seen[word] = true
		if err := options[i].Parse(d); err != nil {
			return err
		}
	}
	return nil
}

// single returns an option of exactly one argument, which set takes.
func single(name string, set func(d *caddyfile.Dispenser, arg string) error) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		if err := set(d, d.Val()); err != nil {
			return err
		}
		return noMoreArgs(d)
	}}
}

// noMoreArgs returns an error where d has a further argument.
func noMoreArgs(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

// Text returns an option of exactly one argument. An empty one is an error: it
// would count as the default, as when a variable between quotes is not set.
func Text(name string, to *string) Option {
	return single(name, func(d *caddyfile.Dispenser, arg string) error {
		if arg == "" {
			return d.Errf("%s: value must not be empty; omit the option for the default", name)
		}
		*to = arg
		return nil
	})
}

// Texts returns an option of one or more arguments, which are appended. An
// empty or repeated one is an error.
func Texts(name string, to *[]string) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		for _, arg := range args {
			switch {
			case arg == "":
				return d.Errf("%s: value must not be empty", name)
			case slices.Contains(*to, arg):
				return d.Errf("%s: duplicate value %q", name, arg)
			}
			*to = append(*to, arg)
		}
		return noMoreArgs(d)
	}}
}

// Flag returns an option without arguments, which sets to.
func Flag(name string, to *bool) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
		*to = true
		return noMoreArgs(d)
	}}
}

// Duration returns an option of one Caddy duration, such as 30s, 5m or 1d. Zero
// is an error: it would count as the default.
func Duration[D ~int64](name string, to *D) Option {
	return single(name, func(d *caddyfile.Dispenser, arg string) error {
		v, err := parseDuration(d, name, arg)
		if err != nil {
			return err
		}
		if v == 0 {
			return d.Errf("%s: duration must be positive; omit the option for the default", name)
		}
		*to = D(v)
		return nil
	}).checkedBy(func() error { return checkDuration(name, *to) })
}

// OptionalDuration returns an option of one Caddy duration of which zero differs
// from the default, which is nil.
func OptionalDuration[D ~int64](name string, to **D) Option {
	return single(name, func(d *caddyfile.Dispenser, arg string) error {
		v, err := parseDuration(d, name, arg)
		if err != nil {
			return err
		}
		*to = new(D)
		**to = D(v)
		return nil
	}).checkedBy(func() error {
		if *to == nil {
			return nil
		}
		return checkDuration(name, **to)
	})
}

// parseDuration parses a duration in Caddy's syntax, which has days. A negative one
// is an error; 0 is not.
func parseDuration(d *caddyfile.Dispenser, name, arg string) (int64, error) {
	v, err := caddy.ParseDuration(arg)
	if err != nil || v < 0 {
		return 0, d.Errf("%s: %q is not a duration such as 30s, 5m or 1d", name, arg)
	}
	return int64(v), nil
}

// Number returns an option of one whole number from 0 up.
func Number(name string, to *int) Option {
	return whole(name, to, 0, "a whole number")
}

// Count returns an option of one whole number from 1 up.
func Count(name string, to *int) Option {
	return whole(name, to, 1, "a positive whole number")
}

// whole returns an option of one whole number of at least least. want describes the
// valid numbers for the error.
func whole(name string, to *int, least int, want string) Option {
	return single(name, func(d *caddyfile.Dispenser, arg string) error {
		n, err := strconv.Atoi(arg)
		if err != nil || n < least {
			return d.Errf("%s: %q is not %s", name, arg, want)
		}
		*to = n
		return nil
	})
}

// maxBytes bounds a size, so that a mistyped one does not ask for more memory
// than any machine has: 1 TiB.
const maxBytes = 1 << 40

// ByteSize returns an option of one size in bytes, such as 8KiB; zero is an
// error.
func ByteSize[N int | int64](name string, to *N) Option {
	return single(name, func(d *caddyfile.Dispenser, arg string) error {
		n, err := humanize.ParseBytes(arg)
		if err != nil || n == 0 || n > maxBytes || uint64(N(n)) != n {
			return d.Errf("%s: %q is not a size such as 8KiB or 256MiB", name, arg)
		}
		*to = N(n)
		return nil
	})
}

// JoinOr returns words as a sentence lists them: a, b or c.
func JoinOr(words []string) string { return suggest.JoinOr(words) }
