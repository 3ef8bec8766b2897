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

// handler visits a handler of a route in list, and reports whether requests are
// scrubbed behind it. id names the handler.
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
			w.guard = name
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
		f.answers++
		if !scrubbed {
			w.mayFail()
			w.read(Reader{What: authenticator(h)})
		}
	default:
		w.other(kind, h, scrubbed)
	}
	w.responses(id, h, scrubbed)
	return scrubbed
}

// other visits a handler that is neither of ours nor one of routes.
func (w *Site) other(kind string, h map[string]any, scrubbed bool) {
	known := true
	switch kind {
	case "vars", "map", "headers", "encode", "log_append", "tracing", "request_body", "push", "templates", "timeouts", "intercept", "copy_response_headers",
		"token_enrich_jwks", "token_enrich_ready", "token_enrich_hook": // ours scrub before they fail
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
		w.read(Reader{What: fmt.Sprintf("the handler %s, which may send requests on,", kind), Forwards: true})
	} else if name, ok := w.readsOwned(h); ok {
		w.read(Reader{What: fmt.Sprintf("%s, which reads %s,", kind, name)})
	} else if (kind == "map" || kind == "vars") && strings.Contains(jsontree.Text(h), headerPlaceholder) {
		w.read(Reader{What: fmt.Sprintf("%s, which reads headers,", kind)})
	}
}

// responses visits routes inside of a handler, which some requests take, and
// none leaves.
func (w *Site) responses(id string, h map[string]any, scrubbed bool) {
	lists := routeLists(h, nil)
	if len(lists) == 0 {
		return
	}
	w.parts++
	leave := w.enter(level{list: id, unclear: true}, true)
	for i, list := range lists {
		w.routes(fmt.Sprintf("%s response %d", id, i), list, scrubbed)
	}
	leave()
	w.parts--
}

// routeLists finds the lists of routes in the settings of a handler.
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

// errorRoutes visits the error routes of a subroute. They are met by requests
// that failed anywhere in it, and policies in them decide for themselves.
func (w *Site) errorRoutes(id string, routes []map[string]any, scrubbed bool) {
	if len(routes) == 0 {
		return
	}
	inside := *w
	inside.flow, inside.Readers, inside.fallible, inside.depth = new(flow), nil, true, max(w.depth, 1)
	inside.routes(id, routes, scrubbed)
	w.inErrors = append(inside.inErrors, inside.Readers...)
	w.HasPolicy, w.guard, w.Exact = inside.HasPolicy, inside.guard, inside.Exact
}

func (w *Site) proxy(h map[string]any, scrubbed bool) {
	upstreams := Dials(h)
	what := proxyName(h, upstreams)
	if scrubbed {
		if w.HasPolicy {
			w.behind = append(w.behind, upstreams...)
			w.Proxies = append(w.Proxies, Proxy{What: what, Node: h})
		}
		return
	}
	w.mayFail()
	w.read(Reader{What: what, Forwards: true, upstreams: upstreams})
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

// readsOwned finds a placeholder of a header of ours in a module's settings.
func (w *Site) readsOwned(v any) (string, bool) {
	if w.server.owned == nil {
		return "", false
	}
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

// headerPlaceholder is what a placeholder of a request header begins with.
const headerPlaceholder = "http.request.header."

// authenticator names the directive behind an authentication handler.
func authenticator(h map[string]any) string {
	if _, ok := jsontree.Object(h, "providers")["http_basic"]; ok {
		return "basic_auth"
	}
	return "authentication"
}

// proxyName names a reverse_proxy by the directive and what it proxies to.
func proxyName(h map[string]any, upstreams []string) string {
	directive := "reverse_proxy"
	if jsontree.Object(h, "rewrite")["method"] == "GET" && len(jsontree.List(h["handle_response"])) > 0 {
		directive = "forward_auth"
	}
	if p, _ := jsontree.Object(h["transport"])["protocol"].(string); p == "fastcgi" {
		directive = "php_fastcgi"
	}
	return strings.TrimSpace(directive + " " + strings.Join(upstreams, " "))
}

func Dials(h map[string]any) []string {
	var list []string
	for _, u := range jsontree.List(h["upstreams"]) {
		if dial, ok := jsontree.Object(u)["dial"].(string); ok {
			list = append(list, dial)
		}
	}
	return list
}

// HostsOf lists what a route's host matchers name.
func HostsOf(route map[string]any) []string {
	hosts := make([]string, 0, 4)
	for _, set := range jsontree.List(route["match"]) {
		hosts = append(hosts, jsontree.Strings(jsontree.Object(set)["host"])...)
	}
	return hosts
}

// HandlersOf finds the handlers of a kind, however deep they stand.
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
