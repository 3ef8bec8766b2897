package cache

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// RecordKind tells what a record of the log does.
type RecordKind uint8

const (
	// Begin opens a log; it names nothing.
	Begin RecordKind = iota
	// PurgeUser, PurgeGroup and PurgeApp make every cached value unusable
	// that carries the id.
	PurgeUser
	PurgeGroup
	PurgeApp
	// PurgeAll makes every cached value unusable.
	PurgeAll
	// Deny puts a name on the deny list.
	Deny
)

// String gives the word that logs and status use.
func (k RecordKind) String() string {
	switch k {
	case Begin:
		return "begin"
	case PurgeUser:
		return "user"
	case PurgeGroup:
		return "group"
	case PurgeApp:
		return "app"
	case PurgeAll:
		return "all"
	case Deny:
		return "deny"
	}
	return "unknown"
}

// Record is one entry of the log: a purge or a denial.
type Record struct {
	// Kind says what the record does.
	Kind RecordKind

	// Name is what it names (Keyer.Name for purges, Keyer.Denial for
	// denials); zero for PurgeAll.
	Name Name

	// Until ends a denial: the latest expiry of a token that it can name.
	// Without effect on purges.
	Until time.Time

	// IssuedBefore narrows a denial to tokens issued at or before that
	// moment, so that a user who was logged out everywhere can log in again.
	// Zero means every token.
	IssuedBefore time.Time
}

// Position is a place in the log. The zero value stands before every record.
type Position struct{ Millis, Serial uint64 }

// unplaced marks a record that this node knows and the shared log does not
// yet: no entry of a shared tier can be known to come after it.
var unplaced = Position{math.MaxUint64, math.MaxUint64}

// Before reports whether p stands before q.
func (p Position) Before(q Position) bool {
	return p.Millis < q.Millis || p.Millis == q.Millis && p.Serial < q.Serial
}

// Placed is a record with its place in the log.
type Placed struct {
	Record
	Position Position
}

// Stream carries the log between nodes.
type Stream interface {
	// Append adds records at the end of the log and gives their positions in
	// order. On error it may have added some of them: the caller adds all
	// again, which does no harm.
	Append(ctx context.Context, records []Record) ([]Position, error)

	// Follow feeds the log until ctx ends: it calls Log.Open once it knows
	// where the stream starts, then Log.Apply for what it reads from
	// Log.Position on, Log.Confirm whenever it has seen the end, and
	// Log.Lost when it cannot read.
	Follow(ctx context.Context, log *Log)
}

// errRecord says that bytes are not a record.
var errRecord = errors.New("not a log record")

// recordSize is the length of an encoded record: kind, name, two times.
const recordSize = 1 + len(Name{}) + 8 + 8

// AppendBinary appends the record's encoding to b.
func (r Record) AppendBinary(b []byte) ([]byte, error) {
	b = append(b, byte(r.Kind))
	b = append(b, r.Name[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(unixMillis(r.Until)))
	return binary.BigEndian.AppendUint64(b, uint64(unixMillis(r.IssuedBefore))), nil
}

// UnmarshalBinary reads what AppendBinary wrote.
func (r *Record) UnmarshalBinary(b []byte) error {
	if len(b) != recordSize {
		return fmt.Errorf("decoding a record of %d bytes: %w", len(b), errRecord)
	}
	if RecordKind(b[0]) > Deny {
		return fmt.Errorf("decoding a record of kind %d: %w", b[0], errRecord)
	}
	r.Kind = RecordKind(b[0])
	copy(r.Name[:], b[1:])
	r.Until = fromUnixMillis(int64(binary.BigEndian.Uint64(b[17:])))
	r.IssuedBefore = fromUnixMillis(int64(binary.BigEndian.Uint64(b[25:])))
	return nil
}

// unixMillis keeps the zero time apart from the epoch.
func unixMillis(t time.Time) int64 {
	if t.IsZero() {
		return math.MinInt64
	}
	return t.UnixMilli()
}

func fromUnixMillis(ms int64) time.Time {
	if ms == math.MinInt64 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
