package mint

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

const (
	// maxToken bounds a signed token: what the gateway itself would accept.
	maxToken = 16 << 10

	// tokenID is the size of a jti before it is encoded: 128 bits, so that no
	// two are ever alike (RFC 7519, section 4.1.7).
	tokenID = 16
)

// Request is what one token is made of.
type Request struct {
	// Principal is the verified incoming token. Required.
	Principal *identity.Principal

	// Claims are the values of the claim rules. Computed holds the name of every
	// rule: one without a value takes the incoming token's claim away. A name in
	// Claims counts as computed in any case.
	Claims   map[string]any
	Computed map[string]bool

	// Now is the time of the decision; Leeway how long past its expiry the
	// incoming token is accepted.
	Now    time.Time
	Leeway time.Duration
}

// Minted is a signed token.
type Minted struct {
	Token    string
	ID       string // jti
	KeyID    string
	IssuedAt time.Time
	Expiry   time.Time
}

// Reusable reports whether a cached token may still be handed out: until half its
// life is gone, so that an application never receives one about to expire.
func (m Minted) Reusable(now time.Time) bool {
	return !now.Before(m.IssuedAt) && now.Sub(m.IssuedAt) < m.Expiry.Sub(m.IssuedAt)/2
}

// String returns the token's id, so that no log shows the token.
func (m Minted) String() string { return "token " + m.ID }

// GoString keeps %#v from printing the token.
func (m Minted) GoString() string { return m.String() }

// Mint signs one token. It waits at most two seconds for the first keys, then
// it is ErrNotReady. The other errors are ErrNoSubject, ErrExpired and
// errTooLarge.
//
// The token expires after the template's ttl, and no later than the incoming
// token; where that one is past its expiry and accepted by leeway only, it
// expires when the leeway does.
func (s *Signer) Mint(ctx context.Context, t *Template, q Request) (Minted, error) {
	expiry, err := expiry(t, q)
	if err != nil {
		return Minted{}, err
	}
	subject, err := subject(t, q)
	if err != nil {
		return Minted{}, err
	}
	r, err := s.awaitRing(ctx)
	if err != nil {
		return Minted{}, err
	}
	k := r.active(s.config.Algorithm, s.clock())
	if k == nil {
		return Minted{}, ErrNotReady
	}
	var id [tokenID]byte
	if _, err := io.ReadFull(s.rand, id[:]); err != nil {
		return Minted{}, fmt.Errorf("making a token's id: %w", err)
	}
	m := Minted{
		ID:       base64.RawURLEncoding.EncodeToString(id[:]),
		KeyID:    k.id,
		IssuedAt: q.Now.Truncate(time.Second),
		Expiry:   expiry,
	}
	payload, err := s.payload(t, q, m, subject)
	if err != nil {
		return Minted{}, err
	}
	signer := k.access
	if t.plain {
		signer = k.plain
	}
	signed, err := signer.Sign(payload)
	if err == nil {
		m.Token, err = signed.CompactSerialize()
	}
	if err != nil {
		return Minted{}, fmt.Errorf("signing with key %s: %w", k.id, errKey)
	}
	if len(m.Token) > maxToken {
		return Minted{}, fmt.Errorf("%d bytes: %w", len(m.Token), errTooLarge)
	}
	return m, nil
}

// Check reports whether a token could be made, with the errors of Mint, and signs
// nothing. Keys and size are left out.
func (t *Template) Check(q Request) error {
	_, err := expiry(t, q)
	if err == nil {
		_, err = subject(t, q)
	}
	return err
}

// expiry is in whole seconds, cut off: never later than the incoming token's.
// An incoming token without an expiry (an introspection answer may lack it,
// RFC 7662, section 2.2) bounds nothing.
func expiry(t *Template, q Request) (time.Time, error) {
	end := q.Now.Add(t.ttl)
	incoming := q.Principal.Expiry
	if incoming.IsZero() {
		return end.Truncate(time.Second), nil
	}
	bound := earlier(end, incoming).Truncate(time.Second)
	if bound.After(q.Now) {
		return bound, nil
	}
	if bound = earlier(end, incoming.Add(q.Leeway)).Truncate(time.Second); bound.After(q.Now) {
		return bound, nil
	}
	return time.Time{}, ErrExpired
}

// earlier returns the earlier of two times.
func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// claim returns the value that a claim has after the rules: that of a rule, or
// else, where no rule has that name, what the incoming token says.
func (q Request) claim(name string) (any, bool) {
	if v, ok := q.Claims[name]; ok {
		return v, true
	}
	if q.Computed[name] {
		return nil, false
	}
	v, ok := q.Principal.Claims[name]
	return v, ok
}

func subject(t *Template, q Request) (string, error) {
	if t.subject == "" {
		if q.Principal.Subject == "" {
			return "", ErrNoSubject
		}
		return q.Principal.Subject, nil
	}
	v, _ := q.claim(t.subject)
	switch x := v.(type) {
	case string:
		if x != "" {
			return x, nil
		}
	case int64:
		return strconv.FormatInt(x, 10), nil
	case json.Number:
		return x.String(), nil
	}
	return "", fmt.Errorf("claim %q: %w", t.subject, ErrNoSubject)
}

// payload renders the claims: those that every token has, in the order of
// RFC 7519, then the others by name, so that equal claims make equal bytes.
func (s *Signer) payload(t *Template, q Request, m Minted, subject string) ([]byte, error) {
	b := make([]byte, 0, 1024)
	b = identity.AppendString(append(b, `{"iss":`...), s.config.Issuer)
	b = identity.AppendString(append(b, `,"sub":`...), subject)
	b = append(append(b, `,"aud":`...), t.audience...)
	b = strconv.AppendInt(append(b, `,"exp":`...), m.Expiry.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"nbf":`...), m.IssuedAt.Unix(), 10)
	b = strconv.AppendInt(append(b, `,"iat":`...), m.IssuedAt.Unix(), 10)
	b = identity.AppendString(append(b, `,"jti":`...), m.ID)
	if q.Principal.Client != "" {
		b = identity.AppendString(append(b, `,"client_id":`...), q.Principal.Client)
	}
	if len(q.Principal.Scopes) > 0 {
		b = identity.AppendString(append(b, `,"scope":`...), strings.Join(q.Principal.Scopes, " "))
	}
	for _, name := range names(t, q) {
		v, ok := q.claim(name)
		if !ok {
			continue
		}
		b = append(identity.AppendString(append(b, ','), name), ':')
		var err error
		if b, err = identity.AppendJSON(b, v, nil); err != nil {
			return nil, fmt.Errorf("encoding claim %q: %w", name, err)
		}
		if len(b) > maxToken {
			return nil, fmt.Errorf("claims over %d bytes: %w", maxToken, errTooLarge)
		}
	}
	return append(b, '}'), nil
}

// names are the claims that the token carries besides the reserved ones, in
// order.
func names(t *Template, q Request) []string {
	if t.named != nil {
		return t.named
	}
	list := make([]string, 0, len(q.Claims)+8)
	for name := range q.Claims {
		if !reserved[name] {
			list = append(list, name)
		}
	}
	if t.all {
		for name := range maps.Keys(q.Principal.Claims) {
			if _, computed := q.Claims[name]; !computed && !reserved[name] && !foreign[name] {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	return list
}
