package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"
)

// ask runs one look-up under the guard. It is a function and not a method
// because the three questions differ in their answer's type.
func ask[T any](ctx context.Context, g *Guarded, question func(context.Context) (*T, error)) (*T, error) {
	s := g.shared
	begin := s.clock()
	bounded, cancel := context.WithTimeoutCause(ctx, g.timeout, ErrTimeout)
	defer cancel()

	s.requests.Add(1)
	var answer *T
	var err error
	for attempt := 0; ; attempt++ {
		answer, err = attemptOnce(bounded, g, question)
		if err == nil || !s.retry.again(bounded, attempt, err) {
			break
		}
		s.retries.Add(1)
	}
	if err == nil {
		s.retry.earn()
	}
	took := s.clock().Sub(begin)
	s.note(err)
	g.tell(err)
	g.announce()
	if g.observer != nil {
		g.observer.DirectoryRequest(g.name, Class(err), took)
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// attemptOnce waits for a place, passes the circuit breaker, and asks in a
// goroutine of its own, so that a kind that ignores its context costs its
// place and not the request's time.
func attemptOnce[T any](ctx context.Context, g *Guarded, question func(context.Context) (*T, error)) (*T, error) {
	s := g.shared
	if state, _ := s.breaker.status(); state == StateOpen {
		return nil, fmt.Errorf("asking: %w", ErrOpen)
	}
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	done, err := s.breaker.allow()
	if err != nil {
		s.leave()
		return nil, err
	}
	g.announce() // a probe begins

	begin := time.Now()
	type outcome struct {
		answer *T
		err    error
	}
	result := make(chan outcome, 1)
	go func() {
		defer s.leave()
		var o outcome
		defer func() {
			if r := recover(); r != nil {
				// What a panic says may hold a person's data: only where it
				// happened is logged.
				g.logger.Error("directory kind panicked", slog.String("directory", g.name), slog.String("stack", string(debug.Stack())))
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
	o.err = settle(ctx, o.err)
	done(verdict(ctx, o.err, time.Since(begin) >= g.timeout/2))
	if o.err != nil {
		return nil, o.err
	}
	return o.answer, nil
}

// settle turns the ways in which a call ends by time into ErrTimeout, or into
// the caller's own context error, whatever text the kind's client library
// wrapped it in. An answer that came at the last moment stays an answer.
func settle(ctx context.Context, err error) error {
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

// enter takes a place among the look-ups under way.
func (s *guard) enter(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fmt.Errorf("asking: %w", ErrClosed)
	}
	s.inside++
	s.mu.Unlock()

	select {
	case s.slots <- struct{}{}:
		return nil
	default:
	}
	var err error
	if s.waiting.Add(1) > int64(queueFactor*cap(s.slots)) {
		err = fmt.Errorf("waiting for a place: too many wait: %w", ErrUnavailable)
	} else {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			err = settle(ctx, ctx.Err())
		}
	}
	s.waiting.Add(-1)
	if err != nil {
		s.exit()
	}
	return err
}

// leave gives the place back.
func (s *guard) leave() {
	<-s.slots
	s.exit()
}

// exit tells that a call no longer touches the directory; the last one out of
// a closed directory releases it.
func (s *guard) exit() {
	s.mu.Lock()
	s.inside--
	last := s.closed && s.inside == 0
	s.mu.Unlock()
	if last {
		_ = s.release(false)
	}
}

// note keeps what the status endpoint shows.
func (s *guard) note(err error) {
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
		// That the circuit is open says nothing of why it opened.
		s.lastError, s.lastErrorAt, s.lastCause = class, now, err
	}
}

// tellEvery is how often an answer or a question that is of no use is logged, for
// each class of error.
const tellEvery = time.Minute

// tell logs what no circuit opens for, which is mostly a matter of settings:
// an optional directory is left out of an answer for it, and a stale answer
// used, without a word elsewhere.
func (g *Guarded) tell(err error) {
	if !errors.Is(err, ErrRejected) && !errors.Is(err, ErrForeign) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
		return
	}
	s := g.shared
	now, class := s.clock(), Class(err)
	s.mu.Lock()
	last, told := s.toldAt[class]
	due := !told || now.Sub(last) >= tellEvery
	if due {
		s.toldAt[class] = now
	}
	s.mu.Unlock()
	if due {
		g.logger.Warn("directory look-up failed; others like it within a minute are not logged",
			slog.String("directory", g.name), slog.String("error", class), slog.Any("cause", err))
	}
}

// announce logs and reports a change of the circuit breaker, once: a
// directory that stays down through many probes is one line.
func (g *Guarded) announce() {
	g.shared.breaker.telling.Lock()
	defer g.shared.breaker.telling.Unlock()
	change, ok := g.shared.breaker.takeChange()
	if !ok {
		return
	}
	if g.observer != nil {
		g.observer.DirectoryState(g.name, change.state)
	}
	if !change.news {
		return
	}
	if change.state == StateOpen {
		g.shared.mu.Lock()
		class, cause := g.shared.lastError, g.shared.lastCause
		g.shared.mu.Unlock()
		g.logger.Warn("directory keeps failing; its circuit is open",
			slog.String("directory", g.name), slog.String("error", class), slog.Any("cause", cause))
		return
	}
	g.logger.Info("directory answers again; its circuit is closed", slog.String("directory", g.name))
}
