package directory

import (
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
)

// errExcluded stands for a result that says nothing of the directory's
// health: a caller that went away, an answer about one person that is
// unusable. A person must not be able to open the circuit for everybody.
var errExcluded = errors.New("says nothing of the directory's health")

// breaker is the circuit breaker of one directory, with its changes kept
// until someone announces them.
type breaker struct {
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}]
	clock   func() time.Time

	mu        sync.Mutex
	since     time.Time
	changed   bool
	state     State
	announced State // last state that was news: closed or open
}

// change is a change of state that nobody has announced yet.
type change struct {
	state State
	news  bool // worth a log line: the directory went, or came back
}

func newBreaker(failures uint32, openFor time.Duration, clock func() time.Time) *breaker {
	if failures == 0 {
		failures = defaultFailures
	}
	if openFor == 0 {
		openFor = defaultOpenFor
	}
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

func (b *breaker) changedTo(to gobreaker.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.state, b.changed, b.since = stateOf(to), true, b.clock()
}

// takeChange gives the latest unannounced change, once.
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

// status gives the state, and since when.
func (b *breaker) status() (State, time.Time) {
	state := stateOf(b.circuit.State())
	b.mu.Lock()
	defer b.mu.Unlock()
	return state, b.since
}

// allow lets a look-up through or refuses it. The returned function takes the
// result, as verdict gives it.
func (b *breaker) allow() (func(error), error) {
	done, err := b.circuit.Allow()
	if err != nil {
		return nil, fmt.Errorf("asking: %w", ErrOpen)
	}
	return done, nil
}

// verdict says what a result means for the circuit: nil is health,
// errExcluded nothing, all else a failure. late tells that the caller's own
// deadline ended a call that had already had its time.
func verdict(ctx context.Context, err error, late bool) error {
	switch {
	case !Failed(err):
		return nil
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
