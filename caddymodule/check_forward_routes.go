package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// server checks the sites of one server.
func (c *forwardCheck) server(name string, server map[string]any) {
	named := asObject(server["named_routes"])
	protected := map[string]string{} // upstream → site
	walks := c.walk(name, routesOf(server["routes"]), named)
	gateways, scrubbed := map[string]bool{}, map[string]bool{}
	any := false
	for _, w := range walks {
		gateways[w.site], scrubbed[w.site] = w.gateway, w.early
		any = any || w.gateway
		if w.gateway {
			for _, u := range w.behind {
				protected[u] = w.site
			}
		}
	}
	for _, w := range walks {
		w.report(protected)
	}
	for _, w := range c.walk(name, routesOf(object(server, "errors")["routes"]), named) {
		if has, known := gateways[w.site]; scrubbed[w.site] || known && !has || !any {
			continue
		}
		for _, r := range w.readers {
			c.add("", w.site, "%s in handle_errors meets requests that failed before token_enrich, with whatever identity headers the client made up: put token_enrich_scrub into the site or into handle_errors", r.what)
		}
	}
}

// walk goes through the sites of a list of routes. An outermost route that
// names hosts is a site; all others together are one more.
func (c *forwardCheck) walk(server string, routes []map[string]any, named map[string]any) []*siteWalk {
	rest := &siteWalk{check: c, site: "server " + server, named: named, depth: 1}
	list := []*siteWalk{rest}
	scrubbed := false
	for _, route := range routes {
		if hosts := hostsOf(route); len(hosts) > 0 {
			w := &siteWalk{check: c, site: "site " + strings.Join(hosts, ", "), named: named}
			w.route(route, false)
			list = append(list, w)
			continue
		}
		scrubbed = rest.route(route, scrubbed)
	}
	return list
}

// siteWalk goes through the handlers of one site in the order in which
// requests meet them.
type siteWalk struct {
	check   *forwardCheck
	site    string
	named   map[string]any
	depth   int
	parts   int      // how many routes around that not every request takes
	gateway bool     // a policy stands somewhere
	early   bool     // token_enrich_scrub covers the whole site
	behind  []string // upstreams behind a policy
	readers []reader // what meets requests before they are scrubbed
	spelled []string // exact names of the site's policies
	proxies []proxy
}

// reader is a handler that unscrubbed requests meet.
type reader struct {
	what      string
	upstreams []string
}

// proxy is a reverse_proxy behind a policy.
type proxy struct {
	what string
	node map[string]any
}

// maxDepth bounds the nesting of routes that is looked at; named routes can
// name themselves.
const maxDepth = 64

// route visits a route whose requests are scrubbed already, or not, and tells
// whether those that leave it are.
func (w *siteWalk) route(route map[string]any, scrubbed bool) bool {
	if w.depth++; w.depth > maxDepth {
		w.depth--
		return scrubbed
	}
	defer func() { w.depth-- }()
	before := scrubbed
	// The outermost matcher is the site itself. Of a group, such as several
	// handle, a request takes one.
	part := w.depth > 1 && (route["match"] != nil || route["group"] != nil)
	if part {
		w.parts++
		defer func() { w.parts-- }()
	}
	if !scrubbed {
		w.matchers(route["match"])
	}
	for _, h := range asList(route["handle"]) {
		scrubbed = w.handler(asObject(h), scrubbed)
	}
	if part { // what it leaves out has not met these handlers
		return before
	}
	return scrubbed
}

// matchers notes route matchers that read a header of ours.
func (w *siteWalk) matchers(sets any) {
	for _, set := range asList(sets) {
		for kind, m := range asObject(set) {
			switch kind {
			case "header", "header_regexp":
				for name := range asObject(m) {
					if w.check.owned.OwnsHeader(name) {
						w.readers = append(w.readers, reader{what: fmt.Sprintf("a matcher that reads %s", name)})
					}
				}
			default:
				if name, ok := w.check.readsOwned(m); ok {
					w.readers = append(w.readers, reader{what: fmt.Sprintf("a matcher that reads %s", name)})
				}
			}
		}
	}
}

func (w *siteWalk) handler(h map[string]any, scrubbed bool) bool {
	kind, _ := h["handler"].(string)
	switch kind {
	case "token_enrich_scrub":
		w.early = w.early || !w.gateway && w.parts == 0
		return true
	case "token_enrich":
		w.gateway = true
		w.spelled = append(w.spelled, exactNames(h)...)
		return true
	case "token_enrich_hook":
		w.check.secrets("token_enrich_hook", h)
	case "subroute":
		return w.routes(routesOf(h["routes"]), scrubbed)
	case "invoke":
		name, _ := h["name"].(string)
		return w.route(asObject(w.named[name]), scrubbed)
	case "reverse_proxy":
		w.proxy(h, scrubbed)
	case "authentication":
		if !scrubbed {
			w.readers = append(w.readers, reader{what: authenticator(h)})
		}
	default:
		if scrubbed {
			break
		}
		if name, ok := w.check.readsOwned(h); ok {
			w.readers = append(w.readers, reader{what: fmt.Sprintf("%s, which reads %s,", kind, name)})
		} else if (kind == "map" || kind == "vars") && strings.Contains(textOf(h), headerPlaceholder) {
			w.readers = append(w.readers, reader{what: fmt.Sprintf("%s, which reads headers,", kind)})
		}
	}
	for _, response := range asList(h["handle_response"]) {
		w.routes(routesOf(asObject(response)["routes"]), scrubbed)
	}
	return scrubbed
}

func (w *siteWalk) routes(list []map[string]any, scrubbed bool) bool {
	for _, r := range list {
		scrubbed = w.route(r, scrubbed)
	}
	return scrubbed
}

func (w *siteWalk) proxy(h map[string]any, scrubbed bool) {
	upstreams := dials(h)
	what := proxyName(h, upstreams)
	if scrubbed {
		if w.gateway {
			w.behind = append(w.behind, upstreams...)
			w.proxies = append(w.proxies, proxy{what: what, node: h})
		}
		return
	}
	w.readers = append(w.readers, reader{what: what, upstreams: upstreams})
}

// report writes down what a site's walk found.
func (w *siteWalk) report(protected map[string]string) {
	for _, r := range w.readers {
		if w.gateway {
			w.check.add("", w.site, "%s stands before token_enrich and meets requests with whatever identity headers the client made up: put token_enrich_scrub into the site", r.what)
			continue
		}
		for _, u := range r.upstreams {
			if other, ok := protected[u]; ok {
				w.check.add("", w.site, "%s reaches the same application as %s, but no token_enrich stands here: identity headers of the client arrive as they are; put token_enrich or token_enrich_scrub into this site too", r.what, other)
			}
		}
	}
	if len(w.spelled) > 0 {
		names := strings.Join(slices.Compact(slices.Sorted(slices.Values(w.spelled))), ", ")
		for _, p := range w.proxies {
			if why := losesSpelling(p.node); why != "" {
				w.check.add("", w.site, "%s does not keep the exact spelling of %s: %s", p.what, names, why)
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
	for _, n := range contract.Owns() {
		if n.Exact && n.Kind == forward.OwnedHeader && http.CanonicalHeaderKey(n.Name) != n.Name {
			names = append(names, n.Name)
		}
	}
	return names
}

// headerPlaceholder is what a placeholder of a request header begins with.
const headerPlaceholder = "http.request.header."

// readsOwned finds a placeholder of a header of ours in a module's settings.
func (c *forwardCheck) readsOwned(v any) (string, bool) {
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
		if name := rest[:end]; c.owned.OwnsHeader(name) {
			return name, true
		}
		text = rest
	}
}

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
