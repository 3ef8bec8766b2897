// Package routes walks through the routes of Caddy's HTTP app as JSON, without a
// request: which policies a request meets, what forwards or reads requests before
// they are scrubbed, and which policies have no name. Loading a configuration and
// the check command both use it.
//
// json.go returns the app as JSON while Caddy provisions it. walk.go and handlers.go
// walk through it. policies.go and conditions.go compare policies. check.go lists the
// problems, with those of logins.go. origin.go says where a site is reached. names.go, lists.go and provisioning.go identify policies, lists of routes
// and the route that is being provisioned.
package routes

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// This file walks through the routes of a server, as JSON, in the order in which
// requests meet them, and records what they meet: policies, and handlers and
// matchers that forward or read them before they are scrubbed.

// Server is what a walk through one server found.
type Server struct {
	// Sites are the sites of the server. The first one has all routes that
	// name no host.
	Sites []*Site

	name      string
	strict    bool // requests may fail before any route
	named     map[string]any
	owned     *forward.ReservedNames // nil: it is not recorded which handlers read headers
	errors    []*Site                // the sites of the error routes
	conflicts []conflict
}

// Walk walks through a server, given as JSON. With the names that policies own,
// it also records the handlers and matchers that read them; without, owned is
// nil.
func Walk(name string, server map[string]any, owned *forward.ReservedNames) *Server {
	s := &Server{name: name, strict: strictSNI(server), named: jsontree.Object(server, "named_routes"), owned: owned}
	s.Sites = s.walk("routes", jsontree.Objects(server["routes"]))
	s.errors = s.walk("error routes", jsontree.Objects(jsontree.Object(server, "errors")["routes"]))
	// A policy in the error routes makes its site one with a policy: requests come
	// there from the site's routes.
	for _, w := range s.errors {
		for _, site := range s.Sites {
			if w.HasPolicy && !site.HasPolicy && w.hosts == site.hosts {
				site.HasPolicy, site.firstPolicy = true, w.firstPolicy
			}
		}
	}
	return s
}

// walk walks through a server's outermost routes. Routes that name the same
// hosts are one site, and all that name none are the first one.
func (s *Server) walk(list string, routes []map[string]any) []*Site {
	f := new(flow)
	rest := &Site{server: s, flow: f, Name: "server " + s.name, depth: 1}
	sites := []*Site{rest}
	byHosts := map[string]*Site{}
	groups := groupsOf(routes)
	for i, route := range routes {
		hosts := HostsOf(route)
		// Requests of any host take a route without hosts, so that sites further down
		// begin with what it leaves behind.
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
			w = &Site{server: s, flow: f, Name: name, hosts: key, scrubbed: rest.scrubbed, scrubber: rest.scrubber, fallible: rest.fallible}
			byHosts[key] = w
			sites = append(sites, w)
		}
		// A route with further matchers, or of a group, may be passed by.
		after, _ := w.route(list, i, groups, route, w.scrubbed)
		w.scrubbed = after && (w.scrubbed || onlyHosts(route) && !grouped(route, groups))
	}
	return sites
}

// maxHosts bounds how many hosts the name of a site lists.
const maxHosts = 5

// hostsKey returns a text that is the same for the same hosts, whatever their
// order, case and form (Unicode or Punycode). Routes that are provisioned have
// hosts in the form in which Caddy compares them.
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

// onlyHosts reports whether a route has no matchers besides hosts, so that each
// request for these takes it.
func onlyHosts(route map[string]any) bool {
	for _, set := range jsontree.List(route["match"]) {
		if len(jsontree.Object(set)) != 1 {
			return false
		}
	}
	return true
}

// flow is what requests have met on their way through the routes.
type flow struct {
	policies []*placedPolicy
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

// Site is what the requests for the hosts of one site meet.
type Site struct {
	// Name is the site as an operator knows it.
	Name string

	// HasPolicy reports that one of the routes has a policy.
	HasPolicy bool

	// Readers meet requests before they are scrubbed, outside of error routes.
	Readers []Reader

	// Exact are the names that policies write with an exact spelling, and Proxies
	// the proxies behind a policy, which may change it.
	Exact   []string
	Proxies []Proxy

	server       *Server
	flow         *flow
	hosts        string // identifies the site; empty for that of no host
	firstPolicy  string // the name of its first policy
	depth        int
	branches     int      // how many of the routes around take only some requests
	scrubbed     bool     // whether requests are scrubbed behind the outermost routes so far
	protected    []string // upstreams behind a policy
	logins       []placedLogin
	errorReaders []Reader // as Readers, in error routes inside of the site

	// scrubber is the handler that scrubs each request before it may fail, and so
	// before it may come to the error routes; empty where there is none. fallible
	// means that a request may fail before it is scrubbed.
	scrubber string
	fallible bool
}

// Reader is a handler or matcher that meets requests before they are scrubbed.
type Reader struct {
	What     string // the directive and what it reads or forwards to
	Forwards bool   // whether it forwards requests, or may do so

	where     string // the route that it is in, as part of a sentence
	upstreams []string
}

// Proxy is a reverse_proxy behind a policy.
type Proxy struct {
	What string         // the directive and its upstreams
	Node map[string]any // its settings as JSON
}

// maxDepth bounds the nesting of routes that a walk follows.
const maxDepth = 64

// groupsOf counts the routes of each group in a list. A request takes one route
// of a group, as of several handle directives.
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

// routes visits a list of routes. scrubbed says whether the requests that come
// to it are scrubbed; it reports whether those that leave it are.
func (w *Site) routes(list string, routes []map[string]any, scrubbed bool) bool {
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

// route visits a route. It reports whether the requests that take it are scrubbed
// behind it, and whether only some requests take it.
func (w *Site) route(list string, i int, groups map[string]int, route map[string]any, scrubbed bool) (after, some bool) {
	// Deeper routes are taken as they come: scrubbed or not as before.
	if w.depth == maxDepth {
		return scrubbed, true
	}
	w.depth++
	defer func() { w.depth-- }()
	f := w.flow
	l := level{list: list, index: i, condition: newCondition(jsontree.List(route["match"]), f.path)}
	if grouped(route, groups) {
		l.group, _ = route["group"].(string)
	}
	some = !l.always()
	if !scrubbed {
		w.matchers(route["match"])
	}
	// The outermost hosts are the site itself.
	if some && (w.depth > 1 || !onlyHosts(route)) || l.group != "" {
		w.branches++
		defer func() { w.branches-- }()
	}
	terminal, _ := route["terminal"].(bool)
	defer w.enter(l, terminal)()
	for n, h := range jsontree.List(route["handle"]) {
		scrubbed = w.handler(list, fmt.Sprintf("%s %d.%d", list, i, n), jsontree.Object(h), scrubbed)
	}
	return scrubbed, some
}

// enter goes into a route and returns the function that leaves it again. Requests
// behind a route that keeps its requests have met none of its policies.
func (w *Site) enter(l level, keeps bool) func() {
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

// matchers records the matchers of a route that may fail or read owned headers.
func (w *Site) matchers(sets any) {
	for _, set := range jsontree.List(sets) {
		for kind, m := range jsontree.Ordered(jsontree.Object(set)) {
			switch kind {
			case "header", "header_regexp":
				for name := range jsontree.Ordered(jsontree.Object(m)) {
					if w.owns(name) {
						w.addReader(Reader{What: fmt.Sprintf("a matcher that reads %s", name)})
					}
				}
				continue
			// These never fail, and may read a header only through a placeholder.
			case "host", "method", "path", "path_regexp", "protocol", "query", "remote_ip", "client_ip", "vars", "vars_regexp", "not", "tls":
			default: // an expression, a file or a path may end in an error
				w.mayFail()
			}
			if name, ok := w.readsOwned(m); ok {
				w.addReader(Reader{What: fmt.Sprintf("a matcher that reads %s", name)})
			}
		}
	}
}

// owns reports whether a header is one that policies own.
func (w *Site) owns(header string) bool {
	return w.server.owned != nil && w.server.owned.Contains(header)
}

// mayFail records that a request may fail here, which matters where nothing has
// scrubbed it.
func (w *Site) mayFail() { w.fallible = w.fallible || w.scrubber == "" }

// addReader records a reader with the route that it is in.
func (w *Site) addReader(r Reader) {
	r.where = w.where()
	w.Readers = append(w.Readers, r)
}

// where returns the innermost route around that is for some paths only, as part
// of a sentence. A route for a kind of file, such as *.php of php_fastcgi, says
// less than the one around it.
func (w *Site) where() string {
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
	return " in the route for " + firstFew(best)
}

// firstFew joins the first words of a list.
func firstFew(words []string) string { return strings.Join(words[:min(len(words), 3)], " ") }

// scrubs records a handler that scrubs the requests that it meets.
func (w *Site) scrubs(kind string) {
	if w.scrubber == "" && !w.fallible && w.branches == 0 {
		w.scrubber = kind
	}
}
