package value

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/datetime"
)

// Texts: how values are written as text, how texts are read as lists, and how
// their characters are counted. What is written is what Java would write, because
// Okta evaluates the language in Java and claims show it.

// AppendText writes a value as text, as concatenation does: numbers as in Java,
// times as ISO 8601, countries as two-letter codes, lists as their elements with
// commas between them. nil is written as "null", because the language that Okta's
// is based on does so. Maps and the directory's objects have no text.
func (m *Meter) AppendText(b []byte, v any) ([]byte, error) {
	switch x := v.(type) {
	case nil:
		b = append(b, "null"...)
	case string:
		b = append(b, x...)
	case bool:
		b = strconv.AppendBool(b, x)
	case int64:
		b = strconv.AppendInt(b, x, 10)
	case float64:
		b = appendReal(b, x)
	case json.Number:
		b = append(b, x...)
	case DateTime:
		b = append(b, datetime.ZonedISO8601(x.Time)...)
	case Country:
		b = append(b, x.Alpha2()...)
	case []any:
		return m.AppendCSV(b, x, ",")
	default:
		return nil, fmt.Errorf("%s cannot be written as a string", KindOf(v))
	}
	if len(b) > MaxText {
		return nil, fmt.Errorf("the string is longer than %d bytes: %w", MaxText, ErrLimit)
	}
	return b, nil
}

// AppendCSV writes the elements of a list with a separator between them. Null
// elements are left out.
func (m *Meter) AppendCSV(b []byte, list []any, separator string) ([]byte, error) {
	if err := m.Consume(len(list), ListPerStep); err != nil {
		return nil, err
	}
	first := true
	for _, v := range list {
		if v == nil {
			continue
		}
		if !first {
			b = append(b, separator...)
		}
		first = false
		var err error
		if b, err = m.AppendText(b, v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// Text writes a value as text; a text is returned as it is.
func (m *Meter) Text(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := m.AppendText(nil, v)
	if err != nil {
		return "", err
	}
	if err := m.Consume(len(b), TextPerStep); err != nil {
		return "", err
	}
	return string(b), nil
}

// The range in which Java writes a double without an exponent
// (java.lang.Double.toString).
const (
	plainFrom = 1e-3
	plainTo   = 1e7
)

// appendReal writes a number with a fraction as Java does: the shortest
// digits that read back the same, at least one after the point, and an
// exponent for what is very large or very small (2.0, 3.141, 1.0E7).
func appendReal(b []byte, f float64) []byte {
	if abs := math.Abs(f); abs == 0 || abs >= plainFrom && abs < plainTo {
		start := len(b)
		b = strconv.AppendFloat(b, f, 'f', -1, 64)
		if !strings.Contains(string(b[start:]), ".") {
			b = append(b, ".0"...)
		}
		return b
	}
	digits := strconv.FormatFloat(f, 'E', -1, 64)
	mantissa, exponent, _ := strings.Cut(digits, "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return append(b, mantissa+"E"+strconv.Itoa(n)...)
}

// SplitCSV reads a text where a list is wanted: the parts between commas,
// without the spaces around them. The empty text is the empty list.
func (m *Meter) SplitCSV(s string) ([]any, error) {
	if s == "" {
		return []any{}, nil
	}
	n := 1 + strings.Count(s, ",")
	if n > MaxList {
		return nil, fmt.Errorf("the list has over %d elements: %w", MaxList, ErrLimit)
	}
	if err := m.Consume(len(s), TextPerStep); err != nil {
		return nil, err
	}
	list := make([]any, 0, n)
	for part := range strings.SplitSeq(s, ",") {
		list = append(list, strings.TrimSpace(part))
	}
	return list, nil
}

var (
	// ErrNoElement is the error of a position that a list lacks.
	ErrNoElement = errors.New("there is no element at that position")

	// ErrSubstring is the error of a position that a text lacks.
	ErrSubstring = errors.New("the positions are outside the string")
)

// CharacterRange returns the bytes at which the characters from start up to end
// begin and end; -1 for a position outside of the text. The language counts
// characters, where Go counts bytes and Java UTF-16 units.
func CharacterRange(s string, start, end int64) (from, to int) {
	from, to = -1, -1
	var n int64
	for i := range s {
		if n == start {
			from = i
		}
		if n == end {
			to = i
			return from, to
		}
		n++
	}
	if n == start {
		from = len(s)
	}
	if n == end {
		to = len(s)
	}
	return from, to
}
