// Package seal encrypts and authenticates what leaves this process for a
// shared cache tier or a browser, and derives the secrets that go with it.
package seal

import (
	"cmp"
	"crypto/hkdf"
	"crypto/hmac"
	crand "crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
)

// KeySize is the length of a seal key in bytes.
const KeySize = 32

// MaxKeys bounds the keys of a ring: one that seals, and a few that are on
// their way out.
const MaxKeys = 8

// ErrKey is returned where a seal key is not one: not base64, or not 32 bytes. It never
// holds any of the key's text.
var ErrKey = errors.New("seal key is not 32 bytes in base64")

// ErrOpen is returned where an envelope does not open: it was edited, cut short, moved
// under another name, sealed under a key that the ring lacks, or is of another
// version.
var ErrOpen = errors.New("sealed entry cannot be opened")

// ErrUnknownKey is an ErrOpen whose cause is a key that the ring lacks.
var ErrUnknownKey = fmt.Errorf("sealed under an unknown key: %w", ErrOpen)

// Labels, one per purpose. None of them is used for two things.
const (
	labelID          = "token-enrich seal key id"
	labelEntry       = "token-enrich seal entries"
	labelFingerprint = "token-enrich seal fingerprint"
	labelPurpose     = "token-enrich derived secret: "
)

// Ring holds seal keys. The first one seals, all of them open, and secrets
// derive from the last: to rotate, put the new key first and drop the old one
// once nothing is sealed with it any more, and the names of all entries stay
// what they are until then.
type Ring struct {
	rand io.Reader
	keys []key
	last []byte
}

type key struct {
	id    [idSize]byte
	entry [KeySize]byte // secret under which entries' own keys are made
}

// NewRing returns a ring over keys of KeySize bytes each. A nil rand means
// crypto/rand.
func NewRing(rand io.Reader, keys ...[]byte) (*Ring, error) {
	rand = cmp.Or(rand, crand.Reader)
	if len(keys) == 0 || len(keys) > MaxKeys {
		return nil, fmt.Errorf("making a ring of %d seal keys: want 1 to %d", len(keys), MaxKeys)
	}
	r := &Ring{rand: rand}
	for i, k := range keys {
		if len(k) != KeySize {
			return nil, fmt.Errorf("reading seal key %d: %w", i+1, ErrKey)
		}
		entry := derive(k, labelEntry)
		id := derive(k, labelID)
		r.keys = append(r.keys, key{id: [idSize]byte(id[:idSize]), entry: entry})
		for _, other := range r.keys[:i] {
			if other.id == r.keys[i].id {
				return nil, fmt.Errorf("reading seal key %d: duplicate key", i+1)
			}
		}
	}
	r.last = append([]byte(nil), keys[len(keys)-1]...)
	return r, nil
}

// NewKey makes a key. A nil rand means crypto/rand.
func NewKey(rand io.Reader) ([]byte, error) {
	rand = cmp.Or(rand, crand.Reader)
	k := make([]byte, KeySize)
	if _, err := io.ReadFull(rand, k); err != nil {
		return nil, fmt.Errorf("making a seal key: %w", err)
	}
	return k, nil
}

// ParseKey reads a key from base64 (standard or URL alphabet, padded or not).
func ParseKey(text string) ([]byte, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	text = strings.NewReplacer("+", "-", "/", "_").Replace(text)
	k, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(k) != KeySize {
		return nil, ErrKey // the decoder's own error would hold a byte of it
	}
	return k, nil
}

// Derive returns the secret for one purpose, from the last key of the ring.
func (r *Ring) Derive(purpose string) [32]byte {
	return derive(r.last, labelPurpose+purpose)
}

// Fingerprint differs between rings whose secrets differ, and reveals nothing of
// them. Nodes that share entries must have the same.
func (r *Ring) Fingerprint() string {
	f := derive(r.last, labelFingerprint)
	return hex.EncodeToString(f[:16])
}

func derive(secret []byte, label string) [32]byte {
	// It fails only for lengths that HKDF cannot return, and 32 is not one.
	b, err := hkdf.Key(sha256.New, secret, nil, label, 32)
	if err != nil {
		panic(err)
	}
	return [32]byte(b)
}

// entryKey makes the key of one entry. An envelope moved under another name
// meets another key.
func (k *key) entryKey(name [32]byte) []byte {
	m := hmac.New(sha256.New, k.entry[:])
	m.Write(name[:])
	return m.Sum(nil)
}
