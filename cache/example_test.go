package cache_test

import (
	"context"
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/memory"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

// city is a codec for the simplest of values: a text that no purge names.
type city struct{}

func (city) Encode(s string) ([]byte, error) { return []byte(s), nil }
func (city) Decode(b []byte) (string, error) { return string(b), nil }
func (city) Cost(s string) int               { return len(s) }
func (city) Names(string) []cache.ID         { return nil }

func Example() {
	// The key deriver hashes what keys and purges name; nodes that share a
	// Redis share its secret.
	secret, err := seal.NewKey(nil)
	if err != nil {
		panic(err)
	}
	ring, err := seal.NewRing(nil, secret)
	if err != nil {
		panic(err)
	}
	tier, err := memory.New(memory.Options{Bytes: 1 << 20})
	if err != nil {
		panic(err)
	}
	store, err := cache.NewStore(cache.Options{KeyDeriver: cache.NewKeyDeriver(ring), Memory: tier})
	if err != nil {
		panic(err)
	}
	defer store.Close()

	cities := cache.New(store, city{})
	key := store.KeyDeriver().Key("city", []byte("directory 1"), "ada")
	names := func() []cache.ID { return []cache.ID{{Kind: cache.UserID, Value: "ada"}} }
	load := func(context.Context) (string, error) {
		fmt.Println("asking the directory")
		return "London", nil
	}

	get := func() {
		r, err := cities.Get(context.Background(), key, cache.DefaultTTLs(), names, load)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Value, r.State, "from", r.Tier)
	}
	get()
	get()
	if _, err := store.Purge(context.Background(), cache.ID{Kind: cache.UserID, Value: "ada"}); err != nil {
		panic(err)
	}
	get()

	// Output:
	// asking the directory
	// London fresh from source
	// London fresh from memory
	// asking the directory
	// London fresh from source
}
