// Package trust reads whom the kinds that speak to a server are to believe.
package trust

import (
	"crypto/x509"
	"fmt"
	"os"
)

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
