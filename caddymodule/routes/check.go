package routes

import (
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
)

// This file checks the routes around policies while a configuration is
// provisioned. A configuration does not load if requests get past a policy, or
// reach an application with identity headers that the client forged.

// Problem is an error or a suspicious entry in the routes of a configuration.
type Problem struct {
	Policy string // the policy's name, empty where it is about a site
	Site   string // the site or server, as an operator knows it
	Text   string // what is wrong, and what to write instead

	// Fatal means that the configuration must not load: requests would get
	// past a policy, or an application would see identity headers that the
	// client forged. With Login, people could not log in.
	Fatal bool
	Login bool
}

// Check returns what is wrong with the routes of the servers of the HTTP app,
// given as JSON by their names, each problem once. stricter reports whether a
// policy may refuse what another one lets through, and endpoints returns the paths at
// which people log in for a policy; both take settings.
func Check(servers map[string]any, stricter func(policy, other map[string]any) bool, endpoints func(policy map[string]any) []string) []Problem {
	c := &checker{seen: map[Problem]bool{}}
	// All servers are walked first: a site of one may protect an application that a
	// site of another reaches.
	var walks []*Server
	protected := map[string]string{} // upstream → the first site with a policy before it
	for name, server := range jsontree.Ordered(servers) {
		s := Walk(name, jsontree.Object(server), nil)
		walks = append(walks, s)
		for _, w := range s.Sites {
			for _, u := range w.protected {
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
			c.logins(w, endpoints)
		}
		s.Failed(func(w *Site, r Reader, scrubbed string) {
			if scrubbed == "" {
				c.fatal(w, "%s in handle_errors%s receives requests that failed before they were scrubbed, with identity headers forged by the client: put token_enrich_scrub %s", r.What, r.where, s.whereToScrub())
			}
		})
	}
	return c.problems
}

// checker gathers problems, each once. The same site may be on several servers, as on
// the ports for HTTP and HTTPS.
type checker struct {
	problems []Problem
	seen     map[Problem]bool // with Fatal unset
}

// add adds a problem that is not in the list yet.
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

// whereToScrub returns where a token_enrich_scrub comes before the handlers of an
// error route of the server.
func (s *Server) whereToScrub() string {
	if s.strict {
		return "into handle_errors (with strict_sni_host, requests fail before the site's own)"
	}
	return "first into the site, or into handle_errors"
}

// unscrubbed adds the handlers of a site with a policy that forward requests which
// nothing has scrubbed.
func (c *checker) unscrubbed(w *Site) {
	if !w.HasPolicy {
		return
	}
	for _, r := range w.Readers {
		if r.Forwards {
			c.fatal(w, "%s%s receives requests that neither policy %q nor token_enrich_scrub has processed, with identity headers forged by the client: put token_enrich_scrub into the site, before it", r.What, r.where, w.firstPolicy)
		}
	}
	for _, r := range w.errorReaders {
		if r.Forwards {
			c.fatal(w, "%s%s, in an error route, receives requests that neither policy %q nor token_enrich_scrub has processed, with identity headers forged by the client: put token_enrich_scrub into the error route", r.What, r.where, w.firstPolicy)
		}
	}
}

// secondSite adds the handlers of a site without a policy that reach an application
// which another site protects.
// It is a warning and no error, because the site may be for internal clients, which
// are trusted to set these headers.
func (c *checker) secondSite(w *Site, protected map[string]string) {
	if w.HasPolicy {
		return
	}
	for _, r := range w.Readers {
		for _, u := range r.upstreams {
			if other, ok := protected[address(u)]; ok {
				c.add(Problem{Site: w.Name, Text: fmt.Sprintf("%s reaches the same application as %s, but this site has no token_enrich: identity headers of the client arrive unchanged; add token_enrich or token_enrich_scrub to this site", r.What, other)})
			}
		}
	}
}

// Failed calls note for each handler that forwards requests in the error routes
// of sites with a policy. Its last argument is the handler that scrubs each
// request before it may fail, empty where there is none.
func (s *Server) Failed(note func(w *Site, r Reader, scrubbed string)) {
	for i, w := range s.errors {
		sites := s.Sites // any of them may have failed
		// Error routes with hosts are those of the site with the same hosts.
		if n := slices.IndexFunc(sites, func(site *Site) bool { return site.hosts == w.hosts }); i > 0 && n > 0 {
			sites = sites[n : n+1]
		}
		policy, scrubbed := false, "token_enrich_scrub"
		for _, site := range sites {
			if site.HasPolicy {
				policy = true
				scrubbed = min(scrubbed, site.scrubber) // the weaker the handler, the shorter its name
			}
		}
		if !policy {
			continue
		}
		// Requests for another host than that of the handshake fail before any route.
		if s.strict {
			scrubbed = ""
		}
		for _, r := range append(w.Readers, w.errorReaders...) {
			if r.Forwards {
				note(w, r, scrubbed)
			}
		}
	}
}

// address returns the address of an upstream with one name for this machine.
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
