package check

import (
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
)

// This file warns of handlers that meet requests before they are scrubbed, and of
// proxies that change the spelling of names. Routes that are certainly wrong do not
// load.

// server checks the sites and hooks of one server. A site with several faults has a
// warning for each, since each has a remedy of its own.
func (c *checker) server(name string, server map[string]any) {
	s := routes.Walk(name, server, c.owned)
	for _, w := range s.Sites {
		c.site(w)
	}
	// Where token_enrich_scrub comes first, a failed request is scrubbed. Where nothing
	// scrubs, the configuration does not load.
	s.Failed(func(w *routes.Site, r routes.Reader, scrubbed string) {
		if scrubbed == "token_enrich" {
			c.add("", w.Name, "%s in handle_errors receives requests that failed before token_enrich, with identity headers forged by the client: put token_enrich_scrub into the site or into handle_errors", r.What)
		}
	})
	for _, h := range routes.HandlersOf(server, "token_enrich_hook") {
		c.secrets("token_enrich_hook", h)
	}
}

// site checks one site: its readers before the scrub, and the proxies behind a policy
// that writes exact names.
func (c *checker) site(w *routes.Site) {
	for _, r := range w.Readers {
		if w.HasPolicy && !r.Forwards {
			c.add("", w.Name, "%s comes before token_enrich and receives requests with identity headers forged by the client: put token_enrich_scrub into the site", r.What)
		}
	}
	// Each proxy of the site may receive the exact names of any of its policies.
	if len(w.Exact) > 0 {
		names := strings.Join(slices.Compact(slices.Sorted(slices.Values(w.Exact))), ", ")
		for _, p := range w.Proxies {
			if why := spellingLoss(p.Node); why != "" {
				c.add("", w.Name, "%s does not keep the exact spelling of %s: %s", p.What, names, why)
			}
		}
	}
}

// spellingLoss returns why a reverse_proxy does not keep exact names, and what to
// write instead. It is empty where the proxy keeps them, and for CGI variables, which
// have no case.
func spellingLoss(h map[string]any) string {
	transport := jsontree.Object(h["transport"])
	protocol, _ := transport["protocol"].(string)
	_, secure := transport["tls"]
	versions := jsontree.Strings(transport["versions"])
	one := len(versions) == 0 || slices.Contains(versions, "1.1")
	// FastCGI passes variables, which have no case. What transports of other modules
	// do is not known.
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
		return "over TLS reverse_proxy canonicalizes names; use `transport token_enrich` with `versions 1.1`"
	case len(jsontree.Object(jsontree.Object(h, "headers")["request"])) > 0:
		return "header_up canonicalizes names; use `transport token_enrich`"
	}
	return ""
}
