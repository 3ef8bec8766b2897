package caddymodule

import (
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// Signing is how the gateway signs its own tokens.
type Signing struct {
	// The gateway's own identifier, the iss of its tokens: an HTTPS URL, or
	// HTTP on loopback. The key set is served below it by token_enrich_jwks.
	Issuer string `json:"issuer"`

	// ES256 (default), ES384, EdDSA, RS256 or PS256.
	Algorithm string `json:"algorithm,omitempty"`

	// How long a key signs. Default: 720h.
	Rotate caddy.Duration `json:"rotate,omitempty"`

	// How long a new key is published before it signs. Default: 24h.
	RotateOverlap caddy.Duration `json:"rotate_overlap,omitempty"`

	// PEM files with keys of your own: the first signs, all are published.
	KeyFiles []string `json:"key_files,omitempty"`
}

// UnmarshalCaddyfile reads the signing option; d stands on the word signing.
func (s *Signing) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	if err := parseBlock(d, "signing", []option{
		text("issuer", &s.Issuer),
		word("algorithm", &s.Algorithm, "ES256", "ES384", "EdDSA", "RS256", "PS256"),
		duration("rotate", &s.Rotate),
		duration("rotate_overlap", &s.RotateOverlap),
		texts("key_file", &s.KeyFiles),
	}); err != nil {
		return err
	}
	if s.Issuer == "" {
		return d.Err("signing: issuer is required")
	}
	return nil
}

// config resolves placeholders and durations.
func (s *Signing) config() (mint.Config, error) {
	texts := make([]*string, 0, len(s.KeyFiles)+1)
	texts = append(texts, &s.Issuer)
	for i := range s.KeyFiles {
		texts = append(texts, &s.KeyFiles[i])
	}
	if err := Expand(texts...); err != nil {
		return mint.Config{}, err
	}
	return mint.Config{
		Issuer: s.Issuer, Algorithm: s.Algorithm, Rotate: time.Duration(s.Rotate),
		RotateOverlap: time.Duration(s.RotateOverlap), KeyFiles: s.KeyFiles,
	}, nil
}

// SignedToken is a token that the application receives: where it goes and
// what it says. It always carries iss, sub, aud, exp, iat, nbf and jti, and
// client_id and scope where the incoming token has them; cnf never, because
// the new token is not bound to the client's key.
type SignedToken struct {
	// The header that the token is written to. Default: Authorization, unless
	// cookie is set.
	Header string `json:"header,omitempty"`

	// What stands before the token in the header. Default: Bearer for
	// Authorization, else nothing.
	Scheme string `json:"scheme,omitempty"`

	// The cookie that the token is written to, instead of a header.
	Cookie string `json:"cookie,omitempty"`

	// Whom the token is for. Required.
	Audience []string `json:"audience,omitempty"`

	// How long it lives; never longer than the incoming token. Default: 5m.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// The claim that becomes sub. Default: the subject.
	Subject string `json:"subject,omitempty"`

	// "*" or the names of the claims that it carries. Default: the computed
	// ones.
	Claims []string `json:"claims,omitempty"`

	// The typ header: at+jwt (default) or JWT.
	Type string `json:"type,omitempty"`

	// cached (default): one token serves until half its life is gone;
	// per_request: each request gets one of its own.
	Mint string `json:"mint,omitempty"`
}

func (t SignedToken) definition() mint.TokenDefinition {
	return mint.TokenDefinition{
		Header: t.Header, Scheme: t.Scheme, Cookie: t.Cookie, Audience: t.Audience, TTL: time.Duration(t.TTL),
		Subject: t.Subject, Claims: t.Claims, Type: t.Type, Mint: t.Mint,
	}
}

// unmarshalToken reads the token option of a policy.
func (h *Handler) unmarshalToken(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	at := d.Token()
	var t SignedToken
	err := parseBlock(d, "token", []option{
		{name: "header", parse: func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			switch {
			case len(args) == 2 && args[0] == "cookie":
				t.Cookie = args[1]
			case len(args) == 2:
				t.Header, t.Scheme = args[0], args[1]
			case len(args) == 1:
				t.Header = args[0]
			default:
				return d.Err("header takes a header name with or without a scheme, or cookie and its name")
			}
			return nil
		}},
		texts("audience", &t.Audience),
		duration("ttl", &t.TTL),
		text("subject", &t.Subject),
		texts("claims", &t.Claims),
		word("type", &t.Type, mint.TypeAccess, mint.TypePlain),
		word("mint", &t.Mint, mint.MintCached, mint.MintPerRequest),
	})
	if err != nil {
		return err
	}
	if _, err := mint.Compile(t.definition()); err != nil {
		return errorAt(at, fmt.Errorf("token: %w", err))
	}
	h.Tokens = append(h.Tokens, t)
	return nil
}
