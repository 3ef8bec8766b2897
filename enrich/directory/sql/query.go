package sql

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// A look-up is one transaction, which is read-only, sees one snapshot, and is
// rolled back: what a query sets in the session is undone with it, and behind a
// pooler the session is another's next. Its settings are the transaction's own
// because a pooler refuses those of a connection, or loses them.
//
// All of it is one round trip by the extended protocol, with nothing prepared
// that outlives it. That protocol takes one statement in a text, and parameters
// only in one that can have them: what would end the transaction or make it
// read-write has none, and is refused.
const (
	begin = `begin isolation level repeatable read, read only`

	// settings is a select, and so the transaction's first query: after it
	// PostgreSQL does not let the transaction become read-write.
	settings = `select set_config('statement_timeout', $1, true),
		set_config('DateStyle', 'ISO', true), set_config('IntervalStyle', 'postgres', true), set_config('TimeZone', 'UTC', true),
		set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true)`

	// unlock returns back what no end of a transaction does.
	unlock   = `select pg_advisory_unlock_all()`
	rollback = `rollback`
)

// question is a query with its parameters, and how many rows it may give.
type question struct {
	doing, text string
	rows        int
	parameters  []string
}

// answer is what a question was answered with. Of more rows than it may have
// it holds none.
type answer struct {
	question question
	fields   []pgconn.FieldDescription
	raw      [][][]byte
	rows     []row
	more     bool
}

// row is one row of an answer.
type row map[string]any

// one returns the single row. None is ErrNotFound, two are ErrAmbiguous.
func (a *answer) one() (row, error) {
	switch {
	case a.more:
		return nil, fmt.Errorf("%s: %w", a.question.doing, directory.ErrAmbiguous)
	case len(a.rows) == 0:
		return nil, fmt.Errorf("%s: %w", a.question.doing, directory.ErrNotFound)
	}
	return a.rows[0], nil
}

// session is one connection for the time of a look-up.
type session struct {
	conn    *pgx.Conn
	timeout string // of a statement, in milliseconds
	left    int    // bytes that the look-up may still read
}

// with runs a look-up on a connection of the pool.
func (d *Directory) with(ctx context.Context, look func(*session) error) error {
	connecting := question{doing: "connecting"}
	db, err := d.database()
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return explain(ctx, connecting, err)
	}
	defer conn.Close()
	return conn.Raw(func(raw any) error {
		native, ok := raw.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("connecting: not the driver that was asked for: %w", directory.ErrUnavailable)
		}
		return look(&session{conn: native.Conn(), timeout: d.timeout, left: directory.MaxResponse})
	})
}

// ask puts the questions to the database, in a transaction of their own. It
// returns the answers up to the first question that failed, and the reason.
func (s *session) ask(ctx context.Context, questions ...question) ([]answer, error) {
	answers, err := s.read(ctx, questions)
	for n := range answers {
		if problem := s.decode(ctx, &answers[n]); problem != nil {
			return answers[:n], problem
		}
	}
	return answers, err
}

// read is ask without the meaning of the values.
func (s *session) read(ctx context.Context, questions []question) ([]answer, error) {
	var batch pgconn.Batch
	statements := slices.Concat(
		[]question{{text: begin}, {text: settings, parameters: []string{s.timeout}}}, questions, []question{{text: unlock}, {text: rollback}})
	for _, q := range statements {
		parameters := make([][]byte, len(q.parameters))
		for i, p := range q.parameters {
			parameters[i] = []byte(p)
		}
		batch.ExecParams(q.text, parameters, nil, nil, nil)
	}
	// Cancelled where an answer is not read to its end: the driver then gives
	// the connection up.
	bounded, cancel := context.WithCancel(ctx)
	defer cancel()
	results := s.conn.PgConn().ExecBatch(bounded, &batch)
	answers := make([]answer, 0, len(questions))
	var failed error
	done := 0
	for ; failed == nil && results.NextResult(); done++ {
		result := results.ResultReader()
		if n := done - 2; n >= 0 && n < len(questions) {
			a := answer{question: questions[n]}
			if failed = s.take(&a, result); failed == nil {
				answers = append(answers, a)
			}
			if s.left < 0 {
				cancel()
			}
		}
		if _, err := result.Close(); err != nil {
			break // it is that of the results, too
		}
	}
	err := results.Close()
	if n := done - 2; failed == nil && err != nil {
		asked := question{doing: "beginning or ending the transaction"}
		if n >= 0 && n < len(questions) {
			asked, answers = questions[n], answers[:n]
		}
		failed = explain(ctx, asked, err)
	}
	s.end(ctx)
	return answers, failed
}

// end makes the connection fit for the next look-up where a failure kept the
// transaction's end from being reached. One that is not fit is not used again.
func (s *session) end(ctx context.Context) {
	if c := s.conn.PgConn(); !c.IsClosed() && c.TxStatus() != 'I' {
		_ = c.Exec(ctx, rollback+"; "+unlock).Close()
	}
}

// Bytes that a row and a value take in the protocol besides their own.
const (
	rowBytes   = 7
	valueBytes = 4
)

// take reads the rows of an answer. What is over the rows that it may have is
// counted and not kept.
func (s *session) take(a *answer, result *pgconn.ResultReader) error {
	a.fields = slices.Clone(result.FieldDescriptions()) // the driver uses theirs again
	if len(a.fields) == 0 {
		return fmt.Errorf("%s: the query gives no columns; it must be a select: %w", a.question.doing, directory.ErrRejected)
	}
	seen := make(map[string]bool, len(a.fields))
	for _, f := range a.fields {
		if seen[f.Name] {
			return fmt.Errorf("%s: two columns are named %q: %w", a.question.doing, f.Name, directory.ErrRejected)
		}
		seen[f.Name] = true
	}
	for result.NextRow() {
		values := result.Values()
		s.left -= rowBytes
		for _, raw := range values {
			s.left -= valueBytes + len(raw)
		}
		if s.left < 0 {
			return fmt.Errorf("%s: over %d bytes: %w", a.question.doing, directory.MaxResponse, directory.ErrTooLarge)
		}
		if a.more = a.more || len(a.raw) == a.question.rows; a.more {
			a.raw = nil
			continue
		}
		kept := make([][]byte, len(values))
		for i, raw := range values {
			kept[i] = bytes.Clone(raw) // null stays nil
		}
		a.raw = append(a.raw, kept)
	}
	return nil
}

// decode makes rows of what was read.
func (s *session) decode(ctx context.Context, a *answer) error {
	if err := s.learn(ctx, a.fields); err != nil {
		return err
	}
	a.rows = make([]row, len(a.raw))
	for n, values := range a.raw {
		a.rows[n] = make(row, len(values))
		for i, raw := range values {
			f := a.fields[i]
			v, err := decode(s.conn.TypeMap(), f.DataTypeOID, raw)
			if err != nil {
				return fmt.Errorf("%s: column %q cannot be read: %w", a.question.doing, f.Name, directory.ErrMalformed)
			}
			a.rows[n][f.Name] = v
		}
	}
	return nil
}
