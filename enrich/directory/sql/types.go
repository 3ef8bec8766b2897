package sql

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// typeQuery tells of a type of the database's own whether it is an array, and
// of what: of a domain the type behind it.
const typeQuery = `select t.typname::text, coalesce(e.typarray = t.oid, false), coalesce(nullif(e.typbasetype, 0), e.oid, 0)::int8
from pg_catalog.pg_type t left join pg_catalog.pg_type e on e.oid = t.typelem where t.oid = $1`

// learn makes the types known that the database has beyond those which every
// PostgreSQL has: an array of an enum is a list like any other, and not the
// text in braces as which it comes. Each connection asks once for each type.
func (s *session) learn(ctx context.Context, doing string, fields []pgconn.FieldDescription) error {
	types := s.conn.TypeMap()
	for _, f := range fields {
		if _, known := types.TypeForOID(f.DataTypeOID); known {
			continue
		}
		var name string
		var isArray bool
		var element int64
		err := s.conn.QueryRow(ctx, typeQuery, f.DataTypeOID).Scan(&name, &isArray, &element)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return explain(ctx, doing, err)
		}
		var codec pgtype.Codec = pgtype.TextCodec{}
		if isArray {
			codec = &pgtype.ArrayCodec{ElementType: &pgtype.Type{OID: uint32(element), Codec: pgtype.TextCodec{}}}
		}
		types.RegisterType(&pgtype.Type{Name: name, OID: f.DataTypeOID, Codec: codec})
	}
	return nil
}
