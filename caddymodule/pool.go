package caddymodule

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/caddyserver/caddy/v2"
)

// What must survive a reload lives here: key sets with their fetch times,
// directories with the state of their circuit breakers, cache contents and
// Redis clients, signing keys, counters. A new configuration takes over what
// it shares with the old one; what no configuration uses any more is closed.
var pool = caddy.NewUsagePool()

// poolSecret keys the digests that resources are known by: settings hold
// secrets, and a bare hash of one could be guessed at.
var poolSecret = func() []byte {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}()

// digest stands for settings, with their secrets: equal settings, equal
// digest. It means something in this process only.
func digest(settings ...any) (string, error) {
	mac := hmac.New(sha256.New, poolSecret)
	for _, s := range settings {
		text, err := json.Marshal(s)
		if err != nil {
			return "", fmt.Errorf("computing the digest of the settings: %w", err)
		}
		fmt.Fprintf(mac, "%d:", len(text))
		mac.Write(text)
	}
	return hex.EncodeToString(mac.Sum(nil)), nil
}

// appendPart appends a part to a list of them, behind its length: however many
// parts there are, two different lists never read the same.
func appendPart(list []byte, part string) []byte {
	return append(binary.BigEndian.AppendUint64(list, uint64(len(part))), part...)
}

// maxContents bounds what is read of a file to recognise it; its readers
// have bounds of their own.
const maxContents = 4 << 20

// contents returns what a file holds, for a digest; nothing where it cannot be
// read, which its reader reports.
func contents(name string) []byte {
	if name == "" {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxContents))
	if err != nil {
		return nil
	}
	return text
}

// resource is a pooled value with what ends it.
type resource[T any] struct {
	value    T
	instance string
	close    func(T) error
}

// Destruct closes the value after its last user has released it.
func (r *resource[T]) Destruct() error {
	if r.close == nil {
		return nil
	}
	return r.close(r.value)
}

// releases are what a configuration gives back in its Cleanup: exactly what
// it took, also when its Provision failed half-way.
type releases struct {
	give []func() error

	// instances name what was taken, each made anew under another name.
	instances []byte
}

// all gives everything back, once, in the opposite order.
func (r *releases) all() error {
	var first error
	for _, give := range slices.Backward(r.give) {
		if err := give(); err != nil && first == nil {
			first = err
		}
	}
	r.give = nil
	return first
}

// acquire takes the resource known by kind and the digest of its settings, and
// makes it where there is none. The release is noted only after it was taken.
func acquire[T any](r *releases, kind, key string, open func() (T, error), close func(T) error) (T, error) {
	name := kind + "/" + key
	v, _, err := pool.LoadOrNew(name, func() (caddy.Destructor, error) {
		value, err := open()
		if err != nil {
			return nil, err
		}
		return &resource[T]{value: value, close: close, instance: rand.Text()}, nil
	})
	if err != nil {
		var zero T
		return zero, err
	}
	r.give = append(r.give, func() error {
		_, err := pool.Delete(name)
		return err
	})
	res, _ := v.(*resource[T])
	r.instances = appendPart(r.instances, res.instance)
	return res.value, nil
}
