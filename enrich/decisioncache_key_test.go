package enrich

import (
	"crypto/rand"
	"testing"
)

// TestADecisionsKeyTellsItsPartsApart holds C31: what moves from one part of a
// key to the next makes another key.
func TestADecisionsKeyTellsItsPartsApart(t *testing.T) {
	c, err := NewDecisionCache(0, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &Policy{}
	text := string(p.fingerprint[:])
	// Both are the same bytes one behind the other: the policy's fingerprint is
	// all zeros, so that nothing but the lengths says where a part ends.
	one := c.key(&Gateway{Fingerprint: []byte("a" + text)}, p, "token")
	two := c.key(&Gateway{Fingerprint: []byte("a")}, p, text+"token")
	if one == two {
		t.Error("two lists of parts have one key")
	}
	if one != c.key(&Gateway{Fingerprint: []byte("a" + text)}, p, "token") {
		t.Error("equal parts have different keys")
	}
}
