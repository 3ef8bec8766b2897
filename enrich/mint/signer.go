package mint

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// firstWait is how long a request waits for the first keys: as long as a
	// person will wait, and longer than a storage takes that is well.
	firstWait = 2 * time.Second

	// maxPollInterval bounds the time between two polls for new keys.
	maxPollInterval = 10 * time.Minute

	// retryFirst and retryLast bound the time after which a failed poll is
	// repeated; it doubles in between.
	retryFirst = 250 * time.Millisecond
	retryLast  = 30 * time.Second
)

// Options are what a Signer gets from outside.
type Options struct {
	// Storage holds the keys. Required, unless they come from files.
	Storage Storage

	// Clock returns the time. Default: time.Now.
	Clock func() time.Time

	// Rand is the source of randomness. Default: crypto/rand.
	Rand io.Reader

	// Logger takes what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
}

// Signer holds the keys and signs with them. It is safe for concurrent use,
// and may be shared by the configurations before and after a reload.
type Signer struct {
	config  Config
	storage Storage
	clock   func() time.Time
	rand    io.Reader
	log     *slog.Logger

	ring    atomic.Pointer[ring]
	ready   chan struct{} // closed when the first ring is there
	longest atomic.Int64  // of this node, in seconds
	change  sync.Mutex    // held while the stored keys are read and changed
	wake    chan struct{} // makes the worker refresh now

	mu     sync.Mutex // guards what follows
	stop   context.CancelFunc
	done   chan struct{}
	failed error // of the last refresh
	since  time.Time
}

// New makes a Signer from its configuration. It touches neither network nor
// storage; key files are read, and an unreadable one is an error. The error
// wraps errConfig.
func New(c Config, o Options) (*Signer, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	s := &Signer{
		config: c.withDefaults(), storage: o.Storage, clock: o.Clock, rand: o.Rand, log: o.Logger,
		ready: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.rand == nil {
		s.rand = rand.Reader
	}
	s.log = cmp.Or(s.log, slog.New(slog.DiscardHandler))
	s.since = s.clock()
	if len(c.KeyFiles) > 0 {
		r, algorithm, err := loadFiles(s.config, s.log)
		if err != nil {
			return nil, err
		}
		s.config.Algorithm = algorithm
		return s, s.use(r)
	}
	if s.storage == nil {
		return nil, fmt.Errorf("no storage for the keys: %w", errConfig)
	}
	return s, nil
}

// String names the issuer, so that no format verb prints keys.
func (s *Signer) String() string { return "signer of " + s.config.Issuer }

// GoString keeps %#v from printing keys.
func (s *Signer) GoString() string { return s.String() }

// Start begins the worker that loads the keys, makes and retires them, until
// ctx ends or Stop is called. A second call while it runs makes it refresh at once:
// key files may have been replaced.
func (s *Signer) Start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stop != nil {
		s.poll()
		return
	}
	ctx, s.stop = context.WithCancel(ctx)
	s.done = make(chan struct{})
	go s.work(ctx, s.done)
}

// Stop ends the worker and waits for it; a call to the storage that is under
// way is broken off. Tokens can still be signed, and the key set served, with
// the keys that are there.
func (s *Signer) Stop() {
	s.mu.Lock()
	stop, done := s.stop, s.done
	s.stop, s.done = nil, nil
	s.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
}

// KeepFor has a retired key published for at least ttl, the life of the tokens
// that it signs. It never shortens the time.
func (s *Signer) KeepFor(ttl time.Duration) {
	seconds := int64(min(ttl, maxTTL) / time.Second)
	for {
		have := s.longest.Load()
		if have >= seconds {
			return
		}
		if s.longest.CompareAndSwap(have, seconds) {
			s.poll()
			return
		}
	}
}

// poll makes the worker refresh the keys at once.
func (s *Signer) poll() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// pollInterval returns how often a node polls for keys that others made: ten times
// within the overlap, so that all publish a key before any signs with it.
func pollInterval(c Config) time.Duration {
	return min(time.Duration(c.RotateOverlap)/10, maxPollInterval)
}

// work refreshes the keys until ctx ends. After a failure it tries again, at
// growing intervals.
func (s *Signer) work(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	retry := retryFirst
	for {
		err := s.refresh(ctx)
		if ctx.Err() != nil {
			return
		}
		s.report(err)
		wait := pollInterval(s.config)
		if err != nil {
			wait = min(wait, retry)
			retry = min(2*retry, retryLast)
		} else {
			retry = retryFirst
			wait = min(wait, s.untilChange())
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-s.wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// untilChange returns the time until the next key begins to sign, so that the key
// set is rendered anew at that moment.
func (s *Signer) untilChange() time.Duration {
	now := s.clock()
	if r := s.ring.Load(); r != nil {
		if k := r.next(s.config.Algorithm, now); k != nil {
			return max(k.signsFrom.Sub(now), time.Millisecond)
		}
	}
	return maxPollInterval
}

// report logs a failure once per change of state.
func (s *Signer) report(err error) {
	s.mu.Lock()
	changed := (err == nil) != (s.failed == nil)
	s.failed = err
	if changed {
		s.since = s.clock()
	}
	s.mu.Unlock()
	switch {
	case changed && err != nil:
		s.log.Error("signing keys cannot be kept up to date", slog.Any("error", err), slog.Bool("ready", s.ring.Load() != nil))
	case changed:
		s.log.Info("signing keys are up to date again")
	}
}

// use puts a ring into service.
func (s *Signer) use(r *ring) error {
	if err := r.publish(s.config, s.clock()); err != nil {
		return err
	}
	if s.ring.Swap(r) == nil {
		close(s.ready)
	}
	return nil
}

// awaitRing returns the ring, waiting for the first one at most firstWait.
func (s *Signer) awaitRing(ctx context.Context) (*ring, error) {
	if r := s.ring.Load(); r != nil {
		return r, nil
	}
	timer := time.NewTimer(firstWait)
	defer timer.Stop()
	select {
	case <-s.ready:
		return s.ring.Load(), nil
	case <-timer.C:
		return nil, ErrNotReady
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrNotReady, context.Cause(ctx))
	}
}

// IsActive reports whether the key with the id is the one that signs now. A
// cached token of another key is signed anew.
func (s *Signer) IsActive(keyID string) bool {
	r := s.ring.Load()
	if r == nil {
		return false
	}
	k := r.active(s.config.Algorithm, s.clock())
	return k != nil && k.id == keyID
}

// Status is the state of the keys, for an operator.
type Status struct {
	// Ready says that tokens can be signed.
	Ready bool `json:"ready"`
	// Since is when Error last came or went.
	Since time.Time `json:"since"`
	// Error is the class of the last failure: "storage", "lock_held",
	// "corrupt", "files" or empty.
	Error string `json:"error,omitempty"`
	// Keys is the number of keys held.
	Keys int `json:"keys"`
}

// Status returns the state of the keys.
func (s *Signer) Status() Status {
	s.mu.Lock()
	st := Status{Since: s.since, Error: class(s.failed)}
	s.mu.Unlock()
	if r := s.ring.Load(); r != nil {
		st.Ready, st.Keys = true, len(r.keys)
	}
	return st
}

// class returns the error's class for Status.Error.
func class(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, errStored):
		return "corrupt"
	case errors.Is(err, errLocked):
		return "lock_held"
	case errors.Is(err, errConfig), errors.Is(err, errKey):
		return "files"
	}
	return "storage"
}
