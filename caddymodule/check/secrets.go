package check

import (
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// This file warns of secrets that are written out in the configuration. Caddy keeps
// a configuration in memory, in its autosave file and behind the admin endpoint; a
// placeholder keeps the secret out of all three.

// secretNames are the JSON names of options whose values are secrets, or may hold
// one.
var secretNames = [...]string{
	"client_secret", "password", "sentinel_password", "bind_password", "token", "bearer", "secret", "seal_keys",
	"dsn", "url", "headers", "private_key",
}

// secrets warns of secrets in the configuration itself, which anyone who can read the
// file or reach the admin endpoint can read. where names the node for the operator.
func (c *checker) secrets(where string, node any) {
	switch x := node.(type) {
	case []any:
		for _, v := range x {
			c.secrets(where, v)
		}
	case map[string]any:
		for name, v := range jsontree.Ordered(x) {
			if slices.Contains(secretNames[:], name) && isWrittenOut(name, v) {
				c.add("", where, "%s contains a secret in plain text: use {env.NAME} or {file./path}", strings.TrimSuffix(name, "s"))
				continue // one warning for an option
			}
			c.secrets(where, v)
		}
	}
}

// isWrittenOut reports whether the value of an option is a secret itself and not a
// placeholder for one.
func isWrittenOut(name string, v any) bool {
	switch name {
	case "url", "dsn": // an address, which may have a password
		text, _ := v.(string)
		return hasPassword(text)
	case "private_key": // a file, unless it is PEM or a JSON Web Key
		text, _ := v.(string)
		return strings.Contains(text, "-----BEGIN") || strings.Contains(text, `"kty"`)
	case "headers": // request headers of a directory, by name
		for header, values := range jsontree.Object(v) {
			if carriesCredentials(header) && slices.ContainsFunc(jsontree.Strings(values), isLiteral) {
				return true
			}
		}
		return false
	}
	if text, ok := v.(string); ok {
		return isLiteral(text)
	}
	return slices.ContainsFunc(jsontree.Strings(v), isLiteral)
}

// isLiteral reports whether a text has no placeholder of the environment or a file.
func isLiteral(text string) bool {
	return text != "" && !strings.Contains(text, "{env.") && !strings.Contains(text, "{file.")
}

// carriesCredentials reports whether a request header identifies the client, by its
// name. Services name such headers as they like, so that a part of the name is enough.
func carriesCredentials(header string) bool {
	fold := forward.Canonicalize(header)
	for _, word := range []string{"authorization", "key", "token", "secret", "cookie", "password"} {
		if strings.Contains(fold, word) {
			return true
		}
	}
	return false
}

// hasPassword reports whether an address or data source name has a password that is
// written out, as user:password@host or password=….
func hasPassword(text string) bool {
	// An address may have an @ in the user name or password, but not behind it.
	if _, rest, ok := strings.Cut(text, "://"); ok {
		authority, _, _ := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			_, password, has := strings.Cut(authority[:at], ":")
			return has && isLiteral(password)
		}
	}
	if _, rest, ok := strings.Cut(text, "password="); ok {
		value, _, _ := strings.Cut(rest, " ")
		value, _, _ = strings.Cut(value, "&")
		return isLiteral(value)
	}
	return false
}
