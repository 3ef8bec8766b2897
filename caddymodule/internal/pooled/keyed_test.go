package pooled

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/caddyserver/certmagic"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

// storage is a storage in memory that can be made to fail.
type storage struct {
	certmagic.Storage // no other method is called

	mu     sync.Mutex
	values map[string][]byte
	err    error
}

func (s *storage) Load(_ context.Context, name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	value, ok := s.values[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return value, nil
}

func (s *storage) Store(_ context.Context, name string, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[name] = value
	return s.err
}

func (*storage) Lock(context.Context, string) error { return nil }

func (*storage) Unlock(context.Context, string) error { return nil }

func (s *storage) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// openRing returns a ring of its own process.
func openRing(t *testing.T, keys [][]byte, s *storage) (*Ring, *Releases) {
	t.Helper()
	var r Releases
	ring, err := OpenRing(&r, keys, s, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ring.Start()
	return ring, &r
}

// A person's session outlives a restart (L10): its seal key is in the storage.
func TestWhatARingSealsOpensAfterARestart(t *testing.T) {
	configured, err := seal.NewKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range map[string][][]byte{"key in the storage": nil, "configured key": {configured}} {
		t.Run(name, func(t *testing.T) {
			s := &storage{values: map[string][]byte{}}
			ring, releases := openRing(t, keys, s)
			first, err := ring.Get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			sealed, err := first.Seal([32]byte{1}, []byte("session"))
			if err != nil {
				t.Fatal(err)
			}
			if err := releases.Release(); err != nil {
				t.Fatal(err)
			}
			ring, releases = openRing(t, keys, s)
			defer func() { _ = releases.Release() }()
			second, err := ring.Get(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := second.Open([32]byte{1}, sealed); first == second || err != nil || string(plain) != "session" {
				t.Errorf("after a restart it opens to %q, %v", plain, err)
			}
			if stored := len(s.values); stored != 1-len(keys) {
				t.Errorf("%d keys in the storage", stored)
			}
		})
	}
}

// A storage that cannot be read is an error of each request, until it can be read.
func TestARingWaitsForItsStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &storage{values: map[string][]byte{}, err: errors.New("no storage")}
		ring, releases := openRing(t, nil, s)
		defer func() { _ = releases.Release() }()
		if got, err := ring.Get(t.Context()); got != nil || !errors.Is(err, errNotReady) {
			t.Errorf("without a storage: %v, %v", got, err)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := ring.Get(ended); !errors.Is(err, errNotReady) || !errors.Is(err, context.Canceled) {
			t.Errorf("of a request that ended: %v", err)
		}
		if ring.Current() != nil {
			t.Error("there is a ring without a key")
		}
		s.fail(nil)
		if got, err := ring.Get(t.Context()); got == nil || err != nil {
			t.Errorf("with a storage: %v, %v", got, err)
		}
	})
}
