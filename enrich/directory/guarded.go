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

// GuardOptions shape what stands around a directory. The zero value of each
// field is its default.
type GuardOptions struct {
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

	// Observer is told of each look-up; see also MergeOptions.
	Observer Observer
}

// Guarded is a Directory with a time-out, a bound on look-ups at once,
// retries and a circuit breaker around another. It turns a panic of the kind
// into an error and an answer over a bound into ErrTooLarge, and it comes
// back in time also where the kind does not.
//
// Its state may be shared by several configurations that overlap during a
// reload: each merges a view of its own.
type Guarded struct {
	shared   *guard
	name     string
	match    []string // of the member; see Member.Match
	timeout  time.Duration
	observer Observer
	logger   *slog.Logger
}

// guard is the part of a Guarded that all its views share.
type guard struct {
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
	inside       int // calls that may still touch the directory
	started      bool
	closed       bool
	released     bool
	lastError    string
	lastErrorAt  time.Time
	lastCause    error
	lastAnswerAt time.Time
	toldAt       map[string]time.Time // by class of error; see tell
}

// queueFactor bounds how many look-ups may wait, as a multiple of those under
// way: beyond it a waiting one could not be served inside a time-out anyway.
const queueFactor = 16

// drainTime bounds how long Close leaves the directory open for look-ups that
// are under way; it is longer than any sensible time-out.
const drainTime = 15 * time.Second

// NewGuarded puts a guard around d. It starts nothing.
func NewGuarded(d Directory, o GuardOptions) (*Guarded, error) {
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
	return &Guarded{
		shared: &guard{
			directory: d,
			clock:     o.Clock,
			retry:     retry{limit: max(o.Retries, 0), rand: o.Rand},
			breaker:   newBreaker(o.Failures, o.OpenFor, o.Clock),
			toldAt:    make(map[string]time.Time),
			slots:     make(chan struct{}, o.Concurrency),
		},
		name: o.Name, timeout: o.Timeout, observer: o.Observer, logger: o.Logger,
	}, nil
}

// view gives a Guarded that shares the state of g under the settings of a
// member.
func (g *Guarded) view(m *Member, observer Observer, logger *slog.Logger) *Guarded {
	v := *g
	v.name, v.match = m.Name, m.Match
	if m.Timeout > 0 {
		v.timeout = m.Timeout
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
func (g *Guarded) Person(ctx context.Context, q Query) (*identity.Person, error) {
	subject, err := q.Subject()
	if err != nil {
		return nil, err
	}
	return ask(ctx, g, func(ctx context.Context) (*identity.Person, error) {
		p, err := g.shared.directory.Person(ctx, q)
		if err != nil {
			return nil, err
		}
		if err := checkPerson(p); err != nil {
			return nil, err
		}
		if len(g.match) > 0 && !Answers(p.User, subject, g.match) {
			return nil, fmt.Errorf("checking the answer: %w", ErrForeign)
		}
		return p, nil
	})
}

// App implements Directory.
func (g *Guarded) App(ctx context.Context, id string) (*identity.App, error) {
	if err := CheckName(id); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	if apps, _ := g.knows(); !apps {
		return nil, fmt.Errorf("looking up an app: this kind knows none: %w", ErrNotFound)
	}
	return ask(ctx, g, func(ctx context.Context) (*identity.App, error) {
		a, err := g.shared.directory.App(ctx, id)
		if err != nil {
			return nil, err
		}
		return a, checkApp(a)
	})
}

// AppUser implements Directory.
func (g *Guarded) AppUser(ctx context.Context, q Query, appID string) (*identity.AppUser, error) {
	if _, err := q.Subject(); err != nil {
		return nil, err
	}
	if err := CheckName(appID); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	if _, appUsers := g.knows(); !appUsers {
		return nil, fmt.Errorf("looking up an app user: this kind knows none: %w", ErrNotFound)
	}
	return ask(ctx, g, func(ctx context.Context) (*identity.AppUser, error) {
		u, err := g.shared.directory.AppUser(ctx, q, appID)
		if err != nil {
			return nil, err
		}
		return u, checkAppUser(u)
	})
}

// knows tells what there is any use in asking for; see Partial.
func (g *Guarded) knows() (apps, appUsers bool) {
	if p, ok := g.shared.directory.(Partial); ok {
		return p.Knows()
	}
	return true, true
}

// Start begins the background work of the directory, where it has any. Only
// the first call counts.
func (g *Guarded) Start() error {
	s := g.shared
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
func (g *Guarded) Close() error {
	s := g.shared
	s.mu.Lock()
	s.closed = true
	if s.inside > 0 {
		time.AfterFunc(drainTime, func() { _ = s.release(true) })
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	return s.release(false)
}

// release closes the directory once, when nobody is inside or by force.
func (s *guard) release(force bool) error {
	s.mu.Lock()
	if !s.closed || s.released || (s.inside > 0 && !force) {
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
func (g *Guarded) Status() Status {
	s := g.shared
	state, since := s.breaker.status()
	st := Status{
		Name: g.name, Ready: state != StateOpen, State: state.String(), Since: since,
		Requests: s.requests.Load(), Failures: s.failures.Load(), Retries: s.retries.Load(),
		InFlight: len(s.slots), Waiting: int(s.waiting.Load()),
	}
	if r, ok := s.directory.(Reporter); ok {
		ready, problem := r.Report()
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
func (g *Guarded) Attributes() Attributes {
	if l, ok := g.shared.directory.(Lister); ok {
		return l.Attributes()
	}
	return Attributes{}
}

// Warnings gives what in the directory is hardly meant, as far as it can tell.
func (g *Guarded) Warnings() []string {
	if w, ok := g.shared.directory.(Warner); ok {
		return w.Warnings()
	}
	return nil
}

// State gives the circuit breaker's state.
func (g *Guarded) State() State {
	state, _ := g.shared.breaker.status()
	return state
}
