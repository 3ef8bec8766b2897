package sql

import (
	"context"
	dbsql "database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// This file turns errors of the database into the sentinels of package
// directory, and keeps values out of their text.

// explain returns the error for a failure of the driver: a sentinel, with what
// the database says about it where that holds no value.
func explain(ctx context.Context, asked question, err error) error {
	doing := asked.doing
	var over *pgproto3.ExceededMaxBodyLenErr
	var said *pgconn.PgError
	switch {
	case errors.As(err, &over):
		return fmt.Errorf("%s: %w", doing, directory.ErrTooLarge)
	// The context decides before the driver's error, which only says that it
	// was cancelled.
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", doing, directory.ErrTimeout)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	case errors.As(err, &said):
		return fmt.Errorf("%s: %s: %w", doing, message(said, asked.parameters), sentinel(said))
	case errors.Is(err, dbsql.ErrConnDone), errors.Is(err, driver.ErrBadConn):
		return directory.Transient(fmt.Errorf("%s: the connection was closed: %w", doing, directory.ErrUnavailable))
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
		return directory.Transient(fmt.Errorf("%s: the connection was closed: %w", doing, directory.ErrUnavailable))
	}
	return fmt.Errorf("%s: the connection was lost: %w", doing, directory.ErrUnavailable)
}

// sentinel returns the sentinel for an error of the database, by its SQLSTATE
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
func sentinel(said *pgconn.PgError) error {
	switch class := classOf(said); {
	case said.Code == "57014": // query_canceled, by statement_timeout
		return directory.ErrTimeout
	case class == "28", said.Code == "42501": // authorization, insufficient_privilege
		return directory.ErrRefused
	case class == "22" && strings.Contains(said.Where, "portal parameter $"):
		// The subject cannot be cast to the type that it is compared with, such
		// as a number: no user has it. Any other bad value is in the database.
		return directory.ErrNotFound
	case said.Code == "08P01" && said.SeverityUnlocalized == "ERROR":
		// The query has fewer parameters than were sent. A violation of the
		// protocol that a pooler reports has the severity FATAL.
		return directory.ErrRejected
	case class == "08", class == "53", class == "57", class == "58", class == "XX":
		return directory.ErrUnavailable
	}
	return directory.ErrRejected
}

// classOf returns the class of an error, the first two characters of its
// SQLSTATE.
func classOf(said *pgconn.PgError) string { return said.Code[:min(2, len(said.Code))] }

// maxMessage bounds what is quoted of a message, in bytes.
const maxMessage = 300

// message returns the message and SQLSTATE of an error, for the operator. The
// message is left out where it may hold a value, which may be a user's: in all
// classes but those about the query's text, rights and the server, and where it
// holds a parameter. Detail, hint and context are always left out.
func message(said *pgconn.PgError, parameters []string) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, said.Message)
	switch {
	case !slices.Contains(quotable(), classOf(said)),
		slices.ContainsFunc(parameters, func(p string) bool {
			return strings.Contains(strings.ToLower(text), strings.ToLower(p))
		}):
		return "SQLSTATE " + said.Code
	case len(text) > maxMessage:
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", text, said.Code)
}

// quotable returns the classes of SQLSTATE whose messages hold no values.
func quotable() []string {
	return []string{"08", "0A", "25", "28", "2D", "3D", "3F", "40", "42", "53", "54", "55", "57", "58"}
}
