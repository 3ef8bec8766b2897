package enrich

import (
	"crypto/rand"
	"strings"
	"testing"
)

// TestADecisionsKeyTellsItsPartsApart holds C31: what moves from one part of a
// key to the next makes another key, and so does a change of any part.
func TestADecisionsKeyTellsItsPartsApart(t *testing.T) {
	c, err := NewDecisionCache(0, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var one, two Fingerprint
	one[len(one)-1], two[0] = 'a', 'a'
	long := strings.Repeat("x", 2000) // more than what is hashed at once
	keys := make(map[decisionKey]string)
	for name, parts := range map[string]struct {
		config, policy Fingerprint
		token          string
		session        SessionSource
	}{
		"none":                   {},
		"configuration":          {config: one},
		"policy":                 {policy: one},
		"configuration, begin":   {config: two},
		"policy, begin":          {policy: two},
		"token":                  {token: "a"},
		"token with a zero byte": {token: "\x00a"},
		"policy and token":       {policy: one, token: "a"},
		"long":                   {token: long},
		"longer":                 {token: long + "x"},
		"long, other end":        {token: long[1:] + "y"},
		"a session":              {token: "a", session: &fakeSession{}},
		"a long session":         {token: long, session: &fakeSession{}},
		"a session without key":  {session: &fakeSession{}},
		"as a session's bytes":   {token: "sa"},
	} {
		p := &Policy{fingerprint: parts.policy}
		cred := credential{key: parts.token, session: parts.session}
		key := c.key(parts.config, p, cred)
		if other, taken := keys[key]; taken {
			t.Errorf("%s and %s have one key", name, other)
		}
		keys[key] = name
		if key != c.key(parts.config, p, cred) {
			t.Errorf("%s: equal parts have different keys", name)
		}
	}
}
