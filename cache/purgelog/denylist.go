package purgelog

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// MaxDenials bounds the denials that the deny list holds, and those that it
// remembers as taken back. Denials live as long as the tokens that they name; a
// hundred thousand logouts within one token's life take about 20 MB.
const MaxDenials = 100_000

// DenyList holds the names of tokens, sessions and users whose tokens are no
// longer accepted, until the last token that they can name has expired. It is
// fed by the log and held in memory on every node. It never decides what to do
// when it is out of date: that is for the caller, by Age.
//
// Its entries are denials and denials that were taken back. Which of them a
// node knows decides what it refuses, and not in which order it learned of
// them: a denial that was taken back stays so when the log repeats it, and a
// later denial of the same name is another entry.
type DenyList struct {
	log *Log

	used atomic.Bool

	// lacking is the time (Unix nanoseconds) until which the list lacks a
	// name that it had no room for.
	lacking atomic.Int64

	mu           sync.RWMutex
	names        map[NameHash][]denial // denials before those that were taken back
	live, undone int                   // entries by kind
	swept        time.Time
}

// denial is an entry: a Deny record, or the Undeny record in its place. It ends
// at Until. Token dates are wall time, and so are these.
type denial struct {
	Record
	position   Position
	appendedAt time.Time // when this node itself appended it; zero: others did
}

// denies reports whether a denial refuses a token issued at that time.
func (e *denial) denies(now, issued time.Time) bool {
	return now.Before(e.Until) && (e.IssuedBefore.IsZero() || !issued.After(e.IssuedBefore))
}

// Used reports whether anything was ever denied, as far as this node knows.
func (d *DenyList) Used() bool { return d.used.Load() }

// Age is how long ago the list was last known to be complete: zero without a
// shared log, the longest duration there is when the list was never loaded or
// could not take every record.
func (d *DenyList) Age(now time.Time) time.Duration {
	if until := d.lacking.Load(); until != 0 && now.UnixNano() < until {
		return math.MaxInt64
	}
	return d.log.Age(now)
}

// Denied reports whether any of the names is denied for a token issued at that
// time; a token without a time counts as issued before everything. One call
// asks for all the names that a token goes by.
func (d *DenyList) Denied(now, issued time.Time, names ...NameHash) bool {
	if !d.used.Load() {
		return false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, n := range names {
		list := d.names[n]
		for i := range list {
			if list[i].Kind == Undeny {
				break // and so are all behind it
			}
			if list[i].denies(now, issued) {
				return true
			}
		}
	}
	return false
}

// Len is the number of denials held.
func (d *DenyList) Len() int {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.live
}

// Entries are the denials that hold now, in no order.
func (d *DenyList) Entries(now time.Time) []Record {
	return d.records(func(e *denial) bool { return e.Kind == Deny && now.Before(e.Until) })
}

// covered are the denials that hold now and refuse nothing that r does not.
func (d *DenyList) covered(now time.Time, r Record) []Record {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []Record
	for _, e := range d.names[r.Name] {
		if e.Kind == Deny && now.Before(e.Until) && r.covers(e.Record) && !r.same(e.Record) {
			out = append(out, e.Record)
		}
	}
	return out
}

// distinct returns a denial with an end of its own, where one like it was taken
// back.
func (d *DenyList) distinct(r Record) Record {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for slices.ContainsFunc(d.names[r.Name], func(e denial) bool { return e.Kind == Undeny && e.same(r) }) {
		r.Until = r.Until.Add(time.Millisecond)
	}
	return r
}

// room reports whether so many more denials fit, and so many more that are
// taken back.
func (d *DenyList) room(now time.Time, denials, undone int) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	fits := func() bool { return d.live+denials <= MaxDenials && d.undone+undone <= MaxDenials }
	if !fits() {
		d.sweep(now)
	}
	return fits()
}

// add takes a record over.
func (d *DenyList) add(now time.Time, r Record, at Position) {
	if !now.Before(r.Until) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if now.Sub(d.swept) > time.Minute {
		d.sweep(now)
	}
	list := d.names[r.Name]
	i := slices.IndexFunc(list, func(e denial) bool { return e.same(r) })
	// Other nodes refuse to say more than MaxDenials, so only a burst from
	// several nodes meets these bounds. An incomplete list must not pass for a
	// complete one; an undo that finds no room leaves its denial in force.
	switch {
	case i < 0 && r.Kind == Deny && d.live >= 2*MaxDenials:
		d.lacking.Store(max(d.lacking.Load(), r.Until.UnixNano()))
	case r.Kind == Undeny && d.undone >= 2*MaxDenials && (i < 0 || list[i].Kind == Deny):
	case i < 0:
		d.names[r.Name] = inserted(list, denial{Record: r, position: at})
		d.count(r.Kind, 1)
	case list[i].Kind == r.Kind:
		list[i].position = at
		if list[i].Claim == "" {
			list[i].Claim, list[i].Reason = r.Claim, r.Reason
		}
	case r.Kind == Undeny:
		d.names[r.Name] = inserted(slices.Delete(list, i, i+1), denial{Record: r, position: at})
		d.count(Deny, -1)
		d.count(Undeny, 1)
	}
	d.used.Store(true)
}

// inserted returns the entries of a name with one more: denials first, so that a
// request need not pass what was taken back.
func inserted(list []denial, e denial) []denial {
	if e.Kind == Deny {
		return slices.Insert(list, 0, e)
	}
	return append(list, e)
}

// count keeps the numbers of entries. The caller holds the lock.
func (d *DenyList) count(kind RecordKind, n int) {
	if kind == Deny {
		d.live += n
	} else {
		d.undone += n
	}
}

// markAppended notes that this node appended a record itself.
func (d *DenyList) markAppended(now time.Time, r Record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, e := range d.names[r.Name] {
		if e.same(r) && e.Kind == r.Kind && e.appendedAt.IsZero() {
			d.names[r.Name][i].appendedAt = now
		}
	}
}

// markUnreplicated takes entries for lost that a server may have lost when another took
// over: those behind the end of its log, and those that this node appended since
// that moment. Appending them again does no harm.
func (d *DenyList) markUnreplicated(end Position, since time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, list := range d.names {
		for i := range list {
			if end.Before(list[i].position) || list[i].appendedAt.After(since) {
				list[i].position = unshared
			}
		}
	}
}

// sweep forgets what has run out. The caller holds the lock.
func (d *DenyList) sweep(now time.Time) {
	for n, list := range d.names {
		list = slices.DeleteFunc(list, func(e denial) bool {
			over := !now.Before(e.Until)
			if over {
				d.count(e.Kind, -1)
			}
			return over
		})
		if len(list) == 0 {
			delete(d.names, n)
		} else {
			d.names[n] = list
		}
	}
	d.swept = now
}

// before returns the entries that have not expired and are in the log before
// that place, or not at all: denials first.
func (d *DenyList) before(now time.Time, start Position) []Record {
	out := d.records(func(e *denial) bool {
		return now.Before(e.Until) && (e.position.Before(start) || e.position == unshared)
	})
	slices.SortStableFunc(out, func(a, b Record) int { return cmp.Compare(a.Kind, b.Kind) })
	return out
}

// records are those of the entries that are wanted.
func (d *DenyList) records(wanted func(*denial) bool) []Record {
	d.mu.RLock()
	defer d.mu.RUnlock()
	var out []Record
	for _, list := range d.names {
		for i := range list {
			if wanted(&list[i]) {
				out = append(out, list[i].Record)
			}
		}
	}
	return out
}

// oldest returns the first place in the log of an entry that has not expired.
func (d *DenyList) oldest(now time.Time) (Position, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	first := unshared
	for _, list := range d.names {
		for i := range list {
			if e := &list[i]; now.Before(e.Until) && e.position.Before(first) {
				first = e.position
			}
		}
	}
	return first, first != unshared
}
