// Package admin is the gateway's part of Caddy's admin API: what an operator
// reads from a gateway that runs, and changes in it.
//
// Each request works on the configuration that runs when it comes, through the
// view that caddymodule exports. One file holds one endpoint, with the types of
// its JSON, which the commands that call it share.
package admin

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

func init() {
	caddy.RegisterModule(new(API))
}

// API answers below /token_enrich/ on Caddy's admin listener: status, explain,
// purge, deny and keys.
type API struct {
	log *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*API) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.token_enrich",
		New: func() caddy.Module { return new(API) },
	}
}

// Provision takes the logger. It must not ask for the app: Caddy provisions
// admin modules before any app.
func (a *API) Provision(ctx caddy.Context) error {
	a.log = ctx.Logger().Named("admin.api.token_enrich") // admin modules have no ancestor to name them
	return nil
}

// PathPrefix is the path below which all endpoints are.
const PathPrefix = "/token_enrich/"

// Routes returns the one route under which all endpoints are served.
func (a *API) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: PathPrefix, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

// endpoint answers one method of one path.
type endpoint struct {
	method string
	answer func(*request) (any, error)
	logged bool // each success is logged here; the others log by themselves, or change nothing
}

// endpoints returns the endpoints by path below PathPrefix.
func endpoints(path string) []endpoint {
	switch path {
	case "status":
		return []endpoint{{http.MethodGet, getStatus, false}}
	case "explain":
		return []endpoint{{http.MethodPost, postExplain, false}}
	case "purge":
		return []endpoint{{http.MethodPost, postPurge, true}}
	case "deny":
		return []endpoint{{http.MethodGet, getDenials, false}, {http.MethodPost, postDenial, false}, {http.MethodDelete, deleteDenial, false}}
	case "keys":
		return []endpoint{{http.MethodGet, getKeys, false}, {http.MethodPost, postKeys, true}}
	}
	return nil
}

// serve finds the endpoint of a request and writes its answer as JSON. An error
// is a caddy.APIError, which Caddy writes.
func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	list := endpoints(strings.TrimPrefix(r.URL.Path, PathPrefix))
	if list == nil {
		return apiError(http.StatusNotFound, errors.New("unknown endpoint (want status, explain, purge, deny or keys)"))
	}
	methods := make([]string, len(list))
	for i, e := range list {
		if e.method == r.Method {
			return a.answer(e, w, r)
		}
		methods[i] = e.method
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return apiError(http.StatusMethodNotAllowed, fmt.Errorf("method %s is not allowed", r.Method))
}

// answer answers a request of the right path and method.
func (a *API) answer(e endpoint, w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet {
		// A page in the operator's browser must not purge, deny or ask.
		if err := http.NewCrossOriginProtection().Check(r); err != nil {
			return apiError(http.StatusForbidden, errors.New("cross-origin request"))
		}
	}
	app, err := caddymodule.ActiveApp()
	if err != nil {
		return apiError(http.StatusServiceUnavailable, err)
	}
	answer, err := e.answer(&request{Request: r, app: app, log: a.log})
	if err != nil {
		return err
	}
	if e.logged {
		a.log.Info("admin request", zap.String("endpoint", r.URL.Path), zap.String("remote", r.RemoteAddr))
	}
	return writeJSON(w, answer)
}

// Interface guards
var (
	_ caddy.Provisioner = (*API)(nil)
	_ caddy.AdminRouter = (*API)(nil)
)
