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

// Verified is a token that passed all checks, or the session of a login.
type Verified struct {
	// Principal is whom the token or session is for.
	Principal *identity.Principal

	// Issuer is the issuer of the token, or that of the login.
	Issuer *Issuer

	// KeySet is the version of the key set that verified the token, for
	// Issuer.Current. It is 0 if introspection alone verified it, and for a
	// session.
	KeySet uint64

	// Until is when the result of an introspection expires and the token must
	// be verified again, or when a session ends. Zero means that the token's own
	// dates alone count.
	Until time.Time

	session bool
	ended   func() bool // nil for a token
}

// Ended reports whether a session has ended before its time, by a logout or another
// login. A token does not end so.
func (v *Verified) Ended() bool { return v.ended != nil && v.ended() }

// Leeway returns how long after its expiry it is accepted: for a token the
// issuer's leeway, for a session, whose times are this gateway's own, 0.
func (v *Verified) Leeway() time.Duration {
	if v.session {
		return 0
	}
	return v.Issuer.Leeway()
}

// CheckSender checks the sender constraints of a token as Issuer.CheckSender
// does. A session has none: it is bound to its cookie and not to a key.
func (v *Verified) CheckSender(ctx context.Context, caller *Caller) error {
	if v.session {
		return nil
	}
	return v.Issuer.CheckSender(ctx, v.Principal, caller)
}

// Set holds the issuers of one configuration. It is safe for concurrent use.
type Set struct {
	issuers []*Issuer
	headers jose.HeaderCache
}

// NewSet returns a Set of issuers. Their names must differ (see ResolveNames);
// otherwise the error wraps errConfig.
func NewSet(issuers ...*Issuer) (*Set, error) {
	for n, i := range issuers {
		for _, other := range issuers[:n] {
			if i.name == other.name {
				return nil, fmt.Errorf("two issuers are named %q: %w", i.name, errConfig)
			}
		}
	}
	return &Set{issuers: slices.Clone(issuers)}, nil
}

// Verify verifies a token and its sender. Allowed are the names of the issuers that
// are accepted; nil means all. Caller is what the request shows of its sender;
// without one, a bound token is refused.
//
// Errors wrap ErrInvalidToken or ErrUnavailable, or are those of the context.
func (s *Set) Verify(ctx context.Context, raw string, allowed []string, caller *Caller) (*Verified, error) {
	v, err := s.verifyToken(ctx, raw, allowed)
	if err != nil {
		return nil, err
	}
	// The proof of possession comes last: only a token that is valid otherwise
	// may cost an entry in the memory of used proofs.
	if err := v.CheckSender(ctx, caller); err != nil {
		return nil, err
	}
	return v, nil
}

// VerifyWithoutSender verifies a token that no request brings, as in an explanation.
// It leaves open whether the caller can prove to be its sender, but the token must
// be bound if the issuer's tokens must be.
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

// verifyToken makes all checks but that of the sender.
func (s *Set) verifyToken(ctx context.Context, raw string, allowed []string) (*Verified, error) {
	t, err := jose.Parse(raw, jose.MaxTokenBytes, &s.headers)
	var claims map[string]any
	if err == nil {
		claims, err = jose.DecodeObject(t.Payload)
	}
	// The kind of a token follows from the configuration, not from its dots: what
	// is not a JWT of an issuer may be an opaque token that looks like one.
	if errors.Is(err, errCritical) {
		return nil, err
	}
	if _, named := claims["iss"]; err != nil || !named {
		return s.introspectOpaque(ctx, raw, allowed, err)
	}
	// The unverified iss selects the issuer that verifies the token, and is used
	// for nothing else.
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

// introspectOpaque verifies a token by the one allowed issuer that introspects.
// Reason is why the token is not a JWT.
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
		return nil, errOpaque
	}
	return nil, reason
}

// byIdentifier returns the first allowed issuer with this iss, or nil. They are
// compared byte for byte (RFC 9068, section 4).
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

// Issuer returns the issuer of that name, or nil.
func (s *Set) Issuer(name string) *Issuer {
	for _, i := range s.issuers {
		if i.name == name {
			return i
		}
	}
	return nil
}

// Issuers returns all issuers in the order of the configuration.
func (s *Set) Issuers() []*Issuer { return slices.Clone(s.issuers) }

// Names returns the names of all issuers in the order of the configuration.
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

// challenges returns the ways in which a token of any of the allowed issuers may be
// sent, Bearer first. Nil allows all.
func (s *Set) Challenges(allowed []string) []Challenge {
	var bearer, dpop []Challenge //nolint:prealloc // each holds one at most
	for _, i := range s.issuers {
		if !isAllowed(i, allowed) {
			continue
		}
		for _, c := range i.challenges() {
			if c.Scheme == "Bearer" {
				bearer = []Challenge{c}
			} else {
				dpop = []Challenge{c}
			}
		}
	}
	return append(bearer, dpop...)
}
