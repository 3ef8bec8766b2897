package caddymodule

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
)

func init() {
	caddy.RegisterModule(new(AdminAPI))
}

// AdminAPI answers below /token_enrich/ on Caddy's admin listener: status,
// explain, purge, deny and keys. What it works on is the configuration that
// runs when the request comes.
type AdminAPI struct {
	log *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*AdminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "admin.api.token_enrich",
		New: func() caddy.Module { return new(AdminAPI) },
	}
}

// Provision takes the logger. It must not ask for the app: admin modules are
// provisioned before any app.
func (a *AdminAPI) Provision(ctx caddy.Context) error {
	a.log = ctx.Logger().Named("admin.api.token_enrich") // admin modules have no ancestor to name them
	return nil
}

// adminPrefix is where the endpoints live.
const adminPrefix = "/token_enrich/"

// maxAdminBody bounds the body of a request: a token and a few names.
const maxAdminBody = 64 << 10

// Routes lists the endpoints.
func (a *AdminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: adminPrefix, Handler: caddy.AdminHandlerFunc(a.serve)}}
}

// endpoint answers one path and method; changes says that it changes something,
// which is logged. The deny list logs its entries by itself.
type endpoint struct {
	method  string
	changes bool
	answer  func(*AdminAPI, *App, *http.Request) (any, error)
}

// endpoints are the admin endpoints by path and method.
var endpoints = map[string][]endpoint{
	"status":  {{http.MethodGet, false, (*AdminAPI).status}},
	"explain": {{http.MethodPost, false, (*AdminAPI).explain}},
	"purge":   {{http.MethodPost, true, (*AdminAPI).purge}},
	"deny": {
		{http.MethodGet, false, (*AdminAPI).denials},
		{http.MethodPost, false, (*AdminAPI).deny},
		{http.MethodDelete, false, (*AdminAPI).undeny},
	},
	"keys": {{http.MethodGet, false, (*AdminAPI).keys}, {http.MethodPost, true, (*AdminAPI).rotate}},
}

func (a *AdminAPI) serve(w http.ResponseWriter, r *http.Request) error {
	list, ok := endpoints[strings.TrimPrefix(r.URL.Path, adminPrefix)]
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
		app, err := ActiveApp()
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

func apiError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

// Interface guards
var (
	_ caddy.Provisioner = (*AdminAPI)(nil)
	_ caddy.AdminRouter = (*AdminAPI)(nil)
)
