package enrich

import (
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// The claims by which a denial may name a token.
const (
	DenyTokenID = "jti"
	DenySession = "sid"
	DenyUser    = "sub"
)

// denyNames returns the names under which the deny list may hold a principal's
// token or session: the token itself, the session at the issuer, its user.
func (g *Gateway) denyNames(p *identity.Principal) []purgelog.NameHash {
	if g.Denials == nil {
		return nil
	}
	names := make([]purgelog.NameHash, 0, 4)
	if p.TokenID != "" {
		names = append(names, g.KeyDeriver.DenialHash(p.Issuer, DenyTokenID, p.TokenID))
	}
	if p.SessionID != "" {
		names = append(names, g.KeyDeriver.DenialHash(p.Issuer, DenySession, p.SessionID))
	}
	names = append(names, g.KeyDeriver.DenialHash(p.Issuer, DenyUser, p.Subject))
	if sub, ok := p.Claims["sub"].(string); ok && sub != p.Subject {
		names = append(names, g.KeyDeriver.DenialHash(p.Issuer, DenyUser, sub))
	}
	return names
}

// checkDenyList checks the deny list, and fails closed: a list that has not
// been confirmed for too long answers 503, but only where anything was ever
// denied or could be.
func (g *Gateway) checkDenyList(c requestCheck) error {
	if g.Denials == nil {
		return nil
	}
	if g.Denials.Denied(c.now, c.decision.Principal.IssuedAt, c.decision.denyNames...) {
		if c.session {
			return refuse(KindSessionEnded, errRevoked)
		}
		return refuse(KindInvalidToken, errRevoked)
	}
	if g.DenyListUnconfirmed(c.now) {
		return refuse(KindUnavailable, errDenyListUnconfirmed)
	}
	return nil
}

// CheckDenied checks the deny list alone, for a principal that is about to get a
// session. Its error is the *Refusal with which Enrich would answer the session:
// KindSessionEnded for a principal that is denied, KindUnavailable where the list
// has not been confirmed for too long.
func (g *Gateway) CheckDenied(v *issuer.Verified) error {
	d := &Decision{Principal: v.Principal, denyNames: g.denyNames(v.Principal)}
	return g.checkDenyList(requestCheck{decision: d, now: g.Clock(), session: true})
}

// DenyListUnconfirmed reports whether the deny list is so old that every token
// is refused.
func (g *Gateway) DenyListUnconfirmed(now time.Time) bool {
	return g.Denials != nil && !g.ContinueUnconfirmed && g.DenyMaxAge > 0 && g.denialsMatter() && g.Denials.Age(now) > g.DenyMaxAge
}

// denialsMatter reports whether any denial was ever made or could be.
func (g *Gateway) denialsMatter() bool { return g.DenialsConfigured || g.Denials.Used() }
