package caddymodule

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/pooled"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/telemetry"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// This file opens what the policies of a configuration share, in the order of
// App.Provision. Each thing is acquired from the pool where a running
// configuration holds one with the same settings, and made anew where none
// does.

// openTelemetry acquires the process's logs and counters, and registers the
// counters with the configuration's registry.
func (a *App) openTelemetry() error {
	var err error
	if a.logs, err = pooled.Acquire(&a.releases, "logs", "", func() (*telemetry.Logs, error) { return telemetry.NewLogs(activeCore), nil }, nil); err != nil {
		return fmt.Errorf("taking the logs: %w", err)
	}
	if a.metrics, err = pooled.Acquire(&a.releases, "metrics", "", func() (*telemetry.Metrics, error) { return telemetry.NewMetrics(), nil }, nil); err != nil {
		return fmt.Errorf("taking the metrics: %w", err)
	}
	a.sampler = telemetry.NewSampler(a.logs, a.metrics)
	if registry := a.ctx.GetMetricsRegistry(); registry != nil {
		return a.metrics.Register(registry)
	}
	return nil
}

// activeCore returns the core that the app of the running configuration logs to,
// or Caddy's own where there is none.
func activeCore() zapcore.Core {
	if app, err := ActiveApp(); err == nil {
		return app.logger.Core()
	}
	return caddy.Log().Core()
}

// openIssuers acquires the issuers.
func (a *App) openIssuers() error {
	configs := make([]*issuer.Config, len(a.Issuers))
	for i, is := range a.Issuers {
		if is == nil {
			return fmt.Errorf("issuer %d is empty", i+1)
		}
		if err := is.expand(); err != nil {
			return fmt.Errorf("issuer %d: %w", i+1, err)
		}
		config := is.settings()
		configs[i] = &config
	}
	if err := issuer.ResolveNames(configs); err != nil {
		return err
	}
	// An issuer that the running configuration has, too, keeps its keys and
	// when they were fetched.
	issuers := make([]*issuer.Issuer, len(configs))
	for i, c := range configs {
		// With what its files hold: a key that was taken out of one is gone
		// with the next reload.
		files := [][]byte{pooled.FileContents(c.JWKSFile), pooled.FileContents(c.CA)}
		if c.Introspect != nil {
			files = append(files, pooled.FileContents(c.Introspect.PrivateKey)) // nothing where it is the key itself
		}
		key, err := pooled.Digest(c, files)
		if err != nil {
			return err
		}
		made := false
		issuers[i], err = pooled.Acquire(&a.releases, "issuer", key, func() (*issuer.Issuer, error) {
			made = true
			return issuer.New(*c, issuer.Options{Logger: a.logs.Logger(), Observer: a.metrics})
		}, func(i *issuer.Issuer) error {
			i.StopRefresh()
			return pooled.CloseAfter(pooled.DrainTime+time.Duration(c.Timeout), (*issuer.Issuer).Stop)(i)
		})
		if err == nil && !made {
			err = issuers[i].ReloadKeyFile()
		}
		if err != nil {
			return err
		}
		a.settings = pooled.AppendPart(a.settings, key)
	}
	// Before anything else is added to them: directories depend on issuers.
	a.issuerSettings = slices.Clone(a.settings)
	a.known = configs
	var err error
	a.issuers, err = issuer.NewSet(issuers...)
	return err
}

// ErrNoDirectory says that a module in the namespace of directories does not
// implement DirectoryModule.
var ErrNoDirectory = errors.New("not a directory module")

// openDirectories acquires the directories and merges them.
func (a *App) openDirectories() error {
	if len(a.DirectoriesRaw) == 0 {
		return nil
	}
	mods, err := a.ctx.LoadModule(a, "DirectoriesRaw")
	if err != nil {
		return fmt.Errorf("loading directories: %w", err)
	}
	// In the order of the configuration, in which they are merged.
	var members []directory.Source
	for i, mod := range mods.([]any) {
		d, ok := mod.(DirectoryModule)
		if !ok {
			return fmt.Errorf("directory %d: %w: %T has no Settings, or no Open with a caddymodule.DirectoryContext", i+1, ErrNoDirectory, mod)
		}
		m, err := a.openDirectory(d)
		if err != nil {
			return fmt.Errorf("directory %q: %w", d.Settings().Name, err)
		}
		members = append(members, m)
	}
	// The cache uses it in keyed hashes only, so it does not reveal the secrets
	// in the text. It must not depend on this process: other nodes share entries.
	text, err := json.Marshal(mods)
	if err != nil {
		return fmt.Errorf("computing the fingerprint of the directories: %w", err)
	}
	a.sourced = sha256.Sum256(text)
	a.directories, err = directory.NewComposite(members, directory.CompositeOptions{Logger: a.logs.Logger(), Observer: a.metrics})
	if err != nil {
		return err
	}
	return a.directories.Validate(a.issuers.Names())
}

// unavailableFacts returns what no directory can say of the subjects of any of
// these issuers.
func (a *App) unavailableFacts(issuers []string) identity.Facts {
	unavailable := identity.AllFacts
	if a.directories == nil {
		return unavailable
	}
	for _, name := range issuers {
		unavailable &= a.directories.Unsupported(name)
	}
	return unavailable
}

// openDirectory acquires one directory, with what guards it from overload and
// outages.
func (a *App) openDirectory(mod DirectoryModule) (directory.Source, error) {
	s := mod.Settings()
	kind := mod.CaddyModule().ID.Name()
	if s.Name == "" {
		s.Name = kind
	}
	if err := checkSendsToken(mod, a.known); err != nil {
		return directory.Source{}, err
	}
	var read [][]byte
	if f, ok := mod.(DirectoryFiles); ok {
		for _, name := range f.Files() {
			read = append(read, pooled.FileContents(name))
		}
	}
	// With the issuers, because a kind may hold on to one of them.
	key, err := pooled.Digest(kind, mod, read, a.issuerSettings)
	if err != nil {
		return directory.Source{}, err
	}
	logger := a.logs.Logger()
	guarded, err := pooled.Acquire(&a.releases, "directory", key, func() (*directory.Resilient, error) {
		d, err := mod.Open(DirectoryContext{
			Logger: logger.With("directory", s.Name), Clock: time.Now, Issuer: a.issuers.Issuer, Changed: purgeAll,
		})
		if err != nil {
			return nil, err
		}
		return directory.NewResilient(d, directory.ResilientOptions{
			Name: s.Name, Timeout: time.Duration(s.Timeout), Concurrency: s.Concurrency,
			Logger: logger, Observer: a.metrics,
		})
	}, pooled.CloseAfter(pooled.DrainTime, func(g *directory.Resilient) {
		if err := g.Close(); err != nil {
			logger.Warn("closing a directory failed", "error", err)
		}
	}))
	if err != nil {
		return directory.Source{}, err
	}
	a.settings = pooled.AppendPart(a.settings, key)
	// The circuit breaker may be open since the configuration before.
	a.metrics.DirectoryState(s.Name, guarded.State())
	// For check, which warns of attributes that no directory keeps.
	kept := guarded.Attributes()
	if len(s.Attributes) > 0 {
		kept.User = s.Attributes
	}
	a.attributes = append(a.attributes, kept)
	for _, text := range guarded.Warnings() {
		a.warnings = append(a.warnings, Warning{Where: "directory " + s.Name, Text: text})
	}
	return directory.Source{
		Directory: guarded, Name: s.Name, Required: !s.Optional, Issuers: s.Issuers, Match: s.Match, Attributes: s.Attributes,
	}, nil
}

// purgeAll purges the records of the running configuration. It looks that up
// when it is called: a directory outlives the configuration that opened it.
func purgeAll() {
	app, err := ActiveApp()
	if err != nil {
		return
	}
	if store := app.store.Current(); store != nil {
		ctx, cancel := context.WithTimeout(context.Background(), pooled.StoreWait)
		defer cancel()
		if _, err := store.PurgeAll(ctx); err != nil {
			app.logger.Warn("a directory change could not be sent to other nodes", zap.Error(err))
		}
	}
}

// openStore acquires the store of the cache.
func (a *App) openStore() error {
	c := a.Cache
	if c == nil {
		c = new(Cache)
	}
	if err := errors.Join(c.check(), c.expand()); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	keys := make([][]byte, len(c.SealKeys))
	for i, text := range c.SealKeys {
		var err error
		if keys[i], err = seal.ParseKey(text); err != nil {
			return fmt.Errorf("cache: seal_key %d: %w", i+1, err)
		}
		a.developmentSecrets = a.developmentSecrets || string(keys[i]) == developmentSealKey
	}
	var remote *redis.Config
	if c.Redis != nil {
		config := c.Redis.Config
		if err := config.Validate(); err != nil {
			return fmt.Errorf("cache: %w", err)
		}
		remote = &config
	}
	var authority []byte
	if remote != nil && remote.TLS != nil {
		authority = pooled.FileContents(remote.TLS.CA)
	}
	store, key, err := pooled.OpenStore(&a.releases, pooled.StoreOptions{
		Memory: c.Memory, Remote: remote, Authority: authority, SealKeys: keys, Storage: a.ctx.Storage(),
		Logger: a.logs.Logger(), Observer: a.metrics,
	})
	if err != nil {
		return err
	}
	a.settings = pooled.AppendPart(a.settings, key) // the names on the deny list are the store's own
	a.store = store
	if slices.ContainsFunc(a.Issuers, func(is *Issuer) bool { return is.Login != nil }) {
		a.logins.ring, err = pooled.OpenRing(&a.releases, keys, a.ctx.Storage(), a.logs.Logger())
	}
	return err
}

// openProofs acquires this process's memory of used DPoP proofs.
func (a *App) openProofs() (err error) {
	a.proofs, err = pooled.AcquireReplays(&a.releases)
	return err
}

// openSigner acquires the signer, which holds the signing keys.
func (a *App) openSigner() error {
	if a.Signing == nil {
		return nil
	}
	if err := a.Signing.expand(); err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	c := a.Signing.Config
	// The keys are in the storage, so another storage is another signer.
	storage := a.ctx.Storage()
	key, err := pooled.Digest(c, fmt.Sprintf("%T %v", storage, storage))
	if err != nil {
		return err
	}
	a.settings = pooled.AppendPart(a.settings, key) // decisions hold what was signed
	a.signer, err = pooled.Acquire(&a.releases, "signer", key, func() (*mint.Signer, error) {
		return mint.New(c, mint.Options{Storage: storage, Logger: a.logs.Logger()})
	}, func(s *mint.Signer) error {
		s.Stop()
		return nil
	})
	return err
}

// openDecisions acquires the decision cache.
func (a *App) openDecisions() error {
	// Decisions of configurations that differ have different keys, so the cache
	// can be shared by all of the same size.
	size := a.Cache.decisionMemory()
	var err error
	a.decisions, err = pooled.Acquire(&a.releases, "decisions", fmt.Sprint(size), func() (*enrich.DecisionCache, error) {
		return enrich.NewDecisionCache(size, rand.Reader)
	}, nil)
	if err != nil {
		return err
	}
	if registry := a.ctx.GetMetricsRegistry(); registry != nil {
		return telemetry.RegisterSizes(registry, a.store.Current, a.decisions)
	}
	return nil
}
