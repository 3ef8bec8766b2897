package seal_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

func key(n byte) []byte { return bytes.Repeat([]byte{n}, seal.KeySize) }

func ring(t testing.TB, keys ...[]byte) *seal.Ring {
	t.Helper()
	r, err := seal.NewRing(nil, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func name(n byte) (id [32]byte) {
	id[31] = n
	return id
}

func TestWhatIsSealedOpensUnderItsNameOnly(t *testing.T) {
	r := ring(t, key(1))
	for _, size := range []int{0, 1, 15, 16, 17, 1 << 20} {
		plain := bytes.Repeat([]byte("a"), size)
		sealed, err := r.Seal(name(1), plain)
		if err != nil {
			t.Fatal(err)
		}
		if len(sealed) != size+seal.Overhead {
			t.Errorf("%d bytes became %d", size, len(sealed))
		}
		got, err := r.Open(name(1), sealed)
		if err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if _, err := r.Open(name(2), sealed); !errors.Is(err, seal.ErrOpen) {
			t.Errorf("opens under another name: %v", err)
		}
	}
}

func TestEveryByteIsAuthenticated(t *testing.T) {
	r := ring(t, key(1))
	sealed, err := r.Seal(name(1), []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		for bit := range 8 {
			edited := bytes.Clone(sealed)
			edited[i] ^= 1 << bit
			if _, err := r.Open(name(1), edited); !errors.Is(err, seal.ErrOpen) {
				t.Fatalf("opens with bit %d of byte %d flipped", bit, i)
			}
		}
		if _, err := r.Open(name(1), sealed[:i]); !errors.Is(err, seal.ErrOpen) {
			t.Fatalf("opens cut to %d bytes", i)
		}
	}
}

func TestTheSameContentIsNeverSealedAlike(t *testing.T) {
	r := ring(t, key(1))
	seen := map[string]bool{}
	for range 1000 {
		s, err := r.Seal(name(1), []byte("content"))
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(s)] || bytes.Contains(s, []byte("content")) {
			t.Fatal("an envelope repeats itself, or shows its content")
		}
		seen[string(s)] = true
	}
}

func TestTheFirstKeySealsAndEveryKeyOpens(t *testing.T) {
	older, both, newer, stranger := ring(t, key(1)), ring(t, key(2), key(1)), ring(t, key(2)), ring(t, key(3))
	byOld, err := older.Seal(name(1), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	byBoth, err := both.Seal(name(1), []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		ring   *seal.Ring
		sealed []byte
		want   error
	}{
		{"the old key's by the old ring", older, byOld, nil},
		{"the old key's by both", both, byOld, nil},
		{"the old key's without the old key", newer, byOld, seal.ErrUnknownKey},
		{"the new key's by both", both, byBoth, nil},
		{"the first key seals: by the new one alone", newer, byBoth, nil},
		{"the first key seals: not by the old one", older, byBoth, seal.ErrUnknownKey},
		{"a stranger's", stranger, byBoth, seal.ErrUnknownKey},
	}
	for _, tt := range tests {
		if _, err := tt.ring.Open(name(1), tt.sealed); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if !errors.Is(seal.ErrUnknownKey, seal.ErrOpen) {
		t.Error("an unknown key is a fault like the others")
	}
	if older.Derive("x") != both.Derive("x") || older.Fingerprint() != both.Fingerprint() {
		t.Error("rotation changed names: they derive from the last key")
	}
	if older.Derive("x") == newer.Derive("x") || older.Fingerprint() == newer.Fingerprint() {
		t.Error("another last key gives the same names")
	}
}

func TestDerivedSecretsDifferByPurposeAndRevealNoKey(t *testing.T) {
	r := ring(t, key(1))
	seen := map[[32]byte]string{[32]byte(key(1)): "the key itself"}
	for _, p := range []string{"", "a", "b", "token-enrich seal entries"} {
		s := r.Derive(p)
		if other, ok := seen[s]; ok {
			t.Errorf("%q gives the same secret as %q", p, other)
		}
		seen[s] = p
		if r.Derive(p) != s {
			t.Errorf("%q gives two secrets", p)
		}
	}
}

func TestARingTakesNoWrongKeys(t *testing.T) {
	tests := map[string]struct {
		keys [][]byte
		want error
	}{
		"no key":       {nil, nil},
		"short key":    {[][]byte{key(1), key(2)[:31]}, seal.ErrKey},
		"long key":     {[][]byte{append(key(1), 0)}, seal.ErrKey},
		"one twice":    {[][]byte{key(1), key(2), key(1)}, nil},
		"far too many": {make([][]byte, seal.MaxKeys+1), nil},
	}
	for name, tt := range tests {
		if _, err := seal.NewRing(nil, tt.keys...); err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAKeyIsReadInAnyBase64AndNeverShown(t *testing.T) {
	k := bytes.Repeat([]byte{0xfb, 0xff}, 16)
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		got, err := seal.ParseKey(" " + e.EncodeToString(k) + "\n")
		if err != nil || !bytes.Equal(got, k) {
			t.Errorf("%v", err)
		}
	}
	for _, text := range []string{"", "secret", base64.StdEncoding.EncodeToString(k[:31]), base64.StdEncoding.EncodeToString(append(k, 1)), strings.Repeat("A", 42) + "B"} {
		if _, err := seal.ParseKey(text); !errors.Is(err, seal.ErrKey) || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestRandomnessIsInjectedAndItsFailureIsAnError(t *testing.T) {
	r, err := seal.NewRing(strings.NewReader("twelve bytes"), key(1))
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Seal(name(1), nil)
	if err != nil || !bytes.Contains(s, []byte("twelve bytes")) {
		t.Fatalf("%q, %v", s, err)
	}
	if _, err := r.Seal(name(1), nil); err == nil {
		t.Fatal("sealed without a nonce")
	}
	if _, err := seal.NewKey(strings.NewReader("short")); err == nil {
		t.Fatal("made a key without randomness")
	}
	if k, err := seal.NewKey(rand.NewChaCha8([32]byte{})); err != nil || len(k) != seal.KeySize {
		t.Fatal(err)
	}
}

func FuzzOpen(f *testing.F) {
	r := ring(f, key(2), key(1))
	for _, n := range []int{0, 1, 100} {
		s, err := r.Seal(name(1), make([]byte, n))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(s)
		f.Add(s[:len(s)-1])
	}
	f.Add([]byte{})
	f.Add([]byte{1})
	real := ring(f, key(9))
	f.Fuzz(func(t *testing.T, b []byte) {
		// The corpus is sealed under other keys: nothing may open here.
		if _, err := real.Open(name(1), b); !errors.Is(err, seal.ErrOpen) {
			t.Fatal("something opened that this ring never sealed")
		}
		if p, err := r.Open(name(1), b); err == nil && len(p)+seal.Overhead != len(b) {
			t.Fatal("opened to another length")
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	r := ring(b, key(1))
	plain := make([]byte, 4096)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Seal(name(1), plain); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	r := ring(b, key(1))
	sealed, err := r.Seal(name(1), make([]byte, 4096))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(4096)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Open(name(1), sealed); err != nil {
			b.Fatal(err)
		}
	}
}
