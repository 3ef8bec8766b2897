package check

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// What Caddy names the loggers that write requests.
const (
	accessLogger = "http.log.access"
	errorLogger  = "http.log.error"              // always there, whether a site has a log or not
	proxyLogger  = "http.handlers.reverse_proxy" // with the headers it sends on: at debug level always, else where an answer is cut short
)

// logs looks for logs that would hold a token, or identity, because their
// encoder does not take them out. Caddy writes requests as they came, before
// any handler of ours; it redacts Authorization and Cookie by itself, unless a
// server is told not to (log_credentials).
func (c *checker) logs(root any) {
	secret, query := c.loggedSecrets(!logsCredentials(root))
	var owned, signed, open []string // open: names that no filter can list
	for _, n := range c.owned.Names() {
		if n.Token && n.Kind == forward.OwnedHeader && !redacted(n.Name) {
			signed = append(signed, http.CanonicalHeaderKey(n.Name))
		}
		switch {
		case n.Kind == forward.OwnedHeader && !redacted(n.Name):
			owned = append(owned, http.CanonicalHeaderKey(n.Name))
		case n.Kind == forward.OwnedPrefix:
			open = append(open, n.Name+"…")
		case n.Kind == forward.OwnedParts:
			open = append(open, n.Name+"-1 …")
		}
	}
	slices.Sort(owned)
	owned = slices.Compact(owned)
	access, errors := requestLoggers(root)
	appends := c.appendedTokens(root)
	sinks := jsontree.Object(root, "logging", "logs")
	if sinks["default"] == nil {
		all := map[string]any{"default": map[string]any{}}
		maps.Copy(all, sinks)
		sinks = all
	}
	for name, s := range jsontree.Ordered(sinks) {
		sink := jsontree.Object(s)
		writesRequests := slices.ContainsFunc(access, func(l string) bool { return accepts(sink, l) })
		writesErrors := slices.ContainsFunc(errors, func(l string) bool { return accepts(sink, l) })
		level, _ := sink["level"].(string)
		writesSent := accepts(sink, proxyLogger)
		writesProxied := writesSent && strings.EqualFold(level, "debug")
		fields, known := filtered(sink["encoder"])
		if !known {
			continue
		}
		if writesRequests || writesErrors {
			what := "requests"
			if !writesRequests {
				what = "the requests of errors"
			}
			if missing := fields.missing(secret, query); len(missing) > 0 {
				c.add("", "log "+name, "it writes %s with tokens in them (%s): put `format filter` with `%s` into the log", what, strings.Join(missing, ", "), fields.remedy(secret, query))
			}
		}
		for _, added := range appends {
			if writesRequests && !hides(fields[added.field]) {
				c.add("", "log "+name, "log_append writes %s, in which a token may stand, as %s: leave it out, or delete %[2]s with `format filter`", added.placeholder, added.field)
			}
		}
		if writesProxied && len(open) > 0 && fields["request"] == nil && fields["request>headers"] == nil {
			c.add("", "log "+name, "at level DEBUG it writes headers about people whose names cannot be listed (%s): delete `request>headers` as a whole with `format filter`", strings.Join(open, ", "))
			continue
		}
		if writesRequests || writesProxied {
			if missing := fields.missing(owned, nil); len(missing) > 0 {
				writesSent = false // said already
				c.add("", "log "+name, "it writes headers about people (%s), which clients can make up in an access log and this gateway fills in at level DEBUG: delete `request>headers>%s` and the others with `format filter`, or `request>headers` as a whole", strings.Join(missing, ", "), missing[0])
			}
		}
		if missing := fields.missing(signed, nil); writesSent && len(missing) > 0 {
			c.add("", "log "+name, "it writes what reverse_proxy sent on, where an answer is cut short (a client that goes away is enough), with signed tokens in it (%s): put `format filter` with `%s` into the log", strings.Join(missing, ", "), fields.remedy(missing, nil))
		}
	}
}

// logsCredentials reports whether a server with a policy logs Authorization and
// Cookie as they come.
func logsCredentials(root any) bool {
	for _, server := range jsontree.Ordered(jsontree.Object(root, "apps", "http", "servers")) {
		if jsontree.Object(server, "logs")["should_log_credentials"] == true && hasPolicy(server) {
			return true
		}
	}
	return false
}

// hasPolicy reports whether a policy stands in a server.
func hasPolicy(server any) bool {
	return strings.Contains(jsontree.Text(server), `"handler":"token_enrich"`)
}

// loggedSecrets lists the headers and query parameters in which requests bring
// tokens and proofs, and applications receive tokens, beyond those that Caddy
// redacts where it does.
func (c *checker) loggedSecrets(redacts bool) (headers, query []string) {
	if !redacts {
		for _, n := range c.owned.Names() {
			switch {
			case n.Kind == forward.OwnedCookie:
				headers = append(headers, "Cookie")
			case n.Token && redacted(n.Name):
				headers = append(headers, http.CanonicalHeaderKey(n.Name))
			}
		}
	}
	for _, p := range c.app.Policies() {
		for _, place := range p.Policy().Places() {
			switch {
			case place.Kind == token.Query:
				query = append(query, place.Name)
			case place.Kind == token.Header && place.Scheme == "DPoP":
				headers = append(headers, "Dpop")
			}
			switch {
			case place.Kind == token.Header && (!redacts || !redacted(place.Name)):
				headers = append(headers, http.CanonicalHeaderKey(place.Name))
			case place.Kind == token.Cookie && !redacts:
				headers = append(headers, "Cookie")
			}
		}
	}
	slices.Sort(headers)
	slices.Sort(query)
	return slices.Compact(headers), slices.Compact(query)
}

// redacted reports whether Caddy keeps a header's values out of logs by itself.
func redacted(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Cookie", "Proxy-Authorization", "Set-Cookie":
		return true
	}
	return false
}

// requestLoggers lists the loggers that servers with a policy write requests
// to: their access logs, and the logs of their errors.
func requestLoggers(root any) (access, errors []string) {
	for _, server := range jsontree.Ordered(jsontree.Object(root, "apps", "http", "servers")) {
		if !hasPolicy(server) {
			continue
		}
		logs, ok := jsontree.Object(server)["logs"].(map[string]any)
		// Requests of hosts that no entry names are not for a site of ours,
		// unless there are no entries.
		name, _ := logs["default_logger_name"].(string)
		hosts := jsontree.Object(logs["logger_names"])
		if name != "" || len(hosts) == 0 {
			errors = append(errors, loggerName(errorLogger, name))
			if ok {
				access = append(access, loggerName(accessLogger, name))
			}
		}
		for _, names := range hosts {
			for _, n := range jsontree.Strings(names) {
				errors = append(errors, loggerName(errorLogger, n))
				access = append(access, loggerName(accessLogger, n))
			}
		}
	}
	return access, errors
}

func loggerName(base, name string) string {
	if name == "" {
		return base
	}
	return base + "." + name
}

// accepts reports whether a log takes what a logger writes: the longest name
// that it includes or excludes decides.
func accepts(sink map[string]any, logger string) bool {
	include, exclude := jsontree.Strings(sink["include"]), jsontree.Strings(sink["exclude"])
	longest := func(names []string) int {
		best := 0
		for _, n := range names {
			if strings.HasPrefix(logger+".", n+".") {
				best = max(best, len(n))
			}
		}
		return best
	}
	in, out := longest(include), longest(exclude)
	if in == 0 && out == 0 {
		return len(include) == 0
	}
	return in > out
}

// logFields are the fields that a log's encoder leaves as they are not.
type logFields map[string]map[string]any

// filtered gives the fields that an encoder filters; false where the encoder
// is of a kind that cannot be looked into.
func filtered(encoder any) (logFields, bool) {
	e := jsontree.Object(encoder)
	switch e["format"] {
	case nil, "json", "console", "journald":
		return nil, true
	case "filter":
		fields := logFields{}
		inner, known := filtered(e["wrap"])
		maps.Copy(fields, inner)
		for name, f := range jsontree.Object(e["fields"]) {
			fields[name] = jsontree.Object(f)
		}
		return fields, known
	case "append":
		return filtered(e["wrap"])
	}
	return nil, false
}

// missing lists the headers and query parameters that pass an encoder.
func (f logFields) missing(headers, query []string) []string {
	if f["request"] != nil {
		return nil
	}
	var list []string
	if f["request>headers"] == nil {
		for _, h := range headers {
			if !hides(f["request>headers>"+h]) {
				list = append(list, h)
			}
		}
	}
	uri := f["request>uri"]
	for _, q := range query {
		if !hidesParameter(uri, q) {
			list = append(list, "query "+q)
		}
	}
	return list
}

// hidesParameter reports whether a filter of the URI takes a query parameter
// out.
func hidesParameter(filter map[string]any, name string) bool {
	if filter["filter"] != "query" {
		return hides(filter, "/a?"+name+"=", "/a?b=c&"+name+"=")
	}
	for _, action := range jsontree.List(filter["actions"]) {
		if jsontree.Object(action)["parameter"] == name {
			return true
		}
	}
	return false
}

// tokenLikes look like tokens: one that is a JWT, one that is opaque.
var tokenLikes = [...]string{"eyJ0eXAiOiJKV1QifQ.eyJzdWIiOiJhIn0.c2ln_-8", "00Tb4_Zq-9xKw~7/+a=="}

// hides reports whether a filter leaves nothing of a token that stands behind
// one of the beginnings. Filters that replace by a pattern are tried; of those
// that know parts of a value, cookie is believed.
func hides(filter map[string]any, beginnings ...string) bool {
	switch filter["filter"] {
	case "delete", "replace", "hash", "cookie":
		return true
	case "regexp":
		return replaces([]any{filter}, beginnings)
	case "multi_regexp":
		return replaces(jsontree.List(filter["operations"]), beginnings)
	}
	return false // rename, ip_mask
}

// replaces reports whether replacements, one after another, leave nothing of a
// token.
func replaces(operations []any, beginnings []string) bool {
	if len(beginnings) == 0 {
		beginnings = []string{"", "Bearer ", "a=b; c="}
	}
	for _, beginning := range beginnings {
		for _, probe := range tokenLikes {
			text := beginning + probe
			for _, o := range operations {
				pattern, _ := jsontree.Object(o)["regexp"].(string)
				value, _ := jsontree.Object(o)["value"].(string)
				if re, err := regexp.Compile(pattern); err == nil {
					text = re.ReplaceAllString(text, value)
				}
			}
			// The end is what makes a token good: a JWT's signature.
			if strings.Contains(text, probe[len(probe)-8:]) {
				return false
			}
		}
	}
	return true
}

// remedy writes the lines that are to stand in the filter.
func (f logFields) remedy(headers, query []string) string {
	lines := make([]string, 0, len(headers)+len(query))
	for _, h := range headers {
		lines = append(lines, "request>headers>"+h+" delete")
	}
	for _, q := range query {
		lines = append(lines, "request>uri query { delete "+q+" }")
	}
	return strings.Join(lines, "; ")
}
