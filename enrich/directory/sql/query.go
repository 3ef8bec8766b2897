package sql

import (
	"bytes"
	"context"
	dbsql "database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// row is one row of an answer.
type row map[string]any

// session is one connection for the time of a look-up.
type session struct {
	conn *pgx.Conn
	left int // bytes that the look-up may still read
}

// with runs a look-up on a connection of the pool.
func (d *Directory) with(ctx context.Context, ask func(context.Context, *session) error) error {
	// Cancelled at the end, so that an answer that is not read to its end is
	// not read at all: the driver then gives the connection up.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	db, err := d.database()
	if err != nil {
		return err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return explain(ctx, "connecting", err)
	}
	defer conn.Close()
	return conn.Raw(func(raw any) error {
		native, ok := raw.(*stdlib.Conn)
		if !ok {
			return fmt.Errorf("connecting: not the driver that was asked for: %w", directory.ErrUnavailable)
		}
		return ask(ctx, &session{conn: native.Conn(), left: directory.MaxResponse})
	})
}

// one gives the single row of a query. None is ErrNotFound, two ErrAmbiguous.
func (s *session) one(ctx context.Context, doing, query string, args ...any) (row, error) {
	rows, _, err := s.all(ctx, doing, 2, query, args...)
	switch {
	case err != nil:
		return nil, err
	case len(rows) == 0:
		return nil, fmt.Errorf("%s: %w", doing, directory.ErrNotFound)
	case len(rows) > 1:
		return nil, fmt.Errorf("%s: %w", doing, directory.ErrAmbiguous)
	}
	return rows[0], nil
}

// all gives the rows of a query and the names of its columns. At limit it stops
// and gives so many rows without their values, which is one more than anybody
// wants.
//
// The driver prepares each query once for each connection. What was prepared
// before a table changed, or was discarded, it forgets at the first failure, so
// that the same question can be asked again.
func (s *session) all(ctx context.Context, doing string, limit int, query string, args ...any) ([]row, []string, error) {
	rows, names, err := s.read(ctx, doing, limit, query, args...)
	if errors.Is(err, errOutdated) {
		rows, names, err = s.read(ctx, doing, limit, query, args...)
	}
	return rows, names, err
}

// errOutdated: what the connection had prepared is of no use any more.
var errOutdated = errors.New("prepared before a change")

// read is one attempt of all.
func (s *session) read(ctx context.Context, doing string, limit int, query string, args ...any) ([]row, []string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answer, err := s.conn.Query(ctx, query, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
	if err != nil {
		return nil, nil, explain(ctx, doing, err)
	}
	defer answer.Close()
	fields := slices.Clone(answer.FieldDescriptions()) // the driver uses theirs again
	names := make([]string, len(fields))
	seen := make(map[string]bool, len(fields))
	for i, f := range fields {
		if names[i] = f.Name; seen[f.Name] {
			return nil, nil, fmt.Errorf("%s: two columns are named %q: %w", doing, f.Name, directory.ErrRejected)
		}
		seen[f.Name] = true
	}
	var found [][][]byte
	for len(found) < limit && answer.Next() {
		values := make([][]byte, len(fields))
		for i, raw := range answer.RawValues() {
			if s.left -= len(raw); s.left < 0 {
				cancel()
				return nil, nil, fmt.Errorf("%s: over %d bytes: %w", doing, directory.MaxResponse, directory.ErrTooLarge)
			}
			values[i] = bytes.Clone(raw) // null stays nil
		}
		found = append(found, values)
	}
	if len(found) == limit {
		// Enough is known: there are too many. What else comes is not read.
		cancel()
		return make([]row, limit), names, nil
	}
	if err := answer.Err(); err != nil {
		return nil, nil, explain(ctx, doing, err)
	}
	if err := s.learn(ctx, doing, fields); err != nil {
		return nil, nil, err
	}
	rows := make([]row, len(found))
	for n, values := range found {
		rows[n] = make(row, len(fields))
		for i, raw := range values {
			if rows[n][names[i]], err = decode(s.conn.TypeMap(), fields[i].DataTypeOID, raw); err != nil {
				return nil, nil, fmt.Errorf("%s: column %q cannot be read: %w", doing, names[i], directory.ErrMalformed)
			}
		}
	}
	return rows, names, nil
}

// explain turns an error of the driver into a sentinel. Of what the database
// says it keeps the code alone: its words may repeat the subject.
func explain(ctx context.Context, doing string, err error) error {
	var over *pgproto3.ExceededMaxBodyLenErr
	var said *pgconn.PgError
	switch {
	case errors.As(err, &over):
		return fmt.Errorf("%s: %w", doing, directory.ErrTooLarge)
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, directory.ErrTimeout)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case errors.As(err, &said) && (said.Code == "0A000" || said.Code == "26000"):
		// feature_not_supported, which is also how a cached plan speaks whose
		// columns have changed, and invalid_sql_statement_name.
		return fmt.Errorf("%s: SQLSTATE %s: %w: %w", doing, said.Code, errOutdated, directory.ErrRejected)
	case errors.As(err, &said):
		return fmt.Errorf("%s: SQLSTATE %s: %w", doing, said.Code, sentinel(said))
	case errors.Is(err, dbsql.ErrConnDone), errors.Is(err, driver.ErrBadConn):
		return directory.Transient(fmt.Errorf("%s: the connection was gone: %w", doing, directory.ErrUnavailable))
	case strings.Contains(err.Error(), "sql: database is closed"):
		// database/sql has no sentinel for it.
		return fmt.Errorf("%s: %w", doing, directory.ErrClosed)
	}
	var op *net.OpError
	var connecting *pgconn.ConnectError
	switch {
	case errors.As(err, &op):
		return fmt.Errorf("%s: %w: %w", doing, op, directory.ErrUnavailable)
	case errors.As(err, &connecting):
		return fmt.Errorf("%s: no connection: %w", doing, directory.ErrUnavailable)
	case pgconn.SafeToRetry(err):
		return directory.Transient(fmt.Errorf("%s: the connection was gone: %w", doing, directory.ErrUnavailable))
	}
	return fmt.Errorf("%s: the connection broke off: %w", doing, directory.ErrUnavailable)
}

// sentinel classes an error of the database by its SQLSTATE
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func sentinel(said *pgconn.PgError) error {
	class := said.Code
	if len(class) > 2 {
		class = class[:2]
	}
	switch {
	case said.Code == "57014": // query_canceled, by statement_timeout
		return directory.ErrTimeout
	case class == "28", said.Code == "42501": // authorization, insufficient_privilege
		return directory.ErrRefused
	case class == "22" && strings.Contains(said.Where, "portal parameter $"):
		// The subject cannot be read as the type it is compared with, such as
		// a number: it is nobody's. Any other bad value lies in the database.
		return directory.ErrNotFound
	case class == "08", class == "53", class == "57", class == "58", class == "XX":
		return directory.ErrUnavailable
	}
	return directory.ErrRejected
}
