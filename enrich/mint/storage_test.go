package mint

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"
	"testing"
)

// memory is a storage that several nodes share, with faults to inject.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
	locks  map[string]chan struct{}
	loads  int
	stores int

	failLoad, failStore, failLock error
	loseStore                     bool // Store says that it succeeded and keeps nothing
}

func newMemory() *memory {
	return &memory{values: map[string][]byte{}, locks: map[string]chan struct{}{}}
}

func (m *memory) set(change func(m *memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

func (m *memory) Load(ctx context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	if m.failLoad != nil {
		return nil, m.failLoad
	}
	value, ok := m.values[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return slices.Clone(value), ctx.Err()
}

func (m *memory) Store(ctx context.Context, name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stores++
	if m.failStore != nil {
		return m.failStore
	}
	if !m.loseStore {
		m.values[name] = slices.Clone(value)
	}
	return ctx.Err()
}

func (m *memory) Lock(ctx context.Context, name string) error {
	m.mu.Lock()
	if m.failLock != nil {
		defer m.mu.Unlock()
		return m.failLock
	}
	lock, ok := m.locks[name]
	if !ok {
		lock = make(chan struct{}, 1)
		m.locks[name] = lock
	}
	m.mu.Unlock()
	select {
	case lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *memory) Unlock(_ context.Context, name string) error {
	m.mu.Lock()
	lock := m.locks[name]
	m.mu.Unlock()
	select {
	case <-lock:
		return nil
	default:
		return errors.New("not locked")
	}
}

func TestDecodeRingRefusesWhatIsNoKeyDocument(t *testing.T) {
	k, err := generate("ES256", nil)
	if err != nil {
		t.Fatal(err)
	}
	good, err := encodeRing(&ring{keys: []*key{k}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeRing(good); err != nil {
		t.Fatal(err)
	}
	edit := func(from, to string) []byte {
		edited := []byte(replaceOnce(t, string(good), from, to))
		return edited
	}
	for name, text := range map[string][]byte{
		"empty":                  nil,
		"cut off":                good[:len(good)/2],
		"not JSON":               []byte("<html>"),
		"no keys":                []byte(`{"version":1,"keys":[]}`),
		"a later version":        edit(`"version": 1`, `"version": 2`),
		"another algorithm":      edit("ES256", "RS256"),
		"another curve":          edit("ES256", "ES384"),
		"an unknown algorithm":   edit("ES256", "HS256"),
		"an id of another key":   edit(k.id, "x"+k.id[1:]),
		"a damaged key":          edit(`"pkcs8": "M`, `"pkcs8": "N`),
		"a document without end": make([]byte, maxStored+1),
	} {
		if _, err := decodeRing(text); !errors.Is(err, errStored) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzDecodeRing(f *testing.F) {
	k, err := generate("EdDSA", nil)
	if err != nil {
		f.Fatal(err)
	}
	good, err := encodeRing(&ring{keys: []*key{k}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"version":1,"keys":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := decodeRing(text)
		if err != nil {
			if !errors.Is(err, errStored) {
				t.Errorf("got %v", err)
			}
			return
		}
		if _, err := encodeRing(r); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
