package enrich

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// This file holds the two ways in which a request can say who sends it, a token
// and the session of a login, as one. Behind it nothing tells them apart but the
// refusal of a session that was revoked.

// SessionSource reads the session of a login from the cookie of one request. Of
// its errors, those that wrap issuer.ErrUnavailable say that the session cannot be
// read now, which is answered by 503. All others say that it has ended.
type SessionSource interface {
	// Open opens the session of a cookie. It is called on every request that
	// brings one, before any decision is used, so that a session which has ended
	// is used no more. The key is that under which decisions about the session are
	// cached: it differs between sessions, and between versions of a session's
	// claims.
	Open(cookie string, now time.Time) (key string, err error)

	// Verify returns whom the opened session is for. It is called only where no
	// decision is cached.
	Verify(ctx context.Context) (*issuer.Verified, error)
}

// credential is what a request brings to say who sends it.
type credential struct {
	key     string        // a token's text, or the key of an opened session
	session SessionSource // nil for a token
}

// openCredential returns the credential that was found in a request. It opens a
// session; a token is verified only where no decision about it is cached. Its
// error is a *Refusal.
func openCredential(found token.Found, info RequestInfo, now time.Time) (credential, error) {
	if !found.Place.Session {
		return credential{key: found.Token}, nil
	}
	key, err := info.Session.Open(found.Token, now)
	if err != nil {
		return credential{}, refuseSession(err)
	}
	return credential{key: key, session: info.Session}, nil
}

// token returns the text of a token, and nothing for a session.
func (c credential) token() string {
	if c.session != nil {
		return ""
	}
	return c.key
}

// verify returns whom a credential is for. Its error is a *Refusal.
func (g *Gateway) verify(ctx context.Context, p *Policy, c credential, caller *issuer.Caller, now time.Time) (*issuer.Verified, error) {
	if c.session == nil {
		v, err := g.Issuers.Verify(ctx, c.key, p.definition.Issuers, caller)
		if err != nil {
			return nil, refuseToken(err)
		}
		return v, nil
	}
	v, err := c.session.Verify(ctx)
	switch {
	case err != nil:
		return nil, refuseSession(err)
	case !now.Before(v.Until):
		return nil, refuse(KindSessionEnded, errSessionOver)
	case !slices.Contains(p.definition.Logins, v.Issuer.Name()):
		return nil, refuse(KindOtherLogin, errOtherLogin)
	}
	return v, nil
}

// sessionEnded reports whether an error is the refusal of a session that has ended.
func sessionEnded(err error) bool {
	refusal, ok := errors.AsType[*Refusal](err)
	return ok && refusal.Kind == KindSessionEnded
}
