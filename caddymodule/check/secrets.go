package check

import (
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// secretNames are the options whose values are secrets, by their JSON names.
var secretNames = [...]string{
	"client_secret", "password", "sentinel_password", "bind_password", "token", "bearer", "secret", "seal_keys",
	"dsn", "url", "headers", "private_key",
}

// secrets looks for secrets that stand in the configuration as they are,
// where everybody reads them who may read the configuration or ask the admin
// endpoint for it.
func (c *checker) secrets(where string, node any) {
	switch x := node.(type) {
	case []any:
		for _, v := range x {
			c.secrets(where, v)
		}
	case map[string]any:
		for name, v := range jsontree.Ordered(x) {
			if slices.Contains(secretNames[:], name) && writtenOut(name, v) {
				c.add("", where, "%s holds a secret as it is, which whoever reads the configuration can read: give it as {env.NAME} or {file./path}", strings.TrimSuffix(name, "s"))
				continue
			}
			c.secrets(where, v)
		}
	}
}

// writtenOut reports whether the value of a secret option is a secret itself
// and not a placeholder for one.
func writtenOut(name string, v any) bool {
	switch name {
	case "url", "dsn":
		text, _ := v.(string)
		return passwordIn(text)
	case "private_key":
		text, _ := v.(string)
		return strings.Contains(text, "-----BEGIN") || strings.Contains(text, `"kty"`)
	case "headers":
		for header, values := range jsontree.Object(v) {
			if carriesCredentials(header) && slices.ContainsFunc(jsontree.Strings(values), literal) {
				return true
			}
		}
		return false
	}
	if text, ok := v.(string); ok {
		return literal(text)
	}
	return slices.ContainsFunc(jsontree.Strings(v), literal)
}

func literal(text string) bool {
	return text != "" && !strings.Contains(text, "{env.") && !strings.Contains(text, "{file.")
}

// carriesCredentials reports whether a request header is there to say who
// asks.
func carriesCredentials(header string) bool {
	fold := forward.Fold(header)
	for _, word := range []string{"authorization", "key", "token", "secret", "cookie", "password"} {
		if strings.Contains(fold, word) {
			return true
		}
	}
	return false
}

// passwordIn reports whether an address or data source name has a password
// that is written out: user:password@host, or password=….
func passwordIn(text string) bool {
	if _, rest, ok := strings.Cut(text, "://"); ok {
		authority, _, _ := strings.Cut(rest, "/")
		if at := strings.LastIndexByte(authority, '@'); at >= 0 {
			_, password, has := strings.Cut(authority[:at], ":")
			return has && literal(password)
		}
	}
	if _, rest, ok := strings.Cut(text, "password="); ok {
		value, _, _ := strings.Cut(rest, " ")
		value, _, _ = strings.Cut(value, "&")
		return literal(value)
	}
	return false
}
