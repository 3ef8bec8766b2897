package login

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

// This file holds logins under way. One cookie names the browser; all else is in the
// sealed state, which travels through the provider. Nothing is stored.

const (
	// transactionTTL is how long a person may take to log in.
	transactionTTL = 10 * time.Minute

	// maxAhead is how far the clock of the node that began a login may be ahead.
	maxAhead = time.Minute

	// maxState bounds the text of a state that is read.
	maxState = 8 << 10

	// transactionHead is the length of the fixed part: began, attempt, browser, session.
	transactionHead = 8 + 1 + sha256.Size + idSize
)

// ErrState is returned for a state that this site has not made.
var ErrState = errors.New("state is not one of ours")

// ErrStateExpired is returned for a state of ours that is older than ten minutes.
var ErrStateExpired = errors.New("state has expired")

// errTransactionText is the error of a transaction whose texts cannot be told apart.
var errTransactionText = errors.New("sealing a state: a name or the return target contains a NUL character or is too long")

// Labels of what is derived from browser and state, and of the browser's hash.
const (
	labelVerifier = "token-enrich code verifier\x00"
	labelNonce    = "token-enrich nonce\x00"
	labelBrowser  = "token-enrich browser\x00"
)

// Browser is the secret by which a browser proves that it began a login: the content
// of the cookie of logins under way. One serves all of its tabs.
type Browser [32]byte

// NewBrowser returns a new secret.
func NewBrowser(rand io.Reader) (b Browser, err error) {
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return Browser{}, fmt.Errorf("making a browser's secret: %w", err)
	}
	return b, nil
}

// ParseBrowser reads a cookie's value. It reports false for what Cookie does not write,
// and for zeroes, which stand for no cookie.
func ParseBrowser(cookie string) (b Browser, ok bool) {
	if !decode(b[:], cookie) {
		return Browser{}, false
	}
	return b, b != Browser{}
}

// Cookie returns the cookie's value.
func (b Browser) Cookie() string { return encode(b[:]) }

// Verifier returns the code_verifier (RFC 7636, section 4.1) of the login with that
// state. Who sees the state alone cannot derive it.
func (b Browser) Verifier(state string) string { return b.derive(labelVerifier, state) }

// Nonce returns the nonce (OpenID Connect Core, section 3.1.2.1) of the login with
// that state.
func (b Browser) Nonce(state string) string { return b.derive(labelNonce, state) }

func (b Browser) derive(label, state string) string {
	m := hmac.New(sha256.New, b[:])
	m.Write([]byte(label))
	m.Write([]byte(state))
	return encode(m.Sum(nil))
}

// hash names the browser in a state, which does not hold the secret itself.
func (b Browser) hash() [sha256.Size]byte {
	return sha256.Sum256(append([]byte(labelBrowser), b[:]...))
}

// Transaction is a login under way.
type Transaction struct {
	// Issuer is the configured name of the issuer that was asked.
	Issuer string

	// Policy is the name of the policy that asked for the login.
	Policy string

	// Return is where the person goes afterwards (see ReturnTarget).
	Return string

	// Began is when the person was sent to the issuer, in whole seconds.
	Began time.Time

	// Attempt is how many logins have gone before in vain.
	Attempt uint8

	// Session is the id of the session that the browser had then, which the login
	// replaces; zero for none.
	Session [idSize]byte

	browser [sha256.Size]byte
}

// Of reports whether that browser began the login. It takes constant time. The zero
// Browser began none: else a login that somebody begins with a cookie of zeroes could
// be finished in any browser without a cookie.
func (t Transaction) Of(b Browser) bool {
	h := b.hash()
	return b != Browser{} && subtle.ConstantTimeCompare(h[:], t.browser[:]) == 1
}

// Transactions seals and opens the state of one origin's logins and logouts. It is
// safe for concurrent use.
type Transactions struct{ login, logout *seal.Named }

// NewTransactions returns the Transactions of an origin.
func NewTransactions(ring *seal.Ring, origin Origin) *Transactions {
	cookie := origin.TransactionCookie()
	return &Transactions{
		login:  sealedFor(ring, purposeTransaction, cookie, origin),
		logout: sealedFor(ring, purposeLogout, cookie, origin),
	}
}

// Seal returns the state of a login that the browser b begins. No two are equal.
func (s *Transactions) Seal(t Transaction, b Browser) (string, error) {
	if len(t.Return) > maxReturn || strings.Contains(t.Issuer+t.Policy+t.Return, "\x00") {
		return "", errTransactionText
	}
	h := b.hash()
	plain := appendTime(nil, t.Began)
	plain = append(plain, t.Attempt)
	plain = append(plain, h[:]...)
	plain = append(plain, t.Session[:]...)
	plain = append(plain, strings.Join([]string{t.Issuer, t.Policy, t.Return}, "\x00")...)
	return sealText(s.login, plain)
}

// Open opens a state. Whose it is says Transaction.Of. The error is ErrState, or
// ErrStateExpired with the transaction beside it, so that the login can begin anew.
func (s *Transactions) Open(state string, now time.Time) (Transaction, error) {
	plain, ok := openText(s.login, state)
	if !ok || len(plain) < transactionHead {
		return Transaction{}, ErrState
	}
	texts := strings.Split(string(plain[transactionHead:]), "\x00")
	if len(texts) != 3 {
		return Transaction{}, ErrState
	}
	t := Transaction{
		Issuer: texts[0], Policy: texts[1], Return: texts[2],
		Began: readTime(plain), Attempt: plain[8], browser: [sha256.Size]byte(plain[9:]), Session: [idSize]byte(plain[9+sha256.Size:]),
	}
	if !current(t.Began, now) {
		return t, ErrStateExpired
	}
	return t, nil
}

// SealLogout returns the state of a logout at the provider that begins now (OpenID
// Connect RP-Initiated Logout, section 2).
func (s *Transactions) SealLogout(now time.Time) (string, error) {
	return sealText(s.logout, appendTime(nil, now))
}

// OpenLogout reports whether a state is that of a logout of this site which began at
// most ten minutes ago.
func (s *Transactions) OpenLogout(state string, now time.Time) bool {
	plain, ok := openText(s.logout, state)
	return ok && len(plain) == 8 && current(readTime(plain), now)
}

// current reports whether what began then is not over. A node's clock may be a little
// behind that of the node on which it began.
func current(began, now time.Time) bool {
	age := now.Sub(began)
	return age <= transactionTTL && age >= -maxAhead
}

func sealText(named *seal.Named, plain []byte) (string, error) {
	envelope, err := named.Seal(plain, nil)
	if err != nil {
		return "", fmt.Errorf("sealing a state: %w", err)
	}
	return encode(envelope), nil
}

func openText(named *seal.Named, text string) ([]byte, bool) {
	if len(text) > maxState {
		return nil, false
	}
	envelope := make([]byte, decodedLen(len(text)))
	if !decode(envelope, text) {
		return nil, false
	}
	plain, err := named.Open(envelope, nil)
	return plain, err == nil
}
