package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// This file is the view of a provisioned app that the admin API and the
// commands work on. It adds no state: each method returns what the app holds.

// ActiveApp returns the app of the configuration that runs now. It is an error
// that this configuration has none.
func ActiveApp() (*App, error) {
	v, err := caddy.ActiveContext().AppIfConfigured("token_enrich")
	if err != nil {
		return nil, errors.New("the running configuration has no token_enrich")
	}
	app, _ := v.(*App)
	return app, nil
}

// Policies returns the handlers of the policies, in the order in which they
// were provisioned. Of a policy that is on several listeners it returns the
// first handler only.
func (a *App) Policies() []*Handler {
	a.mu.Lock()
	defer a.mu.Unlock()
	handlers := make([]*Handler, len(a.policies))
	for i, p := range a.policies {
		handlers[i] = p.handler
	}
	return handlers
}

// Policy returns what the handler's configuration was compiled to. It is nil
// before Provision.
func (h *Handler) Policy() *enrich.Policy {
	if h.policy == nil {
		return nil
	}
	return h.policy.compiled
}

// Matches reports whether the policy decides a request: one that its matchers
// select, or any where it has none. The error of a path that is refused is an
// *enrich.Refusal.
func (h *Handler) Matches(r *http.Request) (bool, error) {
	if len(h.matchers) == 0 {
		err := enrich.CheckPath(r)
		return err == nil, err
	}
	return h.chooses.Match(r)
}

// HTTPApp returns Caddy's HTTP app of the same configuration. It is an error
// that there is none.
func (a *App) HTTPApp() (*caddyhttp.App, error) {
	v, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil, err
	}
	app, ok := v.(*caddyhttp.App)
	if !ok {
		return nil, errors.New("the configuration serves no sites")
	}
	return app, nil
}

// IssuerSet returns the issuers whose tokens are accepted, in the order of the
// configuration.
func (a *App) IssuerSet() *issuer.Set { return a.issuers }

// IssuerNamed returns the issuer of a configured name. Its error repeats
// nothing of an unknown name, which may be that of a person at the wrong place.
func (a *App) IssuerNamed(name string) (*issuer.Issuer, error) {
	is := a.issuers.Issuer(name)
	if is != nil {
		return is, nil
	}
	names := a.issuers.Names()
	if name == "" {
		return nil, fmt.Errorf("issuer is required (want %s)", block.JoinOr(names))
	}
	return nil, fmt.Errorf("unknown issuer%s; want %s", nearest.Hint(name, names), block.JoinOr(names))
}

// DirectoryStatus returns the state of each directory, in the order of the
// configuration. It is empty where there are none.
func (a *App) DirectoryStatus() []directory.Status {
	if a.directories == nil {
		return []directory.Status{}
	}
	return a.directories.Status()
}

// Store returns the cache. It waits at most two seconds for the key that seals
// shared entries; it is an error that the key is not known by then.
func (a *App) Store(ctx context.Context) (*cache.Store, error) { return a.store.get(ctx) }

// CurrentStore returns the cache, or nil while the key that seals shared
// entries is not known.
func (a *App) CurrentStore() *cache.Store { return a.store.current() }

// Denials returns the denials that this node knows of, without the remembered
// logout tokens, under which no access token is looked up. It is an error that
// the deny list was never read: an empty one would say that nothing is denied.
func (a *App) Denials(ctx context.Context) ([]purgelog.Record, error) {
	store, err := a.store.get(ctx)
	if err != nil {
		return nil, err
	}
	if !store.Log().Loaded() {
		return nil, errors.New("the deny list has not been read yet: Redis has not been reached")
	}
	records := store.Denials().Entries(time.Now())
	return slices.DeleteFunc(records, func(r purgelog.Record) bool { return r.Claim == denyLogout }), nil
}

// DecisionCache returns the cache of decisions, which is this process's own.
func (a *App) DecisionCache() *enrich.DecisionCache { return a.decisions }

// Signer returns the holder of the keys that sign the gateway's own tokens, or
// nil where the configuration has no signing.
func (a *App) Signer() *mint.Signer { return a.signer }

// Gateway returns the gateway that decides requests. It waits for the cache as
// Store does, and as long again for the first reading of the purge log.
func (a *App) Gateway(ctx context.Context) (*enrich.Gateway, error) { return a.ready(ctx) }
