package routes

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
)

// This file judges the routes around policies, once for a configuration, while
// it is provisioned: what leads a request past a policy, or to an application
// with identity headers that the client made up, does not load.

// Problem is something about the routes of a configuration that is wrong, or
// probably not what is meant.
type Problem struct {
	Policy string // the policy's name, empty where it is about a site
	Site   string // the site or server, as an operator knows it
	Text   string // what is wrong, and what to write instead

	// Fatal means that the configuration must not load: requests would get
	// past a policy, or an application would see identity headers that the
	// client made up.
	Fatal bool
}

// Check returns what is wrong with the routes of the servers of the HTTP app,
// given as JSON by their names, each problem once. stricter reports whether a
// policy may refuse what another one lets through; it takes their settings.
func Check(servers map[string]any, stricter func(policy, other map[string]any) bool) []Problem {
	c := &checker{seen: map[Problem]bool{}}
	var walks []*Server
	protected := map[string]string{} // upstream → the first site with a policy before it
	for name, server := range jsontree.Ordered(servers) {
		s := Walk(name, jsontree.Object(server), nil)
		walks = append(walks, s)
		for _, w := range s.Sites {
			for _, u := range w.behind {
				if _, ok := protected[address(u)]; !ok {
					protected[address(u)] = w.Name
				}
			}
		}
	}
	for _, s := range walks {
		for _, f := range s.conflicts {
			c.add(Problem{Policy: f.policy.name, Site: f.site, Text: f.text, Fatal: f.certain || stricter(f.policy.settings, f.first.settings)})
		}
		for _, w := range s.Sites {
			c.unscrubbed(w)
			c.secondSite(w, protected)
		}
		s.Failed(func(w *Site, r Reader, scrubbed string) {
			if scrubbed == "" {
				c.fatal(w, "%s in handle_errors%s meets requests that failed before they were scrubbed, with whatever identity headers the client made up: put token_enrich_scrub %s", r.What, r.where, s.whereToScrub())
			}
		})
	}
	return c.problems
}

// checker gathers problems, each once.
type checker struct {
	problems []Problem
	seen     map[Problem]bool // with Fatal unset
}

func (c *checker) add(p Problem) {
	key := p
	key.Fatal = false
	if !c.seen[key] {
		c.seen[key] = true
		c.problems = append(c.problems, p)
	}
}

// fatal adds a fatal problem of a site.
func (c *checker) fatal(w *Site, format string, args ...any) {
	c.add(Problem{Site: w.Name, Text: fmt.Sprintf(format, args...), Fatal: true})
}

// whereToScrub says where a token_enrich_scrub comes before what an error route
// of the server does.
func (s *Server) whereToScrub() string {
	if s.strict {
		return "into handle_errors (with strict_sni_host, requests fail before the site's own)"
	}
	return "first into the site, or into handle_errors"
}

// unscrubbed finds what sends requests on, in a site with a policy, that
// nothing has scrubbed.
func (c *checker) unscrubbed(w *Site) {
	if !w.HasPolicy {
		return
	}
	for _, r := range w.Readers {
		if r.Forwards {
			c.fatal(w, "%s%s is reached by requests that neither policy %q nor a token_enrich_scrub has met, with whatever identity headers the client made up: put token_enrich_scrub into the site, before it", r.What, r.where, w.guard)
		}
	}
	for _, r := range w.inErrors {
		if r.Forwards {
			c.fatal(w, "%s%s, in an error route, is reached by requests that neither policy %q nor a token_enrich_scrub has met, with whatever identity headers the client made up: put token_enrich_scrub into the error route", r.What, r.where, w.guard)
		}
	}
}

// secondSite finds what reaches an application that another site protects.
func (c *checker) secondSite(w *Site, protected map[string]string) {
	if w.HasPolicy {
		return
	}
	for _, r := range w.Readers {
		for _, u := range r.upstreams {
			if other, ok := protected[address(u)]; ok {
				c.add(Problem{Site: w.Name, Text: fmt.Sprintf("%s reaches the same application as %s, but no token_enrich stands here: identity headers of the client arrive as they are; put token_enrich or token_enrich_scrub into this site too", r.What, other)})
			}
		}
	}
}

// Failed calls note for what sends requests on in the error routes of sites
// with a policy. The last argument is the handler that scrubs each request
// before it may fail, empty where there is none.
func (s *Server) Failed(note func(w *Site, r Reader, scrubbed string)) {
	for i, w := range s.errors {
		sites := s.Sites // any of them may have failed
		if n := slices.IndexFunc(sites, func(site *Site) bool { return site.hosts == w.hosts }); i > 0 && n > 0 {
			sites = sites[n : n+1]
		}
		policy, scrubbed := false, "token_enrich_scrub"
		for _, site := range sites {
			if site.HasPolicy {
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
		for _, r := range append(w.Readers, w.inErrors...) {
			if r.Forwards {
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
