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
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// ExplainRequest is what POST /token_enrich/explain takes: a token, or a
// made-up caller; and a policy by name, or the site and path of a request.
type ExplainRequest struct {
	Token   string   `json:"token,omitempty"`
	Issuer  string   `json:"issuer,omitempty"`
	Subject string   `json:"subject,omitempty"`
	Client  string   `json:"client,omitempty"`
	Scope   []string `json:"scope,omitempty"`

	Policy string `json:"policy,omitempty"`
	Site   string `json:"site,omitempty"`
	Path   string `json:"path,omitempty"`
}

// Validate refuses a question that is two, so that nothing of it is left out
// silently.
func (q *ExplainRequest) Validate() error {
	madeUp := q.Issuer != "" || q.Subject != "" || q.Client != "" || len(q.Scope) > 0
	switch {
	case madeUp == (q.Token != ""):
		return errors.New("name a token, or an issuer and a subject")
	case madeUp && (q.Issuer == "" || q.Subject == ""):
		return errors.New("issuer and subject go together")
	case q.Policy != "" && (q.Site != "" || q.Path != ""):
		return errors.New("policy and site exclude each other")
	case q.Path != "" && q.Site == "":
		return errors.New("path goes with site")
	}
	return nil
}

// explain answers how a request would be decided. Each use is written to the
// log; who was asked about is not.
func (a *API) explain(app *caddymodule.App, r *http.Request) (any, error) {
	var q ExplainRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if err := q.Validate(); err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	g, err := app.Gateway(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	e, err := Explain(r.Context(), app, g, q)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	a.log.Info("decision explained", zap.String("policy", e.Policy), zap.String("outcome", e.Outcome),
		zap.Bool("values", app.Explain == "values"), zap.String("remote", r.RemoteAddr))
	return e, nil
}

// Explain finds the policy and asks the gateway.
func Explain(ctx context.Context, app *caddymodule.App, g *enrich.Gateway, q ExplainRequest) (*enrich.Explanation, error) {
	p, asked, err := policyFor(ctx, app, q)
	if err != nil {
		return nil, err
	}
	if q.Issuer != "" {
		if _, err := app.IssuerNamed(q.Issuer); err != nil {
			return nil, err
		}
	}
	return g.Explain(ctx, p.Policy(), enrich.ExplainRequest{
		Token: q.Token, Issuer: q.Issuer, Subject: q.Subject, Client: q.Client, Scopes: q.Scope, Request: asked, Values: app.Explain == "values",
	})
}

// policyFor gives the policy that a question names, or the one that would
// decide a request for site and path, and that request. Where there is only
// one, it need not be named.
func policyFor(ctx context.Context, app *caddymodule.App, q ExplainRequest) (*caddymodule.Handler, *http.Request, error) {
	policies := app.Policies()
	names := make([]string, 0, len(policies))
	for _, p := range policies {
		if p.Name == q.Policy {
			return p, nil, nil
		}
		names = append(names, p.Name)
	}
	switch {
	case q.Policy != "":
		return nil, nil, fmt.Errorf("no policy is named %q%s", q.Policy, nearest.Hint(q.Policy, names))
	case q.Site != "":
		p, asked, err := policyAt(ctx, app, q.Site, q.Path)
		if q.Path == "" {
			asked = nil // whatever the path
		}
		return p, asked, err
	case len(policies) == 1:
		return policies[0], nil, nil
	}
	return nil, nil, errors.New("name a policy, or the site and the path of a request")
}

// policyAt follows the routes of the HTTP app, as a GET request would. The
// host alone may stand on several servers; then only its port can tell which
// of their policies was meant.
func policyAt(ctx context.Context, app *caddymodule.App, site, path string) (*caddymodule.Handler, *http.Request, error) {
	if path == "" {
		path = "/"
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, nil, errors.New("path is not the path of a URL")
	}
	asked, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+site+u.RequestURI(), nil)
	if err != nil {
		return nil, nil, errors.New("site is not a host name")
	}
	web, err := app.HTTPApp()
	if err != nil {
		return nil, nil, fmt.Errorf("looking at the sites: %w", err)
	}
	var found []*caddymodule.Handler
	var places []string
	for _, name := range slices.Sorted(maps.Keys(web.Servers)) {
		server := web.Servers[name]
		if !listens(server, asked.URL.Port()) {
			continue
		}
		r := caddyhttp.PrepareRequest(asked.Clone(ctx), caddy.NewReplacer(), discarded{}, server)
		p, err := decides(server.Routes, r, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("such a request is refused: %w", err)
		}
		if p == nil || slices.ContainsFunc(found, func(other *caddymodule.Handler) bool { return other.Name == p.Name }) {
			continue
		}
		found = append(found, p)
		places = append(places, fmt.Sprintf("%q at %s", p.Name, strings.Join(server.Listen, " ")))
	}
	switch len(found) {
	case 0:
		return nil, nil, errors.New("no policy decides requests for that site and path")
	case 1:
		return found[0], asked, nil
	}
	return nil, nil, fmt.Errorf("more than one policy decides requests for that site and path: %s; name the port, as in host:port", strings.Join(places, " and "))
}

// listens reports whether a server listens on a port; all do on none.
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

// discarded is the answer to a request that nobody sent.
type discarded struct{}

// Header gives an empty header.
func (discarded) Header() http.Header { return http.Header{} }

// Write drops what is written.
func (discarded) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader does nothing.
func (discarded) WriteHeader(int) {}

// decides returns the first policy in routes that would decide the request, or
// the one that has decided it before, or nil. The error is that of a path that
// a policy or a route refuses, also behind the policy.
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

// refusedPath is the cause of a refusal of a path, nil for anything else.
func refusedPath(err error) error {
	if refusal, ok := errors.AsType[*enrich.Refusal](err); ok && errors.Is(err, enrich.ErrPath) {
		return refusal.Cause
	}
	return nil
}
