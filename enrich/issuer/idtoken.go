package issuer

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// This file verifies what the issuer of a login answers: the ID token (OpenID
// Connect Core, section 3.1.3.7) and the userinfo endpoint (section 5.3).

// IDTokenCheck is what a login knows about the ID token that it receives.
type IDTokenCheck struct {
	// ClientID is the login's client, for which the token must be. Required.
	ClientID string

	// Nonce is that of the authorization request, which the token must repeat.
	// Empty checks none: only the ID token of a refresh may come without one
	// (section 12.2).
	Nonce string

	// AccessToken is the access token that came with the ID token. An at_hash
	// must be the hash of it. Empty where none came.
	AccessToken string

	// MaxAge is the max_age of the authorization request: the token must have an
	// auth_time that is no older. Zero where the request had none.
	MaxAge time.Duration
}

// IDToken is a verified ID token.
type IDToken struct {
	// Claims are all of the token's claims as canonical values.
	Claims map[string]any

	// Subject is the token's sub, which is never empty.
	Subject string

	// IssuedAt and Expiry are the token's iat and exp. AuthTime is its
	// auth_time, zero where it has none that is valid.
	IssuedAt, Expiry, AuthTime time.Time

	// ACR is the token's acr, or empty.
	ACR string
}

// VerifyIDToken verifies an ID token that this issuer's token endpoint answered
// with. An HMAC never verifies one, whatever the issuer's algorithms are, and
// distributed claims (section 5.6.2) are not fetched. Errors are as those of
// Set.Verify, and say which check failed without quoting the token; ErrAuthTime
// is one of them.
func (i *Issuer) VerifyIDToken(ctx context.Context, raw string, c IDTokenCheck) (*IDToken, error) {
	if strings.Count(raw, ".") == 4 {
		return nil, fmt.Errorf("an encrypted ID token: %w", errMalformed)
	}
	t, claims, err := i.parse(raw, maxBody)
	if h := t.Header; h != nil && h.Algorithm != nil && h.Algorithm.Symmetric() {
		return nil, fmt.Errorf("an ID token signed with an HMAC: %w", errAlgorithm)
	}
	if err != nil {
		return nil, err
	}
	// The errors of go-oidc quote the token, so their text is not passed on.
	// Audience and dates are left to the checks below, which have leeway and azp.
	keys := &causeKeeper{KeySet: i}
	_, refused := i.verifierOver(keys, oidc.Config{SkipClientIDCheck: true, SkipExpiryCheck: true}).Verify(ctx, raw)
	if keys.cause != nil {
		return nil, keys.cause
	}
	out, err := i.checkIDToken(t.Header, claims, c)
	if err == nil && refused != nil {
		return nil, fmt.Errorf("not an ID token of OpenID Connect: %w", errClaims)
	}
	return out, err
}

// checkIDToken makes the checks of section 3.1.3.7 on header and claims.
func (i *Issuer) checkIDToken(h *jose.Header, claims map[string]any, c IDTokenCheck) (*IDToken, error) {
	if err := i.rules.checkIDTokenKind(h.Type, claims); err != nil {
		return nil, err
	}
	if err := checkClient(claims, c.ClientID); err != nil {
		return nil, err
	}
	now := i.clock()
	d, err := i.rules.readDates(claims, now, true)
	if err != nil {
		return nil, err
	}
	out := &IDToken{Claims: claims, IssuedAt: d.issued, Expiry: d.expiry}
	if out.Subject, err = readText(claims, "sub"); err != nil {
		return nil, err
	}
	nonce, _ := claims["nonce"].(string)
	hash := claims["at_hash"]
	switch {
	case d.issued.IsZero():
		return nil, fmt.Errorf("iat is missing: %w", errDates)
	case out.Subject == "":
		return nil, fmt.Errorf("sub is missing: %w", errSubject)
	case c.Nonce != "" && subtle.ConstantTimeCompare([]byte(nonce), []byte(c.Nonce)) != 1:
		return nil, fmt.Errorf("nonce is not that of the login: %w", errClaims)
	case hash != nil && c.AccessToken != "" && hash != h.Algorithm.HalfHash(c.AccessToken):
		return nil, fmt.Errorf("at_hash is not that of the access token: %w", errClaims)
	}
	if out.AuthTime, err = i.rules.readAuthTime(claims, now, c.MaxAge); err != nil {
		return nil, err
	}
	out.ACR, _ = claims["acr"].(string)
	return out, nil
}

// checkIDTokenKind refuses what is never an ID token. There is no list of types
// that are: the section names none, and the token comes from the token endpoint.
func (r *claimRules) checkIDTokenKind(typ string, claims map[string]any) error {
	if err := checkNeverType(typ); err != nil {
		return err
	}
	switch {
	case typ == "at+jwt":
		return fmt.Errorf("typ names an access token: %w", errType)
	case claims["token_use"] == "access":
		return fmt.Errorf("an access token: %w", errKind)
	}
	return r.checkNeverKind(claims)
}

// checkClient requires that aud names the client. So must azp, which is required
// beside several audiences.
func checkClient(claims map[string]any, client string) error {
	if client == "" || !namesAudience(claims["aud"], client) {
		return fmt.Errorf("aud does not name the login's client: %w", errAudience)
	}
	audiences, _ := claims["aud"].([]any)
	switch azp := claims["azp"]; {
	case azp == nil && len(audiences) > 1:
		return fmt.Errorf("several audiences and no azp: %w", errAudience)
	case azp != nil && azp != client:
		return fmt.Errorf("azp names another client: %w", errAudience)
	}
	return nil
}

// readAuthTime reads auth_time. It is checked only if there is a maxAge; without
// one, nothing depends on it yet.
func (r *claimRules) readAuthTime(claims map[string]any, now time.Time, maxAge time.Duration) (time.Time, error) {
	at, err := readDate(claims, "auth_time")
	switch {
	case maxAge == 0:
		return at, nil
	case err != nil:
		return at, err
	case at.IsZero():
		return at, fmt.Errorf("auth_time is missing: %w", errDates)
	case now.Add(r.leeway).Before(at):
		return at, fmt.Errorf("auth_time is ahead: %w", errNotYetValid)
	case now.Sub(at) > maxAge+r.leeway:
		return at, ErrAuthTime
	}
	return at, nil
}

// Userinfo asks the userinfo endpoint with an access token, and returns the
// claims that it answers with, in JSON or signed. They must be about the subject,
// which is the sub of a verified ID token (section 5.3.2). Distributed claims are
// not fetched. Errors wrap ErrInvalidToken, if the endpoint refuses the access
// token or its answer is not acceptable, or ErrUnavailable.
func (i *Issuer) Userinfo(ctx context.Context, accessToken, subject string) (map[string]any, error) {
	m, err := i.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.CheckEndpoint(m.UserinfoEndpoint); err != nil {
		return nil, fmt.Errorf("userinfo_endpoint: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, i.metadata.timeout)
	defer cancel()
	answer, err := get(ctx, i.metadata.client, m.UserinfoEndpoint, http.Header{
		"Accept": {"application/json, application/jwt"}, "Authorization": {"Bearer " + accessToken},
	})
	var f *fetchError
	switch {
	case errors.As(err, &f) && f.status == http.StatusUnauthorized:
		return nil, fmt.Errorf("userinfo endpoint refuses the access token: %w", ErrInvalidToken)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, errUserinfo)
	}
	claims, err := i.readUserinfo(ctx, answer)
	if err != nil {
		return nil, err
	}
	if sub, _ := claims["sub"].(string); sub == "" || sub != subject {
		return nil, fmt.Errorf("userinfo is about another sub: %w", errSubject)
	}
	return claims, nil
}

// readUserinfo reads an answer. The aud of a signed one is not checked: it comes
// over the connection on which this access token was sent, as an unsigned one does.
func (i *Issuer) readUserinfo(ctx context.Context, answer *oauthclient.Response) (map[string]any, error) {
	if kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); kind != "application/jwt" {
		claims, err := jose.DecodeObject(answer.Body)
		if err != nil {
			return nil, fmt.Errorf("userinfo is not a JSON object: %w", errUserinfo)
		}
		return claims, nil
	}
	claims, err := i.VerifyUserinfo(ctx, strings.TrimSpace(string(answer.Body)))
	if err == nil {
		_, err = i.rules.readDates(claims, i.clock(), false)
	}
	if err != nil {
		return nil, fmt.Errorf("signed userinfo: %w", err)
	}
	return claims, nil
}
