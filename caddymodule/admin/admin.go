package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	strictjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

func init() {
	caddy.RegisterModule(new(API))
}

// API answers below /token_enrich/ on Caddy's admin listener: status,
// explain, purge, deny and keys. What it works on is the configuration that
// runs when the request comes.
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

// Provision takes the logger. It must not ask for the app: admin modules are
// provisioned before any app.
func (a *API) Provision(ctx caddy.Context) error {
	a.log = ctx.Logger().Named("admin.api.token_enrich") // admin modules have no ancestor to name them
	return nil
}

// Prefix is where the endpoints live.
const Prefix = "/token_enrich/"

// maxAdminBody bounds the body of a request: a token and a few names.
const maxAdminBody = 64 << 10

// Routes lists the endpoints.
func (a *API) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: Prefix, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

// endpoint answers one path and method; changes says that it changes something,
// which is logged. The deny list logs its entries by itself.
type endpoint struct {
	method  string
	changes bool
	answer  func(*API, *caddymodule.App, *http.Request) (any, error)
}

// endpoints are the admin endpoints by path and method.
var endpoints = map[string][]endpoint{
	"status":  {{http.MethodGet, false, (*API).status}},
	"explain": {{http.MethodPost, false, (*API).explain}},
	"purge":   {{http.MethodPost, true, (*API).purge}},
	"deny": {
		{http.MethodGet, false, (*API).denials},
		{http.MethodPost, false, (*API).deny},
		{http.MethodDelete, false, (*API).undeny},
	},
	"keys": {{http.MethodGet, false, (*API).keys}, {http.MethodPost, true, (*API).rotate}},
}

func (a *API) serve(w http.ResponseWriter, r *http.Request) error {
	list, ok := endpoints[strings.TrimPrefix(r.URL.Path, Prefix)]
	if !ok {
		return apiError(http.StatusNotFound, errors.New("no such endpoint: there are status, explain, purge, deny and keys"))
	}
	var methods []string
	for _, e := range list {
		methods = append(methods, e.method)
		if e.method != r.Method {
			continue
		}
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
		answer, err := e.answer(a, app, r)
		if err != nil {
			return err
		}
		if e.changes {
			a.log.Info("admin request", zap.String("endpoint", r.URL.Path), zap.String("remote", r.RemoteAddr))
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		return json.NewEncoder(w).Encode(answer)
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	return apiError(http.StatusMethodNotAllowed, fmt.Errorf("method %s is not answered here", r.Method))
}

// readBody reads the request's JSON object: known members only, in their own
// spelling and once, so that nobody believes to have named what was not read.
func readBody(r *http.Request, to any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxAdminBody))
	if err != nil {
		return apiError(http.StatusBadRequest, errors.New("reading the request: it cannot be read, or is too long"))
	}
	if err := strictjson.Unmarshal(body, to, strictjson.RejectUnknownMembers(true)); err != nil {
		return apiError(http.StatusBadRequest, fmt.Errorf("reading the request: %w", withoutValues(body, err)))
	}
	return nil
}

// withoutValues keeps what was sent (perhaps a token) out of an error.
func withoutValues(body []byte, err error) error {
	var syntax *jsontext.SyntacticError
	var meaning *strictjson.SemanticError
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return errors.New("it is empty")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errors.New("a member stands twice")
	case errors.As(err, &syntax):
		return fmt.Errorf("not JSON, or more than one value, byte %d", syntax.ByteOffset)
	case errors.Is(err, strictjson.ErrUnknownName):
		return errors.New("it holds a member that is not known here")
	case errors.As(err, &meaning):
		for name := range meaning.JSONPointer.Tokens() {
			return fmt.Errorf("member %q has the wrong type", name)
		}
	}
	return errors.New("it is no JSON object")
}

// one reports whether exactly one of them is true.
func one(set ...bool) bool {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n == 1
}

func apiError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

// Interface guards
var (
	_ caddy.Provisioner = (*API)(nil)
	_ caddy.AdminRouter = (*API)(nil)
)
