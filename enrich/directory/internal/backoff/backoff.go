// Package backoff draws the pauses between attempts.
package backoff

import (
	"context"
	"encoding/binary"
	"io"
	"time"
)

// Pauses double from first to longest, and each is drawn evenly from zero to
// that, so that callers that failed together do not retry together.
const (
	first   = 25 * time.Millisecond
	longest = 400 * time.Millisecond
)

// Pause draws the wait after the attempt with this number, counted from zero.
// Without randomness it is the full wait.
func Pause(rand io.Reader, attempt int) time.Duration {
	return Jitter(rand, min(first<<min(max(attempt, 0), 8), longest))
}

// Jitter draws a duration evenly from zero to ceiling.
func Jitter(rand io.Reader, ceiling time.Duration) time.Duration {
	var b [8]byte
	if ceiling <= 0 {
		return 0
	}
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return ceiling
	}
	return time.Duration(binary.LittleEndian.Uint64(b[:]) % uint64(ceiling+1))
}

// Wait waits for d and reports whether the context lived as long.
func Wait(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= d {
		// Nothing could be asked after it: fail now, with time to spare.
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
