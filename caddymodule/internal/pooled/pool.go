// Package pooled holds what survives a reload, in Caddy's usage pool: the
// resources of configurations, each known by a digest of its settings, and the
// cache store, which opens as soon as its key is known. It knows no App.
package pooled

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
	"time"

	"github.com/caddyserver/caddy/v2"
)

// pool holds what must survive a reload: key sets with their fetch times,
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

// Digest returns what stands for settings, with their secrets: equal settings,
// equal digest. It is valid in this process only.
func Digest(settings ...any) (string, error) {
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

// AppendPart appends a part to a list of them, behind its length: however many
// parts there are, two different lists never read the same.
func AppendPart(list []byte, part string) []byte {
	return append(binary.BigEndian.AppendUint64(list, uint64(len(part))), part...)
}

// maxContents bounds what is read of a file to recognise it; its readers
// have bounds of their own.
const maxContents = 4 << 20

// FileContents returns what a file holds, for a digest; nothing where it cannot be
// read, which its reader reports.
func FileContents(name string) []byte {
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

// resource is a pooled value with what closes it.
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

// Releases are what a configuration gives back in its Cleanup: exactly what
// it acquired, also when its Provision failed half-way.
type Releases struct {
	give []func() error // in the order of acquisition

	// instances name what was acquired; a resource that is made anew has another name.
	instances []byte
}

// Instances returns a text that names the acquired resources. A resource that was
// closed and made anew has another name, so that the text differs.
func (r *Releases) Instances() string { return string(r.instances) }

// Release releases everything, once, in the opposite order.
func (r *Releases) Release() error {
	var first error
	for _, give := range slices.Backward(r.give) {
		if err := give(); err != nil && first == nil {
			first = err
		}
	}
	r.give = nil
	return first
}

// Acquire returns the resource known by kind and the digest of its settings, and
// opens it where there is none. Its last user's release calls close, which may be
// nil. The release is noted only after the resource was acquired.
func Acquire[T any](r *Releases, kind, key string, open func() (T, error), close func(T) error) (T, error) {
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
	r.instances = AppendPart(r.instances, res.instance)
	return res.value, nil
}

// DrainTime is how long a resource that no configuration uses any more stays
// open, for requests that came before the reload and have not reached it yet.
// It is longer than they may wait for anything else of the gateway, time-outs
// of issuers apart.
const DrainTime = 5 * time.Second

// CloseAfter returns a function that closes a resource after a delay, for when
// its last configuration is gone.
func CloseAfter[T any](wait time.Duration, end func(T)) func(T) error {
	return func(v T) error {
		time.AfterFunc(wait, func() { end(v) })
		return nil
	}
}
