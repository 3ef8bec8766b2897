package issuer

import (
	"context"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// A signatureCheck verifies what an issuer has signed, with an algorithm of its list
// and a key of its set. Tokens, signed answers and statements share it.
type signatureCheck struct {
	keys    *keySource
	allowed map[*jose.Algorithm]bool
	names   []string // of allowed, EdDSA with both of its names
	clock   func() time.Time
}

func newSignatureCheck(keys *keySource, algorithms []string, clock func() time.Time) *signatureCheck {
	s := &signatureCheck{keys: keys, allowed: make(map[*jose.Algorithm]bool), clock: clock}
	for _, name := range algorithms {
		s.allowed[jose.LookupAlgorithm(name)] = true
	}
	for _, name := range jose.AlgorithmNames() {
		if s.allowed[jose.LookupAlgorithm(name)] {
			s.names = append(s.names, name)
		}
	}
	return s
}

// allows reports whether the algorithm of t is on the issuer's list.
func (s *signatureCheck) allows(t *jose.JWS) bool { return s.allowed[t.Header.Algorithm] }

// verify checks the signature with the issuer's keys, and returns the version of
// the set that verified it. If no key verifies it, the right one may be new, also
// under a kid that is known, since some issuers give all keys the same. Then it
// tries a newer set, if there is one. Errors are those of jose.KeySet.Verify, wrap
// errKeysUnavailable, or are those of the context.
func (s *signatureCheck) verify(ctx context.Context, t *jose.JWS) (uint64, error) {
	now := s.clock()
	st, err := s.keys.ready(ctx, now)
	if err != nil {
		return 0, err
	}
	err = st.set.Verify(t)
	if err == nil {
		return st.version, nil
	}
	next, failure := s.keys.newer(ctx, st, t.Header.KeyID, now)
	switch {
	case next == nil && (failure == nil || st.set.Has(t.Header.KeyID)):
		return 0, err // the key of that kid is known, and it is not this one
	case failure != nil:
		return 0, failure
	}
	return next.version, next.set.Verify(t)
}

// current implements Issuer.Current.
func (s *signatureCheck) current(version uint64, now time.Time) bool {
	if version == 0 {
		return true
	}
	st := s.keys.valid(now)
	return st != nil && st.version == version
}
