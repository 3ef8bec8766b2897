package issuer

import (
	"context"
	"crypto/x509"

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
}

// CheckSender checks the sender constraints of a principal against the
// caller of this request: DPoP proof and certificate. It belongs to every
// request, also where the verdict about the token itself was kept. A nil
// caller shows nothing.
func (i *Issuer) CheckSender(ctx context.Context, p *identity.Principal, caller *Caller) error {
	if p.Confirmation.Bound() {
		return ErrSender
	}
	return nil
}
