package issuer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// Verified is a token that passed every check.
type Verified struct {
	// Principal is whom the token is for.
	Principal *identity.Principal

	// Issuer is the issuer that vouches for it.
	Issuer *Issuer

	// KeySet is the version of the key set that verified the token, for
	// Issuer.Current; 0 where none did.
	KeySet uint64

	// Until bounds how long the verdict may be used without verifying again:
	// an introspection's ttl. Zero means as long as the token is valid.
	Until time.Time
}

// Set is the issuers of one configuration.
type Set struct {
	issuers []*Issuer
	headers jose.HeaderCache
}

// NewSet puts issuers together. Their names must differ (see ResolveNames).
func NewSet(issuers ...*Issuer) (*Set, error) {
	for n, i := range issuers {
		for _, other := range issuers[:n] {
			if i.name == other.name {
				return nil, fmt.Errorf("two issuers are named %q: %w", i.name, ErrConfig)
			}
		}
	}
	return &Set{issuers: slices.Clone(issuers)}, nil
}

// Verify judges the raw token. allowed are the names of the issuers that may
// vouch for it; nil means all. caller is what the request shows of its
// sender; without one, a token that is bound to a key is refused.
//
// Its errors wrap ErrInvalidToken or ErrUnavailable, or are the context's.
func (s *Set) Verify(ctx context.Context, raw string, allowed []string, caller *Caller) (*Verified, error) {
	v, err := s.verifyToken(ctx, raw, allowed)
	if err != nil {
		return nil, err
	}
	// The proof of possession comes last: only a token that is good in all
	// else may cost an entry in the memory of used proofs.
	if err := v.Issuer.CheckSender(ctx, v.Principal, caller); err != nil {
		return nil, err
	}
	return v, nil
}

// VerifyWithoutSender is Verify for a token that nobody sends: whether the one who would is
// its sender is left open. It must be bound where the issuer's tokens must.
func (s *Set) VerifyWithoutSender(ctx context.Context, raw string, allowed []string) (*Verified, error) {
	v, err := s.verifyToken(ctx, raw, allowed)
	if err == nil {
		err = v.Issuer.sender.binding(v.Principal.Confirmation)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// judge makes every check but that of the sender.
func (s *Set) verifyToken(ctx context.Context, raw string, allowed []string) (*Verified, error) {
	t, err := jose.Parse(raw, jose.MaxTokenBytes, &s.headers)
	var claims map[string]any
	if err == nil {
		claims, err = jose.DecodeObject(t.Payload)
	}
	// The kind of a token follows from the configuration and not from its
	// dots: what is no JWT of an issuer may be an opaque token that looks
	// like one.
	if errors.Is(err, ErrCritical) {
		return nil, err
	}
	if _, named := claims["iss"]; err != nil || !named {
		return s.introspectOpaque(ctx, raw, allowed, err)
	}
	// The unverified iss chooses who is asked to verify it, nothing else.
	iss, _ := claims["iss"].(string)
	i := s.byIdentifier(iss, allowed)
	if i == nil {
		return nil, ErrUnknownIssuer
	}
	v := &Verified{Issuer: i}
	if v.Principal, v.KeySet, err = i.verifyJWT(ctx, &t, claims); err != nil {
		return nil, err
	}
	if t.Members != nil {
		s.headers.Put(raw[:strings.IndexByte(raw, '.')], t.Header)
	}
	if i.always {
		if v.Until, err = i.confirmJWT(ctx, raw, v.Principal); err != nil {
			return nil, err
		}
	}
	return v, nil
}

// judgeOpaque asks the one issuer that introspects; reason is why the token
// is no JWT.
func (s *Set) introspectOpaque(ctx context.Context, raw string, allowed []string, reason error) (*Verified, error) {
	for _, i := range s.issuers {
		if i.introspect != nil && isAllowed(i, allowed) {
			return i.verifyOpaque(ctx, raw)
		}
	}
	switch {
	case reason == nil:
		return nil, fmt.Errorf("iss is missing: %w", ErrUnknownIssuer)
	case strings.IndexByte(raw, '.') < 0 && isOpaque(raw):
		return nil, ErrOpaque
	}
	return nil, reason
}

// byIdentifier gives the first allowed issuer with this iss, compared byte
// for byte (RFC 9068, section 4), or nil.
func (s *Set) byIdentifier(iss string, allowed []string) *Issuer {
	for _, i := range s.issuers {
		if i.identifier == iss && isAllowed(i, allowed) {
			return i
		}
	}
	return nil
}

func isAllowed(i *Issuer, allowed []string) bool {
	return allowed == nil || slices.Contains(allowed, i.name)
}

// Issuer gives the issuer of that name, or nil.
func (s *Set) Issuer(name string) *Issuer {
	for _, i := range s.issuers {
		if i.name == name {
			return i
		}
	}
	return nil
}

// Issuers gives all issuers in the order of the configuration.
func (s *Set) Issuers() []*Issuer { return slices.Clone(s.issuers) }

// Names gives the names of all issuers in the order of the configuration.
func (s *Set) Names() []string {
	names := make([]string, len(s.issuers))
	for n, i := range s.issuers {
		names[n] = i.name
	}
	return names
}

// Start starts the background work of every issuer.
func (s *Set) Start(ctx context.Context) {
	for _, i := range s.issuers {
		i.Start(ctx)
	}
}

// Challenges lists the ways in which a token of any of the allowed issuers
// (nil: all) may be sent; Bearer first.
func (s *Set) Challenges(allowed []string) []Challenge {
	var bearer, dpop []Challenge //nolint:prealloc // each holds one at most
	for _, i := range s.issuers {
		if !isAllowed(i, allowed) {
			continue
		}
		for _, c := range i.Challenges() {
			if c.Scheme == "Bearer" {
				bearer = []Challenge{c}
			} else {
				dpop = []Challenge{c}
			}
		}
	}
	return append(bearer, dpop...)
}
