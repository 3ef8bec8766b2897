package mint

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// maxKeyFile bounds a PEM file: a 16,384-bit RSA key has 13 KB.
const maxKeyFile = 64 << 10

// This file reads keys of the operator's own from PEM files.

// loadFiles reads the key files: the first one signs, all are published. It
// also returns the algorithm, which the first key decides where none was set.
func loadFiles(c Config, log *slog.Logger) (*ring, string, error) {
	r := &ring{fixed: true}
	algorithm := c.Algorithm
	for i, name := range c.KeyFiles {
		private, public, err := readKeyFile(name, log)
		if err != nil {
			return nil, "", fmt.Errorf("reading key file %s: %w: %w", name, errConfig, err)
		}
		var k *key
		switch {
		case i > 0:
			// Never signs here, so it may be of another kind.
			k, err = newPublicKey(algorithmOf(public, algorithm), public)
		case private == nil:
			err = fmt.Errorf("the first key file must contain a private key: %w", errKey)
		default:
			if algorithm == "" {
				algorithm = algorithmOf(public, "")
			}
			k, err = newKey(algorithm, private)
		}
		if err != nil {
			return nil, "", fmt.Errorf("reading key file %s: %w: %w", name, errConfig, err)
		}
		for _, other := range r.keys {
			if other.id == k.id {
				return nil, "", fmt.Errorf("reading key file %s: the same key as in another file: %w", name, errConfig)
			}
		}
		// The order of the files is the order of the key set, which lists the
		// latest first.
		k.signsFrom = time.Unix(0, 0).Add(-time.Duration(i) * time.Second)
		r.keys = append(r.keys, k)
	}
	r.sort()
	return r, algorithm, nil
}

// readKeyFile reads one PEM block. Errors never quote the file.
func readKeyFile(name string, log *slog.Logger) (crypto.Signer, crypto.PublicKey, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() //nolint:errcheck // only read from
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return nil, nil, err
	}
	if len(text) > maxKeyFile {
		return nil, nil, fmt.Errorf("over %d bytes: %w", maxKeyFile, errKey)
	}
	block, rest := jose.DecodePEM(text)
	if block == nil || len(bytes.TrimSpace(rest)) > 0 && block.Type != "CERTIFICATE" {
		return nil, nil, fmt.Errorf("not a single PEM block: %w", errKey)
	}
	private, public, err := parseBlock(block)
	if err != nil {
		return nil, nil, err
	}
	if info, err := f.Stat(); err == nil && private != nil && info.Mode().Perm()&0o004 != 0 {
		// Not refused: that is how container secrets are commonly mounted.
		log.Warn("signing key file is readable by every user", slog.String("file", name))
	}
	return private, public, nil
}

// parseBlock reads a key of any of the PEM types that openssl writes. The private
// part is nil for a public key and for a certificate.
func parseBlock(block *pem.Block) (crypto.Signer, crypto.PublicKey, error) {
	switch block.Type {
	case "PUBLIC KEY":
		if public, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			return nil, public, nil
		}
	case "CERTIFICATE":
		if certificate, err := x509.ParseCertificate(block.Bytes); err == nil {
			return nil, certificate.PublicKey, nil
		}
	default:
		private, err := jose.ParsePrivateKeyBlock(block)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %w", err, errKey)
		}
		return private, private.Public(), nil
	}
	return nil, nil, fmt.Errorf("a damaged key: %w", errKey)
}
