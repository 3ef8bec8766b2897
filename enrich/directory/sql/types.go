package sql

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// This file finds out the types that a database defines itself.

// typeQuery returns whether a type is an array, and the type of its elements;
// of a domain over one the type behind it.
const typeQuery = `select coalesce(e.typarray = t.oid, false) as is_array, coalesce(nullif(e.typbasetype, 0), e.oid, 0)::int8 as element
from pg_catalog.pg_type t left join pg_catalog.pg_type e on e.oid = t.typelem where t.oid = $1`

// learn registers the types of these columns that not every PostgreSQL has: an
// array of an enum is a list like any other, and not the text in braces as
// which it is sent. Each connection asks once for each type.
func (s *session) learn(ctx context.Context, fields []pgconn.FieldDescription) error {
	types := s.conn.TypeMap()
	for _, f := range fields {
		if _, known := types.TypeForOID(f.DataTypeOID); known {
			continue
		}
		oid := strconv.FormatUint(uint64(f.DataTypeOID), 10)
		answers, err := s.ask(ctx, question{doing: "asking for a type", text: typeQuery, rows: 1, parameters: []string{oid}})
		if err != nil {
			return err
		}
		described := row{} // a type that has just been dropped stays text
		if len(answers[0].rows) == 1 {
			described = answers[0].rows[0]
		}
		var codec pgtype.Codec = pgtype.TextCodec{}
		if isArray, _ := described["is_array"].(bool); isArray {
			element, _ := described["element"].(int64)
			codec = &pgtype.ArrayCodec{ElementType: &pgtype.Type{OID: uint32(element), Codec: pgtype.TextCodec{}}} // #nosec G115 -- it is an oid
		}
		types.RegisterType(&pgtype.Type{Name: "type " + oid, OID: f.DataTypeOID, Codec: codec})
	}
	return nil
}
