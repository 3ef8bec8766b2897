package directory

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

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file wraps a directory: its options, its state, and its life from Start to
// Close. How one look-up runs is in lookup.go, the circuit in breaker.go.

// ResilientOptions are the settings of a Resilient. The zero value of each field
// is its default.
type ResilientOptions struct {
	// Name is the directory's name in logs and metrics.
	Name string

	// Timeout bounds one look-up, waiting and retries included.
	// Default: DefaultTimeout.
	Timeout time.Duration

	// Concurrency bounds the look-ups under way at once; the others wait,
	// inside their own time-out. Default: DefaultConcurrency.
	Concurrency int

	// Retries is how often a look-up is repeated whose failure the kind marked
	// with Transient, at most MaxRetries. Default: DefaultRetries; negative:
	// never.
	Retries int

	// Failures is how many failures in a row open the circuit breaker.
	// Default: 5.
	Failures uint32

	// OpenFor is how long an open circuit breaker refuses look-ups before it
	// lets one through as a probe, with the others of the same decision.
	// Default: 10 s.
	OpenFor time.Duration

	// Clock returns the time that status shows. Default: time.Now.
	Clock func() time.Time

	// Rand returns the jitter of retries. Default: crypto/rand.
	Rand io.Reader

	// Logger gets one line when the directory starts to fail and one when it
	// answers again, and for failures that open no circuit one line a minute and
	// class at most. Default: nothing is logged.
	Logger *slog.Logger

	// Observer receives each look-up; see also CompositeOptions. Default: none.
	Observer Observer
}

// Resilient is a Directory around another, with a time-out, a limit of
// look-ups at once, retries and a circuit breaker. It turns a panic of the kind
// into an error and an answer over a limit into ErrTooLarge. It returns in time
// even where the kind does not.
//
// Its state may be shared by several configurations that overlap during a
// reload: each Composite has a view of its own.
type Resilient struct {
	shared   *sharedState
	name     string
	match    []string // of the source; see Source.Match
	timeout  time.Duration
	observer Observer
	logger   *slog.Logger
}

// sharedState is the part of a Resilient that all its views share.
type sharedState struct {
	directory Directory
	clock     func() time.Time
	retry     retry
	breaker   *breaker
	slots     chan struct{}

	waiting  atomic.Int64
	requests atomic.Uint64
	failures atomic.Uint64
	retries  atomic.Uint64

	mu           sync.Mutex
	active       int // calls that may still touch the directory
	started      bool
	closed       bool
	released     bool
	lastError    string
	lastErrorAt  time.Time
	lastCause    error
	lastAnswerAt time.Time
	loggedAt     map[string]time.Time // by class of error; see logFailure
}

// queueFactor bounds how many look-ups may wait, as a multiple of those under
// way. One that waits behind more could not be served within its time-out.
const queueFactor = 16

// drainTime bounds how long Close leaves the directory open for look-ups that
// are under way; it is longer than any sensible time-out.
const drainTime = 15 * time.Second

// NewResilient returns d with time-out, limits, retries and circuit breaker. It
// starts nothing.
func NewResilient(d Directory, o ResilientOptions) (*Resilient, error) {
	switch {
	case d == nil:
		return nil, errors.New("making a directory resilient: directory is missing")
	case o.Timeout < 0:
		return nil, errors.New("making a directory resilient: timeout is negative")
	case o.Concurrency < 0:
		return nil, errors.New("making a directory resilient: concurrency is negative")
	case o.Retries > MaxRetries:
		return nil, fmt.Errorf("making a directory resilient: over %d retries", MaxRetries)
	case o.OpenFor < 0:
		return nil, errors.New("making a directory resilient: the open time of the circuit breaker is negative")
	}
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.Concurrency = cmp.Or(o.Concurrency, DefaultConcurrency)
	o.Retries = cmp.Or(o.Retries, DefaultRetries)
	if o.Clock == nil {
		o.Clock = time.Now
	}
	o.Rand = cmp.Or(o.Rand, rand.Reader)
	if o.Logger == nil {
		o.Logger = discard
	}
	return &Resilient{
		shared: &sharedState{
			directory: d,
			clock:     o.Clock,
			retry:     retry{limit: max(o.Retries, 0), rand: o.Rand},
			breaker:   newBreaker(o.Failures, o.OpenFor, o.Clock),
			loggedAt:  make(map[string]time.Time),
			slots:     make(chan struct{}, o.Concurrency),
		},
		name: o.Name, timeout: o.Timeout, observer: o.Observer, logger: o.Logger,
	}, nil
}

// view returns a Resilient that shares the state of r under the settings of a
// source.
func (r *Resilient) view(s *Source, observer Observer, logger *slog.Logger) *Resilient {
	v := *r
	v.name, v.match = s.Name, s.Match
	if s.Timeout > 0 {
		v.timeout = s.Timeout
	}
	if observer != nil {
		v.observer = observer
	}
	if logger != nil {
		v.logger = logger
	}
	return &v
}

// Person implements Directory. An answer about another user than the source's
// Match allows is ErrForeign.
func (r *Resilient) Person(ctx context.Context, q Query) (*identity.Person, error) {
	subject, err := q.Subject()
	if err != nil {
		return nil, err
	}
	return ask(ctx, r, func(ctx context.Context) (*identity.Person, error) {
		p, err := r.shared.directory.Person(ctx, q)
		if err != nil {
			return nil, err
		}
		if err := checkPerson(p); err != nil {
			return nil, err
		}
		if len(r.match) > 0 && !MatchesSubject(p.User, subject, r.match) {
			return nil, fmt.Errorf("checking the answer: %w", ErrForeign)
		}
		return p, nil
	})
}

// App implements Directory. Where the kind has no apps, it is not asked.
func (r *Resilient) App(ctx context.Context, id string) (*identity.App, error) {
	if err := CheckName(id); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	if apps, _ := r.knows(); !apps {
		return nil, fmt.Errorf("looking up an app: this kind knows none: %w", ErrNotFound)
	}
	return ask(ctx, r, func(ctx context.Context) (*identity.App, error) {
		a, err := r.shared.directory.App(ctx, id)
		if err != nil {
			return nil, err
		}
		return a, checkApp(a)
	})
}

// AppUser implements Directory. Where the kind has no assignments, it is not
// asked.
func (r *Resilient) AppUser(ctx context.Context, q Query, appID string) (*identity.AppUser, error) {
	if _, err := q.Subject(); err != nil {
		return nil, err
	}
	if err := CheckName(appID); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	if _, appUsers := r.knows(); !appUsers {
		return nil, fmt.Errorf("looking up an app user: this kind knows none: %w", ErrNotFound)
	}
	return ask(ctx, r, func(ctx context.Context) (*identity.AppUser, error) {
		u, err := r.shared.directory.AppUser(ctx, q, appID)
		if err != nil {
			return nil, err
		}
		return u, checkAppUser(u)
	})
}

// knows returns whether the directory can have apps and assignments; see Partial.
func (r *Resilient) knows() (apps, appUsers bool) {
	if p, ok := r.shared.directory.(Partial); ok {
		return p.Supports()
	}
	return true, true
}

// Start begins the background work of the directory, where it has any. Calls
// after the first, or after Close, do nothing.
func (r *Resilient) Start() error {
	s := r.shared
	s.mu.Lock()
	if s.started || s.closed {
		s.mu.Unlock()
		return nil
	}
	s.started = true
	s.mu.Unlock()
	if st, ok := s.directory.(Starter); ok {
		return st.Start()
	}
	return nil
}

// Close refuses further look-ups with ErrClosed and closes the directory,
// where it can be closed, as soon as those under way have ended, or after a
// bounded wait. It does not block.
func (r *Resilient) Close() error {
	s := r.shared
	s.mu.Lock()
	s.closed = true
	if s.active > 0 {
		time.AfterFunc(drainTime, func() { _ = s.closeDirectory(true) })
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	return s.closeDirectory(false)
}

// closeDirectory closes the kind once: when no look-up is under way, or by force.
func (s *sharedState) closeDirectory(force bool) error {
	s.mu.Lock()
	if !s.closed || s.released || (s.active > 0 && !force) {
		s.mu.Unlock()
		return nil
	}
	s.released = true
	s.mu.Unlock()
	if c, ok := s.directory.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// Status returns the directory's state and counters.
func (r *Resilient) Status() Status {
	s := r.shared
	state, since := s.breaker.status()
	st := Status{
		Name: r.name, Ready: state != StateOpen, State: state.String(), Since: since,
		Requests: s.requests.Load(), Failures: s.failures.Load(), Retries: s.retries.Load(),
		InFlight: len(s.slots), Waiting: int(s.waiting.Load()),
	}
	if reporter, ok := s.directory.(Reporter); ok {
		ready, problem := reporter.Report()
		st.Ready, st.Problem = st.Ready && ready, problem
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.LastError, st.LastErrorAt, st.LastAnswerAt = s.lastError, s.lastErrorAt, s.lastAnswerAt
	if s.closed {
		st.Ready = false
	}
	return st
}

// Attributes returns the names of the attributes of the directory's objects; none
// where the kind is no Lister.
func (r *Resilient) Attributes() Attributes {
	if l, ok := r.shared.directory.(Lister); ok {
		return l.Attributes()
	}
	return Attributes{}
}

// Warnings returns what is suspicious in the directory; nothing where the kind is
// no Warner.
func (r *Resilient) Warnings() []string {
	if w, ok := r.shared.directory.(Warner); ok {
		return w.Warnings()
	}
	return nil
}

// State returns the circuit breaker's state.
func (r *Resilient) State() State {
	state, _ := r.shared.breaker.status()
	return state
}
