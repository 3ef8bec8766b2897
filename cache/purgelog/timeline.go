package purgelog

import "time"

// timeline counts time from a fixed base, on the monotonic clock where the
// clock has one: a step of the wall clock ages no value.
type timeline struct {
	now  func() time.Time
	base time.Time
}

func newTimeline(now func() time.Time) timeline {
	if now == nil {
		now = time.Now
	}
	// A base in the past keeps every tick positive.
	return timeline{now: now, base: now().Add(-time.Hour)}
}

func (t *timeline) at(now time.Time) int64 { return int64(now.Sub(t.base)) }

// Now returns the time of the log's clock.
func (l *Log) Now() time.Time { return l.line.now() }

// Ticks returns t as nanoseconds on the log's timeline, which a step of the
// wall clock does not move.
func (l *Log) Ticks(t time.Time) int64 { return l.line.at(t) }
