// Package caddymodule is the gateway as Caddy modules: the app, the policy's handler
// and the scrub, with their configuration. It adapts and decides nothing; decisions
// are made in package enrich.
//
// A request's way is handler.go (ServeHTTP), scrub.go (what is reserved, and
// the credentials), answer.go (refusals, placeholders) and streaming.go
// (responses that last). The life of a configuration is app.go, app_open.go
// (what is shared with other configurations) and app_gateway.go. Other packages
// work on a loaded app through view.go. Package caddymodule/standard imports the
// packages around this one: endpoints, transport, admin, command, directories.
package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/pooled"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/telemetry"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App holds what the policies of a configuration share: the issuers whose
// tokens are accepted, the directories, the cache and the signing keys.
type App struct {
	// Whose tokens are accepted. At least one.
	Issuers []*Issuer `json:"issuers,omitempty"`

	// Where users, groups and apps are looked up: all in parallel, merged in
	// this order. Default: none, so that policies know what the token says.
	DirectoriesRaw []json.RawMessage `json:"directories,omitempty" caddy:"namespace=token_enrich.directories inline_key=kind"`

	// How long answers are used, and where they are kept.
	Cache *Cache `json:"cache,omitempty"`

	// The keys for tokens that the gateway signs; required as soon as a
	// policy forwards one.
	Signing *Signing `json:"signing,omitempty"`

	// How long the sessions of people who logged in last, and where they are kept.
	Session *login.SessionConfig `json:"session,omitempty"`

	// How long the deny list is used without having been confirmed; after that
	// requests are answered 503 where denials are in use. Default: 30s.
	DenyMaxAge caddy.Duration `json:"deny_max_age,omitempty"`

	// What to do with an unconfirmed deny list: deny (default) or continue.
	OnDenylistError string `json:"on_denylist_error,omitempty"`

	// What explain and preview may show of people: shapes (default: names,
	// types, counts, reasons) or values.
	Explain string `json:"explain,omitempty"`

	ctx         caddy.Context
	logger      *zap.Logger
	releases    pooled.Releases
	logs        *telemetry.Logs
	sampler     *telemetry.Sampler
	metrics     *telemetry.Metrics
	issuers     *issuer.Set
	known       []*issuer.Config // those of issuers, with their names
	directories *directory.Composite
	attributes  []directory.Attributes // of each directory
	warnings    []Warning              // suspicious entries of directories, for check
	store       *pooled.Store
	signer      *mint.Signer
	proofs      *issuer.LocalReplayMemory
	decisions   *enrich.DecisionCache
	logins      logins

	// settings differ between configurations whose decisions must not be shared;
	// sourced differs between directories whose answers must not be, and is the
	// same on every node.
	settings       []byte
	issuerSettings []byte
	sourced        [sha256.Size]byte

	// developmentSecrets says that a secret of examples/dev is in use;
	// denialsConfigured that a hook can deny, so that a deny list which is out
	// of date matters even if nothing was ever denied.
	developmentSecrets bool
	denialsConfigured  atomic.Bool

	mu sync.Mutex // guards the registry while policies register
	policyRegistry
	handlers []*Handler     // of the registered policies, in the same order
	routes   *checkedRoutes // read and used by the policies as they are provisioned, one by one
	unnamed  int            // policies without a name outside of the HTTP app's routes
	gateway  atomic.Pointer[enrich.Gateway]
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision sets up what the policies share. It uses neither the network nor
// storage: a mistake in the configuration itself is an error, a server that is
// down is not. Policies register themselves after it, and Start follows.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	a.logger = ctx.Logger()
	for _, step := range []func() error{a.openTelemetry, a.check, a.openIssuers, a.openProofs, a.openDirectories, a.openStore, a.openLogins, a.openSigner, a.openDecisions} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// enums are the options of one word out of a few.
func (a *App) enums() []block.Option {
	return []block.Option{
		block.Enum("on_denylist_error", &a.OnDenylistError, "deny", "continue"),
		block.Enum("explain", &a.Explain, "shapes", "values"),
	}
}

// check checks what the Caddyfile parser has checked, for a configuration that
// came as JSON.
func (a *App) check() error {
	if err := block.CheckValues(a.enums()...); err != nil {
		return err
	}
	return a.checkDenyMaxAge()
}

// minDenyMaxAge is the shortest deny_max_age with Redis; under it, requests
// would be refused while all is well.
const minDenyMaxAge = 3 * time.Second

// checkDenyMaxAge checks the age against the minimum, and for its sign.
func (a *App) checkDenyMaxAge() error {
	if d := time.Duration(a.DenyMaxAge); a.Cache != nil && a.Cache.Redis != nil && 0 < d && d < minDenyMaxAge {
		return fmt.Errorf("deny_max_age: %v is below the minimum of %v: an idle deny list is confirmed once a second", d, minDenyMaxAge)
	}
	return block.CheckValues(block.Duration("deny_max_age", &a.DenyMaxAge))
}

// LoadApp returns the app of the configuration that is being loaded.
func LoadApp(ctx caddy.Context) (*App, error) {
	v, err := ctx.App("token_enrich")
	if err != nil {
		return nil, fmt.Errorf("loading the token_enrich app: %w", err)
	}
	app, _ := v.(*App)
	return app, nil
}

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

// register adds the policy of a handler: its name must be free. From then on every
// request is scrubbed of the names that the policy owns.
func (a *App) register(h *Handler) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	added, err := a.policyRegistry.add(h.policy)
	if err != nil || !added {
		return err
	}
	a.handlers = append(a.handlers, h)
	if a.signer != nil {
		a.signer.KeepFor(h.policy.compiled.TokenLife())
	}
	return nil
}

// Start begins the background work: keys are fetched, files watched, the purge
// log is read. It waits for none of it.
func (a *App) Start() error {
	a.logs.Start(a.logger)
	a.initializeMetrics()
	if a.developmentSecrets {
		warnOfDevelopmentSecrets(a.ctx, a.logger)
	}
	a.issuers.Start(context.Background())
	if a.directories != nil {
		if err := a.directories.Start(); err != nil {
			return fmt.Errorf("starting directories: %w", err)
		}
	}
	if a.signer != nil {
		a.signer.Start(context.Background())
	}
	a.store.Start()
	if a.logins.ring != nil {
		a.logins.ring.Start()
	}
	return nil
}

// initializeMetrics makes the series of the policies and directories.
func (a *App) initializeMetrics() {
	policies := make([]telemetry.PolicySeries, 0, len(a.policies))
	for _, p := range a.policies {
		policies = append(policies, telemetry.PolicySeries{Name: p.name, Headers: p.compiled.HeaderPlan().Labels(), Mints: p.mints})
	}
	var directories []directory.Status
	if a.directories != nil {
		directories = a.directories.Status()
	}
	a.metrics.Initialize(policies, directories)
	a.metrics.InitializeLogins(a.LoginIssuers())
}

// Stop does nothing: requests outlive a configuration. What they use is released
// in Cleanup and closed when its last user is gone.
func (*App) Stop() error { return nil }

// Cleanup releases what Provision acquired, also after it failed half-way.
func (a *App) Cleanup() error {
	if a.sampler != nil {
		a.sampler.Close()
	}
	if a.logs != nil {
		a.logs.Stop(a.logger)
	}
	return a.releases.Release()
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
