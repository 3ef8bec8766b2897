package issuer

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file checks sender constraints: DPoP and the client's certificate.

// A senderCheck holds an issuer's rules for who may use its tokens.
type senderCheck struct {
	dpop *dpopCheck // nil if dpop is off
	// needKey and needCertificate are set if tokens must be bound to one.
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

// check checks the constraints of a principal against the caller; see
// Issuer.CheckSender.
func (s *senderCheck) check(ctx context.Context, p *identity.Principal, caller *Caller) error {
	bound := p.Confirmation
	if caller == nil {
		if bound.Bound() || s.needKey || s.needCertificate {
			return fmt.Errorf("no information about the caller: %w", errSender)
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
		return fmt.Errorf("bound to a DPoP key, but not sent with the DPoP scheme: %w", errSender)
	}
	return s.dpop.check(ctx, caller, bound.KeyThumbprint)
}

// binding checks that a token is bound where it must be, and that the constraints
// can be checked. It needs no caller.
func (s *senderCheck) binding(c identity.Confirmation) error {
	switch {
	case c.CertificateThumbprint == "" && s.needCertificate:
		return fmt.Errorf("not bound to a certificate: %w", errSender)
	case c.KeyThumbprint == "" && s.needKey:
		return errUnboundToKey
	case c.KeyThumbprint != "" && s.dpop == nil:
		return fmt.Errorf("bound to a DPoP key, but dpop is off: %w", errSender)
	}
	return nil
}

var errUnboundToKey = fmt.Errorf("not bound to a DPoP key: %w", errSender)

// checkCertificate compares the SHA-256 of the certificate that Caddy
// verified with the thumbprint in the token (RFC 8705, section 3.1).
func checkCertificate(c *x509.Certificate, thumbprint string) error {
	if c == nil {
		return fmt.Errorf("bound to a certificate, but none was verified: %w", errSender)
	}
	sum := sha256.Sum256(c.Raw)
	text := base64.RawURLEncoding.EncodeToString(sum[:])
	if subtle.ConstantTimeCompare([]byte(text), []byte(thumbprint)) != 1 {
		return fmt.Errorf("bound to another certificate: %w", errSender)
	}
	return nil
}

// A Challenge is one way in which a token may be sent, for the header
// WWW-Authenticate.
type Challenge struct {
	// Scheme is Bearer or DPoP.
	Scheme string
	// Algorithms is the value of the parameter algs of the scheme DPoP: the
	// algorithms that a proof may be signed with (RFC 9449, section 7.1). It is
	// empty for Bearer.
	Algorithms string
}

// challenges returns the ways in which the issuer's tokens may be sent.
func (s *senderCheck) challenges() []Challenge {
	var list []Challenge
	if !s.needKey {
		list = append(list, Challenge{Scheme: "Bearer"})
	}
	if s.dpop != nil {
		list = append(list, Challenge{Scheme: "DPoP", Algorithms: proofAlgorithms()})
	}
	return list
}
