package issuer

import (
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

func TestOnlyVerifiedHeadersAreRemembered(t *testing.T) {
	s := newStage(t)
	remembered := func(raw string) bool {
		t.Helper()
		return must(jose.Parse(raw, jose.MaxTokenBytes, &s.headers)).Members == nil
	}
	forged := sign(t, "RS256", "RS256", otherRSAKey(), map[string]any{"x": 1}, goodClaims())
	if _, err := s.verify(forged); err == nil {
		t.Fatal("accepted")
	}
	if remembered(forged) {
		t.Error("the header of a forged token is remembered")
	}
	good := s.token(goodClaims())
	if remembered(good) {
		t.Error("a header is remembered before its token was verified")
	}
	if _, err := s.verify(good); err != nil {
		t.Fatal(err)
	}
	if !remembered(good) || !remembered(s.token(goodClaims("jti", "j-2"))) {
		t.Error("the header of a verified token is not remembered")
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
