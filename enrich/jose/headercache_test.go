package jose

import (
	"fmt"
	"testing"
)

func TestTheHeaderCacheIsBounded(t *testing.T) {
	var c HeaderCache
	for n := range 3 * maxCachedHeaders {
		text, h := fmt.Sprint(n), new(Header)
		c.Put(text, h)
		if c.Get(text) != h {
			t.Fatalf("header %d is not remembered", n)
		}
		if n := len(c.parsed); n > maxCachedHeaders {
			t.Fatalf("%d headers are remembered", n)
		}
		c.Put(text, new(Header))
		if c.Get(text) != h {
			t.Fatalf("header %d was replaced", n)
		}
	}
	var none *HeaderCache
	none.Put("x", new(Header))
	if none.Get("x") != nil {
		t.Error("a nil cache remembers")
	}
}
