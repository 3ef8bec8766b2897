package directory

import (
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

// ResilientOptions shape what stands around a directory. The zero value of each
// field is its default.
type ResilientOptions struct {
	// Name stands in logs and metrics.
	Name string

	// Timeout bounds one look-up, waiting and retries included.
	// Default: DefaultTimeout.
	Timeout time.Duration

	// Concurrency bounds the look-ups under way at once; the others wait,
	// inside their own time-out. Default: DefaultConcurrency.
	Concurrency int

	// Retries is how often a look-up that failed in passing (Transient) is
	// asked again, at most MaxRetries. Default: DefaultRetries; negative: never.
	Retries int

	// Failures is how many failures in a row open the circuit breaker.
	// Default: 5.
	Failures uint32

	// OpenFor is how long an open circuit breaker keeps look-ups away before
	// it lets one through to try, and what one decision asks with it.
	// Default: 10 s.
	OpenFor time.Duration

	// Clock gives the time that status shows. Default: time.Now.
	Clock func() time.Time

	// Rand gives the jitter of retries. Default: crypto/rand.
	Rand io.Reader

	// Logger is told once when the directory fails and once when it is back,
	// and of an answer or a question that is of no use once a minute at most.
	Logger *slog.Logger

	// Observer is told of each look-up; see also CompositeOptions.
	Observer Observer
}

// Resilient is a Directory with a time-out, a bound on look-ups at once,
// retries and a circuit breaker around another. It turns a panic of the kind
// into an error and an answer over a bound into ErrTooLarge, and it comes
// back in time also where the kind does not.
//
// Its state may be shared by several configurations that overlap during a
// reload: each merges a view of its own.
type Resilient struct {
	shared   *sharedState
	name     string
	match    []string // of the member; see Source.Match
	timeout  time.Duration
	observer Observer
	logger   *slog.Logger
}

// sharedState is the part of a Guarded that all its views share.
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
	loggedAt     map[string]time.Time // by class of error; see tell
}

// queueFactor bounds how many look-ups may wait, as a multiple of those under
// way: beyond it a waiting one could not be served inside a time-out anyway.
const queueFactor = 16

// drainTime bounds how long Close leaves the directory open for look-ups that
// are under way; it is longer than any sensible time-out.
const drainTime = 15 * time.Second

// NewResilient puts a guard around d. It starts nothing.
func NewResilient(d Directory, o ResilientOptions) (*Resilient, error) {
	switch {
	case d == nil:
		return nil, errors.New("guarding a directory: none given")
	case o.Timeout < 0:
		return nil, errors.New("guarding a directory: timeout is negative")
	case o.Concurrency < 0:
		return nil, errors.New("guarding a directory: concurrency is negative")
	case o.Retries > MaxRetries:
		return nil, fmt.Errorf("guarding a directory: over %d retries", MaxRetries)
	case o.OpenFor < 0:
		return nil, errors.New("guarding a directory: the open time of the circuit breaker is negative")
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Concurrency == 0 {
		o.Concurrency = DefaultConcurrency
	}
	if o.Retries == 0 {
		o.Retries = DefaultRetries
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
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

// view gives a Guarded that shares the state of g under the settings of a
// member.
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

// Person implements Directory.
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

// App implements Directory.
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

// AppUser implements Directory.
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

// knows tells what there is any use in asking for; see Partial.
func (r *Resilient) knows() (apps, appUsers bool) {
	if p, ok := r.shared.directory.(Partial); ok {
		return p.Supports()
	}
	return true, true
}

// Start begins the background work of the directory, where it has any. Only
// the first call counts.
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

// closeDirectory closes the directory once, when nobody is inside or by force.
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

// Status tells how the directory does.
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

// Attributes gives the names of what the directory's objects have, as far as it
// can tell.
func (r *Resilient) Attributes() Attributes {
	if l, ok := r.shared.directory.(Lister); ok {
		return l.Attributes()
	}
	return Attributes{}
}

// Warnings gives what in the directory is hardly meant, as far as it can tell.
func (r *Resilient) Warnings() []string {
	if w, ok := r.shared.directory.(Warner); ok {
		return w.Warnings()
	}
	return nil
}

// State gives the circuit breaker's state.
func (r *Resilient) State() State {
	state, _ := r.shared.breaker.status()
	return state
}
