package caddymodule

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// This file goes through the routes of a server, as JSON, in the order in which
// requests meet them, and notes what they meet: policies, and what sends them
// on or reads them before they are scrubbed.

// serverWalk is the walk through one server.
type serverWalk struct {
	server string
	strict bool // requests may fail before any route
	named  map[string]any
	owned  *forward.ReservedNames // nil: headers that handlers read are of no interest
	sites  []*siteWalk            // the first is that of all routes that name no host
	errors []*siteWalk            // likewise, of the error routes
	found  []clash
}

// walkServer goes through a server.
func walkServer(name string, server map[string]any, owned *forward.ReservedNames) *serverWalk {
	s := &serverWalk{server: name, strict: strictSNI(server), named: object(server, "named_routes"), owned: owned}
	s.sites = s.walk("routes", routesOf(server["routes"]))
	s.errors = s.walk("error routes", routesOf(object(server, "errors")["routes"]))
	for _, w := range s.errors {
		for _, site := range s.sites {
			if w.gateway && !site.gateway && w.hosts == site.hosts {
				site.gateway, site.guard = true, w.guard
			}
		}
	}
	return s
}

// walk goes through a server's outermost routes. Those that name the same hosts
// are a site; all that name none are one more.
func (s *serverWalk) walk(list string, routes []map[string]any) []*siteWalk {
	f := new(flow)
	rest := &siteWalk{server: s, flow: f, name: "server " + s.server, depth: 1}
	sites := []*siteWalk{rest}
	byHosts := map[string]*siteWalk{}
	groups := groupsOf(routes)
	for i, route := range routes {
		hosts := hostsOf(route)
		if len(hosts) == 0 {
			after, some := rest.route(list, i, groups, route, rest.scrubbed)
			rest.scrubbed = after && (rest.scrubbed || !some && !grouped(route, groups))
			continue
		}
		key := hostsKey(hosts)
		w := byHosts[key]
		if w == nil {
			name := "site " + strings.Join(hosts[:min(len(hosts), maxHosts)], ", ")
			if more := len(hosts) - maxHosts; more > 0 {
				name += fmt.Sprintf(" and %d more", more)
			}
			w = &siteWalk{server: s, flow: f, name: name, hosts: key, scrubbed: rest.scrubbed, first: rest.first, fallible: rest.fallible}
			byHosts[key] = w
			sites = append(sites, w)
		}
		after, _ := w.route(list, i, groups, route, w.scrubbed)
		w.scrubbed = after && (w.scrubbed || onlyHosts(route) && !grouped(route, groups))
	}
	return sites
}

// maxHosts bounds how many hosts name a site.
const maxHosts = 5

// hostsKey tells sites apart by their hosts, in whatever order, case or form.
// What is provisioned has them as Caddy compares them.
func hostsKey(hosts []string) string {
	list := make([]string, len(hosts))
	for i, h := range hosts {
		list[i] = strings.ToLower(h)
		if ascii, err := idna.ToASCII(h); err == nil {
			list[i] = strings.ToLower(ascii)
		}
	}
	slices.Sort(list)
	return strings.Join(list, " ")
}

// onlyHosts reports whether each request for a route's hosts takes it.
func onlyHosts(route map[string]any) bool {
	for _, set := range asList(route["match"]) {
		if len(asObject(set)) != 1 {
			return false
		}
	}
	return true
}

// flow is what requests have met on their way through the routes.
type flow struct {
	policies []*placed
	levels   []level  // the routes around
	invoked  []string // the named routes among them
	path     int      // counts what may have changed a request's path
	answers  int      // counts what may have answered a request
}

// level is a route on the way from the outermost one to a handler.
type level struct {
	list  string // names the route's list
	index int    // its place there
	group string // empty where no other route of the list is in it
	condition
	unclear bool // it is not known which requests take it
}

// siteWalk is what the requests of one site meet.
type siteWalk struct {
	server   *serverWalk
	flow     *flow
	name     string
	hosts    string // tells sites apart; empty for that of no host
	depth    int
	parts    int    // how many routes around that not every request takes
	scrubbed bool   // what the outermost routes so far leave behind
	gateway  bool   // a policy stands somewhere
	guard    string // the first one's name
	// fallible says that a request may fail, and go to the error routes,
	// before it is scrubbed; first is the handler that scrubs each request
	// before that, if there is one.
	fallible bool
	first    string
	behind   []string // upstreams behind a policy
	readers  []reader // what meets requests before they are scrubbed
	inErrors []reader // likewise, in error routes inside of the site
	spelled  []string // exact names of the site's policies
	proxies  []proxy
}

// reader is a handler or matcher that unscrubbed requests meet.
type reader struct {
	what      string
	where     string // the route that it stands in, for people
	forwards  bool   // it sends requests on, or may do so
	upstreams []string
}

// proxy is a reverse_proxy behind a policy.
type proxy struct {
	what string
	node map[string]any
}

// maxDepth bounds the nesting of routes that is looked at.
const maxDepth = 64

// groupsOf counts the routes of each group in a list. Of a group, such as
// several handle, a request takes one.
func groupsOf(routes []map[string]any) map[string]int {
	groups := map[string]int{}
	for _, r := range routes {
		if g, ok := r["group"].(string); ok {
			groups[g]++
		}
	}
	return groups
}

// grouped reports whether a route shares its group with others.
func grouped(route map[string]any, groups map[string]int) bool {
	g, _ := route["group"].(string)
	return groups[g] > 1
}

// routes visits a list of routes whose requests are scrubbed already, or not,
// and reports whether those that leave it are.
func (w *siteWalk) routes(list string, routes []map[string]any, scrubbed bool) bool {
	groups := groupsOf(routes)
	open := map[string]bool{} // groups of which a route does not scrub
	for i, r := range routes {
		after, some := w.route(list, i, groups, r, scrubbed)
		group, _ := r["group"].(string)
		open[group] = open[group] || !after
		switch {
		case some:
		case grouped(r, groups): // all took this route or another one of the group
			scrubbed = scrubbed || !open[group]
		default:
			scrubbed = after
		}
	}
	return scrubbed
}

// route visits a route, and reports whether the requests that take it are
// scrubbed behind it, and whether its matchers let only some take it.
func (w *siteWalk) route(list string, i int, groups map[string]int, route map[string]any, scrubbed bool) (after, some bool) {
	if w.depth == maxDepth {
		return scrubbed, true
	}
	w.depth++
	defer func() { w.depth-- }()
	f := w.flow
	l := level{list: list, index: i, condition: newCondition(asList(route["match"]), f.path)}
	if grouped(route, groups) {
		l.group, _ = route["group"].(string)
	}
	some = !l.always()
	if !scrubbed {
		w.matchers(route["match"])
	}
	// The outermost hosts are the site itself.
	if some && (w.depth > 1 || !onlyHosts(route)) || l.group != "" {
		w.parts++
		defer func() { w.parts-- }()
	}
	terminal, _ := route["terminal"].(bool)
	defer w.enter(l, terminal)()
	for n, h := range asList(route["handle"]) {
		scrubbed = w.handler(list, fmt.Sprintf("%s %d.%d", list, i, n), asObject(h), scrubbed)
	}
	return scrubbed, some
}

// enter goes into a route. What it returns leaves it again; behind a route that
// keeps its requests, its policies have been met by none.
func (w *siteWalk) enter(l level, keeps bool) func() {
	f := w.flow
	met := len(f.policies)
	f.levels = append(f.levels, l)
	return func() {
		f.levels = f.levels[:len(f.levels)-1]
		if keeps {
			f.policies = f.policies[:met]
		}
	}
}

// matchers notes what the matchers of a route may do.
func (w *siteWalk) matchers(sets any) {
	for _, set := range asList(sets) {
		for kind, m := range ordered(asObject(set)) {
			switch kind {
			case "header", "header_regexp":
				for name := range ordered(asObject(m)) {
					if w.owns(name) {
						w.read(reader{what: fmt.Sprintf("a matcher that reads %s", name)})
					}
				}
				continue
			case "host", "method", "path", "path_regexp", "protocol", "query", "remote_ip", "client_ip", "vars", "vars_regexp", "not", "tls":
			default: // an expression, a file or a path may not be readable
				w.mayFail()
			}
			if name, ok := w.readsOwned(m); ok {
				w.read(reader{what: fmt.Sprintf("a matcher that reads %s", name)})
			}
		}
	}
}

func (w *siteWalk) owns(header string) bool {
	return w.server.owned != nil && w.server.owned.Contains(header)
}

func (w *siteWalk) mayFail() { w.fallible = w.fallible || w.first == "" }

// read notes a reader.
func (w *siteWalk) read(r reader) {
	r.where = w.where()
	w.readers = append(w.readers, r)
}

// where names the innermost route around that is for some paths only. One for a
// kind of file, as of php_fastcgi, says less than the one around it.
func (w *siteWalk) where() string {
	var best []string
	for _, l := range slices.Backward(w.flow.levels) {
		paths := pathsOf(l.sets)
		if l.always() || len(paths) == 0 {
			continue
		}
		suffix := strings.HasPrefix(paths[0], "*")
		if len(best) == 0 || !suffix {
			best = paths
		}
		if !suffix {
			break
		}
	}
	if len(best) == 0 {
		return ""
	}
	return " in the route for " + few(best)
}

// few lists the first words of a list.
func few(words []string) string { return strings.Join(words[:min(len(words), 3)], " ") }

// scrubs notes a handler that scrubs the requests that it meets.
func (w *siteWalk) scrubs(kind string) {
	if w.first == "" && !w.fallible && w.parts == 0 {
		w.first = kind
	}
}

// handler visits a handler of a route in list, and reports whether requests are
// scrubbed behind it. id names the handler.
func (w *siteWalk) handler(list, id string, h map[string]any, scrubbed bool) bool {
	f := w.flow
	kind, _ := h["handler"].(string)
	switch kind {
	case "token_enrich_scrub":
		w.scrubs(kind)
		return true
	case "token_enrich":
		w.scrubs(kind)
		if name, ok := h["name"].(string); ok && !w.gateway {
			w.guard = name
		}
		w.gateway = true
		if w.server.owned != nil {
			w.spelled = append(w.spelled, exactNames(h)...)
		}
		w.policy(list, h)
		return true
	case "subroute":
		after := w.routes(id, routesOf(h["routes"]), scrubbed)
		w.errorRoutes(id+" errors", routesOf(object(h, "errors")["routes"]), scrubbed)
		return after
	case "invoke":
		name, _ := h["name"].(string)
		if slices.Contains(f.invoked, name) {
			return scrubbed
		}
		f.invoked = append(f.invoked, name)
		defer func() { f.invoked = f.invoked[:len(f.invoked)-1] }()
		after, some := w.route("named route "+name, 0, nil, asObject(w.server.named[name]), scrubbed)
		return after && (scrubbed || !some)
	case "reverse_proxy":
		f.answers++
		w.proxy(h, scrubbed)
	case "authentication":
		f.answers++
		if !scrubbed {
			w.mayFail()
			w.read(reader{what: authenticator(h)})
		}
	default:
		w.other(kind, h, scrubbed)
	}
	w.responses(id, h, scrubbed)
	return scrubbed
}

// other visits a handler that is neither of ours nor one of routes.
func (w *siteWalk) other(kind string, h map[string]any, scrubbed bool) {
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
		w.read(reader{what: fmt.Sprintf("the handler %s, which may send requests on,", kind), forwards: true})
	} else if name, ok := w.readsOwned(h); ok {
		w.read(reader{what: fmt.Sprintf("%s, which reads %s,", kind, name)})
	} else if (kind == "map" || kind == "vars") && strings.Contains(textOf(h), headerPlaceholder) {
		w.read(reader{what: fmt.Sprintf("%s, which reads headers,", kind)})
	}
}

// responses visits routes inside of a handler, which some requests take, and
// none leaves.
func (w *siteWalk) responses(id string, h map[string]any, scrubbed bool) {
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
	for _, x := range asList(v) {
		lists = routeLists(x, lists)
	}
	for name, x := range ordered(asObject(v)) {
		if name == "routes" && len(asList(x)) > 0 {
			lists = append(lists, routesOf(x))
		} else {
			lists = routeLists(x, lists)
		}
	}
	return lists
}

// errorRoutes visits the error routes of a subroute. They are met by requests
// that failed anywhere in it, and policies in them decide for themselves.
func (w *siteWalk) errorRoutes(id string, routes []map[string]any, scrubbed bool) {
	if len(routes) == 0 {
		return
	}
	inside := *w
	inside.flow, inside.readers, inside.fallible, inside.depth = new(flow), nil, true, max(w.depth, 1)
	inside.routes(id, routes, scrubbed)
	w.inErrors = append(inside.inErrors, inside.readers...)
	w.gateway, w.guard, w.spelled = inside.gateway, inside.guard, inside.spelled
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
	w.mayFail()
	w.read(reader{what: what, forwards: true, upstreams: upstreams})
}
