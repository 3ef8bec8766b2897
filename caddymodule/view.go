package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/telemetry"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// This file is the view of a provisioned app that other packages work on: the admin
// API, the commands, check and the self-test, and the handlers of package endpoints.
// It adds no state: each method returns what the app holds.

// Policies returns the handlers of the policies, in the order in which they
// were provisioned. Of a policy that is on several listeners it returns the
// first handler only.
func (a *App) Policies() []*Handler {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.handlers)
}

// Policy returns what the handler's configuration was compiled to. It is nil
// before Provision.
func (h *Handler) Policy() *enrich.Policy {
	if h.policy == nil {
		return nil
	}
	return h.policy.compiled
}

// SessionConfig returns how long sessions last and where they are kept, with the
// defaults.
func (a *App) SessionConfig() login.SessionConfig { return a.logins.session }

// SessionCounts returns how many sessions of people began since the process did, and
// how many of them are known to have ended, by cause.
func (a *App) SessionCounts() (begun uint64, ended map[string]uint64) { return a.metrics.Sessions() }

// Site returns the site where people log in for the policy, nil where nobody does.
func (h *Handler) Site() *login.Site { return h.policy.site }

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

// IssuerConfigs returns the settings of the issuers, with their names, in the same
// order. The caller must not change them.
func (a *App) IssuerConfigs() []*issuer.Config { return a.known }

// LoginClient returns the client id under which people log in at the issuer of a
// configured name, or nothing where they do not.
func (a *App) LoginClient(name string) string {
	for i, c := range a.known {
		if l := a.Issuers[i].Login; l != nil && c.Name == name {
			return l.ClientID
		}
	}
	return ""
}

// ExpectDenials says that a handler of the configuration can deny. A deny list that
// is out of date then matters even if nothing was ever denied.
func (a *App) ExpectDenials() { a.denialsConfigured.Store(true) }

// LogSampler returns the sampler of log lines that strangers can cause.
func (a *App) LogSampler() *telemetry.Sampler { return a.sampler }

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
	return nil, fmt.Errorf("unknown issuer%s; want %s", suggest.DidYouMean(name, names), block.JoinOr(names))
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
func (a *App) Store(ctx context.Context) (*cache.Store, error) { return a.store.Get(ctx) }

// CurrentStore returns the cache, or nil while the key that seals shared
// entries is not known.
func (a *App) CurrentStore() *cache.Store { return a.store.Current() }

// Denials returns the denials that this node knows of, without the remembered
// logout tokens, under which no access token is looked up. It is an error that
// the deny list was never read: an empty one would say that nothing is denied.
func (a *App) Denials(ctx context.Context) ([]purgelog.Record, error) {
	store, err := a.store.Get(ctx)
	if err != nil {
		return nil, err
	}
	if !store.Log().Loaded() {
		return nil, errors.New("the deny list has not been read yet: Redis has not been reached")
	}
	records := store.Denials().Entries(time.Now())
	return slices.DeleteFunc(records, func(r purgelog.Record) bool { return r.Claim == DenyLogout }), nil
}

// DecisionCache returns the cache of decisions, which is this process's own.
func (a *App) DecisionCache() *enrich.DecisionCache { return a.decisions }

// Signer returns the holder of the keys that sign the gateway's own tokens, or
// nil where the configuration has no signing.
func (a *App) Signer() *mint.Signer { return a.signer }

// Gateway returns the gateway that decides requests. It waits for the cache as
// Store does, and as long again for the first reading of the purge log.
func (a *App) Gateway(ctx context.Context) (*enrich.Gateway, error) { return a.ready(ctx) }

// OwnedNames returns the names of headers, cookies and prefixes that the
// policies of the configuration write, and that are deleted from each request.
func (a *App) OwnedNames() *forward.ReservedNames { return a.owned.Load() }

// DirectoryAttributes returns the attributes that each directory has, in the
// order of the configuration. A directory that may have any lists none.
func (a *App) DirectoryAttributes() []directory.Attributes { return slices.Clone(a.attributes) }

// DirectoryWarnings returns what is suspicious in the directories' own data,
// such as a login that two users share.
func (a *App) DirectoryWarnings() []Warning { return slices.Clone(a.warnings) }

// RouteWarnings returns what is suspicious about the routes around the policies,
// as it was logged when the configuration was loaded.
func (a *App) RouteWarnings() []Warning {
	if a.routes == nil {
		return nil
	}
	return slices.Clone(a.routes.warnings)
}

// Warnings returns what is suspicious in the policy's own settings, with what
// okta_claims left out of its file. It is empty before Provision.
func (h *Handler) Warnings() []Warning {
	if h.policy == nil {
		return nil
	}
	list := slices.Clone(h.policy.warnings)
	for _, n := range h.policy.importWarnings {
		list = append(list, Warning{Policy: h.policy.name, Where: strings.TrimSpace("okta_claims " + n.Claim), Text: n.Text})
	}
	return list
}
