package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// A circuit breaker for Redis as a whole, and the classes of errors that it,
// the status and the logs speak of. It is separate from the directories' breaker
// because it probes by itself: a request that tried Redis in order to find out
// would pay a time-out for what is only a cache.

// Bounds between two probes of a server that does not answer.
const (
	firstProbe   = 100 * time.Millisecond
	longestProbe = 5 * time.Second
)

// steady is how long the server must have been usable for a new failure to be
// news. Before that it is the old one: the probes go on at their slower pace,
// and nothing is logged again.
const steady = 10 * time.Second

// breaker keeps requests away from a server that does not answer. The first
// failure opens it; from then on a probe of its own asks behind the requests,
// so that no request pays for finding out.
type breaker struct {
	probe  func(context.Context) error
	clock  func() time.Time
	logger *slog.Logger

	// open keeps calls away; it is read on every request.
	open atomic.Bool

	// since is when open last changed, wait the pause before the next probe,
	// and level what the next change is logged at.
	mu        sync.Mutex
	since     time.Time
	lastError string
	probing   bool
	wait      time.Duration
	closedAt  time.Time // zero before the first failure
	level     slog.Level

	ctx   context.Context
	group sync.WaitGroup
}

// allow reports whether a call may be tried.
func (b *breaker) allow() bool { return !b.open.Load() && b.ctx.Err() == nil }

// failed opens the breaker after a call failed with an error of that class, and
// starts the probe where none runs.
func (b *breaker) failed(class string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lastError = class
	if b.ctx.Err() != nil || b.probing {
		return
	}
	now := b.clock()
	level := slog.LevelWarn
	if b.closedAt.IsZero() || now.Sub(b.closedAt) >= steady {
		b.wait, b.level = firstProbe, slog.LevelInfo
	} else {
		level, b.level = slog.LevelDebug, slog.LevelDebug
	}
	b.probing = true
	b.open.Store(true)
	b.since = now
	b.logger.Log(b.ctx, level, "redis is unavailable; continuing without it", "error", class)
	b.group.Go(b.await)
}

// await probes until the server answers, at doubling pauses.
func (b *breaker) await() {
	for {
		b.mu.Lock()
		wait := b.wait
		b.wait = min(2*b.wait, longestProbe)
		b.mu.Unlock()
		pause(b.ctx, wait)
		if b.ctx.Err() != nil {
			return
		}
		err := b.probe(b.ctx)
		b.mu.Lock()
		if err == nil {
			b.probing = false
			b.open.Store(false)
			b.since = b.clock()
			b.closedAt = b.since
			b.logger.Log(b.ctx, b.level, "redis is available again")
			b.mu.Unlock()
			return
		}
		b.lastError = class(err)
		b.mu.Unlock()
	}
}

// stop waits for the probe. The client's context must have ended.
func (b *breaker) stop() {
	b.mu.Lock()   // a failure seen under this lock starts no probe any more
	b.mu.Unlock() //nolint:staticcheck // a barrier
	b.group.Wait()
}

// state returns what the status shows.
func (b *breaker) state() (ready bool, since time.Time, lastError string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.open.Load() && b.ctx.Err() == nil, b.since, b.lastError
}

// Classes of errors, as status and logs show them.
const (
	classTimeout  = "timeout"
	classRefused  = "refused"
	classAuth     = "auth"
	classDenied   = "denied"
	classTLS      = "tls"
	classLoading  = "loading"
	classCluster  = "cluster_down"
	classFull     = "full"
	classReadOnly = "read_only"
	classCut      = "cut"
	classClosed   = "closed"
	classOther    = "error"
)

// class names the kind of an error in a word. The text of an error may hold
// addresses and keys, so it goes nowhere.
func class(err error) string {
	var netErr net.Error
	var unknownCA x509.UnknownAuthorityError
	var certErr *tls.CertificateVerificationError
	var alert tls.AlertError
	var record tls.RecordHeaderError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, goredis.ErrClosed), errors.Is(err, context.Canceled):
		return classClosed
	case errors.As(err, &unknownCA), errors.As(err, &certErr), errors.As(err, &alert), errors.As(err, &record):
		return classTLS
	case errors.Is(err, errPlaintext):
		return classDenied
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, goredis.ErrPoolTimeout), errors.As(err, &netErr) && netErr.Timeout():
		return classTimeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return classCut
	}
	text := err.Error()
	for _, known := range []struct{ part, class string }{
		{"WRONGPASS", classAuth},
		{"NOAUTH", classAuth},
		{"invalid username-password", classAuth},
		{"invalid password", classAuth},
		{"ERR AUTH", classAuth},
		{"NOPERM", classDenied},
		{"OOM ", classFull},
		{"READONLY", classReadOnly},
		{"LOADING", classLoading},
		{"CLUSTERDOWN", classCluster},
		{"MASTERDOWN", classCluster},
		{"connection refused", classRefused},
		{"connection reset", classCut},
		{"broken pipe", classCut},
		{"tls:", classTLS},
		{"no such file", classRefused},
	} {
		if strings.Contains(text, known.part) {
			return known.class
		}
	}
	return classOther
}

// opens reports whether an error of that class says that the server as a whole
// is of no use now, rather than that it refused one command.
func opens(class string) bool {
	switch class {
	case "", classFull, classReadOnly, classClosed:
		return false
	}
	return true
}
