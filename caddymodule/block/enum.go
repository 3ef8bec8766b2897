package block

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// CheckValues checks the values that options of one word or of a duration hold,
// for what came by JSON: a misspelt word is an error there too, and never means
// the default. What was left out is right.
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

// OnOff reads an option that is on or off, where absent is neither.
func OnOff(name string, to **bool) Option {
	return Option{Name: name, Parse: func(d *caddyfile.Dispenser) error {
		if !d.NextArg() {
			return d.ArgErr()
		}
		word := d.Val()
		if d.NextArg() {
			return d.ArgErr()
		}
		if word != "on" && word != "off" {
			return d.Errf("%s: %q is neither on nor off%s", name, word, nearest.Hint(word, []string{"on", "off"}))
		}
		on := word == "on"
		*to = &on
		return nil
	}}
}

// oneOf reports a value that is none of words, with the nearest one.
func CheckEnum(name, value string, words []string) error {
	if slices.Contains(words, value) {
		return nil
	}
	return fmt.Errorf("%s: %q is none of %s%s", name, value, JoinOr(words), nearest.Hint(value, words))
}

// checkDuration refuses a duration that runs backwards.
func checkDuration[D ~int64](name string, value D) error {
	if value < 0 {
		return fmt.Errorf("%s: %v is negative", name, time.Duration(value))
	}
	return nil
}
