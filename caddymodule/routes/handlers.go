package routes

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// This file walks through the handlers of a route and reads their settings. For each
// kind that Caddy has it is known whether the handler reads, forwards, answers or
// fails a request. A handler of any other kind counts as doing all of it.

// handler visits a handler of a route in list, and reports whether requests are
// scrubbed behind it. id identifies the handler.
func (w *Site) handler(list, id string, h map[string]any, scrubbed bool) bool {
	f := w.flow
	kind, _ := h["handler"].(string)
	switch kind {
	case "token_enrich_scrub":
		w.scrubs(kind)
		return true
	case "token_enrich":
		w.scrubs(kind)
		if name, ok := h["name"].(string); ok && !w.HasPolicy {
			w.firstPolicy = name
		}
		w.HasPolicy = true
		if w.server.owned != nil {
			w.Exact = append(w.Exact, exactNames(h)...)
		}
		w.policy(list, h)
		return true
	case "subroute":
		after := w.routes(id, jsontree.Objects(h["routes"]), scrubbed)
		w.errorRoutes(id+" errors", jsontree.Objects(jsontree.Object(h, "errors")["routes"]), scrubbed)
		return after
	case "invoke":
		name, _ := h["name"].(string)
		// A named route that invokes itself ends here.
		if slices.Contains(f.invoked, name) {
			return scrubbed
		}
		f.invoked = append(f.invoked, name)
		defer func() { f.invoked = f.invoked[:len(f.invoked)-1] }()
		after, some := w.route("named route "+name, 0, nil, jsontree.Object(w.server.named[name]), scrubbed)
		return after && (scrubbed || !some)
	case "reverse_proxy":
		f.answers++
		w.proxy(h, scrubbed)
	case "authentication":
		// It answers 401, and reads credentials before anything has scrubbed them.
		f.answers++
		if !scrubbed {
			w.mayFail()
			w.addReader(Reader{What: authenticator(h)})
		}
	default:
		w.other(kind, h, scrubbed)
	}
	// Routes inside of a handler leave nothing behind for those after it.
	w.responses(id, h, scrubbed)
	return scrubbed
}

// other visits a handler that is neither a policy nor one with a walk of its own.
// A handler of an unknown kind may do anything.
func (w *Site) other(kind string, h map[string]any, scrubbed bool) {
	known := true
	switch kind {
	case "vars", "map", "headers", "encode", "log_append", "tracing", "request_body", "push", "templates", "timeouts", "intercept", "copy_response_headers",
		"token_enrich_jwks", "token_enrich_ready", "token_enrich_hook": // which scrub before they fail
	case "rewrite":
		w.flow.path++
	case "static_response", "metrics", "acme_server", "copy_response":
		w.flow.answers++
	case "error", "file_server":
		w.flow.answers++
		if !scrubbed {
			w.mayFail()
		}
	default:
		known = false
		w.flow.path++
		w.flow.answers++
	}
	if scrubbed {
		return
	}
	if !known {
		w.mayFail()
		w.addReader(Reader{What: fmt.Sprintf("the handler %s, which may forward requests,", kind), Forwards: true})
	} else if name, ok := w.readsOwned(h); ok {
		w.addReader(Reader{What: fmt.Sprintf("%s, which reads %s,", kind, name)})
	} else if (kind == "map" || kind == "vars") && strings.Contains(jsontree.Text(h), headerPlaceholder) {
		w.addReader(Reader{What: fmt.Sprintf("%s, which reads headers,", kind)})
	}
}

// responses visits the routes inside of a handler, such as handle_response of
// reverse_proxy. Some requests take them, and none leaves them.
func (w *Site) responses(id string, h map[string]any, scrubbed bool) {
	lists := routeLists(h, nil)
	if len(lists) == 0 {
		return
	}
	w.branches++
	leave := w.enter(level{list: id, unclear: true}, true)
	for i, list := range lists {
		w.routes(fmt.Sprintf("%s response %d", id, i), list, scrubbed)
	}
	leave()
	w.branches--
}

// routeLists appends the lists of routes in the settings of a handler to lists, at any
// depth: modules of other authors hold routes under names of their own.
func routeLists(v any, lists [][]map[string]any) [][]map[string]any {
	for _, x := range jsontree.List(v) {
		lists = routeLists(x, lists)
	}
	for name, x := range jsontree.Ordered(jsontree.Object(v)) {
		if name == "routes" && len(jsontree.List(x)) > 0 {
			lists = append(lists, jsontree.Objects(x))
		} else {
			lists = routeLists(x, lists)
		}
	}
	return lists
}

// errorRoutes visits the error routes of a subroute. Requests that failed anywhere
// in it come to them, and policies in them decide independently.
func (w *Site) errorRoutes(id string, routes []map[string]any, scrubbed bool) {
	if len(routes) == 0 {
		return
	}
	// The copy collects readers by itself; what it finds of policies is the site's.
	inside := *w
	inside.flow, inside.Readers, inside.fallible, inside.depth = new(flow), nil, true, max(w.depth, 1)
	inside.routes(id, routes, scrubbed)
	w.errorReaders = append(inside.errorReaders, inside.Readers...)
	w.HasPolicy, w.firstPolicy, w.Exact = inside.HasPolicy, inside.firstPolicy, inside.Exact
}

// proxy visits a reverse_proxy. Behind a scrub in a site with a policy, its upstreams
// are protected; before one, it forwards what the client forged.
func (w *Site) proxy(h map[string]any, scrubbed bool) {
	upstreams := Dials(h)
	what := proxyName(h, upstreams)
	if scrubbed {
		if w.HasPolicy {
			w.protected = append(w.protected, upstreams...)
			w.Proxies = append(w.Proxies, Proxy{What: what, Node: h})
		}
		return
	}
	w.mayFail()
	w.addReader(Reader{What: what, Forwards: true, upstreams: upstreams})
}

// exactNames returns the names that a policy, given as JSON, writes with exact and
// whose canonical form is another one.
func exactNames(h map[string]any) []string {
	// A policy whose headers do not compile is an error where it is provisioned.
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

// readsOwned returns the first header that policies own and that a placeholder in
// a module's settings reads.
func (w *Site) readsOwned(v any) (string, bool) {
	if w.server.owned == nil {
		return "", false
	}
	// A placeholder ends at a brace, or inside of an expression at its next sign.
	text := jsontree.Text(v)
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

// headerPlaceholder begins the placeholder of a request header.
const headerPlaceholder = "http.request.header."

// authenticator returns the directive of an authentication handler.
func authenticator(h map[string]any) string {
	if _, ok := jsontree.Object(h, "providers")["http_basic"]; ok {
		return "basic_auth"
	}
	return "authentication"
}

// proxyName returns the directive of a reverse_proxy handler with its upstreams.
func proxyName(h map[string]any, upstreams []string) string {
	// The Caddyfile's directives differ from the handler in these settings.
	directive := "reverse_proxy"
	if jsontree.Object(h, "rewrite")["method"] == "GET" && len(jsontree.List(h["handle_response"])) > 0 {
		directive = "forward_auth"
	}
	if p, _ := jsontree.Object(h["transport"])["protocol"].(string); p == "fastcgi" {
		directive = "php_fastcgi"
	}
	return strings.TrimSpace(directive + " " + strings.Join(upstreams, " "))
}

// Dials returns the addresses of the static upstreams of a reverse_proxy.
func Dials(h map[string]any) []string {
	var list []string
	for _, u := range jsontree.List(h["upstreams"]) {
		if dial, ok := jsontree.Object(u)["dial"].(string); ok {
			list = append(list, dial)
		}
	}
	return list
}

// HostsOf returns the hosts that the matchers of a route name.
func HostsOf(route map[string]any) []string {
	hosts := make([]string, 0, 4)
	for _, set := range jsontree.List(route["match"]) {
		hosts = append(hosts, jsontree.Strings(jsontree.Object(set)["host"])...)
	}
	return hosts
}

// HandlersOf returns the handlers of a kind in a configuration as JSON, at whatever
// depth.
func HandlersOf(v any, kind string) []map[string]any {
	var list []map[string]any
	for _, x := range jsontree.List(v) {
		list = append(list, HandlersOf(x, kind)...)
	}
	o := jsontree.Object(v)
	if o["handler"] == kind {
		list = append(list, o)
	}
	for _, x := range jsontree.Ordered(o) {
		list = append(list, HandlersOf(x, kind)...)
	}
	return list
}
