// Package endpoints holds the handlers that answer paths of their own: hooks that
// an identity provider calls, the published keys, and the probe of a load balancer.
package endpoints

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

func init() {
	caddy.RegisterModule(new(Hook))
}

// Hook receives messages that an identity provider sends by itself, and acts on
// them on all nodes. It answers one path and passes other requests on.
//
// Kind | What is sent | What it does
// -----|--------------|-------------
// `backchannel_logout` | A logout token (OpenID Connect Back-Channel Logout 1.0) | Denies the tokens of the session that it names, or those that its subject was issued before it
type Hook struct {
	// The path that is answered, as registered at the provider. Required.
	Path string `json:"path"`

	// What is sent: backchannel_logout. Required.
	Kind string `json:"kind"`

	// The configured name of the issuer that sends. Required.
	Issuer string `json:"issuer,omitempty"`

	// The client ids under which users sign in at the issuer; a logout token must
	// name one of them in aud. Default: the issuer's audiences, which often are
	// others, and the client id of its login. Required where the issuer has
	// any_audience and no login.
	Audience []string `json:"audience,omitempty"`

	app    *caddymodule.App
	logger *zap.Logger
	handle func(http.ResponseWriter, *http.Request) error
}

// hookBackchannelLogout is the one kind of hook.
const hookBackchannelLogout = "backchannel_logout"

// hookKinds lists the kinds, for error messages.
var hookKinds = []string{hookBackchannelLogout}

// CaddyModule returns the Caddy module information.
func (*Hook) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_enrich_hook",
		New: func() caddy.Module { return new(Hook) },
	}
}

// Provision finds the app and the issuer. It is an error that the issuer is not
// configured, or that the audience of its logout tokens is not known.
func (h *Hook) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if err := h.checkPath(); err != nil {
		return err
	}
	var err error
	if h.app, err = caddymodule.LoadApp(ctx); err != nil {
		return err
	}
	switch h.Kind {
	case hookBackchannelLogout:
		h.handle, err = h.newLogout()
	default:
		err = unknownHook(h.Kind)
	}
	if err != nil {
		return fmt.Errorf("token_enrich_hook %s: %w", h.Path, err)
	}
	return nil
}

// checkPath checks the path of the hook, and names the directive in its error.
func (h *Hook) checkPath() error {
	if err := checkPath(h.Path); err != nil {
		return fmt.Errorf("token_enrich_hook: %w", err)
	}
	return nil
}

// checkPath checks the one path that a handler answers. It is compared literally:
// what other directives take for a pattern would match nothing.
func checkPath(path string) error {
	switch {
	case path == "" || path[0] != '/':
		return errors.New("the path must begin with a slash")
	case strings.ContainsAny(path, "*?#{"):
		return fmt.Errorf("the path %q contains a pattern or query character; want one literal path", path)
	}
	return nil
}

// unknownHook returns an error that lists the kinds.
func unknownHook(kind string) error {
	return fmt.Errorf("unknown hook kind %q%s; want %s", kind, suggest.DidYouMean(kind, hookKinds), block.JoinOr(hookKinds))
}

// ServeHTTP answers a request for the path, and passes any other on.
func (h *Hook) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.URL.Path != h.Path {
		return next.ServeHTTP(w, r)
	}
	// A refusal may end in an error route that proxies the request.
	h.app.Scrub(r)
	w.Header().Set("Cache-Control", "no-store")
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return caddyhttp.Error(http.StatusMethodNotAllowed, errors.New("only POST is allowed"))
	}
	return h.handle(w, r)
}

// hookError is the body of a 400, in the form of OAuth 2.0 (RFC 6749, section
// 5.2). Its text discloses nothing to an unauthenticated sender.
type hookError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// refuseHook answers an invalid message.
func refuseHook(w http.ResponseWriter, description string) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	return json.NewEncoder(w).Encode(hookError{Error: "invalid_request", Description: description})
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Hook)(nil)
	_ caddyhttp.MiddlewareHandler = (*Hook)(nil)
)
