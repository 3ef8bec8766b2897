package caddymodule

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

// check refuses a question that is two, so that nothing of it is left out
// silently.
func (q *explainRequest) check() error {
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
func (a *AdminAPI) explain(app *App, r *http.Request) (any, error) {
	var q explainRequest
	if err := readBody(r, &q); err != nil {
		return nil, err
	}
	if err := q.check(); err != nil {
		return nil, apiError(http.StatusBadRequest, err)
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
	p, asked, err := a.policyFor(ctx, q)
	if err != nil {
		return nil, err
	}
	if q.Issuer != "" {
		if _, err := a.issuerNamed(q.Issuer); err != nil {
			return nil, err
		}
	}
	return g.Explain(ctx, p.compiled, enrich.Asked{
		Token: q.Token, Issuer: q.Issuer, Subject: q.Subject, Client: q.Client, Scopes: q.Scope, Request: asked, Values: a.Explain == "values",
	})
}

// policyFor gives the policy that a question names, or the one that would
// decide a request for site and path, and that request. Where there is only
// one, it need not be named.
func (a *App) policyFor(ctx context.Context, q explainRequest) (*policy, *http.Request, error) {
	a.mu.Lock()
	policies := slices.Clone(a.policies)
	a.mu.Unlock()
	names := make([]string, 0, len(policies))
	for _, p := range policies {
		if p.name == q.Policy {
			return p, nil, nil
		}
		names = append(names, p.name)
	}
	switch {
	case q.Policy != "":
		return nil, nil, fmt.Errorf("no policy is named %q%s", q.Policy, nearest.Hint(q.Policy, names))
	case q.Site != "":
		p, asked, err := a.policyAt(ctx, q.Site, q.Path)
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
func (a *App) policyAt(ctx context.Context, site, path string) (*policy, *http.Request, error) {
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
	v, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil, nil, fmt.Errorf("looking at the sites: %w", err)
	}
	app, ok := v.(*caddyhttp.App)
	if !ok {
		return nil, nil, errors.New("the configuration serves no sites")
	}
	var found []*policy
	var places []string
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		server := app.Servers[name]
		if !listens(server, asked.URL.Port()) {
			continue
		}
		r := caddyhttp.PrepareRequest(asked.Clone(ctx), caddy.NewReplacer(), discarded{}, server)
		p, err := decides(server.Routes, r, nil)
		if err != nil {
			return nil, nil, fmt.Errorf("such a request is refused: %w", err)
		}
		if p == nil || slices.ContainsFunc(found, func(other *policy) bool { return other.name == p.name }) {
			continue
		}
		found = append(found, p)
		places = append(places, fmt.Sprintf("%q at %s", p.name, strings.Join(server.Listen, " ")))
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
func decides(routes caddyhttp.RouteList, r *http.Request, before *policy) (*policy, error) {
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
			var err error
			switch h := handler.(type) {
			case *Handler:
				if found == nil {
					found, err = h.takes(r)
				}
			case *caddyhttp.Subroute:
				found, err = decides(h.Routes, r, found)
			}
			if err != nil {
				return nil, err
			}
		}
		if route.Terminal {
			break
		}
	}
	return found, nil
}

// takes returns the handler's policy where it would decide the request. The
// error is that of a path that it refuses.
func (h *Handler) takes(r *http.Request) (*policy, error) {
	if len(h.matchers) == 0 {
		return h.policy, refusedPath(enrich.CheckPath(r))
	}
	match, err := h.chooses.Match(r)
	if !match {
		return nil, refusedPath(err)
	}
	return h.policy, nil
}

// refusedPath is the cause of a refusal of a path, nil for anything else.
func refusedPath(err error) error {
	if refusal, ok := errors.AsType[*enrich.Refusal](err); ok && errors.Is(err, enrich.ErrPath) {
		return refusal.Cause
	}
	return nil
}
