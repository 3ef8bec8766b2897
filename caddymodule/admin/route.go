package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// This file follows the routes of Caddy's HTTP app to the policy that would
// decide a request. Matchers are asked as for a request, but no handler is run:
// a rewrite in front of a policy is not seen, and error routes are not followed.

// policyAt returns the policy that would decide a GET request for a site and
// path, and that request. A host may be on several servers with different
// policies; it is an error then that the site has no port.
func policyAt(ctx context.Context, app *caddymodule.App, site, path string) (*caddymodule.Handler, *http.Request, error) {
	if path == "" {
		path = "/"
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, nil, errors.New("path is not a URL path")
	}
	asked, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+site+u.RequestURI(), nil)
	if err != nil {
		return nil, nil, errors.New("site is not a host name")
	}
	web, err := app.HTTPApp()
	if err != nil {
		return nil, nil, fmt.Errorf("reading the sites: %w", err)
	}
	var found []*caddymodule.Handler
	var listeners []string
	for _, name := range slices.Sorted(maps.Keys(web.Servers)) {
		server := web.Servers[name]
		if !listens(server, asked.URL.Port()) {
			continue
		}
		r := caddyhttp.PrepareRequest(asked.Clone(ctx), caddy.NewReplacer(), discarded{}, server)
		p, err := decides(server.Routes, r, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("the request would be refused: %w", err)
		}
		if p == nil || slices.ContainsFunc(found, func(other *caddymodule.Handler) bool { return other.Name == p.Name }) {
			continue
		}
		found = append(found, p)
		listeners = append(listeners, fmt.Sprintf("%q at %s", p.Name, strings.Join(server.Listen, " ")))
	}
	switch len(found) {
	case 0:
		return nil, nil, errors.New("no policy decides requests for that site and path")
	case 1:
		return found[0], asked, nil
	}
	return nil, nil, fmt.Errorf("more than one policy decides requests for that site and path: %s; name the port, as in host:port", strings.Join(listeners, " and "))
}

// listens reports whether a server listens on a port. Without a port, each does.
func listens(server *caddyhttp.Server, port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return port == ""
	}
	return slices.ContainsFunc(server.Listen, func(address string) bool {
		a, err := caddy.ParseNetworkAddress(address)
		return err == nil && !a.IsUnixNetwork() && uint(n) >= a.StartPort && uint(n) <= a.EndPort
	})
}

// discarded is the answer to a request that is only matched.
type discarded struct{}

// Header returns an empty header.
func (discarded) Header() http.Header { return http.Header{} }

// Write drops what is written.
func (discarded) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader does nothing.
func (discarded) WriteHeader(int) {}

// decides returns the first policy in routes that would decide the request, or
// the one that has decided it before, or nil. It is an error that a policy or a
// route refuses the path, even one behind the policy that decides.
func decides(routes caddyhttp.RouteList, r *http.Request, before *caddymodule.Handler) (*caddymodule.Handler, error) {
	taken := make(map[string]bool)
	found := before
	for _, route := range routes {
		if route.Group != "" && taken[route.Group] {
			continue // of a group, the first that matches runs alone
		}
		if len(route.MatcherSets) > 0 {
			match, err := route.MatcherSets.AnyMatchWithError(r)
			if refused := refusedPath(err); refused != nil {
				return nil, refused
			}
			if err != nil || !match {
				continue
			}
		}
		taken[route.Group] = true
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *caddymodule.Handler:
				if found != nil {
					continue
				}
				match, err := h.Matches(r)
				if refused := refusedPath(err); refused != nil {
					return nil, refused
				}
				if match {
					found = h
				}
			case *caddyhttp.Subroute:
				var err error
				if found, err = decides(h.Routes, r, found); err != nil {
					return nil, err
				}
			}
		}
		if route.Terminal {
			break
		}
	}
	return found, nil
}

// refusedPath returns the cause of an error that refuses the path, or nil for any
// other.
func refusedPath(err error) error {
	if refusal, ok := errors.AsType[*enrich.Refusal](err); ok && errors.Is(err, enrich.ErrPath) {
		return refusal.Cause
	}
	return nil
}
