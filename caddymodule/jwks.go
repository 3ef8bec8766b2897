package caddymodule

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

	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

func init() {
	caddy.RegisterModule(new(JWKS))
}

// JWKS publishes the keys that verify the gateway's own tokens, at
// /.well-known/jwks.json, and the metadata from which libraries find them, at
// /.well-known/openid-configuration; where the gateway's own issuer has a path,
// below that path as well. Other requests go on.
type JWKS struct {
	app  *App
	base string // the issuer's path, without a slash at its end
}

// CaddyModule returns the Caddy module information.
func (*JWKS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_enrich_jwks",
		New: func() caddy.Module { return new(JWKS) },
	}
}

// Provision finds the app; without signing there is nothing to publish.
func (j *JWKS) Provision(ctx caddy.Context) error {
	app, err := loadApp(ctx)
	if err != nil {
		return err
	}
	if app.signer == nil {
		return errNothingToPublish
	}
	issuer, err := url.Parse(app.Signing.Issuer)
	if err != nil {
		return fmt.Errorf("token_enrich_jwks: %w", err)
	}
	j.app, j.base = app, strings.TrimSuffix(issuer.Path, "/")
	return nil
}

// errNothingToPublish says that there are no keys.
var errNothingToPublish = errors.New("token_enrich_jwks: the global option token_enrich has no signing { issuer … }")

// ServeHTTP answers the two documents' paths.
func (j *JWKS) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// A refusal of ours may end in an error route that proxies.
	j.app.scrubReserved(r)
	var body []byte
	var etag string
	var err error
	path := r.URL.Path
	if below, ok := strings.CutPrefix(path, j.base+"/"); ok {
		path = "/" + below
	}
	switch path {
	case mint.KeySetPath:
		body, etag, err = j.app.signer.KeySet()
	case mint.DiscoveryPath:
		body, err = j.app.signer.Discovery()
	default:
		return next.ServeHTTP(w, r)
	}
	j.app.scrub(r)
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return caddyhttp.Error(http.StatusMethodNotAllowed, errors.New("only GET and HEAD are answered here"))
	}
	if err != nil {
		w.Header().Set("Retry-After", "1")
		return caddyhttp.Error(http.StatusServiceUnavailable, enrich.Unavailable(err))
	}
	h := w.Header()
	h.Set("Cache-Control", "public, max-age="+strconv.Itoa(int(j.app.signer.KeySetMaxAge()/time.Second)))
	if etag != "" {
		h.Set("ETag", etag)
		if unchanged(r.Header.Values("If-None-Match"), etag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	return writeJSON(w, r, body)
}

// unchanged holds RFC 9110, section 13.1.2: a star, or a list of tags that are
// compared weakly. Our tags hold no comma.
func unchanged(conditions []string, etag string) bool {
	for _, condition := range conditions {
		for tag := range strings.SplitSeq(condition, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}

// writeJSON answers with a document that scripts of any origin may read:
// there is nothing private in it.
func writeJSON(w http.ResponseWriter, r *http.Request, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(body)
	return err
}

// Interface guards
var (
	_ caddy.Provisioner           = (*JWKS)(nil)
	_ caddyhttp.MiddlewareHandler = (*JWKS)(nil)
)
