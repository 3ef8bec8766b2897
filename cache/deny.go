package cache

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// MaxDenials bounds the names that the deny list holds. Denials live as long
// as the tokens that they name; a hundred thousand logouts within one token's
// life take about 10 MB.
const MaxDenials = 100_000

// DenyList holds the names of tokens, sessions and users whose tokens are no
// longer accepted, until the last token that they can name has expired. It is
// fed by the log and held in memory on every node. It never decides what to do
// when it is out of date: that is for the caller, by Age.
type DenyList struct {
	log *Log

	used atomic.Bool

	// lacking is the time (Unix nanoseconds) until which the list lacks a
	// name that it had no room for.
	lacking atomic.Int64

	mu    sync.RWMutex
	names map[Name]denial
	swept time.Time
}

// denial ends at until and, unless before is zero, reaches only tokens issued
// at or before that moment. Token dates are wall time, and so are these.
type denial struct {
	until, before time.Time
	position      Position
	said          time.Time // when this node itself first said it; zero: others did
}

// Used reports whether anything was ever denied, as far as this node knows.
func (d *DenyList) Used() bool { return d.used.Load() }

// Age is how long ago the list was last known to be complete: zero without a
// shared log, the longest duration there is when the list was never loaded or
// could not take all that it was told.
func (d *DenyList) Age(now time.Time) time.Duration {
	if until := d.lacking.Load(); until != 0 && now.UnixNano() < until {
		return math.MaxInt64
	}
	return d.log.Age(now)
}

// Denied reports whether any of the names is denied for a token issued at that
// time; a token without a time counts as issued before everything. One call
// asks for all the names that a token goes by.
func (d *DenyList) Denied(now, issued time.Time, names ...Name) bool {
	if !d.used.Load() {
		return false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, n := range names {
		e, ok := d.names[n]
		if ok && now.Before(e.until) && (e.before.IsZero() || !issued.After(e.before)) {
			return true
		}
	}
	return false
}

// Len is the number of names held.
func (d *DenyList) Len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return len(d.names)
}

// room reports whether n more names fit.
func (d *DenyList) room(now time.Time, n int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.names)+n > MaxDenials {
		d.sweep(now)
	}
	return len(d.names)+n <= MaxDenials
}

// add takes a denial over. Two denials of one name join to the wider one:
// denying too much for a while is the safe side.
func (d *DenyList) add(now time.Time, r Record, at Position) {
	if !now.Before(r.Until) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.swept) > time.Minute {
		d.sweep(now)
	}
	old, known := d.names[r.Name]
	if known && old.position == at && at != unplaced {
		return // read back what this node itself appended
	}
	e := denial{until: r.Until, before: r.IssuedBefore, position: at, said: old.said}
	if known && now.Before(old.until) {
		if old.until.After(e.until) {
			e.until = old.until
		}
		if old.before.IsZero() || (!e.before.IsZero() && old.before.After(e.before)) {
			e.before = old.before
		}
	}
	if !known && len(d.names) >= 2*MaxDenials {
		// Other nodes refuse new denials before this, so only a burst from
		// several nodes gets here. An incomplete list must not pass for a
		// complete one.
		d.lacking.Store(max(d.lacking.Load(), r.Until.UnixNano()))
		d.used.Store(true)
		return
	}
	d.names[r.Name] = e
	d.used.Store(true)
}

// own notes that this node said a denial itself.
func (d *DenyList) own(now time.Time, name Name) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.names[name]; ok && e.said.IsZero() {
		e.said = now
		d.names[name] = e
	}
}

// doubt takes denials for lost that a server may have lost when another took
// over: those that stand behind the end of its log, and those that this node
// said since that moment. Said again, they do no harm.
func (d *DenyList) doubt(end Position, since time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n, e := range d.names {
		if end.Before(e.position) || e.said.After(since) {
			e.position = unplaced
			d.names[n] = e
		}
	}
}

// sweep forgets what has run out. The caller holds the lock.
func (d *DenyList) sweep(now time.Time) {
	for n, e := range d.names {
		if !now.Before(e.until) {
			delete(d.names, n)
		}
	}
	d.swept = now
}

// before lists the live denials that stand in the log before that place, or
// not at all.
func (d *DenyList) before(now time.Time, start Position) []Record {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []Record
	for n, e := range d.names {
		if now.Before(e.until) && (e.position.Before(start) || e.position == unplaced) {
			out = append(out, Record{Kind: Deny, Name: n, Until: e.until, IssuedBefore: e.before})
		}
	}
	return out
}

// oldest is the place of the live denial that stands furthest back.
func (d *DenyList) oldest(now time.Time) (Position, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	first := unplaced
	for _, e := range d.names {
		if now.Before(e.until) && e.position.Before(first) {
			first = e.position
		}
	}
	return first, first != unplaced
}
