package sql

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// typeQuery tells of a type of the database's own whether it is an array, and
// of what: of a domain the type behind it.
const typeQuery = `select coalesce(e.typarray = t.oid, false) as is_array, coalesce(nullif(e.typbasetype, 0), e.oid, 0)::int8 as element
from pg_catalog.pg_type t left join pg_catalog.pg_type e on e.oid = t.typelem where t.oid = $1`

// learn makes the types known that the database has beyond those which every
// PostgreSQL has: an array of an enum is a list like any other, and not the
// text in braces as which it comes. Each connection asks once for each type.
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
