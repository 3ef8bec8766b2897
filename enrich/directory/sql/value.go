package sql

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file decodes values. They are requested in PostgreSQL's text format, which
// every type has: values that have a type in claims are decoded, and all others
// (enums, ranges, addresses, UUIDs, …) stay text.

// errValue says that a value cannot be decoded. It does not quote the value.
var errValue = errors.New("a value cannot be read")

// decode returns a column's value as a canonical one, nil for a null.
func decode(types *pgtype.Map, oid uint32, text []byte) (any, error) {
	if text == nil {
		return nil, nil
	}
	s := string(text)
	switch oid {
	// The cases are the types that a claim can have; see the note above for all
	// others.
	case pgtype.BoolOID:
		return s == "t", nil
	case pgtype.BPCharOID:
		// char(n): blanks at the end have no meaning.
		return strings.TrimRight(s, " "), nil
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.OIDOID:
		return strconv.ParseInt(s, 10, 64)
	case pgtype.Float4OID, pgtype.Float8OID, pgtype.NumericOID:
		return decodeNumber(s)
	case pgtype.JSONOID, pgtype.JSONBOID:
		v, err := identity.DecodeJSON(text)
		if err != nil {
			return nil, errValue
		}
		return v, nil
	case pgtype.TimestamptzOID:
		return decodeTime(s), nil
	// Without a zone there is no point in time, so it stays a text that sorts.
	case pgtype.TimestampOID:
		return strings.Replace(s, " ", "T", 1), nil
	// Base64, as JSON has no bytes.
	case pgtype.ByteaOID:
		raw, err := hex.DecodeString(strings.TrimPrefix(s, `\x`))
		if err != nil {
			return nil, errValue
		}
		return base64.StdEncoding.EncodeToString(raw), nil
	}
	if t, known := types.TypeForOID(oid); known {
		if array, ok := t.Codec.(*pgtype.ArrayCodec); ok {
			// PostgreSQL's arrays have a comma between elements, but for one
			// type.
			delimiter := byte(',')
			if array.Delimiter != 0 {
				delimiter = array.Delimiter // of boxes, whose own form has commas
			}
			return decodeArray(s, delimiter, func(element string) (any, error) {
				return decode(types, array.ElementType.OID, []byte(element))
			})
		}
	}
	return s, nil
}

// decodeNumber returns a number; whole numbers stay whole. One that is not
// finite stays text.
func decodeNumber(s string) (any, error) {
	if f, err := strconv.ParseFloat(s, 64); err == nil && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return s, nil
	}
	return identity.Canonical(json.Number(s))
}

// decodeTime returns a time in the form of RFC 3339, in UTC. Infinity, and
// years that RFC 3339 has no form for, stay text.
func decodeTime(s string) any {
	t, err := time.Parse("2006-01-02 15:04:05.999999999Z07", s)
	if err != nil {
		return s
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// decodeArray decodes the text form of an array, {1,"b c",NULL,{…}}, whose
// elements may be arrays again. It skips bounds in front of it.
func decodeArray(s string, delimiter byte, element func(string) (any, error)) (any, error) {
	if strings.HasPrefix(s, "[") {
		_, rest, ok := strings.Cut(s, "=")
		if !ok {
			return nil, errValue
		}
		s = rest
	}
	// The reader must consume the text to its end: otherwise it is no array.
	r := arrayReader{text: s, delimiter: delimiter, element: element}
	v, err := r.list(0)
	if err != nil {
		return nil, err
	}
	if r.at != len(r.text) {
		return nil, errValue
	}
	return v, nil
}

// An arrayReader decodes the text form of an array.
type arrayReader struct {
	text      string
	at        int
	delimiter byte
	element   func(string) (any, error)
}

// peek returns the next byte, or zero at the end.
func (r *arrayReader) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

// list reads an array in braces.
func (r *arrayReader) list(depth int) (any, error) {
	if depth >= maxArrayDepth || r.peek() != '{' {
		return nil, errValue
	}
	r.at++
	out := []any{}
	if r.peek() == '}' {
		r.at++
		return out, nil
	}
	for {
		var v any
		var err error
		switch r.peek() {
		case '{':
			v, err = r.list(depth + 1)
		case '"':
			v, err = r.quoted()
		default:
			v, err = r.bare()
		}
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		switch r.peek() {
		case r.delimiter:
			r.at++
		case '}':
			r.at++
			return out, nil
		default:
			return nil, errValue
		}
	}
}

// quoted reads an element in quotes, with its escapes.
func (r *arrayReader) quoted() (any, error) {
	var b strings.Builder
	for r.at++; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; c {
		case '"':
			r.at++
			return r.element(b.String())
		case '\\':
			if r.at++; r.at < len(r.text) {
				b.WriteByte(r.text[r.at])
			}
		default:
			b.WriteByte(c)
		}
	}
	return nil, errValue
}

// bare reads an element without quotes. NULL is nil.
func (r *arrayReader) bare() (any, error) {
	length := strings.IndexAny(r.text[r.at:], string(r.delimiter)+`{}"\`)
	if length <= 0 {
		return nil, errValue
	}
	s := r.text[r.at : r.at+length]
	r.at += length
	// Without quotes; the text "NULL" is sent in quotes.
	if s == "NULL" {
		return nil, nil
	}
	return r.element(s)
}
