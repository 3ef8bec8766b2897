package oauthclient

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// An Authentication proves to an authorization server which client sends a
// request: it adds the proof to the form or to the header (OpenID Connect Core,
// section 9).
type Authentication func(form url.Values, header http.Header) error

// SecretBasic returns the authentication client_secret_basic.
func SecretBasic(clientID, secret string) Authentication {
	// RFC 6749, section 2.3.1: both parts are form-encoded first.
	pair := url.QueryEscape(clientID) + ":" + url.QueryEscape(secret)
	value := "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
	return func(_ url.Values, header http.Header) error {
		header.Set("Authorization", value)
		return nil
	}
}

// SecretPost returns the authentication client_secret_post.
func SecretPost(clientID, secret string) Authentication {
	return func(form url.Values, _ http.Header) error {
		form.Set("client_id", clientID)
		form.Set("client_secret", secret)
		return nil
	}
}

// PrivateKeyJWT returns the authentication private_key_jwt. The form has the
// client_id beside the assertion, which RFC 7521 leaves optional.
func PrivateKeyJWT(a *Assertion) Authentication {
	return func(form url.Values, _ http.Header) error {
		form.Set("client_id", a.o.ClientID)
		return a.Add(form)
	}
}

const (
	// assertionType is the client_assertion_type of RFC 7523, section 2.2.
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

	// defaultLifetime is how long an assertion is valid: for one request.
	defaultLifetime = time.Minute
)

// AssertionOptions say who signs client assertions, and for whom.
type AssertionOptions struct {
	// ClientID is the client, the iss and sub of each assertion.
	ClientID string

	// Audience is the aud: the authorization server's issuer identifier, which
	// no other server can take for its own, or what the server asks for.
	Audience string

	// Key signs. Its ID, where it has one, is the kid of each header.
	Key jose.PrivateKey

	// Lifetime is how long an assertion is valid. Default: one minute.
	Lifetime time.Duration

	// Clock returns the time. Default: time.Now.
	Clock func() time.Time

	// Rand is the source of each jti. Default: crypto/rand.
	Rand io.Reader
}

// An Assertion signs JWTs that prove which client sends a request (RFC 7523,
// section 3), a new one for each. It is safe for concurrent use.
type Assertion struct {
	o      AssertionOptions
	signer gojose.Signer
}

// NewAssertion fails where the key does not fit the algorithm that it names.
func NewAssertion(o AssertionOptions) (*Assertion, error) {
	signer, err := o.Key.NewSigner("JWT")
	if err != nil {
		return nil, err
	}
	o.Lifetime = cmp.Or(o.Lifetime, defaultLifetime)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	o.Rand = cmp.Or(o.Rand, rand.Reader)
	return &Assertion{o: o, signer: signer}, nil
}

// Add puts a new assertion into the form of a request.
func (a *Assertion) Add(form url.Values) error {
	assertion, err := a.sign()
	if err != nil {
		return fmt.Errorf("signing the client assertion: %w", err)
	}
	form.Set("client_assertion_type", assertionType)
	form.Set("client_assertion", assertion)
	return nil
}

func (a *Assertion) sign() (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(a.o.Rand, id[:]); err != nil {
		return "", errors.New("no randomness")
	}
	now := a.o.Clock()
	claims, err := json.Marshal(map[string]any{
		"iss": a.o.ClientID, "sub": a.o.ClientID, "aud": a.o.Audience, "jti": base64.RawURLEncoding.EncodeToString(id[:]),
		"iat": now.Unix(), "exp": now.Add(a.o.Lifetime).Unix(),
	})
	if err != nil {
		return "", err
	}
	signed, err := a.signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}
