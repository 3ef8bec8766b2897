package caddymodule

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// This file judges the routes around policies, once for a configuration, while
// it is provisioned: what leads a request past a policy, or to an application
// with identity headers that the client made up, does not load.

// ErrRoutes is what is wrong with a configuration whose routes lead past a
// policy.
var ErrRoutes = errors.New("the routes lead past a policy")

// routeFindings are what is wrong with the routes of a configuration, and what
// is probably not meant.
type routeFindings struct {
	errors   []finding
	warnings []finding
}

// judgeRoutes goes through the servers of the HTTP app, as JSON.
func judgeRoutes(servers map[string]any) *routeFindings {
	c := &forwardCheck{seen: map[finding]bool{}}
	fatal := &forwardCheck{seen: c.seen}
	var walks []*serverWalk
	protected := map[string]string{} // upstream → the first site with a policy before it
	for name, server := range ordered(servers) {
		s := walkServer(name, asObject(server), nil)
		walks = append(walks, s)
		for _, w := range s.sites {
			for _, u := range w.behind {
				if _, ok := protected[address(u)]; !ok {
					protected[address(u)] = w.name
				}
			}
		}
	}
	for _, s := range walks {
		for _, f := range s.found {
			to := c
			if f.fatal {
				to = fatal
			}
			to.add(f.policy, f.site, "%s", f.text)
		}
		for _, w := range s.sites {
			fatal.unscrubbed(w)
			c.secondSite(w, protected)
		}
		s.failed(func(w *siteWalk, r reader, scrubbed string) {
			if scrubbed == "" {
				fatal.add("", w.name, "%s in handle_errors%s meets requests that failed before they were scrubbed, with whatever identity headers the client made up: put token_enrich_scrub %s", r.what, r.where, s.whereToScrub())
			}
		})
	}
	return &routeFindings{errors: fatal.list, warnings: c.list}
}

// whereToScrub says where a token_enrich_scrub comes before what an error route
// of the server does.
func (s *serverWalk) whereToScrub() string {
	if s.strict {
		return "into handle_errors (with strict_sni_host, requests fail before the site's own)"
	}
	return "first into the site, or into handle_errors"
}

// unscrubbed finds what sends requests on, in a site with a policy, that
// nothing has scrubbed.
func (c *forwardCheck) unscrubbed(w *siteWalk) {
	if !w.gateway {
		return
	}
	for _, r := range w.readers {
		if r.forwards {
			c.add("", w.name, "%s%s is reached by requests that neither policy %q nor a token_enrich_scrub has met, with whatever identity headers the client made up: put token_enrich_scrub into the site, before it", r.what, r.where, w.guard)
		}
	}
	for _, r := range w.inErrors {
		if r.forwards {
			c.add("", w.name, "%s%s, in an error route, is reached by requests that neither policy %q nor a token_enrich_scrub has met, with whatever identity headers the client made up: put token_enrich_scrub into the error route", r.what, r.where, w.guard)
		}
	}
}

// secondSite finds what reaches an application that another site protects.
func (c *forwardCheck) secondSite(w *siteWalk, protected map[string]string) {
	if w.gateway {
		return
	}
	for _, r := range w.readers {
		for _, u := range r.upstreams {
			if other, ok := protected[address(u)]; ok {
				c.add("", w.name, "%s reaches the same application as %s, but no token_enrich stands here: identity headers of the client arrive as they are; put token_enrich or token_enrich_scrub into this site too", r.what, other)
			}
		}
	}
}

// failed calls note for what sends requests on in the error routes of sites
// with a policy. The last argument is the handler that scrubs each request
// before it may fail, empty where there is none.
func (s *serverWalk) failed(note func(w *siteWalk, r reader, scrubbed string)) {
	for i, w := range s.errors {
		sites := s.sites // any of them may have failed
		if n := slices.IndexFunc(sites, func(site *siteWalk) bool { return site.hosts == w.hosts }); i > 0 && n > 0 {
			sites = sites[n : n+1]
		}
		policy, scrubbed := false, "token_enrich_scrub"
		for _, site := range sites {
			if site.gateway {
				policy = true
				scrubbed = min(scrubbed, site.first) // the weaker the handler, the shorter its name
			}
		}
		if !policy {
			continue
		}
		if s.strict {
			scrubbed = ""
		}
		for _, r := range append(w.readers, w.inErrors...) {
			if r.forwards {
				note(w, r, scrubbed)
			}
		}
	}
}

// address writes the several names of this machine as one.
func address(dial string) string {
	host, port, err := net.SplitHostPort(strings.ToLower(dial))
	if err != nil {
		return dial
	}
	switch host {
	case "", "localhost", "::1":
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// maxRouteErrors bounds how many mistakes are told at once.
const maxRouteErrors = 10

// err returns what is wrong as one error.
func (f *routeFindings) err() error {
	if len(f.errors) == 0 {
		return nil
	}
	texts := make([]string, 0, maxRouteErrors+1)
	for _, e := range f.errors[:min(len(f.errors), maxRouteErrors)] {
		texts = append(texts, e.String())
	}
	if more := len(f.errors) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%w: %s", ErrRoutes, strings.Join(texts, "; "))
}

// checkedRoutes is what the app knows of the routes around its policies.
type checkedRoutes struct {
	servers  map[string]any    // nil as soon as they are judged
	names    map[string]string // of the policies without one, by their settings
	warnings []finding
}

// readRoutes reads the routes of the HTTP app, when its first policy is
// provisioned. A policy elsewhere has none.
func (a *App) readRoutes(http *caddyhttp.App) {
	if a.routes == nil && http != nil {
		servers := serversJSON(http)
		a.routes = &checkedRoutes{servers: servers, names: namePolicies(servers)}
	}
}

// judgeRoutes judges the routes, once.
func (a *App) judgeRoutes() error {
	c := a.routes
	if c == nil || c.servers == nil {
		return nil
	}
	found := judgeRoutes(c.servers)
	c.servers, c.warnings = nil, found.warnings
	for _, w := range found.warnings {
		a.logger.Warn("the routes are probably not what is meant", zap.String("warning", w.String()))
	}
	return found.err()
}
