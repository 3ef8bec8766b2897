// Package trust holds what the kinds that speak to a server share of deciding
// whom to believe.
package trust

import (
	"crypto/x509"
	"fmt"
	"os"

	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
)

// Loopback reports whether host is this machine.
func Loopback(host string) bool { return loopback.Host(host) }

// Authorities reads the certificates of a PEM file, to be trusted instead of
// the system's.
func Authorities(path string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading the CA file: %s holds no certificate", path)
	}
	return pool, nil
}
