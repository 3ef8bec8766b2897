package issuer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJWKSFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := func(c *Config, _ *Options) { c.JWKSURL, c.JWKSFile = "", file }
	for name, text := range map[string]string{"broken": "{", "without keys": `{"keys":[]}`} {
		write(text)
		c := baseConfig()
		config(&c, nil)
		if _, err := New(c, Options{}); !errors.Is(err, errConfig) {
			t.Errorf("a file that is %s: got %v", name, err)
		}
	}
	write(keySetText(jwk(rsaKey(), "RS256", "RS256")))
	s := newStage(t, config)
	if !s.issuer.Ready() || s.issuer.Status().KeySet != 1 {
		t.Error("not ready at load")
	}
	if _, err := s.verify(s.token(goodClaims())); err != nil {
		t.Error(err)
	}
	write("{") // a broken edit keeps the last good one
	s.clock.Advance(defaultKeyMinInterval)
	fresh := sign(t, "RS256", "new", otherRSAKey(), nil, goodClaims())
	if _, err := s.verify(fresh); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an unknown key beside a broken file: got %v", err)
	}
	if _, err := s.verify(s.token(goodClaims())); err != nil {
		t.Errorf("a known key beside a broken file: got %v", err)
	}
	write(keySetText(jwk(otherRSAKey(), "new", "RS256")))
	s.clock.Advance(defaultKeyMinInterval)
	if _, err := s.verify(fresh); err != nil {
		t.Errorf("after the edit: %v", err)
	}
	if len(s.server.counts) != 0 {
		t.Errorf("the network was touched: %v", s.server.counts)
	}
}

func TestHMACFromAFile(t *testing.T) {
	secret := []byte(strings.Repeat("s", 64))
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(keySetText(jwk(secret, "s", "HS256"))), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStage(t, func(c *Config, _ *Options) {
		c.JWKSURL, c.JWKSFile, c.Algorithms = "", file, []string{"HS256"}
	})
	if _, err := s.verify(sign(t, "HS256", "s", secret, nil, goodClaims())); err != nil {
		t.Error(err)
	}
	for alg, want := range map[string]error{"HS512": errAlgorithm, "RS256": errAlgorithm} {
		key := any(secret)
		if alg == "RS256" {
			key = rsaKey()
		}
		if _, err := s.verify(sign(t, alg, "s", key, nil, goodClaims())); !errors.Is(err, want) {
			t.Errorf("%s: got %v", alg, err)
		}
	}
}
