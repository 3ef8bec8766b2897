package issuer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// assertionLife is how long a client assertion is good: for one request.
	assertionLife = time.Minute
	// assertionType is the value that RFC 7523, section 2.2 prescribes.
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// maxKeyFile bounds the file of a private key.
	maxKeyFile = 64 << 10
)

// A clientAuth proves to the introspection endpoint who is asking.
type clientAuth struct {
	method   string
	id       string
	secret   string
	signer   jose.Signer
	audience string
	clock    func() time.Time
	rand     io.Reader
}

func newClientAuth(in Introspection, identifier string, o Options) (*clientAuth, error) {
	a := &clientAuth{method: in.AuthMethod, id: in.ClientID, secret: in.ClientSecret, audience: identifier, clock: o.Clock, rand: o.Rand}
	if a.method != authKey {
		return a, nil
	}
	key, err := readPrivateKey(in.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("private_key: %w", err)
	}
	if in.KeyID != "" {
		key.KeyID = in.KeyID
	}
	alg := jose.SignatureAlgorithm(key.Algorithm)
	if alg == "" {
		alg = naturalAlgorithm(key.Key)
	}
	a.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, new(jose.SignerOptions).WithType("JWT"))
	if err != nil {
		return nil, errors.New("private_key: the key does not fit its algorithm")
	}
	return a, nil
}

// apply adds the proof to the form or the header of the request.
func (a *clientAuth) apply(form url.Values, header http.Header) error {
	switch a.method {
	case authPost:
		form.Set("client_id", a.id)
		form.Set("client_secret", a.secret)
	case authKey:
		assertion, err := a.assertion()
		if err != nil {
			return fmt.Errorf("signing the client assertion: %w", err)
		}
		form.Set("client_id", a.id)
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
	default:
		// RFC 6749, section 2.3.1: both parts are form-encoded first.
		pair := url.QueryEscape(a.id) + ":" + url.QueryEscape(a.secret)
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
	return nil
}

// assertion makes a client assertion (RFC 7523, section 3). Its audience is
// the issuer itself, which no other server can take for its own.
func (a *clientAuth) assertion() (string, error) {
	var id [16]byte
	if _, err := io.ReadFull(a.rand, id[:]); err != nil {
		return "", err
	}
	now := a.clock()
	claims, err := json.Marshal(map[string]any{
		"iss": a.id, "sub": a.id, "aud": a.audience, "jti": base64.RawURLEncoding.EncodeToString(id[:]),
		"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(),
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

// readPrivateKey reads PEM text, a JWK, or a file that holds either. Errors
// quote nothing of the text.
func readPrivateKey(text string) (jose.JSONWebKey, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "-----BEGIN") && !strings.HasPrefix(text, "{") {
		content, err := readFile(text, maxKeyFile)
		if err != nil {
			return jose.JSONWebKey{}, errors.New("neither PEM, nor a JWK, nor a file that can be read")
		}
		text = strings.TrimSpace(string(content))
	}
	var key jose.JSONWebKey
	if strings.HasPrefix(text, "{") {
		if err := key.UnmarshalJSON([]byte(text)); err != nil {
			return key, errors.New("not a valid JWK")
		}
	} else {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return key, errors.New("not valid PEM")
		}
		key.Key = parsePrivateKey(block.Bytes)
	}
	if naturalAlgorithm(key.Key) == "" {
		return key, errors.New("not a private key of a supported kind")
	}
	return key, nil
}

// parsePrivateKey reads the encodings that are in use; nil means none fits.
func parsePrivateKey(der []byte) any {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return k
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k
	}
	if k, err := x509.ParseECPrivateKey(der); err == nil {
		return k
	}
	return nil
}

// naturalAlgorithm gives the algorithm for a private key that names none;
// empty means that the key cannot sign here.
func naturalAlgorithm(key any) jose.SignatureAlgorithm {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		return jose.RS256
	case ed25519.PrivateKey:
		return jose.EdDSA
	case *ecdsa.PrivateKey:
		switch k.Curve.Params().BitSize {
		case 256:
			return jose.ES256
		case 384:
			return jose.ES384
		case 521:
			return jose.ES512
		}
	}
	return ""
}
