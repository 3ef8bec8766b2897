package login

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// A session's cookie is the base64url text of its id, a dot, and that of an envelope
// with the rest. Its content is a head of fixed size, which every request reads, and
// a tail that is read when a decision is made:
//
//	fingerprint of the claims (8 bytes), began, renewed, end, idle end (8 each)
//	issuer NUL scopes, separated by spaces NUL claims as a JSON object
const (
	idSize      = 16
	idLength    = 22 // of its base64url text
	sessionHead = 8 + 4*8

	// maxSessionCookie bounds name and value of what is set. Browsers keep at least
	// 4,096 bytes (RFC 6265bis, section 5.6); proxies and applications need some of
	// the room that a request's header has.
	maxSessionCookie = 3900

	// maxSessionText bounds the value that is read.
	maxSessionText = 4096
)

// ErrNoSession is returned for a cookie that holds no session of this site. What
// wraps it says why, without any of the cookie's text.
var ErrNoSession = errors.New("no session")

// The faults of a cookie. They are made once: a stranger can cause them at any rate.
var (
	errSessionLong   = fmt.Errorf("%w: the cookie is longer than %d bytes", ErrNoSession, maxSessionText)
	errSessionForm   = fmt.Errorf("%w: the cookie is not an id, a dot and a sealed text in base64url", ErrNoSession)
	errSessionSeal   = fmt.Errorf("%w: %w", ErrNoSession, seal.ErrOpen)
	errSessionKey    = fmt.Errorf("%w: %w", ErrNoSession, seal.ErrUnknownKey)
	errSessionClaims = fmt.Errorf("%w: sealed with other claims than the policies read now", ErrNoSession)
	errSessionTail   = fmt.Errorf("%w: the sealed content cannot be read", ErrNoSession)
)

// errSessionText is the error of an issuer's name or a scope that cannot be kept.
var errSessionText = errors.New("sealing a session: an issuer's name or a scope is empty or contains a space or control character")

// Session is what is known of a logged-in person.
type Session struct {
	// ID is random and new with each login.
	ID [idSize]byte

	// Began is the time of the login. Renewed is when IdleEnd was last moved. End
	// and IdleEnd are when the session ends, whatever comes first. They are kept in
	// whole seconds.
	Began, Renewed, End, IdleEnd time.Time

	// Issuer is the configured name of the issuer.
	Issuer string

	// Scopes are those that were granted.
	Scopes []string

	// Claims are those of the principal's claims that anything reads, as canonical
	// values (see identity.Canonical).
	Claims map[string]any
}

// TooLargeError is returned for a session that no cookie can hold.
type TooLargeError struct {
	// Bytes is the length of the cookie's name and value, and Limit what it may be.
	Bytes, Limit int

	// Largest are the largest claims, the largest first.
	Largest []ClaimSize
}

// ClaimSize is a claim's name and the length of its JSON text in bytes.
type ClaimSize struct {
	Name  string
	Bytes int
}

// maxLargest bounds how many claims a TooLargeError names.
const maxLargest = 5

// Error names the largest claims and their sizes, and no value.
func (e *TooLargeError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "the session's cookie would be %d bytes long, over %d", e.Bytes, e.Limit)
	for i, c := range e.Largest {
		b.WriteString([]string{"; its largest claims: ", ", "}[min(i, 1)])
		fmt.Fprintf(&b, "%s (%d bytes)", c.Name, c.Bytes)
	}
	return b.String()
}

// Sealer makes and opens the session cookies of one origin. It is safe for
// concurrent use.
type Sealer struct {
	cookie string
	named  *seal.Named
	claims [8]byte
}

// NewSealer returns a Sealer. The fingerprint claims differs where sessions must hold
// other claims; a session that was sealed with another one does not open.
func NewSealer(ring *seal.Ring, origin Origin, claims [8]byte) *Sealer {
	cookie := origin.SessionCookie()
	return &Sealer{cookie: cookie, named: sealedFor(ring, purposeSession, cookie, origin), claims: claims}
}

// Seal returns the value of the session's cookie. The error is a *TooLargeError where
// the cookie's name and value are over 3,900 bytes.
func (s *Sealer) Seal(x *Session) (string, error) {
	o := Opened{ID: x.ID, Began: x.Began, Renewed: x.Renewed, End: x.End, IdleEnd: x.IdleEnd}
	var err error
	if o.tail, err = appendTail(nil, x); err != nil {
		return "", err
	}
	if n := s.size(&o); n > maxSessionCookie {
		return "", &TooLargeError{Bytes: n, Limit: maxSessionCookie, Largest: largest(x.Claims)}
	}
	// A session that could not be read would send the person to log in for ever.
	if _, err := o.Session(); err != nil {
		return "", fmt.Errorf("sealing a session: %w", err)
	}
	return s.Renew(&o)
}

// Renew returns the value of the cookie of an opened session with the times that it
// has now. It has the length of the one that was opened.
func (s *Sealer) Renew(o *Opened) (string, error) {
	plain := make([]byte, 0, sessionHead+len(o.tail))
	plain = append(plain, s.claims[:]...)
	for _, t := range []time.Time{o.Began, o.Renewed, o.End, o.IdleEnd} {
		plain = appendTime(plain, t)
	}
	envelope, err := s.named.Seal(append(plain, o.tail...), o.ID[:])
	if err != nil {
		return "", fmt.Errorf("sealing a session: %w", err)
	}
	return encode(o.ID[:]) + "." + encode(envelope), nil
}

// size returns the length of the name and value of a session's cookie.
func (s *Sealer) size(o *Opened) int {
	return len(s.cookie) + idLength + len(".") + encodedLen(sessionHead+len(o.tail)+seal.Overhead)
}

// Opened is a session whose claims have not been read. Its times are authentic, and
// may be over.
type Opened struct {
	// ID identifies the session.
	ID [idSize]byte

	// Began, Renewed, End and IdleEnd are those of Session.
	Began, Renewed, End, IdleEnd time.Time

	// Key is the text of the id, a part of the cookie's text. Decisions for the
	// session are kept by it. It must not be logged.
	Key string

	tail []byte
}

// Open opens a cookie's value. The error wraps ErrNoSession. Work and memory are
// bounded by 4,096 bytes, whatever is longer.
func (s *Sealer) Open(cookie string) (Opened, error) {
	if len(cookie) > maxSessionText {
		return Opened{}, errSessionLong
	}
	if len(cookie) <= idLength || cookie[idLength] != '.' {
		return Opened{}, errSessionForm
	}
	o := Opened{Key: cookie[:idLength]}
	sealed := cookie[idLength+1:]
	envelope := make([]byte, decodedLen(len(sealed)))
	if !decode(o.ID[:], o.Key) || !decode(envelope, sealed) {
		return Opened{}, errSessionForm
	}
	plain, err := s.named.Open(envelope, o.ID[:])
	if err != nil {
		if errors.Is(err, seal.ErrUnknownKey) {
			return Opened{}, errSessionKey
		}
		return Opened{}, errSessionSeal
	}
	if len(plain) < sessionHead {
		return Opened{}, errSessionTail
	}
	if [8]byte(plain) != s.claims {
		return Opened{}, errSessionClaims
	}
	o.Began, o.Renewed, o.End, o.IdleEnd = readTime(plain[8:]), readTime(plain[16:]), readTime(plain[24:]), readTime(plain[32:])
	o.tail = plain[sessionHead:]
	return o, nil
}

// Session reads the whole session. The error wraps ErrNoSession.
func (o *Opened) Session() (*Session, error) {
	issuer, rest, ok1 := strings.Cut(string(o.tail), "\x00")
	scopes, claims, ok2 := strings.Cut(rest, "\x00")
	if !ok1 || !ok2 {
		return nil, errSessionTail
	}
	x := &Session{ID: o.ID, Began: o.Began, Renewed: o.Renewed, End: o.End, IdleEnd: o.IdleEnd, Issuer: issuer}
	if scopes != "" {
		x.Scopes = strings.Split(scopes, " ")
	}
	var err error
	if x.Claims, err = jose.DecodeObject([]byte(claims)); err != nil {
		return nil, errSessionTail // the decoder's own error is that of a token
	}
	return x, nil
}

// appendTail appends what Opened.Session reads.
func appendTail(b []byte, x *Session) ([]byte, error) {
	for _, text := range append([]string{x.Issuer}, x.Scopes...) {
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' }) {
			return nil, errSessionText
		}
	}
	b = append(b, x.Issuer...)
	b = append(b, 0)
	b = append(b, strings.Join(x.Scopes, " ")...)
	b = append(b, 0)
	b, err := identity.AppendJSON(b, exact(x.Claims), nil)
	if err != nil {
		return nil, fmt.Errorf("sealing a session: %w", err)
	}
	return b, nil
}

// exact returns a canonical value whose JSON text reads back as the same value: a
// number that came with a fraction or an exponent has an exponent, as 5 would come
// back as an integer where 5.0 did not.
func exact(v any) any {
	switch x := v.(type) {
	case float64:
		return json.Number(strconv.FormatFloat(x, 'e', -1, 64))
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			out[i] = exact(e)
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for name, e := range x {
			out[name] = exact(e)
		}
		return out
	}
	return v
}

// largest returns the largest claims, the largest first.
func largest(claims map[string]any) []ClaimSize {
	var sizes []ClaimSize
	for name, v := range claims {
		text, err := identity.AppendJSON(identity.AppendString(nil, name), exact(v), nil)
		if err == nil { // it has been written before
			sizes = append(sizes, ClaimSize{Name: name, Bytes: len(text)})
		}
	}
	slices.SortFunc(sizes, func(a, b ClaimSize) int {
		if a.Bytes != b.Bytes {
			return b.Bytes - a.Bytes
		}
		return strings.Compare(a.Name, b.Name)
	})
	return sizes[:min(len(sizes), maxLargest)]
}
