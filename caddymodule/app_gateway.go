package caddymodule

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/pooled"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/telemetry"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// This file makes the gateway of a configuration, as soon as the shared cache
// can be used.

// ready returns the gateway, made by the first request. While the key that
// seals shared entries is not known yet, a request waits for it at most two
// seconds.
func (a *App) ready(ctx context.Context) (*enrich.Gateway, error) {
	if g := a.gateway.Load(); g != nil {
		return g, nil
	}
	store, err := a.store.Get(ctx)
	if err != nil {
		return nil, err
	}
	if err := waitForPurgeLog(ctx, store.Log()); err != nil {
		return nil, err
	}
	// Requests that waited together must come to one gateway, which tracks the
	// long-lived ones.
	a.mu.Lock()
	defer a.mu.Unlock()
	if g := a.gateway.Load(); g != nil {
		return g, nil
	}
	g := a.newGateway(store)
	a.gateway.Store(g)
	return g, nil
}

// waitForPurgeLog waits until the purge log was read once or could not be, so
// that what was denied before this node started is denied from its first
// request on.
func waitForPurgeLog(ctx context.Context, log *purgelog.Log) error {
	timer := time.NewTimer(pooled.StoreWait)
	defer timer.Stop()
	select {
	case <-log.Attempted():
	case <-timer.C:
	case <-ctx.Done():
		return fmt.Errorf("waiting for the purge log: %w", context.Cause(ctx))
	}
	return nil
}

// newGateway returns the gateway over what the configuration has opened.
func (a *App) newGateway(store *cache.Store) *enrich.Gateway {
	g := &enrich.Gateway{
		Issuers: a.issuers,
		Proofs: &issuer.ProofMemory{
			Used: pooled.NewReplayMemory(a.proofs, a.store.Client()),
			// No entry is of that kind, so no other key is equal.
			NonceKey: store.KeyDeriver().Key("dpop nonces", nil),
		},
		Decisions: a.decisions,
		Signer:    a.signer,
		LongLived: enrich.NewLongLived(),

		Denials:             store.Denials(),
		DenyMaxAge:          cmp.Or(time.Duration(a.DenyMaxAge), defaultDenyMaxAge),
		ContinueUnconfirmed: a.OnDenylistError == "continue",
		DenialsConfigured:   a.denialsConfigured.Load(),
		Log:                 store.Log(),
		KeyDeriver:          store.KeyDeriver(),

		// With the resources' own names: after one was closed and opened anew,
		// decisions that were made from it must not be found.
		Fingerprint: sha256.Sum256(pooled.AppendPart(pooled.AppendPart(nil, string(a.settings)), a.releases.Instances())),
		Clock:       time.Now,
		Observer:    a.metrics,
		Logger:      slog.New(telemetry.NewHandler(a.sampler.Core(a.logger.Core()))),
	}
	if a.directories != nil {
		g.Lookup = enrich.NewLookup(a.directories, a.sourced[:], store, a.Cache.ttls())
	}
	return g
}

// defaultDenyMaxAge is how long an unconfirmed deny list is used.
const defaultDenyMaxAge = 30 * time.Second
