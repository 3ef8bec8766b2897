package purgelog

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"time"
	"unicode"
	"unicode/utf8"
)

// RecordKind is what a record of the log does.
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
	// Undeny takes one denial back: the one with the same name and times.
	Undeny
)

// A node passes over kinds that it does not know. So a new kind may only be
// one that refuses too much, or serves nothing old, where it is passed over, as
// Undeny is.

// String returns the word that logs and status use.
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
	case Undeny:
		return "undeny"
	}
	return "unknown"
}

// MaxReason bounds a denial's reason, in bytes.
const MaxReason = 200

// maxClaim bounds the name of a claim, in bytes.
const maxClaim = 32

// Record is one entry of the log: a purge, a denial, or one taken back.
type Record struct {
	// Kind says what the record does.
	Kind RecordKind

	// Name is what it names (KeyDeriver.NameHash for purges,
	// KeyDeriver.DenialHash for denials); zero for PurgeAll.
	Name NameHash

	// Until ends a denial, and the memory of one that was taken back.
	// Without effect on purges.
	Until time.Time

	// IssuedBefore narrows a denial to tokens issued at or before that
	// moment, so that a user who was logged out everywhere can log in again.
	// Zero means every token.
	IssuedBefore time.Time

	// Claim is the claim that a denial's Name hashes a value of, and Reason
	// why it was made: printable text of at most MaxReason bytes. Both are
	// for whoever reads the list, and empty where none was given. They leave
	// this process sealed only, because a reason may name a person.
	Claim, Reason string
}

// ID identifies a denial: those with the same name and times have the same ID,
// and so has the record that takes one back.
func (r Record) ID() string {
	b, _ := Record{Kind: Deny, Name: r.Name, Until: r.Until, IssuedBefore: r.IssuedBefore}.AppendBinary(nil) // it has no error
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// same reports whether two records speak of one denial.
func (r Record) same(o Record) bool {
	return r.Name == o.Name && r.Until.Equal(o.Until) && r.IssuedBefore.Equal(o.IssuedBefore)
}

// covers reports whether a denial refuses all that another one refuses.
func (r Record) covers(o Record) bool {
	return r.Name == o.Name && !r.Until.Before(o.Until) &&
		(r.IssuedBefore.IsZero() || !o.IssuedBefore.IsZero() && !r.IssuedBefore.Before(o.IssuedBefore))
}

// inMillis returns a record with the times that all nodes read from the log, so
// that a denial is the same everywhere. It reaches no fewer tokens.
func (r Record) inMillis() Record {
	r.Until = fromUnixMillis(unixMillis(r.Until))
	if !r.IssuedBefore.IsZero() {
		r.IssuedBefore = time.UnixMilli(r.IssuedBefore.Add(time.Millisecond - 1).UnixMilli())
	}
	return r
}

// CheckReason checks a reason. The error does not repeat it.
func CheckReason(reason string) error {
	if len(reason) > MaxReason {
		return fmt.Errorf("the reason has %d bytes, over the limit of %d", len(reason), MaxReason)
	}
	if !utf8.ValidString(reason) {
		return errors.New("the reason is not UTF-8")
	}
	for i, c := range reason {
		if !unicode.IsGraphic(c) {
			return fmt.Errorf("the reason has an unprintable character at byte %d", i)
		}
	}
	return nil
}

// Position is a place in the log. The zero value is before every record.
type Position struct{ Millis, Serial uint64 }

// unshared marks a record that this node knows and the shared log does not
// yet: no entry of a shared tier can be known to come after it.
var unshared = Position{math.MaxUint64, math.MaxUint64}

// Before reports whether p comes before q.
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
	// Append adds records at the end of the log and returns their positions in
	// order. On error it may have added some of them: the caller adds all
	// again, which does no harm.
	Append(ctx context.Context, records []Record) ([]Position, error)

	// Follow feeds the log until ctx ends: it calls Log.Open once it knows
	// where the stream starts, then Log.Apply for what it reads from
	// Log.Position on, Log.Confirm whenever it has seen the end, and
	// Log.Lost when it cannot read.
	Follow(ctx context.Context, log *Log)
}

// errRecord is returned for bytes that are not a record.
var errRecord = errors.New("not a log record")

// recordSize is the length of an encoded record: kind, name, two times.
const recordSize = 1 + len(NameHash{}) + 8 + 8

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
	if RecordKind(b[0]) > Undeny {
		return fmt.Errorf("decoding a record of kind %d: %w", b[0], errRecord)
	}
	r.Kind = RecordKind(b[0])
	copy(r.Name[:], b[1:])
	r.Until = fromUnixMillis(int64(binary.BigEndian.Uint64(b[17:])))
	r.IssuedBefore = fromUnixMillis(int64(binary.BigEndian.Uint64(b[25:])))
	return nil
}

// AppendDetails appends the encoding of Claim and Reason to b. It is apart from
// the record's own, which nodes of older versions read as well.
func (r Record) AppendDetails(b []byte) []byte {
	claim := r.Claim[:min(len(r.Claim), maxClaim)]
	b = append(b, byte(len(claim)))
	b = append(b, claim...)
	return append(b, r.Reason...)
}

// UnmarshalDetails reads what AppendDetails wrote.
func (r *Record) UnmarshalDetails(b []byte) error {
	if len(b) == 0 || int(b[0]) > maxClaim || len(b) < 1+int(b[0]) {
		return fmt.Errorf("decoding details of %d bytes: %w", len(b), errRecord)
	}
	claim, reason := string(b[1:1+b[0]]), string(b[1+b[0]:])
	if err := CheckReason(reason); err != nil {
		return fmt.Errorf("decoding details: %w: %w", errRecord, err)
	}
	r.Claim, r.Reason = claim, reason
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
