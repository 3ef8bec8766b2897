package caddymodule

import (
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// choice is an option of one word out of a few. It is read by the same list
// from a Caddyfile and from JSON, so that a misspelt word is an error in both
// and never means the default.
type choice struct {
	name  string
	to    *string
	words []string
}

// chosen are the choices as options of a Caddyfile, behind other ones.
func chosen(choices []choice, others ...option) []option {
	for _, c := range choices {
		others = append(others, word(c.name, c.to, c.words...))
	}
	return others
}

// checkChoices checks what came by JSON; an empty word is one left out.
func checkChoices(choices []choice) error {
	for _, c := range choices {
		if *c.to != "" {
			if err := oneOf(c.name, *c.to, c.words); err != nil {
				return err
			}
		}
	}
	return nil
}

// oneOf reports a value that is none of words, with the nearest one.
func oneOf(name, value string, words []string) error {
	if slices.Contains(words, value) {
		return nil
	}
	return fmt.Errorf("%s: %q is none of %s%s", name, value, list(words), nearest.Hint(value, words))
}

// period is a duration that came by JSON.
type period struct {
	name  string
	value caddy.Duration
}

// checkPeriods refuses durations that run backwards.
func checkPeriods(periods ...period) error {
	for _, p := range periods {
		if p.value < 0 {
			return fmt.Errorf("%s: %v is negative", p.name, time.Duration(p.value))
		}
	}
	return nil
}
