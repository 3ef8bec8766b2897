package mint

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Paths, below the issuer, of the two documents that applications verify with.
const (
	KeySetPath    = "/.well-known/jwks.json"
	DiscoveryPath = "/.well-known/openid-configuration"
)

// KeySet returns the key set (RFC 7517, section 5) with its entity tag: public
// parts only, the key that signs first. It never waits; before the first keys
// are there it is ErrNotReady. The bytes must not be changed.
func (s *Signer) KeySet() (document []byte, etag string, err error) {
	r := s.ring.Load()
	if r == nil {
		return nil, "", ErrNotReady
	}
	return r.document, r.etag, nil
}

// KeySetMaxAge is how long who fetches the key set may keep it: half of the
// overlap, at most an hour, so that a new key is known before it signs.
func (s *Signer) KeySetMaxAge() time.Duration {
	return min(time.Duration(s.config.RotateOverlap)/2, time.Hour).Truncate(time.Second)
}

// Discovery returns the metadata document from which OpenID Connect libraries
// find the key set (OpenID Connect Discovery, section 3). The gateway has no
// authorization endpoint, and says so by offering no response types.
func (s *Signer) Discovery() ([]byte, error) {
	r := s.ring.Load()
	if r == nil {
		return nil, ErrNotReady
	}
	document, err := json.Marshal(struct {
		Issuer        string   `json:"issuer"`
		KeySet        string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
		SubjectTypes  []string `json:"subject_types_supported"`
		Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	}{
		Issuer:        s.config.Issuer,
		KeySet:        strings.TrimSuffix(s.config.Issuer, "/") + KeySetPath,
		ResponseTypes: []string{},
		SubjectTypes:  []string{"public"},
		Algorithms:    r.algorithms,
	})
	if err != nil {
		return nil, fmt.Errorf("rendering metadata: %w", err)
	}
	return document, nil
}

// KeyInfo is what an operator may know of a key.
type KeyInfo struct {
	ID        string `json:"kid"`
	Algorithm string `json:"alg"`
	// State is "signing", "next" (published, signs later), "retired"
	// (published for the tokens that it signed) or, for a key from a file that
	// is not the first, "published": whether it comes or goes is not known here.
	State string `json:"state"`
	// Created and SignsFrom are zero for keys from files.
	Created   time.Time `json:"created,omitzero"`
	SignsFrom time.Time `json:"signs_from,omitzero"`
	// PublishedUntil is set for retired keys.
	PublishedUntil time.Time `json:"published_until,omitzero"`
}

// List returns the keys that are published, in the order of the key set. It is
// empty before the first keys are there.
func (s *Signer) List() []KeyInfo {
	r := s.ring.Load()
	if r == nil {
		return nil
	}
	now := s.clock()
	present := r.active(s.config.Algorithm, now)
	list := make([]KeyInfo, 0, len(r.keys))
	for i := range r.keys {
		k := r.keys[len(r.keys)-1-i]
		info := KeyInfo{ID: k.id, Algorithm: k.algorithm, State: "retired", Created: k.created}
		if len(s.config.KeyFiles) > 0 {
			info.State = "published"
		} else {
			info.SignsFrom = k.signsFrom
			if until, retired := r.publishedUntil(k, s.config, now); retired {
				if now.After(until) {
					continue
				}
				info.PublishedUntil = until
			}
		}
		switch {
		case k == present:
			info.State = "signing"
			info.PublishedUntil = time.Time{}
		case k.signsFrom.After(now):
			info.State = "next"
		}
		if info.State == "signing" {
			list = append([]KeyInfo{info}, list...)
		} else {
			list = append(list, info)
		}
	}
	return list
}
