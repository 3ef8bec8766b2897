package purgelog

import (
	"context"
	"slices"
	"time"
)

// Propagation is how far a record has spread.
type Propagation uint8

const (
	// ThisNode: there is no shared log, this node alone knows.
	ThisNode Propagation = iota
	// Pending: this node knows, the others will as soon as the shared log
	// can be reached again (while this process lives).
	Pending
	// AllNodes: the record is in the shared log.
	AllNodes
)

// Append records purges and denials. On this node they hold when it returns,
// whatever the error; the propagation says whether they reached the others. The
// error is ErrFull where the deny list or the list of pending records has no
// room, and the stream's own where that failed.
func (l *Log) Append(ctx context.Context, records ...Record) (Propagation, error) {
	now := l.line.now()
	denials, undone := 0, 0
	records = slices.Clone(records)
	for i, r := range records {
		records[i] = r.inMillis()
		if r.Kind == Deny {
			denials++
		}
		if r.Kind == Undeny {
			undone++
		}
	}
	if denials+undone > 0 && !l.denials.room(now, denials, undone) {
		return ThisNode, ErrFull
	}
	if l.stream == nil {
		l.applyOwn(now, records, nil)
		return ThisNode, nil
	}
	positions, err := l.stream.Append(ctx, records)
	if err != nil || len(positions) != len(records) {
		l.applyOwn(now, records, nil)
		if full := l.postpone(records); full != nil {
			return ThisNode, full
		}
		return Pending, err
	}
	l.applyOwn(now, records, positions)
	return AllNodes, nil
}

// Deny puts names on the deny list and returns the entries as the list holds them.
// An entry that a new one covers is taken back: it refuses nothing more. Propagation
// and error are as for Append.
func (l *Log) Deny(ctx context.Context, denials ...Record) ([]Record, Propagation, error) {
	now := l.line.now()
	entries := make([]Record, len(denials))
	for i, r := range denials {
		r.Kind = Deny
		entries[i] = l.denials.distinct(r.inMillis())
	}
	reach, err := l.Append(ctx, entries...)
	if err != nil {
		return entries, reach, err
	}
	// Only once the new ones are where the other nodes read them, so that no
	// node has neither. Where there is no room to remember this, both stay.
	for _, e := range entries {
		if covered := l.denials.covered(now, e); len(covered) > 0 {
			_, _ = l.Undeny(ctx, covered...)
		}
	}
	return entries, reach, nil
}

// Undeny takes entries of the deny list back: these, and no denial of the same
// names that is made later. Propagation and error are as for Append.
func (l *Log) Undeny(ctx context.Context, entries ...Record) (Propagation, error) {
	records := make([]Record, len(entries))
	for i, e := range entries {
		records[i] = Record{Kind: Undeny, Name: e.Name, Until: e.Until, IssuedBefore: e.IssuedBefore}
	}
	return l.Append(ctx, records...)
}

// postpone keeps records until the stream can be reached again. Denials and
// what takes them back need no keeping: the deny list knows which of its
// entries have no place yet.
func (l *Log) postpone(records []Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.needsResend = true
	for _, r := range records {
		if r.Kind == Deny || r.Kind == Undeny {
			continue
		}
		if len(l.pending) >= maxPending {
			return ErrFull
		}
		l.pending = append(l.pending, r)
	}
	return nil
}

// applyOwn applies what this node itself recorded, before it is read back.
// With a stream and no positions the records are not shared yet.
func (l *Log) applyOwn(now time.Time, records []Record, positions []Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range records {
		at := unshared
		switch {
		case positions != nil:
			at = positions[i]
		case l.stream == nil:
			l.position.Serial++
			at = l.position
		}
		l.apply(now, Placed{Record: r, Position: at}, now)
		if r.Kind == Deny || r.Kind == Undeny {
			l.denials.markAppended(now, r)
		} else {
			l.observer.Purge(OriginLocal)
		}
	}
	l.prune(now)
}

// flush appends what could not be shared when it was recorded, and entries of
// the deny list that the stream no longer holds, so that a node that starts
// later learns of them.
func (l *Log) flush() {
	l.mu.Lock()
	records := append([]Record(nil), l.pending...)
	purges := len(records)
	records = append(records, l.denials.before(l.line.now(), l.start)...)
	l.mu.Unlock()

	var err error
	for batch := range slices.Chunk(records, flushBatch) {
		ctx, cancel := context.WithTimeout(l.ctx, flushTimeout)
		var positions []Position
		positions, err = l.stream.Append(ctx, batch)
		cancel()
		if err != nil || len(positions) != len(batch) {
			break
		}
		l.applyOwn(l.line.now(), batch, positions)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.pending = append([]Record(nil), l.pending[purges:]...)
	} else {
		l.needsResend = true
	}
	l.flushing = false
}

// flushBatch is how many records one attempt appends at once.
const flushBatch = 100

// flushTimeout bounds one attempt to append what is pending.
const flushTimeout = 5 * time.Second
