// Package caddymodule is the gateway as Caddy knows it: configuration,
// handlers, commands, admin endpoints, metrics. It adapts and decides
// nothing; decisions are taken in package enrich.
package caddymodule

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
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
	metrics     *metrics
	issuers     *issuer.Set
	directories *directory.Merged
	kept        [][]string // of each directory, the attributes that it keeps; none: all
	store       *storeFuture
	signer      *mint.Signer
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

	mu       sync.Mutex // guards policies while they register
	policies []*policy
	unnamed  int
	owned    atomic.Pointer[forward.Owned]
	spared   atomic.Pointer[[]string]
	sources  forward.Sources
	gateway  atomic.Pointer[enrich.Gateway]
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
	a.spared.Store(new([]string))
	var err error
	if a.logs, err = takeLogs(&a.releases); err != nil {
		return err
	}
	if a.metrics, err = takeMetrics(&a.releases, ctx); err != nil {
		return err
	}
	for _, step := range []func() error{a.check, a.openIssuers, a.openDirectories, a.openStore, a.openSigner, a.openDecisions} {
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
	return checkPeriods(period{"deny_max_age", a.DenyMaxAge})
}

// openIssuers takes or makes the issuers.
func (a *App) openIssuers() error {
	configs := make([]*issuer.Config, len(a.Issuers))
	for i, is := range a.Issuers {
		if is == nil {
			return fmt.Errorf("issuer %d is empty", i+1)
		}
		if err := is.expand(); err != nil {
			return fmt.Errorf("issuer %d: %w", i+1, err)
		}
		config := is.Config
		configs[i] = &config
	}
	if err := issuer.ResolveNames(configs); err != nil {
		return err
	}
	used, err := acquire(&a.releases, "replays", "", newReplays, nil)
	if err != nil {
		return err
	}
	issuers := make([]*issuer.Issuer, len(configs))
	for i, c := range configs {
		// With what its files hold: a key that was taken out of one is gone
		// with the next reload.
		key, err := digest(c, contents(c.JWKSFile), contents(c.CA))
		if err != nil {
			return err
		}
		issuers[i], err = acquire(&a.releases, "issuer", key, func() (*issuer.Issuer, error) {
			return issuer.New(*c, issuer.Options{Logger: a.logs.logger(), Observer: a.metrics, Replay: used})
		}, func(i *issuer.Issuer) error {
			i.Stop()
			return nil
		})
		if err != nil {
			return err
		}
		a.settings = append(a.settings, key...)
	}
	a.issuerSettings = slices.Clone(a.settings)
	a.issuers, err = issuer.NewSet(issuers...)
	return err
}

// openDirectories takes or makes the directories and merges them.
func (a *App) openDirectories() error {
	if len(a.DirectoriesRaw) == 0 {
		return nil
	}
	mods, err := a.ctx.LoadModule(a, "DirectoriesRaw")
	if err != nil {
		return fmt.Errorf("loading directories: %w", err)
	}
	var members []directory.Member
	for _, mod := range mods.([]any) {
		m, err := a.openDirectory(mod.(DirectoryModule))
		if err != nil {
			return fmt.Errorf("directory %q: %w", mod.(DirectoryModule).Settings().Name, err)
		}
		members = append(members, m)
	}
	// Under the cache's keyed hash, so the secrets in it reveal nothing.
	text, err := json.Marshal(mods)
	if err != nil {
		return fmt.Errorf("taking the directories' fingerprint: %w", err)
	}
	a.sourced = sha256.Sum256(text)
	a.directories, err = directory.NewMerged(members, directory.MergeOptions{Logger: a.logs.logger(), Observer: a.metrics})
	if err != nil {
		return err
	}
	var names []string
	for _, i := range a.issuers.Issuers() {
		names = append(names, i.Name())
	}
	return a.directories.Validate(names)
}

func (a *App) openDirectory(mod DirectoryModule) (directory.Member, error) {
	s := mod.Settings()
	kind := mod.CaddyModule().ID.Name()
	if s.Name == "" {
		s.Name = kind
	}
	// With the issuers, because a kind may hold on to one of them.
	key, err := digest(kind, mod, a.issuerSettings)
	if err != nil {
		return directory.Member{}, err
	}
	guarded, err := acquire(&a.releases, "directory", key, func() (*directory.Guarded, error) {
		d, err := mod.Open(DirectoryContext{
			Name: s.Name, Logger: a.logs.logger().With("directory", s.Name), Clock: time.Now, Issuer: a.issuers.Issuer, Changed: forgetAll,
		})
		if err != nil {
			return nil, err
		}
		return directory.NewGuarded(d, directory.GuardOptions{
			Name: s.Name, Timeout: time.Duration(s.Timeout), Concurrency: s.Concurrency,
			Logger: a.logs.logger(), Observer: a.metrics,
		})
	}, closeLater(a.logs.logger()))
	if err != nil {
		return directory.Member{}, err
	}
	a.settings = append(a.settings, key...)
	a.metrics.DirectoryState(s.Name, guarded.State())
	kept := s.Attributes
	if len(kept) == 0 {
		kept = guarded.Attributes()
	}
	a.kept = append(a.kept, kept)
	return directory.Member{
		Directory: guarded, Name: s.Name, Required: !s.Optional, Issuers: s.Issuers, Match: s.Match, Attributes: s.Attributes,
	}, nil
}

// drainTime is how long a directory that no configuration uses any more stays
// open for requests that came before the reload and have not reached their
// look-up: longer than they may wait for anything of ours.
const drainTime = 5 * time.Second

func closeLater(logger *slog.Logger) func(*directory.Guarded) error {
	return func(g *directory.Guarded) error {
		time.AfterFunc(drainTime, func() {
			if err := g.Close(); err != nil {
				logger.Warn("a directory did not close", "error", err)
			}
		})
		return nil
	}
}

// forgetAll makes the running configuration forget its records. It looks for
// that configuration when it is called: a directory outlives the one that
// opened it.
func forgetAll() {
	app, err := activeApp()
	if err != nil {
		return
	}
	if store := app.store.peek(); store != nil {
		ctx, cancel := context.WithTimeout(context.Background(), storeWait)
		defer cancel()
		if _, err := store.PurgeAll(ctx); err != nil {
			app.logger.Warn("other nodes could not be told that a directory changed", zap.Error(err))
		}
	}
}

// openSigner takes or makes the signing keys' holder.
func (a *App) openSigner() error {
	if a.Signing == nil {
		return nil
	}
	if err := a.Signing.expand(); err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	c := a.Signing.Config
	storage := a.ctx.Storage()
	key, err := digest(c, fmt.Sprintf("%T %v", storage, storage))
	if err != nil {
		return err
	}
	a.settings = append(a.settings, key...) // decisions hold what was signed
	a.signer, err = acquire(&a.releases, "signer", key, func() (*mint.Signer, error) {
		return mint.New(c, mint.Options{Storage: storage, Logger: a.logs.logger()})
	}, func(s *mint.Signer) error {
		s.Stop()
		return nil
	})
	return err
}

// openDecisions takes or makes the decision cache.
func (a *App) openDecisions() error {
	size := a.Cache.decisionMemory()
	var err error
	a.decisions, err = acquire(&a.releases, "decisions", fmt.Sprint(size), func() (*enrich.Decisions, error) {
		return enrich.NewDecisions(size, rand.Reader)
	}, nil)
	if err != nil {
		return err
	}
	if registry := a.ctx.GetMetricsRegistry(); registry != nil {
		return register(registry, sizes{store: a.store, decisions: a.decisions})
	}
	return nil
}

// register adds a policy: its name must be free, and the names that it owns
// become everybody's to scrub.
func (a *App) register(p *policy) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	contracts := make([]*forward.Contract, 0, len(a.policies)+1)
	for _, q := range a.policies {
		if q.compiled.Name() == p.compiled.Name() && q.matchers == p.matchers && q.compiled.Equal(p.compiled) {
			return nil // one site on two ports
		}
		if q.compiled.Name() == p.compiled.Name() {
			return fmt.Errorf("two policies are named %q", p.compiled.Name())
		}
		contracts = append(contracts, q.compiled.Contract())
	}
	sources := a.sources
	for _, place := range p.compiled.Places() {
		switch place.Kind {
		case "header":
			sources.Headers = append(sources.Headers, place.Name)
		case "cookie":
			sources.Cookies = append(sources.Cookies, place.Name)
		}
	}
	owned, err := forward.NewOwned(append(contracts, p.compiled.Contract())...).Sparing(sources)
	if err != nil {
		return err
	}
	a.policies = append(a.policies, p)
	a.sources = sources
	a.owned.Store(owned)
	spared := sparedHeaders(owned, sources)
	a.spared.Store(&spared)
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
	for _, i := range a.issuers.Issuers() {
		i.Start(context.Background())
	}
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
	g := &enrich.Gateway{
		Issuers: a.issuers, Decisions: a.decisions, Signer: a.signer, Streams: enrich.NewStreams(),
		Denials: store.Denials(), Log: store.Log(), Keyer: store.Keyer(),
		DenyMaxAge: or(a.DenyMaxAge, defaultDenyMaxAge), ContinueUnconfirmed: a.OnDenylistError == "continue",
		DenialsConfigured: a.denialsConfigured.Load(),
		Fingerprint:       append(slices.Clone(a.settings), a.releases.instances...), Clock: time.Now, Logger: a.ctx.Slogger(), Observer: a.metrics,
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
