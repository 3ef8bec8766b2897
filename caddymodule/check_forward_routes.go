package caddymodule

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// server checks the sites of one server for what is probably not meant. What is
// certainly wrong has not loaded.
func (c *forwardCheck) server(name string, server map[string]any) {
	s := walkServer(name, server, c.owned)
	for _, w := range s.sites {
		w.report(c)
	}
	s.failed(func(w *siteWalk, r reader, scrubbed string) {
		if scrubbed == "token_enrich" {
			c.add("", w.name, "%s in handle_errors meets requests that failed before token_enrich, with whatever identity headers the client made up: put token_enrich_scrub into the site or into handle_errors", r.what)
		}
	})
	for _, h := range handlersOf(server, "token_enrich_hook") {
		c.secrets("token_enrich_hook", h)
	}
}

// report writes down what a site's walk found.
func (w *siteWalk) report(c *forwardCheck) {
	for _, r := range w.readers {
		if w.gateway && !r.forwards {
			c.add("", w.name, "%s stands before token_enrich and meets requests with whatever identity headers the client made up: put token_enrich_scrub into the site", r.what)
		}
	}
	if len(w.spelled) > 0 {
		names := strings.Join(slices.Compact(slices.Sorted(slices.Values(w.spelled))), ", ")
		for _, p := range w.proxies {
			if why := losesSpelling(p.node); why != "" {
				c.add("", w.name, "%s does not keep the exact spelling of %s: %s", p.what, names, why)
			}
		}
	}
}

// losesSpelling tells why a reverse_proxy does not keep exact names, and what
// to do; empty where it does. CGI variables have no spelling to lose.
func losesSpelling(h map[string]any) string {
	transport := asObject(h["transport"])
	protocol, _ := transport["protocol"].(string)
	_, secure := transport["tls"]
	versions := asStrings(transport["versions"])
	one := len(versions) == 0 || slices.Contains(versions, "1.1")
	switch protocol {
	case "", "http", "token_enrich":
	default:
		return ""
	}
	switch {
	case slices.Contains(versions, "h2c") || !one:
		return "HTTP/2 and HTTP/3 write names in lower case; use HTTP/1.1 upstream, or let the application ignore case"
	case protocol == "token_enrich" && secure && (len(versions) == 0 || slices.Contains(versions, "2")):
		return "over TLS the upstream may choose HTTP/2, which writes names in lower case; add `versions 1.1` to its transport"
	case protocol == "token_enrich":
		return ""
	case secure:
		return "over TLS reverse_proxy puts names into the canonical form; write `transport token_enrich` in it, with `versions 1.1`"
	case len(asObject(object(h, "headers")["request"])) > 0:
		return "header_up puts names into the canonical form; write `transport token_enrich` in it"
	}
	return ""
}

// exactNames lists the names that a policy, as JSON, writes with exact and
// that have a spelling to lose.
func exactNames(h map[string]any) []string {
	text, err := json.Marshal(h)
	if err != nil {
		return nil
	}
	var def forward.Definition
	if json.Unmarshal(text, &def) != nil {
		return nil
	}
	contract, err := forward.Compile(def)
	if err != nil {
		return nil
	}
	var names []string
	for _, n := range contract.Reserved() {
		if n.Exact && n.Kind == forward.ReservedHeader && http.CanonicalHeaderKey(n.Name) != n.Name {
			names = append(names, n.Name)
		}
	}
	return names
}

// readsOwned finds a placeholder of a header of ours in a module's settings.
func (w *siteWalk) readsOwned(v any) (string, bool) {
	if w.server.owned == nil {
		return "", false
	}
	text := textOf(v)
	for {
		_, rest, ok := strings.Cut(text, headerPlaceholder)
		if !ok {
			return "", false
		}
		end := strings.IndexAny(rest, "}\"'\\ ,)")
		if end < 0 {
			end = len(rest)
		}
		if name := rest[:end]; w.owns(name) {
			return name, true
		}
		text = rest
	}
}

// headerPlaceholder is what a placeholder of a request header begins with.
const headerPlaceholder = "http.request.header."

// authenticator names the directive behind an authentication handler.
func authenticator(h map[string]any) string {
	if _, ok := object(h, "providers")["http_basic"]; ok {
		return "basic_auth"
	}
	return "authentication"
}

// proxyName names a reverse_proxy by the directive and what it proxies to.
func proxyName(h map[string]any, upstreams []string) string {
	directive := "reverse_proxy"
	if object(h, "rewrite")["method"] == "GET" && len(asList(h["handle_response"])) > 0 {
		directive = "forward_auth"
	}
	if p, _ := asObject(h["transport"])["protocol"].(string); p == "fastcgi" {
		directive = "php_fastcgi"
	}
	return strings.TrimSpace(directive + " " + strings.Join(upstreams, " "))
}

func dials(h map[string]any) []string {
	var list []string
	for _, u := range asList(h["upstreams"]) {
		if dial, ok := asObject(u)["dial"].(string); ok {
			list = append(list, dial)
		}
	}
	return list
}

// hostsOf lists what a route's host matchers name.
func hostsOf(route map[string]any) []string {
	hosts := make([]string, 0, 4)
	for _, set := range asList(route["match"]) {
		hosts = append(hosts, asStrings(asObject(set)["host"])...)
	}
	return hosts
}
