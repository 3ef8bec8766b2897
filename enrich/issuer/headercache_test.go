package issuer

import (
	"fmt"
	"strings"
	"testing"
)

func TestOnlyVerifiedHeadersAreRemembered(t *testing.T) {
	s := newStage(t)
	forged := sign(t, "RS256", "RS256", otherRSAKey(), map[string]any{"x": 1}, goodClaims())
	if _, err := s.verify(forged); err == nil {
		t.Fatal("accepted")
	}
	if n := len(s.headers.parsed); n != 0 {
		t.Errorf("%d headers of forged tokens are remembered", n)
	}
	for range 3 {
		if _, err := s.verify(s.token(goodClaims())); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.headers.parsed); n != 1 {
		t.Errorf("%d headers are remembered, want 1", n)
	}
	for n := range 3 * maxCachedHeaders {
		raw := sign(t, "EdDSA", "EdDSA", edKey(), map[string]any{"nonce": fmt.Sprint(n)}, goodClaims())
		if _, err := s.verify(raw); err != nil {
			t.Fatal(err)
		}
		if n := len(s.headers.parsed); n > maxCachedHeaders {
			t.Fatalf("%d headers are remembered", n)
		}
	}
	// A remembered header is judged like any other.
	if _, err := s.verify(forgeSignature(s.token(goodClaims()))); err == nil {
		t.Error("a forged signature under a remembered header is accepted")
	}
}

// forgeSignature changes the first character of the signature.
func forgeSignature(raw string) string {
	at := strings.LastIndexByte(raw, '.') + 1
	first := "A"
	if raw[at] == 'A' {
		first = "B"
	}
	return raw[:at] + first + raw[at+1:]
}
