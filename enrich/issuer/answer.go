package issuer

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// read makes an answer out of a body. Only the JSON booleans true and false
// of "active" are an answer (RFC 7662, section 2.2); everything else is a
// server in trouble and says nothing about the token.
func (n *introspector) read(ctx context.Context, body []byte, media string) (*answer, error) {
	a := new(answer)
	var members map[string]any
	var err error
	switch {
	case media == mediaSigned:
		members, a.keySet, err = n.readSigned(ctx, string(body))
	case n.config.Signed:
		return nil, fmt.Errorf("introspecting: the answer is not signed: %w", ErrIntrospection)
	case media == "application/json":
		if members, err = jose.DecodeObject(body); err != nil {
			err = fmt.Errorf("introspecting: the answer is not a JSON object: %w", ErrIntrospection)
		}
	default:
		return nil, fmt.Errorf("introspecting: the answer is neither JSON nor a signed answer: %w", ErrIntrospection)
	}
	if err != nil {
		return nil, err
	}
	active, ok := members["active"].(bool)
	if !ok {
		return nil, refusal(http.StatusOK, body)
	}
	now := n.issuer.clock()
	if !active {
		a.until = now.Add(min(time.Duration(n.config.TTL), inactiveLife))
		return a, nil
	}
	a.active, a.claims, a.until = true, members, now.Add(time.Duration(n.config.TTL))
	// Never past exp (RFC 7662, section 4). A date of no form is found when
	// the answer is judged.
	if exp, err := readDate(members, "exp"); err == nil && !exp.IsZero() && exp.Before(a.until) {
		a.until = exp
	}
	return a, nil
}

// readSigned checks a signed answer (RFC 9701, section 5): its type, its
// issuer, that it is for this gateway, and its signature.
func (n *introspector) readSigned(ctx context.Context, raw string) (map[string]any, uint64, error) {
	i := n.issuer
	fail := func(what string, err error) (map[string]any, uint64, error) {
		return nil, 0, fmt.Errorf("introspecting: signed answer: %s: %s: %w", what, err.Error(), ErrIntrospection)
	}
	t, err := jose.Parse(strings.TrimSpace(raw), maxAnswer, nil)
	if err != nil {
		return fail("form", err)
	}
	if t.Header.Type != "token-introspection+jwt" {
		return fail("type", ErrType)
	}
	if !i.allowed[t.Header.Algorithm] {
		return fail("algorithm", ErrAlgorithm)
	}
	version, err := i.verifySignature(ctx, &t)
	if err != nil {
		return fail("signature", err)
	}
	claims, err := jose.DecodeObject(t.Payload)
	if err != nil {
		return fail("claims", err)
	}
	if claims["iss"] != i.identifier {
		return fail("iss", ErrUnknownIssuer)
	}
	if !namesAudience(claims["aud"], n.config.ClientID) && (i.anyAudience || i.checkAudience(claims) != nil) {
		return fail("aud", ErrAudience)
	}
	if _, err := i.readDates(claims, i.clock(), false); err != nil {
		return fail("dates", err)
	}
	members, ok := claims["token_introspection"].(map[string]any)
	if !ok {
		return fail("token_introspection", ErrClaims)
	}
	return members, version, nil
}

// namesAudience reports whether aud, a string or a list, names id.
func namesAudience(aud any, id string) bool {
	switch v := aud.(type) {
	case string:
		return v == id
	case []any:
		for _, one := range v {
			if one == id {
				return true
			}
		}
	}
	return false
}

// verifyOpaque judges a token by asking the issuer. What the answer says is
// checked here as it would be in a JWT (RFC 7662, section 4: the protected
// resource's own duty), on each use anew.
func (i *Issuer) verifyOpaque(ctx context.Context, raw string) (*Verified, error) {
	a, err := i.introspect.ask(ctx, raw, false)
	if err != nil {
		return nil, err
	}
	d, err := i.checkAnswer(a.claims)
	if err != nil {
		return nil, err
	}
	if err := i.checkAudience(a.claims); err != nil {
		return nil, err
	}
	if d.expiry.IsZero() {
		// The server does not say for how long: for as long as its answer.
		d.expiry = a.until
	}
	p, err := i.principal(i.withSubject(a.claims), d)
	if err != nil {
		return nil, err
	}
	if err := checkTokenType(a.claims, p); err != nil {
		return nil, err
	}
	i.introspect.good.add(a.token)
	return &Verified{Principal: p, Issuer: i, KeySet: a.keySet, Until: a.until}, nil
}

// withSubject names the client as the subject of a token that is a client's
// own: an answer about one need not have a sub (RFC 7662, section 2.2), and some
// servers leave it out. One that names a user in any way is left as it is.
func (i *Issuer) withSubject(claims map[string]any) map[string]any {
	_, subject := claims["sub"]
	_, user := claims["username"]
	client, err := firstText(claims, i.clientClaims)
	if subject || user || err != nil || client == "" {
		return claims
	}
	named := maps.Clone(claims)
	named["sub"] = client
	return named
}

// confirmJWT asks the issuer about a JWT that has been verified already, and
// bounds the verdict by the answer's life. Where the two disagree about whom
// they speak of, the token is refused.
func (i *Issuer) confirmJWT(ctx context.Context, raw string, p *identity.Principal) (time.Time, error) {
	a, err := i.introspect.ask(ctx, raw, true)
	if err != nil {
		return time.Time{}, err
	}
	if _, err := i.checkAnswer(a.claims); err != nil {
		return time.Time{}, err
	}
	if _, ok := a.claims["aud"]; ok {
		if err := i.checkAudience(a.claims); err != nil {
			return time.Time{}, err
		}
	}
	if sub, ok := a.claims["sub"]; ok && sub != p.Claims["sub"] {
		return time.Time{}, fmt.Errorf("sub differs from that of the token: %w", ErrClaims)
	}
	c, err := readConfirmation(a.claims)
	if err != nil {
		return time.Time{}, err
	}
	if c.Bound() && c != p.Confirmation {
		return time.Time{}, fmt.Errorf("cnf differs from that of the token: %w", ErrSender)
	}
	if err := checkTokenType(a.claims, p); err != nil {
		return time.Time{}, err
	}
	return a.until, nil
}

// checkAnswer makes the checks that both uses of an answer share.
func (i *Issuer) checkAnswer(claims map[string]any) (dates, error) {
	if iss, ok := claims["iss"]; ok && iss != i.identifier {
		return dates{}, fmt.Errorf("iss of the answer: %w", ErrUnknownIssuer)
	}
	if v, ok := claims["token_type"]; ok {
		s, _ := v.(string)
		if !strings.EqualFold(s, "Bearer") && !strings.EqualFold(s, "DPoP") {
			return dates{}, fmt.Errorf("token_type of the answer: %w", ErrKind)
		}
	}
	if err := i.checkKind("", claims); err != nil {
		return dates{}, err
	}
	return i.readDates(claims, i.clock(), false)
}

// checkTokenType refuses what the issuer calls a DPoP token and has bound to no
// key: as a bearer token it would be worth more than it was issued for.
func checkTokenType(claims map[string]any, p *identity.Principal) error {
	if s, _ := claims["token_type"].(string); strings.EqualFold(s, "DPoP") && p.Confirmation.KeyThumbprint == "" {
		return fmt.Errorf("a DPoP token without a key: %w", ErrSender)
	}
	return nil
}
