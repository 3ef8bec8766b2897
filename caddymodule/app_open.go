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

	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// This file opens what the policies of a configuration share. Each thing is
// taken from the pool where a running configuration holds one with the same
// settings, and made anew where none does. The cache is in store.go.

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
	issuers := make([]*issuer.Issuer, len(configs))
	for i, c := range configs {
		// With what its files hold: a key that was taken out of one is gone
		// with the next reload.
		files := [][]byte{contents(c.JWKSFile), contents(c.CA)}
		if c.Introspect != nil {
			files = append(files, contents(c.Introspect.PrivateKey)) // nothing where it is the key itself
		}
		key, err := digest(c, files)
		if err != nil {
			return err
		}
		made := false
		issuers[i], err = acquire(&a.releases, "issuer", key, func() (*issuer.Issuer, error) {
			made = true
			return issuer.New(*c, issuer.Options{Logger: a.logs.logger(), Observer: a.metrics})
		}, func(i *issuer.Issuer) error {
			i.Retire()
			return endLater(drainTime+time.Duration(c.Timeout), (*issuer.Issuer).Stop)(i)
		})
		if err == nil && !made {
			err = issuers[i].Reread()
		}
		if err != nil {
			return err
		}
		a.settings = appendPart(a.settings, key)
	}
	a.issuerSettings = slices.Clone(a.settings)
	a.known = configs
	var err error
	a.issuers, err = issuer.NewSet(issuers...)
	return err
}

// ErrNoDirectory is a module in the namespace of directories that is no
// DirectoryModule.
var ErrNoDirectory = errors.New("the module is no directory module")

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
	return a.directories.Validate(a.issuers.Names())
}

// untold is what no directory can say of the subjects of any of these issuers.
func (a *App) untold(issuers []string) identity.Facts {
	untold := identity.AllFacts
	if a.directories == nil {
		return untold
	}
	for _, name := range issuers {
		untold &= a.directories.Untold(name)
	}
	return untold
}

// openDirectory takes or makes one directory, with its guard.
func (a *App) openDirectory(mod DirectoryModule) (directory.Member, error) {
	s := mod.Settings()
	kind := mod.CaddyModule().ID.Name()
	if s.Name == "" {
		s.Name = kind
	}
	var read [][]byte
	if f, ok := mod.(DirectoryFiles); ok {
		for _, name := range f.Files() {
			read = append(read, contents(name))
		}
	}
	// With the issuers, because a kind may hold on to one of them.
	key, err := digest(kind, mod, read, a.issuerSettings)
	if err != nil {
		return directory.Member{}, err
	}
	logger := a.logs.logger()
	guarded, err := acquire(&a.releases, "directory", key, func() (*directory.Guarded, error) {
		d, err := mod.Open(DirectoryContext{
			Logger: logger.With("directory", s.Name), Clock: time.Now, Issuer: a.issuers.Issuer, Changed: forgetAll,
		})
		if err != nil {
			return nil, err
		}
		return directory.NewGuarded(d, directory.GuardOptions{
			Name: s.Name, Timeout: time.Duration(s.Timeout), Concurrency: s.Concurrency,
			Logger: logger, Observer: a.metrics,
		})
	}, endLater(drainTime, func(g *directory.Guarded) {
		if err := g.Close(); err != nil {
			logger.Warn("a directory did not close", "error", err)
		}
	}))
	if err != nil {
		return directory.Member{}, err
	}
	a.settings = appendPart(a.settings, key)
	a.metrics.DirectoryState(s.Name, guarded.State())
	kept := guarded.Attributes()
	if len(s.Attributes) > 0 {
		kept.User = s.Attributes
	}
	a.attributes = append(a.attributes, kept)
	for _, text := range guarded.Warnings() {
		a.warnings = append(a.warnings, Warning{Where: "directory " + s.Name, Text: text})
	}
	return directory.Member{
		Directory: guarded, Name: s.Name, Required: !s.Optional, Issuers: s.Issuers, Match: s.Match, Attributes: s.Attributes,
	}, nil
}

// drainTime is how long what no configuration uses any more goes on for requests
// that came before the reload and have not got to it yet: longer than they may
// wait for anything of ours before, issuers' time-outs apart.
const drainTime = 5 * time.Second

// endLater gives what ends a thing whose last configuration is gone.
func endLater[T any](wait time.Duration, end func(T)) func(T) error {
	return func(v T) error {
		time.AfterFunc(wait, func() { end(v) })
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
	a.settings = appendPart(a.settings, key) // decisions hold what was signed
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
