package directory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// Defaults of the circuit breaker.
const (
	defaultFailures = 5
	defaultOpenFor  = 10 * time.Second

	// Besides failures in a row, half of at least ratioFloor look-ups within
	// the window failing opens the circuit: a directory behind a balancer
	// with one dead backend never fails in a row for long.
	window      = 10 * time.Second
	windowParts = 10
	ratioFloor  = 20

	// extraProbes is how many look-ups a half-open circuit lets through beside
	// the one that probes: one decision asks for person, app and app user at
	// once, and the first behind an outage must not fail by its own probe.
	extraProbes = 2
)

// errExcluded is a result that says nothing about the directory's
// health: a caller that went away, or an unusable answer about one user. One
// user must not be able to open the circuit for all.
var errExcluded = errors.New("not counted by the circuit breaker")

// A breaker is the circuit breaker of one directory. It keeps the latest change of
// its state until a look-up reports it: gobreaker calls back under its own lock,
// where nothing may be logged.
type breaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	clock   func() time.Time

	reporting sync.Mutex // held while a change is reported, so that the latest is reported last

	mu        sync.Mutex
	beside    chan struct{} // while half open: the slots beside the probe
	since     time.Time
	changed   bool
	state     State
	announced State // last state that was news: closed or open
}

// A change is a change of state that has not been reported.
type change struct {
	state State
	news  bool // worth a log line: the directory went, or came back
}

// newBreaker returns a closed breaker. Zero values of failures and openFor are the
// defaults.
func newBreaker(failures uint32, openFor time.Duration, clock func() time.Time) *breaker {
	failures = cmp.Or(failures, defaultFailures)
	openFor = cmp.Or(openFor, defaultOpenFor)
	b := &breaker{clock: clock, since: clock()}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:  1,
		Interval:     window,
		BucketPeriod: window / windowParts,
		Timeout:      openFor,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			counted := c.TotalSuccesses + c.TotalFailures
			return c.ConsecutiveFailures >= failures || (counted >= ratioFloor && c.TotalFailures*2 >= counted)
		},
		OnStateChange: func(_ string, _, to gobreaker.State) { b.changedTo(to) },
		IsExcluded:    func(err error) bool { return errors.Is(err, errExcluded) },
	})
	return b
}

// changedTo notes a change of state. gobreaker calls it under its lock.
func (b *breaker) changedTo(to gobreaker.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state, b.changed, b.since = stateOf(to), true, b.clock()
	b.beside = nil
	if b.state == StateHalfOpen {
		b.beside = make(chan struct{}, extraProbes)
	}
}

// takeChange returns the latest change that has not been reported, once.
func (b *breaker) takeChange() (change, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.changed {
		return change{}, false
	}
	b.changed = false
	news := b.state != StateHalfOpen && b.state != b.announced
	if news {
		b.announced = b.state
	}
	return change{state: b.state, news: news}, true
}

// status returns the state and the time of its last change.
func (b *breaker) status() (State, time.Time) {
	state := stateOf(b.circuit.State())
	b.mu.Lock()
	defer b.mu.Unlock()
	return state, b.since
}

// allow lets a look-up through, or refuses it with ErrOpen. The caller passes the
// look-up's result, as circuitResult returns it, to the returned function.
func (b *breaker) allow() (func(error), error) {
	done, err := b.circuit.Allow()
	if errors.Is(err, gobreaker.ErrTooManyRequests) {
		if done := b.allowExtraProbe(); done != nil {
			return done, nil
		}
		done, err = b.circuit.Allow() // the probe may just have ended
	}
	if err != nil {
		return nil, fmt.Errorf("asking: %w", ErrOpen)
	}
	return done, nil
}

// allowExtraProbe lets a look-up through beside the probe, or returns nil. Its
// result counts where the circuit has room for it by then. A failure keeps the
// slot, so that a directory that is still down is not asked again.
func (b *breaker) allowExtraProbe() func(error) {
	b.mu.Lock()
	places := b.beside
	b.mu.Unlock()
	select {
	case places <- struct{}{}:
	default:
		return nil
	}
	return func(result error) {
		if result == nil || errors.Is(result, errExcluded) {
			<-places
		}
		if done, err := b.circuit.Allow(); err == nil {
			done(result)
		}
	}
}

// circuitResult returns what a result means for the circuit: nil is a success,
// errExcluded has no meaning, and any other error is a failure. late says that the
// caller's own deadline ended a call after most of its time.
func circuitResult(ctx context.Context, err error, late bool) error {
	switch {
	case !Failed(err):
		return nil
	// Failures of one question or of the configuration: the directory itself
	// works.
	case errors.Is(err, ErrMalformed), errors.Is(err, ErrTooLarge), errors.Is(err, ErrForeign),
		errors.Is(err, ErrPanicked), errors.Is(err, ErrRejected), errors.Is(err, ErrThrottled), errors.Is(err, ErrClosed):
		return errExcluded
	case ctx.Err() != nil && !errors.Is(err, ErrTimeout):
		if late && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return err
		}
		return errExcluded
	}
	return err
}

// stateOf returns the State for one of gobreaker.
func stateOf(s gobreaker.State) State {
	switch s {
	case gobreaker.StateHalfOpen:
		return StateHalfOpen
	case gobreaker.StateOpen:
		return StateOpen
	default:
		return StateClosed
	}
}
