package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// explainRequest is what POST /token_enrich/explain takes: a token, or a
// made-up caller; and a policy by name, or the site and path of a request.
type explainRequest struct {
	Token   string   `json:"token,omitempty"`
	Issuer  string   `json:"issuer,omitempty"`
	Subject string   `json:"subject,omitempty"`
	Client  string   `json:"client,omitempty"`
	Scope   []string `json:"scope,omitempty"`

	Policy string `json:"policy,omitempty"`
	Site   string `json:"site,omitempty"`
	Path   string `json:"path,omitempty"`
}

// explain answers how a request would be decided. Each use is written to the
// log; who was asked about is not.
func (a *AdminAPI) explain(app *App, r *http.Request) (any, error) {
	var q explainRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	g, err := app.ready(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	e, err := app.explain(r.Context(), g, q)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	a.log.Info("decision explained", zap.String("policy", e.Policy), zap.String("outcome", e.Outcome),
		zap.Bool("values", app.Explain == "values"), zap.String("remote", r.RemoteAddr))
	return e, nil
}

// explain finds the policy and asks the gateway.
func (a *App) explain(ctx context.Context, g *enrich.Gateway, q explainRequest) (*enrich.Explanation, error) {
	p, err := a.policyFor(ctx, q)
	if err != nil {
		return nil, err
	}
	if q.Issuer != "" {
		if _, err := a.issuerNamed(q.Issuer); err != nil {
			return nil, err
		}
	}
	return g.Explain(ctx, p.compiled, enrich.Asked{
		Token: q.Token, Issuer: q.Issuer, Subject: q.Subject, Client: q.Client, Scopes: q.Scope, Values: a.Explain == "values",
	})
}

// policyFor gives the policy that a question names, or the one that would
// decide a request for site and path. Where there is only one, it need not be
// named.
func (a *App) policyFor(ctx context.Context, q explainRequest) (*policy, error) {
	a.mu.Lock()
	policies := slices.Clone(a.policies)
	a.mu.Unlock()
	names := make([]string, 0, len(policies))
	for _, p := range policies {
		if p.name == q.Policy {
			return p, nil
		}
		names = append(names, p.name)
	}
	switch {
	case q.Policy != "":
		return nil, fmt.Errorf("no policy is named %q%s", q.Policy, nearest.Hint(q.Policy, names))
	case q.Site != "":
		return a.policyAt(ctx, q.Site, q.Path)
	case len(policies) == 1:
		return policies[0], nil
	}
	return nil, errors.New("name a policy, or the site and the path of a request")
}

// policyAt follows the routes of the HTTP app, as a GET request would.
func (a *App) policyAt(ctx context.Context, site, path string) (*policy, error) {
	if path == "" {
		path = "/"
	}
	u, err := url.ParseRequestURI(path)
	if err != nil {
		return nil, errors.New("path is not the path of a URL")
	}
	v, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil, fmt.Errorf("looking at the sites: %w", err)
	}
	app, ok := v.(*caddyhttp.App)
	if !ok {
		return nil, errors.New("the configuration serves no sites")
	}
	for _, server := range app.Servers {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+site+u.RequestURI(), nil)
		if err != nil {
			return nil, errors.New("site is not a host name")
		}
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), discarded{}, server)
		if p := decides(server.Routes, r); p != nil {
			return p, nil
		}
	}
	return nil, errors.New("no policy decides requests for that site and path")
}

// discarded is the answer to a request that nobody sent.
type discarded struct{}

// Header gives an empty header.
func (discarded) Header() http.Header { return http.Header{} }

// Write drops what is written.
func (discarded) Write(b []byte) (int, error) { return len(b), nil }

// WriteHeader does nothing.
func (discarded) WriteHeader(int) {}

// decides gives the first policy in routes that would decide the request.
func decides(routes caddyhttp.RouteList, r *http.Request) *policy {
	taken := make(map[string]bool)
	for _, route := range routes {
		if route.Group != "" && taken[route.Group] {
			continue // of a group, the first that matches runs alone
		}
		if len(route.MatcherSets) > 0 {
			if match, err := route.MatcherSets.AnyMatchWithError(r); err != nil || !match {
				continue
			}
		}
		taken[route.Group] = true
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *Handler:
				if len(h.matchers) == 0 {
					return h.policy
				}
				if match, err := h.matchers.AnyMatchWithError(r); err == nil && match {
					return h.policy
				}
			case *caddyhttp.Subroute:
				if p := decides(h.Routes, r); p != nil {
					return p
				}
			}
		}
		if route.Terminal {
			return nil
		}
	}
	return nil
}
