package redis

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// purposeRecords labels the secret that authenticates records.
const purposeRecords = "token-enrich log records"

// recordVersion is the first byte of a record in the stream.
const recordVersion = 1

// Fields of a stream entry: the record, and for a denial the sealed details that
// lists show. They are apart so that a node of an older version, which knows the
// first alone, refuses what is denied all the same.
const (
	field        = "r"
	detailsField = "d"
)

// Bounds and rhythm of the stream.
const (
	// maxRecords bounds the stream's length. Past it the oldest records go
	// early, and with them the use of entries that are older.
	maxRecords = 200_000

	// maxBatch is how many records are read at once.
	maxBatch = 1000

	// quietRead is how long one read waits for news: the time within which a
	// lost stream is noticed.
	quietRead = time.Second

	// logTimeout bounds a call of the log's own connections. No request waits
	// for it.
	logTimeout = time.Second

	// trimEvery is the least time between two looks at what may be trimmed.
	trimEvery = time.Minute

	// Bounds between two attempts to read a stream that cannot be read.
	firstRetry   = 50 * time.Millisecond
	longestRetry = 2 * time.Second
)

// Stream is the purge log in one Redis stream. It is a purgelog.Stream.
//
// Every record carries a MAC under a secret derived from the seal key: whoever
// can write to Redis can neither purge, nor deny, nor take a denial back. The
// stream is read with XREAD from this node's own position on, not through a
// consumer group, because every node needs every record.
type Stream struct {
	c      *Client
	name   string
	secret [32]byte
}

func newStream(c *Client) *Stream {
	return &Stream{c: c, name: c.end.prefix + "v1:log", secret: c.sealer.Derive(purposeRecords)}
}

// Append adds records at the end of the stream and returns their positions. An
// error wraps cache.ErrUnavailable, or is cache.ErrClosed; some of the records may
// have been added all the same.
func (s *Stream) Append(ctx context.Context, records []purgelog.Record) ([]purgelog.Position, error) {
	if s.c.ctx.Err() != nil {
		return nil, cache.ErrClosed
	}
	ctx, cancel := context.WithTimeout(ctx, 2*max(logTimeout, s.c.end.timeout))
	defer cancel()
	entries := make([][]any, len(records))
	for i, r := range records {
		var err error
		if entries[i], err = s.seal(r); err != nil {
			return nil, fmt.Errorf("appending to the purge log: %w: %w", err, cache.ErrUnavailable)
		}
	}
	cmds, err := s.c.log.Pipelined(ctx, func(p goredis.Pipeliner) error {
		for _, values := range entries {
			p.XAdd(ctx, &goredis.XAddArgs{Stream: s.name, MaxLen: maxRecords, Approx: true, Values: values})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("appending to the purge log (%s): %w", class(err), cache.ErrUnavailable)
	}
	positions := make([]purgelog.Position, 0, len(records))
	for _, cmd := range cmds {
		added, ok := cmd.(*goredis.StringCmd)
		if !ok {
			return nil, fmt.Errorf("appending to the purge log: %w", cache.ErrUnavailable)
		}
		p, err := position(added.Val())
		if err != nil {
			return nil, err
		}
		positions = append(positions, p)
	}
	return positions, nil
}

// Follow feeds the log until ctx ends, and keeps watch over the server.
func (s *Stream) Follow(ctx context.Context, log *purgelog.Log) {
	// A blocked read ends with its connection, not with its context.
	stop := context.AfterFunc(ctx, func() { _ = s.c.log.Close() })
	defer stop()
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		s.c.watch.run(ctx, s.c)
	}()
	defer func() { <-watching }()

	var trimmed time.Time
	retry := firstRetry
	for ctx.Err() == nil {
		first, err := s.read(ctx, log)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			cl := class(err)
			log.Lost(cl)
			if retry > firstRetry && silences(cl) {
				// Not only a connection that was cut: no request need find out
				// by its own time-out, and the status must not say otherwise.
				s.c.breaker.failed(cl)
			}
			pause(ctx, retry)
			retry = min(2*retry, longestRetry)
			continue
		}
		retry = firstRetry
		if now := s.c.clock(); now.Sub(trimmed) >= trimEvery {
			trimmed = now
			s.trim(ctx, first, log.Horizon())
		}
	}
}

// silences reports whether an error of that class, met by the log, holds for
// entries as well, rather than for the right to read the log alone.
func silences(class string) bool {
	switch class {
	case classTimeout, classRefused, classAuth, classTLS, classLoading:
		return true
	}
	return false
}

// read finds where the stream starts and ends, reports them to the log, and takes what is
// new or waits for it for a while. It returns where the stream starts.
func (s *Stream) read(ctx context.Context, log *purgelog.Log) (purgelog.Position, error) {
	first, last, err := s.ends(ctx)
	if err != nil {
		return first, err
	}
	log.Open(first, last)
	if !log.Position().Before(last) {
		log.Confirm()
	}
	for {
		inner, cancel := context.WithTimeout(ctx, quietRead+logTimeout)
		streams, err := s.c.log.XRead(inner, &goredis.XReadArgs{
			Streams: []string{s.name, id(log.Position())}, Count: maxBatch, Block: quietRead,
		}).Result()
		cancel()
		if errors.Is(err, goredis.Nil) || err == nil && len(streams) == 0 {
			return first, nil
		}
		if err != nil {
			return first, err
		}
		messages := streams[0].Messages
		records := make([]purgelog.Placed, 0, len(messages))
		for _, m := range messages {
			p, err := position(m.ID)
			if err != nil {
				return first, err
			}
			records = append(records, purgelog.Placed{Record: s.open(m.Values), Position: p})
		}
		log.Apply(records)
		if len(messages) < maxBatch {
			log.Confirm()
			return first, nil
		}
	}
}

// ends finds the first and the last record, and begins a stream that is not
// there.
func (s *Stream) ends(ctx context.Context) (first, last purgelog.Position, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*max(logTimeout, s.c.end.timeout))
	defer cancel()
	for range 2 {
		var a, b *goredis.XMessageSliceCmd
		_, err = s.c.log.Pipelined(ctx, func(p goredis.Pipeliner) error {
			a = p.XRangeN(ctx, s.name, "-", "+", 1)
			b = p.XRevRangeN(ctx, s.name, "+", "-", 1)
			return nil
		})
		if err != nil {
			return first, last, err
		}
		if len(a.Val()) == 1 && len(b.Val()) == 1 {
			if first, err = position(a.Val()[0].ID); err != nil {
				return first, last, err
			}
			last, err = position(b.Val()[0].ID)
			return first, last, err
		}
		if _, err = s.Append(ctx, []purgelog.Record{{Kind: purgelog.Begin}}); err != nil {
			return first, last, err
		}
	}
	return first, last, errors.New("opening the purge log: its first record disappears")
}

// trim drops records that no node needs, except the newest of them: it proves that
// nothing is missing after it.
func (s *Stream) trim(ctx context.Context, first, horizon purgelog.Position) {
	if !first.Before(horizon) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*max(logTimeout, s.c.end.timeout))
	defer cancel()
	found, err := s.c.log.XRevRangeN(ctx, s.name, id(horizon), "-", 1).Result()
	if err != nil || len(found) != 1 {
		return // another time
	}
	_ = s.c.log.XTrimMinID(ctx, s.name, found[0].ID).Err()
}

// seal returns the fields of a record. The first is version, record, and a MAC
// over both; details are sealed under that MAC, so that they fit no other record.
func (s *Stream) seal(r purgelog.Record) ([]any, error) {
	b, _ := r.AppendBinary([]byte{recordVersion}) // it has no error
	mac := s.mac(b)
	b = append(b, mac...)
	if r.Claim == "" && r.Reason == "" {
		return []any{field, b}, nil
	}
	details, err := s.c.sealer.Seal([sha256.Size]byte(mac), r.AppendDetails(nil))
	return []any{field, b, detailsField, details}, err
}

// open reads a record. One that is not authentic is passed over, as a record
// that does nothing: its place in the stream still counts. So is one of a kind
// that this version does not know. Details that do not open are dropped, the denial holds.
func (s *Stream) open(values map[string]any) purgelog.Record {
	var r purgelog.Record
	text, _ := values[field].(string)
	b := []byte(text)
	if len(b) <= sha256.Size || b[0] != recordVersion {
		s.c.tier.alarm()
		return purgelog.Record{Kind: purgelog.Begin}
	}
	b, mac := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if !hmac.Equal(mac, s.mac(b)) || r.UnmarshalBinary(b[1:]) != nil {
		s.c.tier.alarm()
		return purgelog.Record{Kind: purgelog.Begin}
	}
	if details, ok := values[detailsField].(string); ok {
		plain, err := s.c.sealer.Open([sha256.Size]byte(mac), []byte(details))
		if err != nil || r.UnmarshalDetails(plain) != nil {
			s.c.tier.alarm()
		}
	}
	return r
}

func (s *Stream) mac(b []byte) []byte {
	m := hmac.New(sha256.New, s.secret[:])
	m.Write([]byte(s.name)) // a record of another log must not verify
	m.Write([]byte{0})
	m.Write(b)
	return m.Sum(nil)
}

// position reads a stream id.
func position(id string) (purgelog.Position, error) {
	ms, serial, ok := strings.Cut(id, "-")
	a, err1 := strconv.ParseUint(ms, 10, 64)
	b, err2 := strconv.ParseUint(serial, 10, 64)
	if !ok || err1 != nil || err2 != nil {
		return purgelog.Position{}, errors.New("reading the purge log: not a stream id")
	}
	return purgelog.Position{Millis: a, Serial: b}, nil
}

func id(p purgelog.Position) string {
	return strconv.FormatUint(p.Millis, 10) + "-" + strconv.FormatUint(p.Serial, 10)
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// Interface guard.
var _ purgelog.Stream = (*Stream)(nil)
