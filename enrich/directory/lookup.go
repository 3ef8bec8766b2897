package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// ask runs one look-up with time-out, retries and circuit breaker, and records
// its outcome. It is a function and not a method because the three questions
// differ in the type of their answer.
func ask[T any](ctx context.Context, r *Resilient, question func(context.Context) (*T, error)) (*T, error) {
	s := r.shared
	begin := s.clock()
	bounded, cancel := context.WithTimeoutCause(ctx, r.timeout, ErrTimeout)
	defer cancel()

	// The retries below are attempts of the same look-up.
	s.requests.Add(1)
	var answer *T
	var err error
	for attempt := 0; ; attempt++ {
		answer, err = attemptOnce(bounded, r, question)
		if err == nil || !s.retry.again(bounded, attempt, err) {
			break
		}
		s.retries.Add(1)
	}
	if err == nil {
		s.retry.earn()
	}
	took := s.clock().Sub(begin)
	s.record(err)
	r.logFailure(err)
	r.reportStateChange()
	if r.observer != nil {
		r.observer.DirectoryRequest(r.name, Class(err), took)
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// attemptOnce waits for a slot, passes the circuit breaker, and asks in a
// goroutine of its own, so that a kind that ignores its context holds its slot
// and not the request.
func attemptOnce[T any](ctx context.Context, r *Resilient, question func(context.Context) (*T, error)) (*T, error) {
	s := r.shared
	// Before the slot: a look-up must not wait for one only to be refused.
	if state, _ := s.breaker.status(); state == StateOpen {
		return nil, fmt.Errorf("asking: %w", ErrOpen)
	}
	if err := s.acquire(ctx); err != nil {
		return nil, err
	}
	done, err := s.breaker.allow()
	if err != nil {
		s.releaseSlot()
		return nil, err
	}
	r.reportStateChange() // a probe begins

	begin := time.Now()
	type outcome struct {
		answer *T
		err    error
	}
	// Buffered, so that the goroutine ends when the caller has gone.
	result := make(chan outcome, 1)
	go func() {
		defer s.releaseSlot()
		var o outcome
		defer func() {
			if p := recover(); p != nil {
				// The text of a panic may hold a user's data, so only its
				// place is logged.
				r.logger.Error("directory kind panicked", slog.String("directory", r.name), slog.String("stack", string(debug.Stack())))
				o = outcome{err: fmt.Errorf("asking: %w", ErrPanicked)}
			}
			result <- o
		}()
		o.answer, o.err = question(ctx)
	}()

	var o outcome
	select {
	case o = <-result:
	case <-ctx.Done():
		o.err = ctx.Err()
	}
	// The circuit gets the result of every attempt, whatever the caller does
	// with it.
	o.err = classify(ctx, o.err)
	done(circuitResult(ctx, o.err, time.Since(begin) >= r.timeout/2))
	if o.err != nil {
		return nil, o.err
	}
	return o.answer, nil
}

// classify turns the ways in which a call ends by time into ErrTimeout, or into
// the caller's own context error, whatever text the kind's client library
// wrapped it in. An answer that came at the last moment stays an answer.
func classify(ctx context.Context, err error) error {
	switch {
	case err == nil || !Failed(err):
		return err
	case ctx.Err() != nil && errors.Is(context.Cause(ctx), ErrTimeout):
		return fmt.Errorf("asking: %w", ErrTimeout)
	case ctx.Err() != nil:
		return fmt.Errorf("asking: %w", ctx.Err())
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, ErrFailed):
		return fmt.Errorf("asking: %w", ErrTimeout)
	case !errors.Is(err, ErrFailed):
		return fmt.Errorf("%w: %w", ErrFailed, err)
	}
	return err
}

// acquire takes a slot among the look-ups under way. It waits for one within the
// context, where no more than queueFactor times the slots wait already.
func (s *sharedState) acquire(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fmt.Errorf("asking: %w", ErrClosed)
	}
	s.active++
	s.mu.Unlock()

	select {
	case s.slots <- struct{}{}:
		return nil
	default:
	}
	var err error
	if s.waiting.Add(1) > int64(queueFactor*cap(s.slots)) {
		err = fmt.Errorf("waiting for a slot: too many waiters: %w", ErrUnavailable)
	} else {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			err = classify(ctx, ctx.Err())
		}
	}
	s.waiting.Add(-1)
	if err != nil {
		s.finish()
	}
	return err
}

// releaseSlot frees the slot of a look-up.
func (s *sharedState) releaseSlot() {
	<-s.slots
	s.finish()
}

// finish notes that a call no longer uses the directory. The last one of a closed
// directory closes the kind.
func (s *sharedState) finish() {
	s.mu.Lock()
	s.active--
	last := s.closed && s.active == 0
	s.mu.Unlock()
	if last {
		_ = s.closeDirectory(false)
	}
}

// record notes the outcome of a look-up for Status.
func (s *sharedState) record(err error) {
	now, class := s.clock(), Class(err)
	if class == classCanceled {
		return
	}
	if Failed(err) {
		s.failures.Add(1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !Failed(err):
		s.lastAnswerAt = now
	case !errors.Is(err, ErrOpen):
		// That the circuit is open does not say why it opened.
		s.lastError, s.lastErrorAt, s.lastCause = class, now, err
	}
}

// failureLogInterval is how often failures of one class are logged that open no
// circuit.
const failureLogInterval = time.Minute

// logFailure logs failures that open no circuit, which mostly are a matter of
// settings. Without it they would show nowhere: an optional directory is left out
// of an answer, or a stale answer is used.
func (r *Resilient) logFailure(err error) {
	if !errors.Is(err, ErrRejected) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
		return
	}
	s := r.shared
	now, class := s.clock(), Class(err)
	s.mu.Lock()
	last, told := s.loggedAt[class]
	due := !told || now.Sub(last) >= failureLogInterval
	if due {
		s.loggedAt[class] = now
	}
	s.mu.Unlock()
	if due {
		r.logger.Warn("directory look-up failed; others like it within a minute are not logged",
			slog.String("directory", r.name), slog.String("error", class), slog.Any("cause", err))
	}
}

// reportStateChange logs a change of the circuit breaker and passes it to the
// observer, once. A directory that stays down through many probes is one line in
// the log.
func (r *Resilient) reportStateChange() {
	r.shared.breaker.reporting.Lock()
	defer r.shared.breaker.reporting.Unlock()
	change, ok := r.shared.breaker.takeChange()
	if !ok {
		return
	}
	if r.observer != nil {
		r.observer.DirectoryState(r.name, change.state)
	}
	if !change.news {
		return
	}
	if change.state == StateOpen {
		r.shared.mu.Lock()
		class, cause := r.shared.lastError, r.shared.lastCause
		r.shared.mu.Unlock()
		r.logger.Warn("directory keeps failing; its circuit is open",
			slog.String("directory", r.name), slog.String("error", class), slog.Any("cause", cause))
		return
	}
	r.logger.Info("directory answers again; its circuit is closed", slog.String("directory", r.name))
}
