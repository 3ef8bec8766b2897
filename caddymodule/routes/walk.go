package routes

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/idna"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// This file goes through the routes of a server, as JSON, in the order in which
// requests meet them, and notes what they meet: policies, and what sends them
// on or reads them before they are scrubbed.

// Server is the walk through one server.
type Server struct {
	server    string
	strict    bool // requests may fail before any route
	named     map[string]any
	owned     *forward.Owned // nil: headers that handlers read are of no interest
	Sites     []*Site        // the first is that of all routes that name no host
	errors    []*Site        // likewise, of the error routes
	conflicts []conflict
}

// Walk goes through a server.
func Walk(name string, server map[string]any, owned *forward.Owned) *Server {
	s := &Server{server: name, strict: strictSNI(server), named: jsontree.Object(server, "named_routes"), owned: owned}
	s.Sites = s.walk("routes", jsontree.Objects(server["routes"]))
	s.errors = s.walk("error routes", jsontree.Objects(jsontree.Object(server, "errors")["routes"]))
	for _, w := range s.errors {
		for _, site := range s.Sites {
			if w.HasPolicy && !site.HasPolicy && w.hosts == site.hosts {
				site.HasPolicy, site.guard = true, w.guard
			}
		}
	}
	return s
}

// walk goes through a server's outermost routes. Those that name the same hosts
// are a site; all that name none are one more.
func (s *Server) walk(list string, routes []map[string]any) []*Site {
	f := new(flow)
	rest := &Site{server: s, flow: f, Name: "server " + s.server, depth: 1}
	sites := []*Site{rest}
	byHosts := map[string]*Site{}
	groups := groupsOf(routes)
	for i, route := range routes {
		hosts := HostsOf(route)
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
			w = &Site{server: s, flow: f, Name: name, hosts: key, scrubbed: rest.scrubbed, first: rest.first, fallible: rest.fallible}
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
	for _, set := range jsontree.List(route["match"]) {
		if len(jsontree.Object(set)) != 1 {
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

// Site is what the requests of one site meet.
type Site struct {
	server    *Server
	flow      *flow
	Name      string
	hosts     string // tells sites apart; empty for that of no host
	depth     int
	parts     int    // how many routes around that not every request takes
	scrubbed  bool   // what the outermost routes so far leave behind
	HasPolicy bool   // a policy stands somewhere
	guard     string // the first one's name
	// fallible says that a request may fail, and go to the error routes,
	// before it is scrubbed; first is the handler that scrubs each request
	// before that, if there is one.
	fallible bool
	first    string
	behind   []string // upstreams behind a policy
	Readers  []Reader // what meets requests before they are scrubbed
	inErrors []Reader // likewise, in error routes inside of the site
	Exact    []string // exact names of the site's policies
	Proxies  []Proxy
}

// Reader is a handler or matcher that unscrubbed requests meet.
type Reader struct {
	What      string
	where     string // the route that it stands in, for people
	Forwards  bool   // it sends requests on, or may do so
	upstreams []string
}

// Proxy is a reverse_proxy behind a policy.
type Proxy struct {
	What string
	Node map[string]any
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

// route visits a route, and reports whether the requests that take it are
// scrubbed behind it, and whether its matchers let only some take it.
func (w *Site) route(list string, i int, groups map[string]int, route map[string]any, scrubbed bool) (after, some bool) {
	if w.depth == maxDepth {
		return scrubbed, true
	}
	w.depth++
	defer func() { w.depth-- }()
	f := w.flow
	l := level{list: list, index: i, condition: condition{sets: jsontree.List(route["match"]), path: f.path}}
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
	for n, h := range jsontree.List(route["handle"]) {
		scrubbed = w.handler(list, fmt.Sprintf("%s %d.%d", list, i, n), jsontree.Object(h), scrubbed)
	}
	return scrubbed, some
}

// enter goes into a route. What it returns leaves it again; behind a route that
// keeps its requests, its policies have been met by none.
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

// matchers notes what the matchers of a route may do.
func (w *Site) matchers(sets any) {
	for _, set := range jsontree.List(sets) {
		for kind, m := range jsontree.Ordered(jsontree.Object(set)) {
			switch kind {
			case "header", "header_regexp":
				for name := range jsontree.Ordered(jsontree.Object(m)) {
					if w.owns(name) {
						w.read(Reader{What: fmt.Sprintf("a matcher that reads %s", name)})
					}
				}
				continue
			case "host", "method", "path", "path_regexp", "protocol", "query", "remote_ip", "client_ip", "vars", "vars_regexp", "not", "tls":
			default: // an expression, a file or a path may not be readable
				w.mayFail()
			}
			if name, ok := w.readsOwned(m); ok {
				w.read(Reader{What: fmt.Sprintf("a matcher that reads %s", name)})
			}
		}
	}
}

func (w *Site) owns(header string) bool {
	return w.server.owned != nil && w.server.owned.OwnsHeader(header)
}

func (w *Site) mayFail() { w.fallible = w.fallible || w.first == "" }

// read notes a reader.
func (w *Site) read(r Reader) {
	r.where = w.where()
	w.Readers = append(w.Readers, r)
}

// where names the innermost route around that is for some paths only. One for a
// kind of file, as of php_fastcgi, says less than the one around it.
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
	return " in the route for " + few(best)
}

// few lists the first words of a list.
func few(words []string) string { return strings.Join(words[:min(len(words), 3)], " ") }

// scrubs notes a handler that scrubs the requests that it meets.
func (w *Site) scrubs(kind string) {
	if w.first == "" && !w.fallible && w.parts == 0 {
		w.first = kind
	}
}
