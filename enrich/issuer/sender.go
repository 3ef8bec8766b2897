package issuer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// Caller is what a request shows of its sender besides the token. The
// gateway fills it from the request as the client sent it, before rewrites;
// nothing in it comes from forwarded headers.
type Caller struct {
	// Token is the token's text as found; DPoP proofs are bound to it.
	Token string

	// AuthScheme is the scheme that the token came with: Bearer, DPoP, or
	// empty for a cookie, a query parameter or a header without one.
	AuthScheme string

	// Method is the request's method.
	Method string

	// URLScheme is http or https, Host the Host header and Path the escaped
	// path of the request, without query: what htu is compared with.
	URLScheme, Host, Path string

	// Proofs are the values of the DPoP header field.
	Proofs []string

	// Certificate is the client's certificate if Caddy itself verified a
	// chain for it (tls.ConnectionState.VerifiedChains), else nil.
	Certificate *x509.Certificate

	// Memory is what the gateway that was called knows of proofs. Nil: what
	// the issuer knows by itself.
	Memory *ProofMemory
}

// ProofMemory is what a gateway knows of DPoP proofs, and what its nodes share:
// a proof that one of them took is used up on all, and each takes the nonces of
// the others.
type ProofMemory struct {
	// Used remembers the proofs that were used.
	Used ReplayMemory

	// NonceKey makes nonces. It must be secret.
	NonceKey [32]byte
}

// CallerOf gives what a request shows of its sender. The request must be the
// one that the client sent: a rewritten path would not match any proof.
func CallerOf(r *http.Request, token, authScheme string) *Caller {
	c := &Caller{
		Token: token, AuthScheme: authScheme, Method: r.Method,
		URLScheme: "http", Host: r.Host, Path: r.URL.EscapedPath(), Proofs: r.Header["Dpop"],
	}
	if r.TLS != nil {
		c.URLScheme = "https"
		// PeerCertificates alone may hold one that nobody verified.
		if chains := r.TLS.VerifiedChains; len(chains) > 0 && len(chains[0]) > 0 {
			c.Certificate = chains[0][0]
		}
	}
	return c
}

// A senderCheck holds an issuer's rules for who may use its tokens.
type senderCheck struct {
	dpop *dpopCheck // nil: off
	// needKey and needCertificate say that tokens must be bound.
	needKey, needCertificate bool
}

func newSenderCheck(c Config, o Options) (*senderCheck, error) {
	s := &senderCheck{needKey: c.DPoP == dpopRequire, needCertificate: c.MTLS == mtlsRequire}
	if c.DPoP == dpopOff {
		return s, nil
	}
	var err error
	s.dpop, err = newDPoPCheck(c, o)
	return s, err
}

// CheckSender checks the sender constraints of a principal against the
// caller of this request: DPoP proof and certificate. It belongs to every
// request, also where the verdict about the token itself was kept. A nil
// caller shows nothing. A bound token is never taken as a bearer token,
// whatever the configuration says (RFC 9449, section 7.2; RFC 8705, section
// 3). Errors wrap ErrInvalidToken or ErrUnavailable.
func (i *Issuer) CheckSender(ctx context.Context, p *identity.Principal, caller *Caller) error {
	s := i.sender
	bound := p.Confirmation
	if caller == nil {
		if bound.Bound() || s.needKey || s.needCertificate {
			return fmt.Errorf("nothing is known of the caller: %w", ErrSender)
		}
		return nil
	}
	if err := s.binding(bound); err != nil {
		return err
	}
	if bound.CertificateThumbprint != "" {
		if err := checkCertificate(caller.Certificate, bound.CertificateThumbprint); err != nil {
			return err
		}
	}
	withProof := strings.EqualFold(caller.AuthScheme, "DPoP")
	switch {
	case bound.KeyThumbprint == "" && withProof:
		return errUnboundToKey
	case bound.KeyThumbprint == "":
		return nil
	case !withProof:
		return fmt.Errorf("bound to a DPoP key, and not sent with the scheme DPoP: %w", ErrSender)
	}
	return s.dpop.check(ctx, caller, bound.KeyThumbprint)
}

// binding checks what the constraints of a token alone tell: that they are
// there where they must be, and that they can be checked.
func (s *senderCheck) binding(c identity.Confirmation) error {
	switch {
	case c.CertificateThumbprint == "" && s.needCertificate:
		return fmt.Errorf("not bound to a certificate: %w", ErrSender)
	case c.KeyThumbprint == "" && s.needKey:
		return errUnboundToKey
	case c.KeyThumbprint != "" && s.dpop == nil:
		return fmt.Errorf("bound to a DPoP key, and dpop is off: %w", ErrSender)
	}
	return nil
}

var errUnboundToKey = fmt.Errorf("not bound to a DPoP key: %w", ErrSender)

// checkCertificate compares the SHA-256 of the certificate that Caddy
// verified with the thumbprint in the token (RFC 8705, section 3.1).
func checkCertificate(c *x509.Certificate, thumbprint string) error {
	if c == nil {
		return fmt.Errorf("bound to a certificate, and none was verified: %w", ErrSender)
	}
	sum := sha256.Sum256(c.Raw)
	text := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(text), []byte(thumbprint)) != 1 {
		return fmt.Errorf("bound to another certificate: %w", ErrSender)
	}
	return nil
}

// A Challenge is one way in which a token may be sent, for WWW-Authenticate.
type Challenge struct {
	// Scheme is Bearer or DPoP.
	Scheme string
	// Algorithms is the value of the parameter algs of the scheme DPoP, the
	// algorithms that a proof may be signed with (RFC 9449, section 7.1).
	Algorithms string
}

// Challenges lists the ways in which the issuer's tokens may be sent.
func (i *Issuer) Challenges() []Challenge {
	var list []Challenge
	if !i.sender.needKey {
		list = append(list, Challenge{Scheme: "Bearer"})
	}
	if i.sender.dpop != nil {
		list = append(list, Challenge{Scheme: "DPoP", Algorithms: proofAlgorithms()})
	}
	return list
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
