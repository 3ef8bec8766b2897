// Package trust reads the certificate authorities that a client trusts.
package trust

import (
	"crypto/x509"
	"fmt"
	"io"
	"os"
)

// maxFile bounds a file of certificates, in bytes. The bundles of operating
// systems have some 250 KB.
const maxFile = 1 << 20

// Authorities reads the certificates of a PEM file, to be trusted instead of
// the system's.
func Authorities(path string) (*x509.CertPool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the CA file: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read from
	pem, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the CA file: %w", err)
	case len(pem) > maxFile:
		return nil, fmt.Errorf("reading the CA file: %s is over %d bytes", path, maxFile)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("reading the CA file: %s holds no certificate", path)
	}
	return pool, nil
}
