package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(Ready))
}

// Ready answers the probe of a load balancer: whether the gateway can decide
// requests now. Any other request goes to the next handler.
//
//   - 200, body ready: everything that policies use is there.
//   - 200, body degraded: requests are decided, but one of several issuers has
//     no keys, or a directory or Redis is down and cached answers serve.
//   - 503, body not ready: no issuer has keys, there is no key to sign with where
//     tokens are signed, the cache is not open, or the deny list is too old.
type Ready struct {
	// The path that is answered, exactly. Required.
	Path string `json:"path"`

	app *App
}

// CaddyModule returns the Caddy module information.
func (*Ready) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_enrich_ready",
		New: func() caddy.Module { return new(Ready) },
	}
}

// Provision finds the app.
func (h *Ready) Provision(ctx caddy.Context) (err error) {
	h.app, err = loadApp(ctx)
	return err
}

// Validate checks the path.
func (h *Ready) Validate() error {
	if err := checkPath(h.Path); err != nil {
		return fmt.Errorf("token_enrich_ready: %w", err)
	}
	return nil
}

// ServeHTTP answers the path.
func (h *Ready) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.URL.Path != h.Path {
		return next.ServeHTTP(w, r)
	}
	status, body := h.app.readiness(r.Context())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, err := w.Write([]byte(body + "\n"))
	return err
}

// readiness returns the status and body of Ready. One issuer without keys does
// not take the node out of service, because tokens of the others are decided;
// one that introspects needs no keys.
func (a *App) readiness(ctx context.Context) (status int, body string) {
	issuers := a.issuers.Issuers()
	able, all := len(issuers) == 0, true
	for n, i := range issuers {
		able = able || i.Ready() || a.Issuers[n].Introspect != nil
		all = all && i.Ready()
	}
	if !able || a.signer != nil && !a.signer.Status().Ready || a.store.current() == nil {
		return http.StatusServiceUnavailable, "not ready"
	}
	// With a deny list that is too old, every request is refused.
	if g, err := a.ready(ctx); err != nil || g.DenyListUnconfirmed(time.Now()) {
		return http.StatusServiceUnavailable, "not ready"
	}
	if !all {
		return http.StatusOK, "degraded"
	}
	if a.directories != nil {
		for _, d := range a.directories.Status() {
			if !d.Ready {
				return http.StatusOK, "degraded"
			}
		}
	}
	st := a.store.current().Status()
	if !st.Log.Ready {
		return http.StatusOK, "degraded"
	}
	for _, t := range st.Tiers {
		if !t.Ready || t.Split {
			return http.StatusOK, "degraded"
		}
	}
	return http.StatusOK, "ready"
}

// parseReady parses the directive. Syntax:
//
//	token_enrich_ready <path>
func parseReady(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // consume directive name
	if !h.NextArg() {
		return nil, h.ArgErr()
	}
	ready := &Ready{Path: h.Val()}
	if h.NextArg() {
		return nil, h.Err("token_enrich_ready takes one path")
	}
	if err := ready.Validate(); err != nil {
		return nil, h.WrapErr(err)
	}
	if h.NextBlock(0) {
		return nil, h.Err("token_enrich_ready takes no options")
	}
	return newRoute(h, ready), nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Ready)(nil)
	_ caddy.Validator             = (*Ready)(nil)
	_ caddyhttp.MiddlewareHandler = (*Ready)(nil)
)
