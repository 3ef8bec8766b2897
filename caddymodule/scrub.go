package caddymodule

import (
	"maps"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

func init() {
	caddy.RegisterModule(new(Scrub))
}

// Scrub deletes from a request every header and cookie that could be mistaken
// for one that a policy writes or reads a token from, whatever its spelling,
// drops trailers, and rewrites Connection. Policies do so themselves; this
// handler does it earlier, for handlers before them and for routes without one.
// The token itself reaches only the policy behind it; Authorization stays.
type Scrub struct {
	app *App
}

// CaddyModule returns the Caddy module information.
func (*Scrub) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.token_enrich_scrub",
		New: func() caddy.Module { return new(Scrub) },
	}
}

// Provision finds the app.
func (s *Scrub) Provision(ctx caddy.Context) (err error) {
	s.app, err = LoadApp(ctx)
	return err
}

// ServeHTTP scrubs the request.
func (s *Scrub) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Context().Value(caddyhttp.ErrorCtxKey) != nil {
		s.app.scrub(r) // in an error route, only a policy authenticates behind us
	} else {
		s.app.scrub(r, basicAuth)
	}
	return next.ServeHTTP(w, r)
}

// basicAuth is the place that handlers other than a policy, such as basic_auth,
// read credentials of their own from.
var basicAuth = token.Place{Kind: token.Header, Name: "Authorization"}

// Scrub is the first stage for a handler that answers by itself: its refusal may
// end in an error route that proxies the request. It deletes the reserved names
// and the credentials.
func (a *App) Scrub(r *http.Request) { a.scrub(r) }

// ScrubReserved deletes the reserved names and leaves credentials in the request,
// for a handler that may pass it on to others which read them.
func (a *App) ScrubReserved(r *http.Request) { a.scrubReserved(r) }

// scrub is the first stage. It deletes what is reserved, once for a request,
// and takes out the credentials, but for the places of except, so that they
// reach no handler and no application unless a policy returns them. It leaves
// a request that a policy has let in as that policy wrote it.
func (a *App) scrub(r *http.Request, except ...token.Place) *requestState {
	s := a.scrubReserved(r)
	if s.decided == nil {
		s.detach(r, a.owned.Load(), except...)
	}
	return s
}

// scrubReserved is the part of the first stage that leaves credentials in the
// request, for handlers that may pass it on to others which read them.
func (a *App) scrubReserved(r *http.Request) *requestState {
	s := stateOf(r)
	if !s.scrubbed {
		s.scrubbed = true
		s.removed = a.owned.Load().Scrub(r)
	}
	return s
}

// requestState is what the gateway remembers of one request, so that a second
// policy neither scrubs what the first one wrote nor decides again.
type requestState struct {
	scrubbed    bool
	mapped      bool         // the replacer of the request has the placeholders
	decided     *Handler     // the policy that let the request in; nil: none so far
	credentials *credentials // nil: none were taken out
	removed     int          // by the scrub, until a policy's metric has counted it
	shown       placeholders // see setPlaceholders
	visit       *visit       // nil where there is no login for the policy that decides
}

// stateKey is the name under which a request's variables hold the state. What
// it holds is of a private type, so that no vars directive can fake it.
const stateKey = "token_enrich"

// stateOf returns the request's state, a new one where there is none.
func stateOf(r *http.Request) *requestState {
	vars, ok := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	if !ok {
		return new(requestState)
	}
	if s, ok := vars[stateKey].(*requestState); ok {
		return s
	}
	s := new(requestState)
	vars[stateKey] = s
	return s
}

// count adds what the scrub of a request took away to a policy's metric, once.
func (s *requestState) count(a *App, policy string) {
	if s.removed > 0 {
		a.metrics.Scrubbed(policy, s.removed)
		s.removed = 0
	}
}

// credentials are the headers that tokens are read from, taken out of a
// request until a policy decides it. Nothing else sees them.
type credentials struct {
	headers http.Header // by canonical name; Cookie with all its cookies
	cookies []string    // what Cookie was left with
}

// detach takes the credentials out of a request, but for headers that except
// names, which it returns to it. It may be called again: a header that is not
// as it was left was written by a handler in between, and replaces what was
// taken out before.
func (s *requestState) detach(r *http.Request, reserved *forward.ReservedNames, except ...token.Place) {
	for _, name := range reserved.CredentialHeaders() {
		values := r.Header[name]
		var held, left []string
		if s.credentials != nil {
			held = s.credentials.headers[name]
			if name == "Cookie" {
				left = s.credentials.cookies
			}
		}
		switch {
		case slices.ContainsFunc(except, func(p token.Place) bool { return p.Kind == token.Header && p.Name == name }):
			if len(values) == 0 && held != nil {
				r.Header[name] = held
			}
			s.hold(name, nil)
		case !slices.Equal(values, left):
			s.hold(name, values)
		}
	}
	reserved.ScrubCredentials(r, except...)
	if s.credentials != nil {
		s.credentials.cookies = r.Header["Cookie"]
	}
}

// hold notes what a header held, or that nothing is held of it.
func (s *requestState) hold(name string, values []string) {
	switch {
	case len(values) > 0 && s.credentials == nil:
		s.credentials = &credentials{headers: http.Header{name: values}}
	case len(values) > 0:
		s.credentials.headers[name] = values
	case s.credentials != nil:
		delete(s.credentials.headers, name)
	}
}

// attached calls match with the credentials in the request: a policy's matcher
// reads it as the client sent it.
func (s *requestState) attached(r *http.Request, match func(*http.Request) (bool, error)) (bool, error) {
	c := s.credentials
	if c == nil {
		return match(r)
	}
	maps.Copy(r.Header, c.headers)
	matched, err := match(r)
	for name := range c.headers {
		if name == "Cookie" && c.cookies != nil {
			r.Header[name] = c.cookies
		} else {
			delete(r.Header, name)
		}
	}
	return matched, err
}

// takeCredentials returns the credentials to the one policy that decides the
// request, and forgets them.
func (s *requestState) takeCredentials() http.Header {
	c := s.credentials
	if c == nil {
		return nil
	}
	s.credentials = nil
	return c.headers
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Scrub)(nil)
	_ caddyhttp.MiddlewareHandler = (*Scrub)(nil)
)
