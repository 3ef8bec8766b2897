package check

import (
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// This file warns of logs without a filter for what a request holds of tokens
// and people. It looks for the filter of a field and does not check what the
// filter leaves of it.

// What Caddy names the loggers that write requests.
const (
	accessLogger = "http.log.access"
	errorLogger  = "http.log.error"              // always there, whether a site has a log or not
	proxyLogger  = "http.handlers.reverse_proxy" // with the headers that it sends on: each request at level DEBUG, else where an answer is cut short
)

// logs looks for logs that would hold a token, or identity, because they have no
// filter for it. Caddy writes requests as they came, before any handler of the
// gateway; it redacts Authorization and Cookie by itself, unless a server is
// configured with log_credentials.
func (c *checker) logs(root any) {
	servers := policyServers(root)
	secret := c.tokenFields(!logsCredentials(servers))
	logins := c.loginFields()
	people, signed, prefixes := c.identityFields()
	access, errors := requestLoggers(servers)
	appends := c.appendedTokens(servers)
	// Each log by itself: another one may have a filter.
	sinks := map[string]any{"default": map[string]any{}} // which Caddy adds
	maps.Copy(sinks, jsontree.Object(root, "logging", "logs"))
	for name, s := range jsontree.Ordered(sinks) {
		sink := jsontree.Object(s)
		filters, known := filtersOf(sink["encoder"])
		if !known {
			continue // an encoder of another module may do anything
		}
		where := "log " + name
		writesRequests := acceptsAny(sink, access)
		// At level DEBUG reverse_proxy logs each request as it sends it on, with the
		// headers that the gateway wrote.
		level, _ := sink["level"].(string)
		writesSent := acceptsAny(sink, []string{proxyLogger})
		writesProxied := writesSent && strings.EqualFold(level, "debug")
		if writesRequests || acceptsAny(sink, errors) {
			// Requests of errors are logged even where a site has no access log.
			what := "requests"
			if !writesRequests {
				what = "failed requests"
			}
			if missing := filters.missing(secret); len(missing) > 0 {
				c.add("", where, "it contains %s with tokens (%s): add `format filter` with `%s` to the log", what, strings.Join(missing, ", "), secret.remedy())
			}
		}
		if missing := filters.missing(logins); writesRequests && len(missing) > 0 {
			c.add("", where, "it contains the codes and states of logins (%s): add `format filter` with `%s` to the log", strings.Join(missing, ", "), logins.remedy())
		}
		for _, a := range appends {
			if writesRequests && filters[a.field] == nil {
				c.add("", where, "log_append writes %s, which may contain a token, as %s: remove it, or delete %[2]s with `format filter`", a.placeholder, a.field)
			}
		}
		if writesProxied && len(prefixes) > 0 && !filters.allHeaders() {
			c.add("", where, "at level DEBUG it contains identity headers whose names cannot be listed (%s): delete all of `request>headers` with `format filter`", strings.Join(prefixes, ", "))
			continue
		}
		if writesRequests || writesProxied {
			if missing := filters.missing(people); len(missing) > 0 {
				writesSent = false // signed tokens are among these headers
				c.add("", where, "it contains identity headers (%s), forged by clients in an access log and set by this gateway at level DEBUG: delete `request>headers>%s` and the others, or all of `request>headers`, with `format filter`", strings.Join(missing, ", "), missing[0])
			}
		}
		if missing := filters.missing(signed); writesSent && len(missing) > 0 {
			c.add("", where, "when a response is cut short, such as by a client that disconnects, it contains the forwarded request with signed tokens (%s): add `format filter` with `%s` to the log", strings.Join(missing, ", "), fields{headers: missing}.remedy())
		}
	}
}

// fields are parts of a logged request, as the filters of Caddy's log encoders name
// them: headers, query parameters and cookies that are inside of others, and headers
// of the answer.
type fields struct{ headers, query, cookies, answers []string }

// remedy returns the lines of a filter that deletes the fields.
func (f fields) remedy() string {
	lines := make([]string, 0, len(f.headers)+len(f.query)+len(f.answers))
	for _, h := range f.headers {
		lines = append(lines, "request>headers>"+h+" delete")
	}
	for _, q := range f.query {
		lines = append(lines, "request>uri query { delete "+q+" }")
	}
	for _, h := range f.answers {
		lines = append(lines, "resp_headers>"+h+" delete")
	}
	return strings.Join(lines, "; ")
}

// tokenFields returns the headers, query parameters and cookies in which requests
// bring tokens and proofs, and applications receive tokens. Where Caddy redacts, the
// headers that it redacts are left out.
func (c *checker) tokenFields(redacts bool) fields {
	var f fields
	header := func(name string) {
		if !redacts || !redacted(name) {
			f.headers = append(f.headers, http.CanonicalHeaderKey(name))
		}
	}
	cookie := func(name string) {
		f.cookies = append(f.cookies, name)
		header("Cookie")
	}
	for _, n := range c.owned.Names() {
		switch {
		case n.Kind == forward.ReservedCookie:
			cookie(n.Name)
		case n.Token && redacted(n.Name):
			header(n.Name) // others are signed tokens of identityFields
		}
	}
	for _, p := range c.app.Policies() {
		for _, place := range p.Policy().Places() {
			switch place.Kind {
			case token.Query:
				f.query = append(f.query, place.Name)
			case token.Cookie:
				cookie(place.Name)
			case token.Header:
				header(place.Name)
				if place.Scheme == "DPoP" {
					header("Dpop")
				}
			}
		}
	}
	slices.Sort(f.headers)
	slices.Sort(f.query)
	return fields{slices.Compact(f.headers), slices.Compact(f.query), f.cookies, nil}
}

// loginFields returns what a callback brings to a site where people log in, and where
// the redirect to the provider leads. Caddy redacts none of it.
func (c *checker) loginFields() (f fields) {
	if slices.ContainsFunc(c.app.Policies(), func(p *caddymodule.Handler) bool { return p.Site() != nil }) {
		f.query, f.answers = []string{"code", "state"}, []string{"Location"}
	}
	return f
}

// identityFields returns the headers that the gateway writes and Caddy does not
// redact, those of them that hold a signed token, and the prefixes of names that
// no filter can list.
func (c *checker) identityFields() (people, signed fields, prefixes []string) {
	// A name that begins with a prefix, or that has a number behind it, is any of many,
	// while a filter takes one name or all headers.
	for _, n := range c.owned.Names() {
		name := http.CanonicalHeaderKey(n.Name)
		switch {
		case n.Kind == forward.ReservedPrefix:
			prefixes = append(prefixes, n.Name+"…")
		case n.Kind == forward.ReservedParts:
			prefixes = append(prefixes, n.Name+"-1 …")
		case n.Kind == forward.ReservedHeader && !redacted(name):
			people.headers = append(people.headers, name)
			if n.Token {
				signed.headers = append(signed.headers, name)
			}
		}
	}
	slices.Sort(people.headers)
	people.headers = slices.Compact(people.headers)
	return people, signed, prefixes
}

// redacted reports whether Caddy keeps a header's values out of logs by itself.
func redacted(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Cookie", "Proxy-Authorization", "Set-Cookie":
		return true
	}
	return false
}

// policyServers returns the servers of the HTTP app that have a policy.
func policyServers(root any) []map[string]any {
	var list []map[string]any
	for _, server := range jsontree.Ordered(jsontree.Object(root, "apps", "http", "servers")) {
		if strings.Contains(jsontree.Text(server), `"handler":"token_enrich"`) {
			list = append(list, jsontree.Object(server))
		}
	}
	return list
}

// logsCredentials reports whether one of the servers logs Authorization and Cookie
// as they come.
func logsCredentials(servers []map[string]any) bool {
	return slices.ContainsFunc(servers, func(server map[string]any) bool {
		return jsontree.Object(server, "logs")["should_log_credentials"] == true
	})
}

// requestLoggers returns the loggers that servers write requests to: their access
// logs, and the logs of their errors.
func requestLoggers(servers []map[string]any) (access, errors []string) {
	for _, server := range servers {
		logs := jsontree.Object(server, "logs")
		// Requests of hosts that no entry names are not for a site with a policy,
		// unless there are no entries.
		name, _ := logs["default_logger_name"].(string)
		hosts := jsontree.Object(logs["logger_names"])
		if name != "" || len(hosts) == 0 {
			errors = append(errors, loggerName(errorLogger, name))
			if logs != nil {
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

// loggerName returns the name of a logger of Caddy, or of one below it.
func loggerName(base, name string) string {
	if name == "" {
		return base
	}
	return base + "." + name
}

// acceptsAny reports whether a log takes what one of the loggers writes: the
// longest name that it includes or excludes decides.
func acceptsAny(sink map[string]any, loggers []string) bool {
	// As Caddy does: without include, a log takes what it does not exclude.
	include, exclude := jsontree.Strings(sink["include"]), jsontree.Strings(sink["exclude"])
	return slices.ContainsFunc(loggers, func(logger string) bool {
		longest := func(names []string) (best int) {
			for _, n := range names {
				if strings.HasPrefix(logger+".", n+".") {
					best = max(best, len(n))
				}
			}
			return best
		}
		in, out := longest(include), longest(exclude)
		return in > out || in == 0 && out == 0 && len(include) == 0
	})
}

// filters are the filters of a log's encoder by the fields that they change, such as
// request>headers>Cookie.
type filters map[string]map[string]any

// filtersOf returns the filters of an encoder. It is false where the encoder is
// of a kind that says nothing of its fields.
func filtersOf(encoder any) (filters, bool) {
	e := jsontree.Object(encoder)
	switch e["format"] {
	case nil, "json", "console", "journald":
		return filters{}, true
	case "filter":
		all, known := filtersOf(e["wrap"])
		if !known {
			return nil, false
		}
		for field, f := range jsontree.Object(e["fields"]) {
			all[field] = jsontree.Object(f)
		}
		return all, true
	case "append":
		return filtersOf(e["wrap"])
	}
	return nil, false
}

// allHeaders reports whether there is a filter for the headers as a whole.
func (f filters) allHeaders() bool { return f["request"] != nil || f["request>headers"] != nil }

// missing lists the fields without a filter.
func (f filters) missing(wanted fields) []string {
	var list []string
	for _, h := range wanted.headers {
		if !f.allHeaders() && f["request>headers>"+h] == nil {
			list = append(list, h)
		}
	}
	// A filter of query names the parameters that it changes; any other one of the
	// URI is taken to mean all of it.
	uri := f["request>uri"]
	for _, q := range wanted.query {
		named := func(action any) bool { return jsontree.Object(action)["parameter"] == q }
		filtered := uri != nil && (uri["filter"] != "query" || slices.ContainsFunc(jsontree.List(uri["actions"]), named))
		if f["request"] == nil && !filtered {
			list = append(list, "query "+q)
		}
	}
	for _, h := range wanted.answers {
		if f["resp_headers"] == nil && f["resp_headers>"+h] == nil {
			list = append(list, "response "+h)
		}
	}
	return list
}

// appended is a field that log_append adds to an access log, with a placeholder
// that may hold a token: nothing redacts it.
type appended struct{ field, placeholder string }

// appendedTokens returns the fields of log_append in the servers whose placeholder
// may hold a token: that of a header, cookie or parameter that tokens are read from,
// or of a URI with the parameter.
func (c *checker) appendedTokens(servers []map[string]any) []appended {
	secret := c.tokenFields(false)
	secret.query = append(secret.query, c.loginFields().query...)
	// Each placeholder as the Caddyfile adapter writes it out.
	placeholders := make([]string, 0, len(secret.headers)+len(secret.cookies)) // without what all of them begin with
	for _, h := range secret.headers {
		placeholders = append(placeholders, "header."+h)
	}
	for _, name := range secret.cookies {
		placeholders = append(placeholders, "cookie."+name)
	}
	for _, q := range secret.query {
		for _, uri := range []string{"uri", "orig_uri"} {
			placeholders = append(placeholders, uri, uri+"_escaped", uri+".query", uri+".query_escaped", uri+".prefixed_query", uri+".query."+q)
		}
	}
	var list []appended
	for _, server := range servers {
		for _, h := range routes.HandlersOf(server, "log_append") {
			field, _ := h["key"].(string)
			value, _ := h["value"].(string)
			if slices.ContainsFunc(placeholders, func(p string) bool { return strings.EqualFold(value, "{http.request."+p+"}") }) {
				list = append(list, appended{field, value})
			}
		}
	}
	return list
}
