package block

import (
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// Expand replaces the placeholders {env.*} and {file.*} in each of texts, once:
// their values are never expanded again. It is for addresses, paths, user
// names and secrets, and is called in Provision. A placeholder that is missing or
// empty is an error, because a half-filled secret must not be sent anywhere; so
// is any other one. {subject}, {dn} and {app} stay for the directory. A final
// line break of a file is cut.
func Expand(texts ...*string) error {
	repl := caddy.NewReplacer()
	for _, t := range texts {
		if !strings.Contains(*t, "{") {
			continue
		}
		out, err := repl.ReplaceFunc(*t, func(name string, val any) (any, error) {
			switch {
			case name == "subject" || name == "dn" || name == "app":
				return "{" + name + "}", nil
			case !strings.HasPrefix(name, "env.") && !strings.HasPrefix(name, "file."):
				return nil, fmt.Errorf("placeholder%s is not supported here; use {env.*} or {file.*}", placeholderName(name))
			case strings.HasPrefix(name, "file.") && !strings.Contains(name, "/"):
				return nil, fmt.Errorf("placeholder {%s}: a file path must contain a slash", name)
			case val == nil || val == "":
				return nil, fmt.Errorf("placeholder {%s} is empty or missing", name)
			}
			if s, ok := val.(string); ok && strings.HasPrefix(name, "file.") {
				return strings.TrimRight(s, "\r\n"), nil
			}
			return val, nil
		})
		if err != nil {
			return err
		}
		*t = out
	}
	return nil
}

// RejectPlaceholders returns an error where one of the texts, which are those of
// an option that is never expanded, holds a placeholder. As plain text it would
// equal nothing: no token has such an audience, no directory such an app.
func RejectPlaceholders(option string, texts ...string) error {
	if slices.ContainsFunc(texts, HasPlaceholder) {
		return fmt.Errorf("%s: {env.*} and {file.*} are not supported here; use {$NAME} in a Caddyfile", option)
	}
	return nil
}

// placeholderName returns the name of one of Caddy's own placeholders, for an
// error, and nothing for any other: what is between braces may be part of a
// secret.
func placeholderName(name string) string {
	for _, known := range []string{"http.", "system.", "time.", "vars."} {
		if strings.HasPrefix(name, known) {
			return " {" + name + "}"
		}
	}
	return ""
}

// HasPlaceholder reports whether a text holds a placeholder that Expand replaces,
// so that its value is not known while a Caddyfile is read.
func HasPlaceholder(text string) bool {
	return strings.Contains(text, "{env.") || strings.Contains(text, "{file.")
}
