package issuer

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file verifies tokens by what their issuer says of them.

// verifyOpaque verifies a token by introspection. The claims of the answer are
// checked as those of a JWT, on each use anew: that is the duty of the protected
// resource (RFC 7662, section 4).
func (i *Issuer) verifyOpaque(ctx context.Context, raw string) (*Verified, error) {
	a, err := i.introspect.ask(ctx, raw, false)
	if err != nil {
		return nil, err
	}
	d, err := i.checkAnswer(a.claims)
	if err != nil {
		return nil, err
	}
	if err := i.rules.checkAudience(a.claims); err != nil {
		return nil, err
	}
	if d.expiry.IsZero() {
		// The server does not say when the token expires: it is valid for as
		// long as the answer.
		d.expiry = a.until
	}
	p, err := i.rules.principal(i.withSubject(a.claims), d)
	if err != nil {
		return nil, err
	}
	if err := checkTokenType(a.claims, p); err != nil {
		return nil, err
	}
	i.introspect.known.add(a.token)
	return &Verified{Principal: p, Issuer: i, KeySet: a.keySet, Until: a.until}, nil
}

// withSubject returns claims in which the client is the subject of a token of its
// own. An answer need not have a sub (RFC 7662, section 2.2), and some servers omit
// it for such tokens. Claims that name a user in any way are returned unchanged.
func (i *Issuer) withSubject(claims map[string]any) map[string]any {
	_, subject := claims["sub"]
	_, user := claims["username"]
	client, err := firstText(claims, i.rules.clientClaims)
	if subject || user || err != nil || client == "" {
		return claims
	}
	named := maps.Clone(claims)
	named["sub"] = client
	return named
}

// confirmJWT asks the issuer about a JWT that has been verified already, and returns
// when the answer expires. A token is refused if it and the answer disagree on the
// subject or the sender constraint.
func (i *Issuer) confirmJWT(ctx context.Context, raw string, p *identity.Principal) (time.Time, error) {
	a, err := i.introspect.ask(ctx, raw, true)
	if err != nil {
		return time.Time{}, err
	}
	if _, err := i.checkAnswer(a.claims); err != nil {
		return time.Time{}, err
	}
	if _, ok := a.claims["aud"]; ok {
		if err := i.rules.checkAudience(a.claims); err != nil {
			return time.Time{}, err
		}
	}
	if sub, ok := a.claims["sub"]; ok && sub != p.Claims["sub"] {
		return time.Time{}, fmt.Errorf("sub differs from that of the token: %w", errClaims)
	}
	c, err := readConfirmation(a.claims)
	if err != nil {
		return time.Time{}, err
	}
	if c.Bound() && c != p.Confirmation {
		return time.Time{}, fmt.Errorf("cnf differs from that of the token: %w", errSender)
	}
	if err := checkTokenType(a.claims, p); err != nil {
		return time.Time{}, err
	}
	return a.until, nil
}

// checkAnswer makes the checks that opaque tokens and JWTs share.
func (i *Issuer) checkAnswer(claims map[string]any) (dates, error) {
	if iss, ok := claims["iss"]; ok && iss != i.identifier {
		return dates{}, fmt.Errorf("iss of the answer: %w", ErrUnknownIssuer)
	}
	if v, ok := claims["token_type"]; ok {
		s, _ := v.(string)
		if !strings.EqualFold(s, "Bearer") && !strings.EqualFold(s, "DPoP") {
			return dates{}, fmt.Errorf("token_type of the answer: %w", errKind)
		}
	}
	if err := i.rules.checkKind("", claims); err != nil {
		return dates{}, err
	}
	return i.rules.readDates(claims, i.clock(), false)
}

// checkTokenType refuses a token that the issuer calls a DPoP token and that is
// bound to no key: as a bearer token it would give more rights than were granted.
func checkTokenType(claims map[string]any, p *identity.Principal) error {
	if s, _ := claims["token_type"].(string); strings.EqualFold(s, "DPoP") && p.Confirmation.KeyThumbprint == "" {
		return fmt.Errorf("a DPoP token without a key: %w", errSender)
	}
	return nil
}
