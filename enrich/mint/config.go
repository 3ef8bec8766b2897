// Package mint makes the gateway's own tokens: it keeps the signing keys,
// rotates them, publishes their public parts, and signs what the application
// receives in place of the caller's token.
//
// The keys of a cluster live in a storage that all nodes share. A new key is
// published for a while before it signs, so that whoever caches the key set
// can verify each token, and a retired one is published until
// the last token that it signed has expired.
package mint

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Defaults and bounds of Config.
const (
	// defaultAlgorithm signs fast, with short signatures, and is known to
	// every JOSE library (RFC 7518, section 3.1: recommended+).
	defaultAlgorithm = "ES256"

	defaultRotate  = 30 * 24 * time.Hour
	defaultOverlap = 24 * time.Hour

	// minOverlap is the shortest time between a key's publication and its
	// first signature: nodes look for new keys ten times within it.
	minOverlap = time.Second

	// maxKeyFiles bounds key_file: the one that signs, and a handful that are
	// coming or going.
	maxKeyFiles = 16
)

// errConfig is what every refusal of a configuration wraps.
var errConfig = errors.New("invalid signing configuration")

// Config is how the gateway signs: under whose name, with which algorithm, and
// where the keys come from.
type Config struct {
	// The gateway's own identifier: the iss of the tokens that it signs. An
	// https URL without query or fragment (http is accepted for loopback
	// addresses). Below it, at /.well-known/jwks.json, the key set must be
	// served. Required.
	Issuer string `json:"issuer,omitempty"`

	// The signature algorithm: ES256, ES384, EdDSA (over Ed25519), RS256 or
	// PS256. After a change, tokens are signed with the old algorithm until
	// the first key of the new one has been published for rotate_overlap.
	// Default: ES256; with key_file, what the first key is made for.
	Algorithm string `json:"algorithm,omitempty"`

	// How long a key signs. Default: 720h.
	Rotate cache.Duration `json:"rotate,omitempty"`

	// How long a new key is published before it signs; applications that
	// cache the key set must fetch it again within this time. At least 1s and
	// shorter than rotate. Default: 24h.
	RotateOverlap cache.Duration `json:"rotate_overlap,omitempty"`

	// PEM files with keys of your own, instead of keys that are made and
	// rotated here: the first one signs, all are published. The first must be
	// a private key; the others may be public keys or certificates. The files
	// are read at load and looked at again every ten minutes; a broken one
	// then keeps the keys that were there. At most 16.
	KeyFiles []string `json:"key_files,omitempty"`
}

// Validate reports what is wrong in the configuration itself, without touching
// disk, network or storage. The error wraps errConfig.
func (c Config) Validate() error {
	if err := validateIssuer(c.Issuer); err != nil {
		return err
	}
	c = c.withDefaults()
	switch {
	case c.Algorithm != "" && !slices.Contains(algorithms, c.Algorithm):
		return fmt.Errorf("unknown algorithm %q (want %s): %w", c.Algorithm, suggest.JoinOr(algorithms), errConfig)
	case len(c.KeyFiles) > maxKeyFiles:
		return fmt.Errorf("%d key files, at most %d: %w", len(c.KeyFiles), maxKeyFiles, errConfig)
	case slices.Contains(c.KeyFiles, ""):
		return fmt.Errorf("a key file has no name: %w", errConfig)
	case c.RotateOverlap < cache.Duration(minOverlap):
		return fmt.Errorf("rotate_overlap is under %v: %w", minOverlap, errConfig)
	case c.Rotate <= c.RotateOverlap:
		return fmt.Errorf("rotate must be longer than rotate_overlap: %w", errConfig)
	}
	return nil
}

// withDefaults returns the configuration with defaults in place of what is not set.
func (c Config) withDefaults() Config {
	if c.Algorithm == "" && len(c.KeyFiles) == 0 {
		c.Algorithm = defaultAlgorithm
	}
	c.Rotate = cmp.Or(c.Rotate, cache.Duration(defaultRotate))
	c.RotateOverlap = cmp.Or(c.RotateOverlap, cache.Duration(defaultOverlap))
	return c
}

// validateIssuer checks the issuer by RFC 8414, section 2: an https URL without
// query or fragment.
func validateIssuer(issuer string) error {
	if issuer == "" {
		return fmt.Errorf("issuer is missing: %w", errConfig)
	}
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return fmt.Errorf("issuer %q is not a URL: %w", issuer, errConfig)
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(issuer, "#") || u.User != nil:
		return fmt.Errorf("issuer has a user, query or fragment: %w", errConfig)
	case u.Scheme == "https", u.Scheme == "http" && loopback.Host(u.Hostname()):
		return nil
	}
	return fmt.Errorf("issuer %q is not an https URL: %w", issuer, errConfig)
}
