package block

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// Option reads one option of a block; the dispenser stands on its name.
type Option struct {
	Name  string
	Parse func(d *caddyfile.Dispenser) error
	// check checks the value that the option holds, as CheckValues has it; nil:
	// there is nothing to check.
	check func() error
	// List is the name, in JSON, of the list that the option adds an element to.
	// Such an option may be repeated; of all others a repeat is an error,
	// because one of the two would be lost silently.
	List string
}

// parseBlock reads the block that d stands before. An unknown or repeated
// option is an error that names the block, the word and the nearest right one.
func Parse(d *caddyfile.Dispenser, block string, options []Option) error {
	seen := make(map[string]bool, len(options))
	last := ""
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		if name == "{" && last != "" {
			return d.Errf("%s takes no block", last)
		}
		last = name
		i := slices.IndexFunc(options, func(o Option) bool { return o.Name == name })
		if i < 0 {
			names := make([]string, len(options))
			for i, o := range options {
				names[i] = o.Name
			}
			return d.Errf("%s has no option %q%s", block, name, nearest.Hint(name, names))
		}
		if seen[name] && options[i].List == "" {
			return d.Errf("%s: option %q stands twice", block, name)
		}
		seen[name] = true
		if err := options[i].Parse(d); err != nil {
			return err
		}
	}
	return nil
}

// text reads an option of exactly one argument. An empty one is refused: it
// would be taken for an option that was left out, as when a variable between
// quotes is not set.
func Text(name string, to *string) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
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
func Texts(name string, to *[]string) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
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
func Enums(name string, to *[]string, known ...string) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
		if err := Texts(name, to).Parse(d); err != nil {
			return err
		}
		for _, w := range *to {
			if err := CheckEnum(name, w, known); err != nil {
				return d.Err(err.Error())
			}
		}
		return nil
	}}
}

// flag reads an option without arguments.
func Flag(name string, to *bool) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
		*to = true
		return noMore(d)
	}}
}

// word reads an option whose one argument is one of words.
func Enum(name string, to *string, words ...string) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		if err := CheckEnum(name, d.Val(), words); err != nil {
			return d.Err(err.Error())
		}
		*to = d.Val()
		return noMore(d)
	}, check: func() error {
		if *to == "" {
			return nil
		}
		return CheckEnum(name, *to, words)
	}}
}

// duration reads an option whose one argument is a Caddy duration. None at all
// is refused: it would be taken for an option that was left out.
func Duration[D ~int64](name string, to *D) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
		if err := OptionalDuration(name, &to).Parse(d); err != nil {
			return err
		}
		if *to == 0 {
			return d.Errf("%s: %q is no time at all; leave it out for the default", name, d.Val())
		}
		return nil
	}, check: func() error { return checkDuration(name, *to) }}
}

// pointer reads a duration of which 0 means something else than "left out".
func OptionalDuration[D ~int64](name string, to **D) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
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
	}, check: func() error {
		if *to == nil {
			return nil
		}
		return checkDuration(name, **to)
	}}
}

// number reads an option whose one argument is a whole number from 0 up.
func Number(name string, to *int) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
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
func Count(name string, to *int) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
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
func ByteSize[N int | int64](name string, to *N) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		n, err := humanize.ParseBytes(d.Val())
		if err != nil || n == 0 || n > maxBytesOption || uint64(N(n)) != n {
			return d.Errf("%s: %q is not a size such as 8KiB or 256MiB", name, d.Val())
		}
		*to = N(n)
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
func JoinOr(words []string) string {
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
