package issuer

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// This file verifies logout tokens (OpenID Connect Back-Channel Logout 1.0).

// logoutEvent is the event that makes a token a logout token.
const logoutEvent = "http://schemas.openid.net/event/backchannel-logout"

// logoutAge is how old a logout token may be, whatever its exp. It is delivered as
// soon as it is made, and its jti must be remembered for as long as it is accepted.
const logoutAge = 5 * time.Minute

// Logout is a verified logout token (section 2.4). It names a session, a subject, or
// a session of a subject: at least one of the two is not empty.
type Logout struct {
	// Subject is the token's sub, SessionID its sid, and ID its jti, which is
	// never empty.
	Subject, SessionID, ID string
}

// VerifyLogout verifies a logout token of this issuer. Its audience is the client
// that users sign in with, which is often not among the issuer's configured
// audiences; a nil audience means those. The caller must not accept the same
// ID twice. Errors are as those of Set.Verify.
func (i *Issuer) VerifyLogout(ctx context.Context, raw string, audience []string) (*Logout, error) {
	_, claims, err := i.parseStatement(raw, jose.MaxTokenBytes, "logout+jwt")
	if err != nil {
		return nil, err
	}
	// The errors of go-oidc quote the token, so their text is not passed on.
	keys := &causeKeeper{KeySet: i}
	refused := i.verifyLogout(ctx, raw, keys, claims["exp"] != nil)
	if keys.cause != nil {
		return nil, keys.cause
	}
	out, err := i.checkLogout(claims, audience)
	if err == nil && refused != nil {
		return nil, fmt.Errorf("not a logout token of OpenID Connect: %w", errClaims)
	}
	return out, err
}

// verifyLogout verifies a logout token by go-oidc over these keys. It leaves
// audience and dates to checkLogout, which allows several audiences and the leeway.
func (i *Issuer) verifyLogout(ctx context.Context, raw string, keys oidc.KeySet, expires bool) error {
	verifier := i.verifierOver(keys, oidc.Config{SkipClientIDCheck: true, SkipExpiryCheck: true})
	if expires {
		_, err := verifier.VerifyLogout(ctx, raw)
		return err
	}
	// Drafts of the specification had no exp, and some issuers still send none.
	// VerifyLogout demands it; Verify checks signature and issuer.
	_, err := verifier.Verify(ctx, raw)
	return err
}

// checkLogout makes the checks of section 2.6 on the claims of a logout token.
func (i *Issuer) checkLogout(claims map[string]any, audience []string) (*Logout, error) {
	if audience == nil {
		if err := i.rules.checkAudience(claims); err != nil {
			return nil, err
		}
	} else if !slices.ContainsFunc(audience, func(id string) bool { return namesAudience(claims["aud"], id) }) {
		return nil, errAudience
	}
	now := i.clock()
	d, err := i.rules.readDates(claims, now, false)
	if err != nil {
		return nil, err
	}
	switch {
	case d.issued.IsZero():
		return nil, fmt.Errorf("iat is missing: %w", errDates)
	case now.Sub(d.issued) > logoutAge+i.rules.leeway:
		return nil, errExpired
	}
	events, _ := claims["events"].(map[string]any)
	if _, ok := events[logoutEvent].(map[string]any); !ok || len(events) != 1 {
		return nil, fmt.Errorf("not a logout token: %w", errKind)
	}
	if _, ok := claims["nonce"]; ok {
		return nil, fmt.Errorf("a logout token with a nonce: %w", errKind)
	}
	var out Logout
	for name, into := range map[string]*string{"sub": &out.Subject, "sid": &out.SessionID, "jti": &out.ID} {
		if *into, err = readText(claims, name); err != nil {
			return nil, err
		}
	}
	if out.ID == "" || out.Subject == "" && out.SessionID == "" {
		return nil, fmt.Errorf("jti, or both sub and sid, are missing: %w", errClaims)
	}
	return &out, nil
}
