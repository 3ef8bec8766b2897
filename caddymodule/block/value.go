package block

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Values that a Caddyfile and JSON have alike, checked by the same rules in both.

// CheckValues checks the values that enums and durations among the options hold,
// for a configuration that came as JSON: a misspelt word is an error there too,
// and never means the default. The default itself is valid.
func CheckValues(options ...Option) error {
	for _, o := range options {
		if o.check == nil {
			continue
		}
		if err := o.check(); err != nil {
			return err
		}
	}
	return nil
}

// checkedBy returns the option with a check of the value that it holds.
func (o Option) checkedBy(check func() error) Option {
	o.check = check
	return o
}

// Enum returns an option whose one argument is one of known.
func Enum(name string, to *string, known ...string) Option {
	return single(name, func(d *caddyfile.Dispenser, arg string) error {
		if err := CheckEnum(name, arg, known); err != nil {
			return d.Err(err.Error())
		}
		*to = arg
		return nil
	}).checkedBy(func() error {
		if *to == "" {
			return nil
		}
		return CheckEnum(name, *to, known)
	})
}

// Enums returns an option of one or more arguments, each one of known, which are
// appended.
func Enums(name string, to *[]string, known ...string) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
		if err := Texts(name, to).Parse(d); err != nil {
			return err
		}
		for _, value := range *to {
			if err := CheckEnum(name, value, known); err != nil {
				return d.Err(err.Error())
			}
		}
		return nil
	}}
}

// OnOff returns an option that is on or off, of which the default, nil, is
// neither.
func OnOff(name string, to **bool) Option {
	return single(name, func(d *caddyfile.Dispenser, arg string) error {
		if err := CheckEnum(name, arg, []string{"on", "off"}); err != nil {
			return d.Err(err.Error())
		}
		on := arg == "on"
		*to = &on
		return nil
	})
}

// CheckEnum returns an error that names the option, all known values and the
// nearest one, where value is not known.
func CheckEnum(option, value string, known []string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return fmt.Errorf("%s: unknown value %q (want %s)%s", option, value, JoinOr(known), suggest.DidYouMean(value, known))
}

// checkDuration returns an error where a duration is negative.
func checkDuration[D ~int64](option string, value D) error {
	if value < 0 {
		return fmt.Errorf("%s: %v is negative", option, time.Duration(value))
	}
	return nil
}
