package issuer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// This file reads what an introspection endpoint answers (RFC 7662, section 2.2;
// signed: RFC 9701), and decides whether it is an answer at all.

const (
	// maxAnswer bounds one answer, in bytes. The largest in use hold a few
	// hundred groups.
	maxAnswer = 64 << 10
	// inactiveTTL is how long "not active" is kept at most. It keeps a client
	// that insists from the endpoint, and is short enough for a replica of the
	// issuer that has not yet seen a new token.
	inactiveTTL = 10 * time.Second
)

// mediaSigned is the media type of a signed answer (RFC 9701, section 5).
const mediaSigned = "application/token-introspection+jwt"

// A tokenHash is the keyed hash of a token.
type tokenHash [sha256.Size]byte

// An answer is what the endpoint says of one token. It is never changed once it
// has been handed out.
type answer struct {
	token  tokenHash
	active bool
	claims map[string]any // nil unless active
	keySet uint64         // the version that verified a signed answer, else 0
	until  time.Time      // when the answer expires
}

// expired reports whether the answer is too old to be used at now.
func (a *answer) expired(now time.Time) bool { return !now.Before(a.until) }

// requireActive returns the answer, or errInactive.
func (a *answer) requireActive() (*answer, error) {
	if !a.active {
		return nil, errInactive
	}
	return a, nil
}

// An answerReader reads the answers of one issuer's introspection endpoint.
type answerReader struct {
	config     Introspection
	rules      *claimRules
	signatures *signatureCheck
	clock      func() time.Time
}

// read returns the answer in a body of this media type. Only the JSON booleans
// true and false of "active" are an answer (RFC 7662, section 2.2). Anything else
// is a failure of the server, which says nothing about the token.
func (r *answerReader) read(ctx context.Context, body []byte, media string) (*answer, error) {
	a := new(answer)
	var members map[string]any
	var err error
	switch {
	case media == mediaSigned:
		members, a.keySet, err = r.readSigned(ctx, string(body))
	case r.config.Signed:
		return nil, fmt.Errorf("introspecting: the answer is not signed: %w", errIntrospection)
	case media == "application/json":
		if members, err = jose.DecodeObject(body); err != nil {
			err = fmt.Errorf("introspecting: the answer is not a JSON object: %w", errIntrospection)
		}
	default:
		return nil, fmt.Errorf("introspecting: the answer is neither JSON nor a signed answer: %w", errIntrospection)
	}
	if err != nil {
		return nil, err
	}
	active, ok := members["active"].(bool)
	if !ok {
		return nil, refusal(http.StatusOK, body)
	}
	now := r.clock()
	if !active {
		a.until = now.Add(min(time.Duration(r.config.TTL), inactiveTTL))
		return a, nil
	}
	a.active, a.claims, a.until = true, members, now.Add(time.Duration(r.config.TTL))
	// Never past exp (RFC 7662, section 4). A malformed date is refused when
	// the answer is used.
	if exp, err := readDate(members, "exp"); err == nil && !exp.IsZero() && exp.Before(a.until) {
		a.until = exp
	}
	return a, nil
}

// readSigned checks a signed answer (RFC 9701, section 5): its type, its issuer,
// that it is for this gateway, and its signature. It returns the answer's members
// and the version of the key set that verified it.
func (r *answerReader) readSigned(ctx context.Context, raw string) (map[string]any, uint64, error) {
	fail := func(what string, err error) (map[string]any, uint64, error) {
		return nil, 0, fmt.Errorf("introspecting: signed answer: %s: %s: %w", what, err.Error(), errIntrospection)
	}
	t, err := jose.Parse(strings.TrimSpace(raw), maxAnswer, nil)
	if err != nil {
		return fail("form", err)
	}
	if t.Header.Type != "token-introspection+jwt" {
		return fail("type", errType)
	}
	if !r.signatures.allows(&t) {
		return fail("algorithm", errAlgorithm)
	}
	version, err := r.signatures.verify(ctx, &t)
	if err != nil {
		return fail("signature", err)
	}
	claims, err := jose.DecodeObject(t.Payload)
	if err != nil {
		return fail("claims", err)
	}
	if claims["iss"] != r.rules.identifier {
		return fail("iss", ErrUnknownIssuer)
	}
	if !namesAudience(claims["aud"], r.config.ClientID) && (r.rules.anyAudience || r.rules.checkAudience(claims) != nil) {
		return fail("aud", errAudience)
	}
	if _, err := r.rules.readDates(claims, r.clock(), false); err != nil {
		return fail("dates", err)
	}
	members, ok := claims["token_introspection"].(map[string]any)
	if !ok {
		return fail("token_introspection", errClaims)
	}
	return members, version, nil
}

// refusal returns the error for an answer that is none. errIntrospectionRefused
// means that the server refuses this gateway or this kind of token (RFC 7009,
// section 2.2.1), errIntrospection that it failed. Neither says anything about the
// token.
func refusal(status int, body []byte) error {
	code := ""
	if members, err := jose.DecodeObject(body); err == nil {
		code, _ = members["error"].(string)
	}
	switch {
	case code == "unsupported_token_type":
		return fmt.Errorf("introspecting: the server does not introspect tokens of this kind: %w", errIntrospectionRefused)
	case status == http.StatusUnauthorized, status == http.StatusForbidden,
		code == "invalid_client", code == "unauthorized_client":
		return fmt.Errorf("introspecting: the server refuses the gateway's credentials (status %d): %w", status, errIntrospectionRefused)
	}
	return fmt.Errorf("introspecting: status %d: %w", status, errIntrospection)
}
