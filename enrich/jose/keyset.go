package jose

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// This file reads key sets and finds the key for a token.

const (
	// maxKeys bounds the keys of a set that are read. Sets in use have fewer
	// than ten.
	maxKeys = 128
	// maxTrials bounds the keys that are tried for a token without a kid, and
	// so the work that one token can cause.
	maxTrials = 16
)

// Why a text is not a usable key set.
var (
	// ErrNotKeySet is a text that is not a JSON object with an array "keys".
	ErrNotKeySet = errors.New("not a JSON object with an array \"keys\"")
	// ErrNoKeys is a key set of which no key can be used.
	ErrNoKeys = errors.New("no usable key in the key set")
	// ErrMixedKeys is a key set for HMACs that holds public keys as well.
	ErrMixedKeys = errors.New("symmetric and public keys in one key set")
)

// A KeySet holds the usable keys of one issuer, indexed for look-ups. It is never
// changed, and safe for concurrent use.
type KeySet struct {
	keys    []*Key
	byKid   map[string]bool
	byName  map[kidAlgorithm][]*Key
	byAlg   map[*Algorithm][]*Key
	digest  [sha256.Size]byte
	skipped int
}

// kidAlgorithm is what a token with a kid names its key by.
type kidAlgorithm struct {
	kid string
	alg *Algorithm
}

// ParseKeySet reads a JWK Set (RFC 7517, section 5) key by key. A key that cannot
// be used is skipped and counted, and the others work. Keys that occur twice
// count once.
//
// Symmetric says whether the issuer's algorithms are HMACs. Public keys and
// secrets never meet in one set (RFC 8725, section 2.1): for HMACs a set of both
// is ErrMixedKeys, and otherwise secrets are skipped. The other errors are
// ErrNotKeySet and ErrNoKeys.
func ParseKeySet(text []byte, symmetric bool) (*KeySet, error) {
	s := new(KeySet)
	seen := make(map[[sha256.Size]byte]bool)
	mixed := false
	err := eachKey(text, func(raw []byte, index int) {
		if index >= maxKeys {
			s.skipped++
			return
		}
		k, err := ParseKey(raw)
		switch {
		case err != nil:
			s.skipped++
		case k.Symmetric() != symmetric:
			mixed = true
			s.skipped++
		case !seen[k.print]:
			seen[k.print] = true
			s.keys = append(s.keys, k)
		}
	})
	if err != nil {
		return nil, err
	}
	if symmetric && mixed {
		return nil, ErrMixedKeys
	}
	if len(s.keys) == 0 {
		return nil, fmt.Errorf("%w (%d skipped)", ErrNoKeys, s.skipped)
	}
	s.index()
	return s, nil
}

// eachKey calls f with the text of each element of "keys". It checks the outer
// object only, and ignores its other members: a defect in one key must not make
// the others useless.
func eachKey(text []byte, f func(raw []byte, index int)) error {
	d := jsontext.NewDecoder(bytes.NewReader(text), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return ErrNotKeySet
	}
	found := false
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return ErrNotKeySet
		}
		if name.String() != "keys" {
			if err := d.SkipValue(); err != nil {
				return ErrNotKeySet
			}
			continue
		}
		if t, err := d.ReadToken(); err != nil || t.Kind() != '[' || found {
			return ErrNotKeySet
		}
		found = true
		index := 0
		for ; d.PeekKind() != ']'; index++ {
			raw, err := d.ReadValue()
			if err != nil {
				return ErrNotKeySet
			}
			f(raw, index)
		}
		if _, err := d.ReadToken(); err != nil {
			return ErrNotKeySet
		}
	}
	if _, err := d.ReadToken(); err != nil || !found {
		return ErrNotKeySet
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return ErrNotKeySet
	}
	return nil
}

// index fills the maps for look-ups and computes the digest, which does not depend
// on the order of the keys.
func (s *KeySet) index() {
	s.byKid = make(map[string]bool)
	s.byName = make(map[kidAlgorithm][]*Key)
	s.byAlg = make(map[*Algorithm][]*Key)
	prints := make([][sha256.Size]byte, 0, len(s.keys))
	for _, k := range s.keys {
		prints = append(prints, k.print)
		if k.kid != "" {
			s.byKid[k.kid] = true
		}
		for i := range algorithms {
			a := &algorithms[i]
			if !k.Fits(a) {
				continue
			}
			s.byAlg[a] = append(s.byAlg[a], k)
			if k.kid != "" {
				name := kidAlgorithm{k.kid, a}
				s.byName[name] = append(s.byName[name], k)
			}
		}
	}
	slices.SortFunc(prints, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	for i := range prints {
		h.Write(prints[i][:])
	}
	h.Sum(s.digest[:0])
}

// Len returns the number of usable keys.
func (s *KeySet) Len() int { return len(s.keys) }

// Skipped returns the number of published keys that cannot be used.
func (s *KeySet) Skipped() int { return s.skipped }

// Equal reports whether both sets hold the same usable keys, in whatever order.
func (s *KeySet) Equal(other *KeySet) bool { return s.digest == other.digest }

// Has reports whether a key of the set has this kid.
func (s *KeySet) Has(kid string) bool { return s.byKid[kid] }

// Why a set has no key for a token. A newer set may have the one that is absent.
var (
	errKeyAbsent    = fmt.Errorf("no key with this kid: %w", ErrUnknownKey)
	errKeyUnfit     = fmt.Errorf("the key with this kid is for another algorithm: %w", ErrUnknownKey)
	errKeyAmbiguous = fmt.Errorf("several keys with this kid: %w", ErrUnknownKey)
)

// candidates returns the keys to try for a header. With a kid it is the one key of
// that name and algorithm: of several, the outcome would depend on their order,
// so there is none. Without a kid it is each key that fits, up to maxTrials.
func (s *KeySet) candidates(h *Header) ([]*Key, error) {
	if h.KeyID == "" {
		list := s.byAlg[h.Algorithm]
		if len(list) == 0 {
			return nil, errKeyAbsent
		}
		return list[:min(len(list), maxTrials)], nil
	}
	list := s.byName[kidAlgorithm{h.KeyID, h.Algorithm}]
	switch {
	case len(list) == 1:
		return list, nil
	case len(list) > 1:
		return nil, errKeyAmbiguous
	case s.byKid[h.KeyID]:
		return nil, errKeyUnfit
	}
	return nil, errKeyAbsent
}

// Verify checks the signature of a token with the keys of the set. Errors are
// ErrSignature, or wrap ErrUnknownKey. The caller has checked that it allows the
// algorithm.
func (s *KeySet) Verify(t *JWS) error {
	keys, err := s.candidates(t.Header)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(keys, t.VerifiedBy) {
		return ErrSignature
	}
	return nil
}
