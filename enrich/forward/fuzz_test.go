package forward

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"
)

// nasty are the pieces that values are made of: what delimits, escapes,
// encodes, ends lines and is stripped.
var nasty = []string{
	"a", "B", "0", "2C", ",", ";", "|", "::", ":", ", ", " ", "\t", "\r", "\n", "\x00", "\x7f", "\u0085", "\u00a0", "\u2028", "\u3000",
	"%", "%2C", "%0d%0a", "+", "\\", "\\,", "=?", "?=", "=?UTF-8?q?x?=", "UTF-8''", "'", "\"", "[", "]", "{", "}", "é", "日", "🙂", "\u202e", "=", "_", "-",
}

func someText(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(6) {
		b.WriteString(nasty[r.IntN(len(nasty))])
	}
	return b.String()
}

func TestRandomListsAreRefusedOrReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, d := range allForms() {
		c := mustCompile(t, header1(d))
		for range 300 {
			elements := make([]any, 1+r.IntN(4))
			for i := range elements {
				elements[i] = someText(r)
			}
			roundTrip(t, c, d, elements)
		}
	}
}

func TestRandomPartsAreReadBack(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	split := 0
	for encode := range decoders {
		d := HeaderDefinition{Encode: encode, OnOverflow: "split", MaxBytes: 50}
		c := mustCompile(t, header1(d))
		for range 300 {
			var b strings.Builder
			for range 20 {
				b.WriteString(someText(r))
			}
			text := b.String()
			rendered, err := c.Render(map[string]any{"c": text})
			if err != nil {
				if !errors.Is(err, errRefused) && !errors.Is(err, errTooLarge) {
					t.Errorf("%s: %v", encode, err)
				}
				continue
			}
			safe(t, rendered.Fields())
			got := ""
			for _, f := range rendered.Fields() {
				if len(f.Values[0]) > d.MaxBytes {
					t.Errorf("%s: %s has %d bytes", encode, f.Name, len(f.Values[0]))
				}
				part, err := decoders[encode][0](overTheWire(f.Values[0]))
				if err != nil {
					t.Errorf("%s: %v", encode, err)
				}
				got += part
			}
			if got != text {
				t.Errorf("%s: %q reads back as %q", encode, text, got)
			}
			split++
		}
	}
	if split < 500 {
		t.Errorf("only %d texts were not refused: the test shows little", split)
	}
}

// FuzzRender checks that whatever a claim holds is refused, or written
// without a control character and read back as it was.
func FuzzRender(f *testing.F) {
	for _, v := range vectors(f) {
		if len(v) < 200 {
			f.Add(v, "b", uint16(3))
		}
	}
	f.Add("a:", ":b", uint16(77))
	forms := allForms()
	contracts := make([]*HeaderPlan, len(forms))
	for i, d := range forms {
		contracts[i] = mustCompile(f, header1(d))
	}
	f.Fuzz(func(t *testing.T, a, b string, form uint16) {
		i := int(form) % len(forms)
		if !utf8.ValidString(a) || !utf8.ValidString(b) {
			if _, err := contracts[i].Render(map[string]any{"c": []any{a, b}}); !errors.Is(err, errRefused) {
				t.Fatalf("%+v takes text that is not UTF-8 (%v)", forms[i], err)
			}
			return
		}
		roundTrip(t, contracts[i], forms[i], []any{a, b})
		roundTrip(t, contracts[i], forms[i], []any{b, a, a})
	})
}
