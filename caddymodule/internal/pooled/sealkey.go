package pooled

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

// Where the seal key is in Caddy's storage, and the lock under which it is
// made.
const (
	sealKeyName = "token_enrich/seal.key"
	sealKeyLock = "token_enrich/seal"
)

// sealKey loads the key that seals shared entries from Caddy's storage, which
// the nodes of a cluster share, or makes it there.
func sealKey(ctx context.Context, storage certmagic.Storage) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, sealKeyTimeout)
	defer cancel()
	text, err := storage.Load(ctx, sealKeyName)
	if err == nil {
		return seal.ParseKey(string(text))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("loading the seal key: %w", err)
	}
	if err := storage.Lock(ctx, sealKeyLock); err != nil {
		return nil, fmt.Errorf("locking the seal key: %w", err)
	}
	defer func() { _ = storage.Unlock(context.WithoutCancel(ctx), sealKeyLock) }()
	if text, err := storage.Load(ctx, sealKeyName); err == nil { // another node was faster
		return seal.ParseKey(string(text))
	}
	key, err := seal.NewKey(nil)
	if err != nil {
		return nil, err
	}
	if err := storage.Store(ctx, sealKeyName, []byte(base64.StdEncoding.EncodeToString(key))); err != nil {
		return nil, fmt.Errorf("storing the seal key: %w", err)
	}
	return key, nil
}

// sealKeyTimeout bounds one attempt to load or make the key.
const sealKeyTimeout = 10 * time.Second
