package caddymodule

import (
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

func init() {
	caddy.RegisterModule(new(Scrub))
}

// Scrub deletes from a request every header and cookie that could be mistaken
// for one that a policy writes or reads a token from, whatever its spelling,
// drops trailers, and rewrites Connection. Policies do so themselves; this
// handler does it earlier, for what stands before them and for routes without
// one. It leaves the place of a token itself to the policy behind it.
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
	s.app, err = loadApp(ctx)
	return err
}

// ServeHTTP scrubs the request.
func (s *Scrub) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if r.Context().Value(caddyhttp.ErrorCtxKey) != nil {
		s.app.scrub(r) // nobody behind us authenticates in an error route but a policy
	} else {
		s.app.scrub(r, basicAuth)
	}
	return next.ServeHTTP(w, r)
}

// requestState is what the gateway remembers of one request, so that a second
// policy neither scrubs what the first one wrote nor decides again, and what placeholders show.
type requestState struct {
	scrubbed bool
	decided  *Handler // the policy that let the request in; nil: none so far
	aside    *detached
	removed  int
	shown    placeholders
}

// detached is what stood where tokens are read from, for the policy that
// decides; until then no handler and no application sees it. cookies is what
// Cookie was left with.
type detached struct {
	headers http.Header
	cookies []string
}

// stateKey is the name under which a request's variables hold the state. What
// it holds is of a private type, so that no vars directive can fake it.
const stateKey = "token_enrich"

// stateOf gives the request's state, begun where there is none.
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

// scrubEarly is the first stage, done once for a request. It leaves the places
// that tokens are read from, which others (basic_auth) may still read.
func (a *App) scrubEarly(r *http.Request) *requestState {
	s := stateOf(r)
	if !s.scrubbed {
		s.scrubbed = true
		s.removed = a.owned.Load().Scrub(r)
	}
	return s
}

// scrub is the first stage with nothing left out: what stands where tokens are
// read from, but for some places, is set aside, so that it reaches no
// application unless a policy says so.
func (a *App) scrub(r *http.Request, but ...token.Place) {
	if s := a.scrubEarly(r); s.decided == nil {
		s.keepAside(r, a, but...)
	}
}

// basicAuth is the place that handlers other than a policy, such as basic_auth,
// read credentials of their own from.
var basicAuth = token.Place{Kind: token.Header, Name: "Authorization"}

// count adds what the scrub of a request took away to a policy's metric, once.
func (s *requestState) count(a *App, policy string) {
	if s.removed > 0 {
		a.metrics.scrubbed.WithLabelValues(policy).Add(float64(s.removed))
		s.removed = 0
	}
}

// keepAside empties the places that tokens are read from, and keeps what stood
// there beside what it keeps already.
func (s *requestState) keepAside(r *http.Request, a *App, but ...token.Place) {
	s.restore(r)
	owned := a.owned.Load()
	stays := func(name string) bool {
		return slices.ContainsFunc(but, func(p token.Place) bool { return p.Kind == token.Header && p.Name == name })
	}
	for _, name := range owned.CredentialHeaders() {
		if v := r.Header[name]; len(v) > 0 && !stays(name) {
			if s.aside == nil {
				s.aside = &detached{headers: make(http.Header, 1)}
			}
			s.aside.headers[name] = v
		}
	}
	owned.ScrubCredentialsExcept(r, but...)
	if s.aside != nil {
		s.aside.cookies = r.Header["Cookie"]
	}
}

// restore puts back what was set aside, for the policy that reads its token
// there. What a handler in between has written or deleted stays so.
func (s *requestState) restore(r *http.Request) {
	if s.aside == nil {
		return
	}
	for name, values := range s.aside.headers {
		var left []string
		if name == "Cookie" {
			left = s.aside.cookies
		}
		if slices.Equal(r.Header[name], left) {
			r.Header[name] = values
		}
	}
	s.aside = nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Scrub)(nil)
	_ caddyhttp.MiddlewareHandler = (*Scrub)(nil)
)
