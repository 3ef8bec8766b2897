// Package caddymodule is the gateway as Caddy knows it: configuration,
// handlers, commands, admin endpoints, metrics. It adapts and decides
// nothing; decisions are taken in package enrich.
package caddymodule

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
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

	// Where users, groups and apps are looked up: asked in parallel, merged
	// in this order. None: policies know what the token says.
	DirectoriesRaw []json.RawMessage `json:"directories,omitempty" caddy:"namespace=token_enrich.directories inline_key=kind"`

	// How long answers are used, and where they are kept.
	Cache *Cache `json:"cache,omitempty"`

	// The keys for tokens that the gateway signs; required as soon as a
	// policy forwards one.
	Signing *Signing `json:"signing,omitempty"`

	// How long the deny list serves without having been confirmed; after that
	// requests are answered 503 where denials are in use. Default: 30s.
	DenyMaxAge caddy.Duration `json:"deny_max_age,omitempty"`

	// What to do with an unconfirmed deny list: deny (default) or continue.
	OnDenylistError string `json:"on_denylist_error,omitempty"`

	// What explain and preview may show of people: shapes (default: names,
	// types, counts, reasons) or values.
	Explain string `json:"explain,omitempty"`

	ctx         caddy.Context
	logger      *zap.Logger
	releases    releases
	logs        *logs
	sampler     *logSampler
	metrics     *metrics
	issuers     *issuer.Set
	known       []*issuer.Config // those of issuers, with their names
	directories *directory.Merged
	attributes  []directory.Attributes // of each directory
	warnings    []Warning              // what is suspicious in the data of directories, for check
	store       *storeFuture
	signer      *mint.Signer
	proofs      *issuer.LocalReplayMemory
	decisions   *enrich.Decisions

	// settings tells configurations apart whose decisions must not be shared;
	// sources tells directories apart whose answers must not be, on every node
	// alike.
	settings       []byte
	issuerSettings []byte
	sourced        [sha256.Size]byte

	// developmentSecrets says that a secret of examples/dev is in use;
	// denialsConfigured that a hook can deny, so that a deny list which is out
	// of date matters even if nothing was ever denied.
	developmentSecrets bool
	denialsConfigured  atomic.Bool

	mu sync.Mutex // guards the roster while policies register
	roster
	routes  *checkedRoutes // read and used by the policies as they are provisioned, one by one
	unnamed int            // policies without a name outside of the HTTP app's routes
	owned   atomic.Pointer[forward.Owned]
	gateway atomic.Pointer[enrich.Gateway]
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich",
		New: func() caddy.Module { return new(App) },
	}
}

// Provision sets up what the policies share. It touches neither the network
// nor storage: what is wrong in the configuration itself is an error, a
// server that is down is not.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx = ctx
	a.logger = ctx.Logger()
	a.owned.Store(forward.NewOwned())
	var err error
	if a.logs, err = takeLogs(&a.releases); err != nil {
		return err
	}
	if a.metrics, err = takeMetrics(&a.releases, ctx); err != nil {
		return err
	}
	a.sampler = newLogSampler(a.logs, a.metrics)
	for _, step := range []func() error{a.check, a.openIssuers, a.openProofs, a.openDirectories, a.openStore, a.openSigner, a.openDecisions} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// choices are the options of one word.
func (a *App) choices() []choice {
	return []choice{
		{"on_denylist_error", &a.OnDenylistError, []string{"deny", "continue"}},
		{"explain", &a.Explain, []string{"shapes", "values"}},
	}
}

// check checks what only a Caddyfile's reader has seen, for what came by JSON.
func (a *App) check() error {
	if err := checkChoices(a.choices()); err != nil {
		return err
	}
	return a.checkDenyMaxAge()
}

// loadApp gives the app of the configuration that is being loaded.
func loadApp(ctx caddy.Context) (*App, error) {
	v, err := ctx.App("token_enrich")
	if err != nil {
		return nil, fmt.Errorf("loading the token_enrich app: %w", err)
	}
	app, _ := v.(*App)
	return app, nil
}

// register adds a policy: its name must be free, and the names that it owns
// become everybody's to scrub.
func (a *App) register(p *policy) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	owned, err := a.roster.add(p)
	if err != nil || owned == nil {
		return err
	}
	a.owned.Store(owned)
	if a.signer != nil {
		a.signer.KeepFor(p.compiled.TokenLife())
	}
	return nil
}

// Start begins the background work: keys are fetched, files watched, the
// purge log read. Nothing waits for it.
func (a *App) Start() error {
	a.logs.started.Store(a.logger)
	a.metrics.begin(a)
	a.warnOfDevelopmentSecrets()
	a.issuers.Start(context.Background())
	if a.directories != nil {
		if err := a.directories.Start(); err != nil {
			return fmt.Errorf("starting directories: %w", err)
		}
	}
	if a.signer != nil {
		a.signer.Start(context.Background())
	}
	a.store.start()
	return nil
}

// Stop does nothing: requests outlive a configuration, and what they use is
// given back in Cleanup and closed when its last user is gone.
func (*App) Stop() error { return nil }

// Cleanup gives back what Provision took.
func (a *App) Cleanup() error {
	if a.sampler != nil {
		a.sampler.close()
	}
	if a.logs != nil {
		a.logs.started.CompareAndSwap(a.logger, nil)
	}
	return a.releases.all()
}

// ready gives the gateway. While the key that seals shared entries is not
// known yet, a request waits for it at most two seconds.
func (a *App) ready(ctx context.Context) (*enrich.Gateway, error) {
	if g := a.gateway.Load(); g != nil {
		return g, nil
	}
	store, err := a.store.get(ctx)
	if err != nil {
		return nil, err
	}
	if err := firstReading(ctx, store.Log()); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if g := a.gateway.Load(); g != nil {
		return g, nil
	}
	g := a.newGateway(store)
	a.gateway.Store(g)
	return g, nil
}

// firstReading waits until the purge log was read once or could not be: what
// was denied before this node began is denied from its first request on.
func firstReading(ctx context.Context, log *cache.Log) error {
	timer := time.NewTimer(storeWait)
	defer timer.Stop()
	select {
	case <-log.Attempted():
	case <-timer.C:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the purge log: %w", context.Cause(ctx))
	}
	return nil
}

func (a *App) newGateway(store *cache.Store) *enrich.Gateway {
	proofs := &issuer.ProofMemory{
		Used: &replays{local: a.proofs, client: a.store.client},
		// No entry is of that kind, so nobody else learns the key.
		NonceKey: store.Keyer().Key("dpop nonces", nil),
	}
	g := &enrich.Gateway{
		Issuers: a.issuers, Decisions: a.decisions, Signer: a.signer, Proofs: proofs, Streams: enrich.NewStreams(),
		Denials: store.Denials(), Log: store.Log(), Keyer: store.Keyer(),
		DenyMaxAge: cmp.Or(time.Duration(a.DenyMaxAge), defaultDenyMaxAge), ContinueUnconfirmed: a.OnDenylistError == "continue",
		DenialsConfigured: a.denialsConfigured.Load(),
		Fingerprint:       appendPart(appendPart(nil, string(a.settings)), string(a.releases.instances)), Clock: time.Now, Observer: a.metrics,
		Logger: slog.New(zapHandler(a.sampler.sampledCore(a.logger.Core()))),
	}
	if a.directories != nil {
		g.Lookup = enrich.NewLookup(a.directories, a.sourced[:], store, a.Cache.life())
	}
	return g
}

// defaultDenyMaxAge is how long an unconfirmed deny list serves.
const defaultDenyMaxAge = 30 * time.Second

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
