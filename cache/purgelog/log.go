package purgelog

import (
	"context"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// MaxPurges bounds the purged names that a node remembers. Older ones are
// forgotten first, and with them every value that was not checked since: too
// many purges cost look-ups, never a stale answer.
const MaxPurges = 100_000

// maxPending bounds the records that wait for the shared log to come back.
const maxPending = 1_000

// minRetain is how long a purge is remembered at least. The longest life that
// any reader uses extends it.
const minRetain = 2 * time.Hour

// Options configures a Log. The zero value is a log of this node alone.
type Options struct {
	// Clock returns the time; nil means time.Now.
	Clock func() time.Time

	// Logger receives one line per change of state; nil means none.
	Logger *slog.Logger

	// Observer counts purges; nil means none.
	Observer Observer

	// Stream carries the log between nodes; nil means that this node is the
	// only one.
	Stream Stream
}

// Log knows what was purged and what is denied. Cached values are checked
// against it whenever it has moved since they were last checked; that it has
// not moved is one atomic load.
//
// Two counts run through it. The version counts what this node applied, in
// whatever order it learned of it, and serves values held here. The position
// is the place in the shared stream up to which this node has read without a
// gap, and serves values that travel between nodes.
type Log struct {
	line     timeline
	logger   *slog.Logger
	observer Observer
	stream   Stream
	denials  DenyList

	version atomic.Uint64
	contact atomic.Int64 // ticks of the last contact; never where never
	loaded  atomic.Bool
	retain  atomic.Int64
	purges  atomic.Uint64
	changed atomic.Int64 // ticks of the last change of state

	// attempted is closed once the first attempt to read the stream ended,
	// well or badly.
	attempted     chan struct{}
	attemptedOnce sync.Once

	mu          sync.RWMutex
	names       map[NameHash]mark
	all         mark
	order       []stamp // purges in the order of their versions
	position    Position
	start       Position // entries of a shared tier before it are unusable
	forgotten   uint64   // values not checked since that version are unusable
	pending     []Record
	needsResend bool // the stream may lack an entry of the deny list
	flushing    bool
	reachable   bool
	lastError   string

	ctx    context.Context
	cancel context.CancelFunc
	group  sync.WaitGroup
	begun  sync.Once
}

// lagging is how far a replica may be behind when it takes over.
const lagging = 10 * time.Minute

// never is the contact of a log that was never read.
const never = math.MinInt64

// mark is the latest purge of one name.
type mark struct {
	version  uint64
	position Position
}

// stamp remembers when a purge was recorded, for forgetting it.
type stamp struct {
	name     NameHash
	all      bool
	version  uint64
	position Position
	ticks    int64
}

// New returns a log. It reads nothing before Start.
func New(o Options) *Log {
	l := &Log{
		line:      newTimeline(o.Clock),
		logger:    o.Logger,
		observer:  o.Observer,
		stream:    o.Stream,
		names:     map[NameHash]mark{},
		attempted: make(chan struct{}),
	}
	if l.observer == nil {
		l.observer = discard{}
	}
	if l.logger == nil {
		l.logger = slog.New(slog.DiscardHandler)
	}
	l.denials = DenyList{log: l, names: map[NameHash][]denial{}}
	l.retain.Store(int64(minRetain))
	l.contact.Store(never)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if l.stream == nil {
		l.loaded.Store(true)
		l.attemptedOnce.Do(func() { close(l.attempted) })
	}
	return l
}

// Start begins to follow the stream, once. Without a stream it does nothing.
func (l *Log) Start() {
	l.begun.Do(func() {
		if l.stream == nil || l.ctx.Err() != nil {
			return
		}
		l.group.Go(func() { l.stream.Follow(l.ctx, l) })
	})
}

// Close stops following and waits until that has ended.
func (l *Log) Close() error {
	l.cancel()
	l.begun.Do(func() {})
	l.group.Wait()
	return nil
}

// Closed reports whether the log was closed: it learns of nothing any more.
func (l *Log) Closed() bool { return l.ctx.Err() != nil }

// Denials is the deny list that rides this log.
func (l *Log) Denials() *DenyList { return &l.denials }

// Shared reports whether other nodes see this log.
func (l *Log) Shared() bool { return l.stream != nil }

// Version moves with every purge that this node learns of.
func (l *Log) Version() uint64 { return l.version.Load() }

// Position is the place up to which this node has read without a gap.
func (l *Log) Position() Position {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.position
}

// Loaded reports whether the stream was read at least once; without a stream
// it is true.
func (l *Log) Loaded() bool { return l.loaded.Load() }

// Age is how long ago the log was last known to be complete: zero without a
// stream, the longest duration there is when it was never read.
func (l *Log) Age(now time.Time) time.Duration {
	if l.stream == nil {
		return 0
	}
	c := l.contact.Load()
	if c == never {
		return math.MaxInt64
	}
	return max(0, time.Duration(l.line.at(now)-c))
}

// Retain makes the log remember purges for at least d: the longest that any
// entry may live.
func (l *Log) Retain(d time.Duration) {
	for {
		old := l.retain.Load()
		if int64(d) <= old || l.retain.CompareAndSwap(old, int64(d)) {
			return
		}
	}
}

// retention is how long the log remembers purges. A stream that trims itself
// keeps at least as much.
func (l *Log) retention() time.Duration { return time.Duration(l.retain.Load()) }

// Open takes over where the stream starts; the caller is about to read from
// Position on. A stream that starts past this node's position, or ends before
// it, has lost records that this node may not have seen: then everything held
// is unusable and reading starts over.
func (l *Log) Open(start, end Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.loaded.Load() && (l.position.Before(start) || end.Before(l.position)) {
		l.forgotten = l.version.Add(1)
		l.position = Position{}
		l.names, l.all, l.order = map[NameHash]mark{}, mark{}, nil
		l.start = Position{}
		l.denials.markUnreplicated(end, l.line.now())
		l.needsResend = true
		l.logger.Warn("purge log has a gap; cached entries are fetched anew")
	}
	if l.start.Before(start) {
		l.start, l.needsResend = start, true
	}
}

// Horizon is the place in the stream before which no node needs anything: past
// the longest life of an entry, and before every entry of the deny list that
// has not run out.
func (l *Log) Horizon() Position {
	now := l.line.now()
	cut := Position{Millis: uint64(max(0, now.Add(-l.retention()).UnixMilli()))}
	if p, ok := l.denials.oldest(now); ok && p.Before(cut) {
		return p
	}
	return cut
}

// Apply takes over records in the order of the stream.
func (l *Log) Apply(records []Placed) {
	if len(records) == 0 {
		return
	}
	now := l.line.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range records {
		// The stream's clock dates the record; ours only bounds it.
		when := time.UnixMilli(int64(min(r.Position.Millis, math.MaxInt64)))
		if when.After(now) {
			when = now
		}
		if l.apply(now, r, when) && l.loaded.Load() {
			// What happened before this node came does not count.
			l.observer.Purge(OriginLog)
		}
		if l.position.Before(r.Position) {
			l.position = r.Position
		}
	}
	l.prune(now)
}

// apply takes one record over and reports whether it is a purge that was news.
// The caller holds the lock.
func (l *Log) apply(now time.Time, r Placed, when time.Time) bool {
	var old mark
	switch r.Kind {
	case Begin:
		return false
	case Deny, Undeny:
		l.denials.add(now, r.Record, r.Position)
		return false
	case PurgeAll:
		old = l.all
	default:
		old = l.names[r.Name]
	}
	if old.version != 0 && old.position != unshared && !old.position.Before(r.Position) {
		return false // read back what this node itself appended
	}
	m := mark{version: l.version.Load() + 1, position: r.Position}
	if r.Kind == PurgeAll {
		l.all = m
	} else {
		l.names[r.Name] = m
	}
	l.order = append(l.order, stamp{
		name: r.Name, all: r.Kind == PurgeAll,
		version: m.version, position: m.position, ticks: l.line.at(when),
	})
	l.purges.Add(1)
	// Last, so that a reader of the new version finds the mark.
	l.version.Store(m.version)
	return true
}

// prune forgets purges that no entry can be older than, and the oldest where
// there are too many. The caller holds the lock.
func (l *Log) prune(now time.Time) {
	horizon := l.line.at(now) - l.retain.Load()
	n := 0
	for _, s := range l.order {
		if len(l.order)-n <= MaxPurges && s.ticks >= horizon {
			break
		}
		n++
		l.forgotten = max(l.forgotten, s.version)
		if s.position != unshared && l.start.Before(s.position) {
			l.start = s.position
		}
		switch {
		case s.all && l.all.version == s.version:
			l.all = mark{}
		case !s.all && l.names[s.name].version == s.version:
			delete(l.names, s.name)
		}
	}
	if n == 0 {
		return
	}
	l.order = append(l.order[:0], l.order[n:]...)
}

// Confirm records that the end of the stream was seen just now.
func (l *Log) Confirm() {
	now := l.line.now()
	l.contact.Store(l.line.at(now))
	l.loaded.Store(true)
	l.attemptedOnce.Do(func() { close(l.attempted) })

	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.reachable {
		l.reachable = true
		l.lastError = ""
		// A replica that took over may lack what its master had acknowledged,
		// and be past that place by now.
		l.denials.markUnreplicated(unshared, now.Add(-lagging))
		l.needsResend = true
		l.changed.Store(l.line.at(now))
		l.logger.Info("purge log is being read")
	}
	if l.flushing || l.ctx.Err() != nil {
		return
	}
	if len(l.pending) > 0 || l.needsResend {
		l.flushing, l.needsResend = true, false
		l.group.Go(l.flush)
	}
}

// Lost records that the stream cannot be read; class is a word for logs.
func (l *Log) Lost(class string) {
	l.attemptedOnce.Do(func() { close(l.attempted) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reachable || l.lastError == "" {
		l.logger.Warn("purge log cannot be read", "error", class)
		l.changed.Store(l.line.at(l.line.now()))
	}
	l.reachable = false
	l.lastError = class
}

// Attempted is closed once the first attempt to read the stream has ended.
func (l *Log) Attempted() <-chan struct{} { return l.attempted }
