package datetime

import (
	"fmt"
	"strings"
	"time"
)

// ISO 8601, in the two forms of the dialects.

// ISO8601 writes t as the Classic dialect's Time functions do: milliseconds
// always with three digits, Z for a zero offset and +hh:mm for others
// (2015-07-31T17:18:37.979Z). It is the Internet profile of ISO 8601
// (RFC 3339) for the years 0 to 9999.
func ISO8601(t time.Time) string {
	return string(appendISO(nil, t, true))
}

// ZonedISO8601 writes t as the Identity Engine dialect prints a date and time:
// like ISO8601, but without a fraction where the milliseconds are zero.
func ZonedISO8601(t time.Time) string {
	return string(appendISO(nil, t, t.Nanosecond() >= int(time.Millisecond)))
}

// appendISO writes a calendar date and time with offset.
func appendISO(b []byte, t time.Time, fraction bool) []byte {
	b = appendPadded(b, t.Year(), 4)
	b = append(b, '-')
	b = appendPadded(b, int(t.Month()), 2)
	b = append(b, '-')
	b = appendPadded(b, t.Day(), 2)
	b = append(b, 'T')
	b = appendPadded(b, t.Hour(), 2)
	b = append(b, ':')
	b = appendPadded(b, t.Minute(), 2)
	b = append(b, ':')
	b = appendPadded(b, t.Second(), 2)
	if fraction {
		b = append(b, '.')
		b = appendFraction(b, t, 3)
	}
	if _, seconds := t.Zone(); seconds == 0 {
		return append(b, 'Z')
	}
	return appendOffset(b, t, ":")
}

// ParseISO8601 reads a date of ISO 8601: a calendar date (2015-07-31, 2015-07
// or 2015), an ordinal date (2015-212) or a week date (2015-W31-5), and, after
// a T, a time down to hours, minutes, seconds or a fraction of up to nine
// digits after a point or comma, then Z or an offset. Without an offset it is
// UTC. A zone in brackets, as Java prints one, is taken where it agrees with
// the offset (2015-08-01T02:18:37.979+09:00[Asia/Tokyo]). The error is ErrText.
func ParseISO8601(text string) (time.Time, error) {
	if len(text) > MaxText {
		return time.Time{}, fmt.Errorf("parsing a date over %d bytes: %w", MaxText, ErrText)
	}
	rest, zone, err := bracketed(text)
	if err != nil {
		return time.Time{}, err
	}
	c := civil{zone: time.UTC}
	date, clock, timed := strings.Cut(rest, "T")
	if !timed {
		date, clock, timed = strings.Cut(rest, "t")
	}
	nanos, ok := 0, readISODate(date, &c)
	if ok && timed {
		nanos, ok = readISOTime(clock, &c)
	}
	if !ok {
		return time.Time{}, fmt.Errorf("parsing an ISO 8601 date: %w", ErrText)
	}
	t, err := c.time()
	if err != nil {
		return time.Time{}, err
	}
	t = t.Add(time.Duration(nanos))
	if zone != nil {
		_, offset := t.Zone()
		t = t.In(zone)
		if _, want := t.Zone(); want != offset {
			return time.Time{}, fmt.Errorf("parsing an ISO 8601 date: the zone has a different offset at that time: %w", ErrText)
		}
	}
	return t, nil
}

// bracketed splits off a zone in brackets.
func bracketed(text string) (rest string, zone *time.Location, err error) {
	rest, name, found := strings.Cut(text, "[")
	if !found {
		return text, nil, nil
	}
	name, closed := strings.CutSuffix(name, "]")
	if !closed {
		return "", nil, fmt.Errorf("parsing an ISO 8601 date: unclosed bracket: %w", ErrText)
	}
	zone, err = Zone(name)
	if err != nil {
		return "", nil, fmt.Errorf("parsing an ISO 8601 date: %w: %w", ErrText, err)
	}
	return rest, zone, nil
}

// isoDates are the forms of a date, by pattern letter and digits; the longest
// that fits the whole text is the one meant.
var isoDates = [][]element{
	{{letter: 'y', count: 4}, {text: "-"}, {letter: 'M', count: 2}, {text: "-"}, {letter: 'd', count: 2}},
	{{letter: 'x', count: 4}, {text: "-W"}, {letter: 'w', count: 2}, {text: "-"}, {letter: 'e', count: 1}},
	{{letter: 'x', count: 4}, {text: "-W"}, {letter: 'w', count: 2}},
	{{letter: 'y', count: 4}, {text: "-"}, {letter: 'D', count: 3}},
	{{letter: 'y', count: 4}, {text: "-"}, {letter: 'M', count: 2}},
	{{letter: 'y', count: 4}},
}

// isoTimes are the forms of a time of day before its fraction.
var isoTimes = [][]element{
	{{letter: 'H', count: 2}, {text: ":"}, {letter: 'm', count: 2}, {text: ":"}, {letter: 's', count: 2}},
	{{letter: 'H', count: 2}, {text: ":"}, {letter: 'm', count: 2}},
	{{letter: 'H', count: 2}},
}

// readISODate reads one of isoDates, and nothing behind it.
func readISODate(text string, c *civil) bool {
	for _, form := range isoDates {
		if n := readExact(text, form, c); n == len(text) {
			return true
		}
	}
	return false
}

// readISOTime reads a time of day with its offset; the fraction, which is of
// the last unit written, comes back in nanoseconds.
func readISOTime(text string, c *civil) (nanos int, ok bool) {
	for i, form := range isoTimes {
		n := readExact(text, form, c)
		if n < 0 {
			continue
		}
		rest := text[n:]
		if rest != "" && (rest[0] == '.' || rest[0] == ',') && i == 0 {
			digits := 0
			for unit := int(time.Second) / 10; 1+digits < len(rest) && isDigit(rest[1+digits]) && unit > 0; unit /= 10 {
				nanos += int(rest[1+digits]-'0') * unit
				digits++
			}
			if digits == 0 {
				return 0, false
			}
			rest = rest[1+digits:]
		}
		return nanos, rest == "" || c.readOffset(rest) == len(rest)
	}
	return 0, false
}

// readExact reads a form whose numbers have exactly their count of digits.
// What it stores of a form that fits only in part is undone.
func readExact(text string, form []element, c *civil) int {
	trial, at := *c, 0
	for _, e := range form {
		if e.letter == 0 {
			if !strings.HasPrefix(text[at:], e.text) {
				return -1
			}
			at += len(e.text)
			continue
		}
		value, n := readNumber(text[at:], e.count, false)
		if n != e.count {
			return -1
		}
		trial.set(e.letter, value)
		at += n
	}
	*c = trial
	return at
}
