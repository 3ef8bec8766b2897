package caddymodule

import (
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// Signing configures how the gateway signs its own tokens. The key set is served
// by token_enrich_jwks.
type Signing struct {
	mint.Config
}

// UnmarshalCaddyfile reads the signing option; d is at the word signing.
// Syntax:
//
//	signing {
//		issuer         <url>
//		algorithm      ES256|ES384|EdDSA|RS256|PS256
//		rotate         <duration>
//		rotate_overlap <duration>
//		key_file       <file>...
//	}
func (s *Signing) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	at := d.Token()
	if err := block.Parse(d, "signing", []block.Option{
		block.Text("issuer", &s.Issuer),
		block.Enum("algorithm", &s.Algorithm, "ES256", "ES384", "EdDSA", "RS256", "PS256"),
		block.Duration("rotate", &s.Rotate),
		block.Duration("rotate_overlap", &s.RotateOverlap),
		block.Texts("key_file", &s.KeyFiles),
	}); err != nil {
		return err
	}
	if s.Issuer == "" {
		return d.Err("signing: issuer is required")
	}
	c := s.Config
	if strings.Contains(c.Issuer, "{") {
		c.Issuer = "https://known.when.loaded" // placeholders are expanded then
	}
	if err := c.Validate(); err != nil {
		return block.ErrorAt(at, fmt.Errorf("signing: %w", err))
	}
	return nil
}

// expand replaces the placeholders of the issuer and the key files.
func (s *Signing) expand() error {
	texts := make([]*string, 0, len(s.KeyFiles)+1)
	texts = append(texts, &s.Issuer)
	for i := range s.KeyFiles {
		texts = append(texts, &s.KeyFiles[i])
	}
	return block.Expand(texts...)
}
