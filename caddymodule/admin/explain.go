package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// ExplainRequest is the body of POST /token_enrich/explain. It names a token or
// an example caller, and a policy or the site and path of a request.
type ExplainRequest struct {
	// Token is an access token. It is verified as in a request.
	Token string `json:"token,omitempty"`

	// Issuer is the configured name of the example caller's issuer. Without
	// Token, it and Subject are required.
	Issuer string `json:"issuer,omitempty"`
	// Subject is the example caller's subject.
	Subject string `json:"subject,omitempty"`
	// Client is the id of the client that the example caller uses.
	Client string `json:"client,omitempty"`
	// Scope are the example caller's granted scopes.
	Scope []string `json:"scope,omitempty"`

	// Policy is a policy's name. It may be omitted where there is one policy.
	Policy string `json:"policy,omitempty"`

	// Site is the host of a request, with its port where several servers have
	// the host.
	Site string `json:"site,omitempty"`

	// Path is the path of that request; it needs Site. Without it the policy is
	// that of /, and no requirement can read a path.
	Path string `json:"path,omitempty"`
}

// Validate reports whether the request names one caller and one policy. Naming
// two is an error too, since one of them would be ignored.
func (q *ExplainRequest) Validate() error {
	madeUp := q.Issuer != "" || q.Subject != "" || q.Client != "" || len(q.Scope) > 0
	switch {
	case madeUp == (q.Token != ""):
		return errors.New("name a token, or an issuer and a subject")
	case madeUp && (q.Issuer == "" || q.Subject == ""):
		return errors.New("issuer and subject are both required")
	case q.Policy != "" && (q.Site != "" || q.Path != ""):
		return errors.New("policy cannot be combined with site or path")
	case q.Path != "" && q.Site == "":
		return errors.New("path requires site")
	}
	return nil
}

// postExplain answers POST /token_enrich/explain. It logs each use, but not for
// whom it decided.
func postExplain(r *request) (any, error) {
	var q ExplainRequest
	if err := r.readJSON(&q); err != nil {
		return nil, err
	}
	if err := q.Validate(); err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	g, err := r.app.Gateway(r.Context())
	if err != nil {
		return nil, apiError(http.StatusServiceUnavailable, err)
	}
	e, err := Explain(r.Context(), r.app, g, q)
	if err != nil {
		return nil, apiError(http.StatusBadRequest, err)
	}
	r.log.Info("decision explained", zap.String("policy", e.Policy), zap.String("outcome", e.Outcome),
		zap.Bool("values", r.app.Explain == "values"), zap.String("remote", r.RemoteAddr))
	return e, nil
}

// Explain decides by a policy of app and returns how. The gateway is the app's
// own, or its OfflineGateway. Values are explained where the configuration says
// explain values. It is an error that q names no policy or issuer of app; a
// denial is none.
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

// policyFor returns the policy that a request to explain names. By site and path it is the
// one that would decide such a request, which is returned too where there is a
// path. With neither, it is the only policy.
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
		return nil, nil, fmt.Errorf("no policy is named %q%s", q.Policy, suggest.DidYouMean(q.Policy, names))
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
