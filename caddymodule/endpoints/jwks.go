package endpoints

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/document"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

func init() {
	caddy.RegisterModule(new(JWKS))
}

// JWKS publishes the keys that verify the gateway's own tokens (RFC 7517) at
// /.well-known/jwks.json, and the metadata from which libraries find them
// (OpenID Connect Discovery 1.0) at /.well-known/openid-configuration. Where
// signing's issuer has a path, both are below that path as well. Any other
// request goes to the next handler.
//
// Only GET and HEAD are answered; another method is 405. While there are no keys
// yet, both documents are 503.
type JWKS struct {
	app  *caddymodule.App
	base string // the path of signing's issuer, without a slash at its end
}

// CaddyModule returns the Caddy module information.
func (*JWKS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_enrich_jwks",
		New: func() caddy.Module { return new(JWKS) },
	}
}

// Provision finds the app. It is an error that the app has no signing.
func (j *JWKS) Provision(ctx caddy.Context) error {
	app, err := caddymodule.LoadApp(ctx)
	if err != nil {
		return err
	}
	if app.Signer() == nil {
		return errNothingToPublish
	}
	issuer, err := url.Parse(app.Signing.Issuer)
	if err != nil {
		return fmt.Errorf("token_enrich_jwks: %w", err)
	}
	j.app, j.base = app, strings.TrimSuffix(issuer.Path, "/")
	return nil
}

// errNothingToPublish reports that the configuration has no signing keys.
var errNothingToPublish = errors.New("token_enrich_jwks: the global option token_enrich has no signing { issuer … }")

// ServeHTTP answers the paths of the two documents. A client that has the key set
// already, by its ETag, is answered 304.
func (j *JWKS) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// A refusal by this handler may end in an error route that proxies.
	j.app.ScrubReserved(r)
	var body []byte
	var etag string
	var err error
	path := r.URL.Path
	if below, ok := strings.CutPrefix(path, j.base+"/"); ok {
		path = "/" + below
	}
	switch path {
	case mint.KeySetPath:
		body, etag, err = j.app.Signer().KeySet()
	case mint.DiscoveryPath:
		body, err = j.app.Signer().Discovery()
	default:
		return next.ServeHTTP(w, r)
	}
	j.app.Scrub(r)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return caddyhttp.Error(http.StatusMethodNotAllowed, errors.New("only GET and HEAD are allowed"))
	}
	if err != nil {
		w.Header().Set("Retry-After", "1")
		return caddyhttp.Error(http.StatusServiceUnavailable, enrich.Unavailable(err))
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(j.app.Signer().KeySetMaxAge()/time.Second)))
	if etag != "" {
		h.Set("ETag", etag)
		if document.MatchesETag(r.Header.Values("If-None-Match"), etag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	return document.Write(w, r, body)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*JWKS)(nil)
	_ caddyhttp.MiddlewareHandler = (*JWKS)(nil)
)
