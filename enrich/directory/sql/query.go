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

// This file runs the queries of a look-up in one transaction and one round
// trip.

// A look-up is one transaction. It is read-only, sees one snapshot, and is rolled
// back, which undoes what a query sets in the session: behind a pooler the next
// user of the session is another client. Its settings are local to the transaction
// because a pooler refuses or drops those of a connection.
//
// All statements go in one round trip by the extended protocol, with no prepared
// statement that outlives it. The protocol accepts one statement in a text, and
// parameters only where the statement can have them: statements that end the
// transaction or make it read-write have none, and are refused.
const (
	begin = `begin isolation level repeatable read, read only`

	// settings is a select, and so the transaction's first query: after it
	// PostgreSQL does not let the transaction become read-write.
	settings = `select set_config('statement_timeout', $1, true),
		set_config('DateStyle', 'ISO', true), set_config('IntervalStyle', 'postgres', true), set_config('TimeZone', 'UTC', true),
		set_config('bytea_output', 'hex', true), set_config('extra_float_digits', '1', true)`

	// unlock releases the locks that outlive a transaction.
	unlock   = `select pg_advisory_unlock_all()`
	rollback = `rollback`
)

// A question is a query with its parameters, and the number of rows that it may
// return.
type question struct {
	doing, text string
	rows        int
	parameters  []string
}

// An answer is the rows of a question. Where there are more than the question
// allows, it has none, and more is true.
type answer struct {
	question question
	fields   []pgconn.FieldDescription
	raw      [][][]byte
	rows     []row
	more     bool
}

// one returns the single row. No row is ErrNotFound, two are ErrAmbiguous.
func (a *answer) one() (row, error) {
	switch {
	case a.more:
		return nil, fmt.Errorf("%s: %w", a.question.doing, directory.ErrAmbiguous)
	case len(a.rows) == 0:
		return nil, fmt.Errorf("%s: %w", a.question.doing, directory.ErrNotFound)
	}
	return a.rows[0], nil
}

// A session is one connection for the time of a look-up.
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
			return fmt.Errorf("connecting: unexpected driver: %w", directory.ErrUnavailable)
		}
		return look(&session{conn: native.Conn(), timeout: d.timeout, left: directory.MaxResponse})
	})
}

// ask runs the queries in a transaction of their own. It returns the answers up
// to the first query that failed, and its error.
func (s *session) ask(ctx context.Context, questions ...question) ([]answer, error) {
	answers, err := s.read(ctx, questions)
	for n := range answers {
		if problem := s.decode(ctx, &answers[n]); problem != nil {
			return answers[:n], problem
		}
	}
	return answers, err
}

// read is ask without decoding the values.
func (s *session) read(ctx context.Context, questions []question) ([]answer, error) {
	var batch pgconn.Batch
	// Sent at once, with the rollback, so that the transaction ends whatever
	// happens to this process.
	statements := slices.Concat(
		[]question{{text: begin}, {text: settings, parameters: []string{s.timeout}}}, questions, []question{{text: unlock}, {text: rollback}})
	for _, q := range statements {
		parameters := make([][]byte, len(q.parameters))
		for i, p := range q.parameters {
			parameters[i] = []byte(p)
		}
		batch.ExecParams(q.text, parameters, nil, nil, nil)
	}
	// Cancelled where an answer is not read to its end: the driver then drops
	// the connection.
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

// end rolls a transaction back that a failure has left open, so that the
// connection can be used again. Otherwise the pool drops the connection.
func (s *session) end(ctx context.Context) {
	if c := s.conn.PgConn(); !c.IsClosed() && c.TxStatus() != 'I' {
		_ = c.Exec(ctx, rollback+"; "+unlock).Close()
	}
}

// The bytes that a row and a value take in the protocol beside their content.
const (
	rowBytes   = 7
	valueBytes = 4
)

// take reads the rows of an answer. Rows beyond those that the question allows
// are counted and dropped.
func (s *session) take(a *answer, result *pgconn.ResultReader) error {
	a.fields = slices.Clone(result.FieldDescriptions()) // the driver uses theirs again
	if len(a.fields) == 0 {
		return fmt.Errorf("%s: the query returns no columns; it must be a select: %w", a.question.doing, directory.ErrRejected)
	}
	seen := make(map[string]bool, len(a.fields))
	for _, f := range a.fields {
		// A row is a map, so one of the two values would be lost.
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

// decode decodes the values that were read.
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
