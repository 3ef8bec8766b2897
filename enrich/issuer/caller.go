package issuer

import (
	"crypto/x509"
	"net/http"
)

// Caller is what a request shows of its sender besides the token. The gateway
// fills it from the request as the client sent it, before rewrites. Nothing in it
// comes from forwarded headers.
type Caller struct {
	// Token is the text of the token as it was found. A DPoP proof holds its
	// hash.
	Token string

	// AuthScheme is the scheme that the token came with: Bearer, DPoP, or
	// empty for a cookie, a query parameter or a header without one.
	AuthScheme string

	// Method is the request's method.
	Method string

	// URLScheme is http or https, Host the Host header, and Path the escaped
	// path of the request without query. The htu of a proof is compared with
	// them.
	URLScheme, Host, Path string

	// Proofs are the values of the DPoP header field.
	Proofs []string

	// Certificate is the client's certificate if Caddy itself verified a
	// chain for it (tls.ConnectionState.VerifiedChains), else nil.
	Certificate *x509.Certificate

	// Memory is what the gateway that was called remembers of proofs. If it is
	// nil, the issuer relies on its own memory.
	Memory *ProofMemory
}

// ProofMemory is what the nodes of a gateway remember of DPoP proofs together: a
// proof that one of them has accepted is used on all, and each accepts the nonces
// of the others.
type ProofMemory struct {
	// Used remembers the proofs that were used.
	Used ReplayMemory

	// NonceKey authenticates nonces. It must be secret, and the same on all
	// nodes.
	NonceKey [32]byte
}

// CallerOf returns what a request shows of its sender. The request must be the one
// that the client sent: a rewritten path would not match any proof.
func CallerOf(r *http.Request, token, authScheme string) *Caller {
	c := &Caller{
		Token: token, AuthScheme: authScheme, Method: r.Method,
		URLScheme: "http", Host: r.Host, Path: r.URL.EscapedPath(), Proofs: r.Header["Dpop"],
	}
	if r.TLS != nil {
		c.URLScheme = "https"
		// PeerCertificates may hold one that has not been verified.
		if chains := r.TLS.VerifiedChains; len(chains) > 0 && len(chains[0]) > 0 {
			c.Certificate = chains[0][0]
		}
	}
	return c
}
