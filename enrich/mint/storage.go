package mint

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// Storage is where the nodes of a cluster share their keys. It is a part of
// certmagic's Storage, so that Caddy's own can be handed over as it is.
type Storage interface {
	// Load returns the value of a name, or fs.ErrNotExist in its chain.
	Load(ctx context.Context, name string) ([]byte, error)

	// Store replaces the value of a name, whole or not at all.
	Store(ctx context.Context, name string, value []byte) error

	// Lock waits for a lock that all nodes respect, until ctx ends. Unlock
	// releases it.
	Lock(ctx context.Context, name string) error
	Unlock(ctx context.Context, name string) error
}

const (
	// storedName is the document with all keys, lockName the lock under which
	// it is changed.
	storedName = "token_enrich/signing/keys.json"
	lockName   = "token_enrich/signing"

	// storageTimeout bounds one call to the storage, and the wait for the lock.
	storageTimeout = 10 * time.Second

	// maxStored bounds the document, maxKeys the keys in it: a ring that is
	// rotated in time holds three or four.
	maxStored = 256 << 10
	maxKeys   = 32

	storedVersion = 1
)

// errStored says that what the storage holds is no key document. It is never
// overwritten: it may be a good one that was damaged, or one of a later
// version.
var errStored = errors.New("stored signing keys cannot be read")

// stored is the document in the storage.
type stored struct {
	Version int `json:"version"`

	// Longest is the longest life, in seconds, of any token that a node signs;
	// it says how long a retired key is published.
	Longest int64 `json:"longest,omitempty"`

	Keys []storedKey `json:"keys"`
}

// storedKey is one key with its private part.
type storedKey struct {
	ID        string    `json:"kid"`
	Algorithm string    `json:"alg"`
	Created   time.Time `json:"created"`
	SignsFrom time.Time `json:"signs_from"`
	PKCS8     []byte    `json:"pkcs8"`
}

// read loads the keys; a storage without any returns an empty ring.
func (s *Signer) read(ctx context.Context) (*ring, error) {
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	text, err := s.storage.Load(ctx, storedName)
	if errors.Is(err, fs.ErrNotExist) {
		return &ring{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("loading signing keys: %w", err)
	}
	return decodeRing(text)
}

func (s *Signer) write(ctx context.Context, r *ring) error {
	text, err := encodeRing(r)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, storageTimeout)
	defer cancel()
	if err := s.storage.Store(ctx, storedName, text); err != nil {
		return fmt.Errorf("storing signing keys: %w", err)
	}
	return nil
}

func encodeRing(r *ring) ([]byte, error) {
	doc := stored{Version: storedVersion, Longest: int64(r.longest / time.Second)}
	for _, k := range r.keys {
		der, err := k.pkcs8()
		if err != nil {
			return nil, err
		}
		doc.Keys = append(doc.Keys, storedKey{
			ID: k.id, Algorithm: k.algorithm, Created: k.created, SignsFrom: k.signsFrom, PKCS8: der,
		})
	}
	text, err := json.MarshalIndent(doc, "", "\t")
	if err != nil {
		return nil, fmt.Errorf("encoding signing keys: %w", err)
	}
	return text, nil
}

// decodeRing reads a document. Its errors name the place and never the
// content.
func decodeRing(text []byte) (*ring, error) {
	if len(text) > maxStored {
		return nil, fmt.Errorf("reading %d bytes of signing keys: %w", len(text), errStored)
	}
	var doc stored
	if err := json.Unmarshal(text, &doc); err != nil {
		// The JSON error is left out: it may quote the stored keys.
		return nil, fmt.Errorf("decoding signing keys: not JSON: %w", errStored)
	}
	switch {
	case doc.Version != storedVersion:
		return nil, fmt.Errorf("decoding signing keys: version %d: %w", doc.Version, errStored)
	case len(doc.Keys) == 0 || len(doc.Keys) > maxKeys:
		return nil, fmt.Errorf("decoding signing keys: %d keys: %w", len(doc.Keys), errStored)
	}
	longest := min(max(doc.Longest, 0), int64(maxTTL/time.Second))
	r := &ring{longest: time.Duration(longest) * time.Second}
	for i, sk := range doc.Keys {
		private, err := jose.ParsePKCS8(sk.PKCS8)
		if err != nil {
			return nil, fmt.Errorf("decoding signing key %d: %w: %w", i, errStored, err)
		}
		k, err := newKey(sk.Algorithm, private)
		if err != nil {
			return nil, fmt.Errorf("decoding signing key %d: %w: %w", i, errStored, err)
		}
		if k.id != sk.ID {
			return nil, fmt.Errorf("decoding signing key %d: its id belongs to another key: %w", i, errStored)
		}
		k.created, k.signsFrom = sk.Created, sk.SignsFrom
		r.keys = append(r.keys, k)
	}
	r.sort()
	return r, nil
}
