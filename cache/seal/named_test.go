package seal_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

func TestNamedWithoutDataIsTheRingUnderOneName(t *testing.T) {
	r := ring(t, key(2), key(1))
	n := r.Named(name(1))
	byName, err := n.Seal([]byte("x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Open(name(1), byName); err != nil || string(got) != "x" {
		t.Errorf("the ring opens %q, %v", got, err)
	}
	byRing, err := r.Seal(name(1), []byte("y"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := n.Open(byRing, nil); err != nil || string(got) != "y" {
		t.Errorf("it opens the ring's %q, %v", got, err)
	}
}

func TestNamedOpensWithItsNameKeyAndDataOnly(t *testing.T) {
	older, both, newer := ring(t, key(1)), ring(t, key(2), key(1)), ring(t, key(2))
	sealed, err := older.Named(name(1)).Seal([]byte("content"), []byte("data"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		what string
		by   *seal.Named
		data string
		want error
	}{
		{"itself", older.Named(name(1)), "data", nil},
		{"a ring with a newer key", both.Named(name(1)), "data", nil},
		{"a ring without its key", newer.Named(name(1)), "data", seal.ErrUnknownKey},
		{"another name", older.Named(name(2)), "data", seal.ErrOpen},
		{"other data", older.Named(name(1)), "date", seal.ErrOpen},
		{"shorter data", older.Named(name(1)), "dat", seal.ErrOpen},
		{"no data", older.Named(name(1)), "", seal.ErrOpen},
	}
	for _, tt := range tests {
		got, err := tt.by.Open(bytes.Clone(sealed), []byte(tt.data))
		if !errors.Is(err, tt.want) || err == nil && string(got) != "content" {
			t.Errorf("%s: %q, %v", tt.what, got, err)
		}
	}
	n := older.Named(name(1))
	for i := range sealed {
		edited := bytes.Clone(sealed)
		edited[i] ^= 1
		if _, err := n.Open(edited, []byte("data")); !errors.Is(err, seal.ErrOpen) {
			t.Fatalf("opens with byte %d edited", i)
		}
		if _, err := n.Open(bytes.Clone(sealed[:i]), []byte("data")); !errors.Is(err, seal.ErrOpen) {
			t.Fatalf("opens cut to %d bytes", i)
		}
	}
}

func TestNamedNeedsRandomness(t *testing.T) {
	r, err := seal.NewRing(strings.NewReader("short"), key(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Named(name(1)).Seal(nil, nil); err == nil {
		t.Fatal("sealed without a nonce")
	}
}

func TestNamedOpensWithOneAllocation(t *testing.T) {
	n := ring(t, key(2), key(1)).Named(name(1))
	data := []byte("data")
	sealed, err := n.Seal(make([]byte, 500), data)
	if err != nil {
		t.Fatal(err)
	}
	envelope := make([]byte, len(sealed))
	allocs := testing.AllocsPerRun(100, func() {
		copy(envelope, sealed)
		if _, err := n.Open(envelope, data); err != nil {
			t.Error(err)
		}
	})
	if allocs > 1 {
		t.Errorf("%.0f allocations", allocs)
	}
}

func BenchmarkNamedOpen(b *testing.B) {
	n := ring(b, key(1)).Named(name(1))
	sealed, err := n.Seal(make([]byte, 500), nil)
	if err != nil {
		b.Fatal(err)
	}
	envelope := make([]byte, len(sealed))
	b.ReportAllocs()
	for b.Loop() {
		copy(envelope, sealed)
		if _, err := n.Open(envelope, nil); err != nil {
			b.Fatal(err)
		}
	}
}
