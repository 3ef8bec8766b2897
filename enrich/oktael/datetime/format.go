package datetime

import (
	"strconv"
	"strings"
	"time"
)

// Writing a time by a pattern.

// Format writes t in its own zone.
func (p *Pattern) Format(t time.Time) string {
	b := make([]byte, 0, 48)
	for _, e := range p.elements {
		b = e.append(b, t)
	}
	return string(b)
}

// append writes the field that the element represents.
func (e element) append(b []byte, t time.Time) []byte {
	switch e.letter {
	case 0:
		return append(b, e.text...)
	case 'G':
		return append(b, eras[min(max(t.Year(), 0), 1)]...)
	case 'C':
		return appendPadded(b, yearOfEra(t)/100, e.count)
	case 'Y':
		return e.appendYear(b, yearOfEra(t))
	case 'y':
		return e.appendYear(b, t.Year())
	case 'x':
		year, _ := isoWeek(t)
		return e.appendYear(b, year)
	case 'w':
		_, week := isoWeek(t)
		return appendPadded(b, week, e.count)
	case 'e':
		return appendPadded(b, weekday(t), e.count)
	case 'E':
		return appendName(b, t.Weekday().String(), e.count >= 4)
	case 'D':
		return appendPadded(b, t.YearDay(), e.count)
	case 'M':
		if e.count >= 3 {
			return appendName(b, t.Month().String(), e.count >= 4)
		}
		return appendPadded(b, int(t.Month()), e.count)
	case 'd':
		return appendPadded(b, t.Day(), e.count)
	case 'a':
		return append(b, halfdays[t.Hour()/12]...)
	case 'H':
		return appendPadded(b, t.Hour(), e.count)
	case 'k':
		return appendPadded(b, clockhour(t.Hour(), 24), e.count)
	case 'K':
		return appendPadded(b, t.Hour()%12, e.count)
	case 'h':
		return appendPadded(b, clockhour(t.Hour()%12, 12), e.count)
	case 'm':
		return appendPadded(b, t.Minute(), e.count)
	case 's':
		return appendPadded(b, t.Second(), e.count)
	case 'S':
		return appendFraction(b, t, e.count)
	case 'z':
		return appendZoneName(b, t, e.count >= 4)
	case 'Z':
		switch e.count {
		case 1:
			return appendOffset(b, t, "")
		case 2:
			return appendOffset(b, t, ":")
		}
		return appendZoneID(b, t)
	}
	return b
}

// appendYear cuts a year to its last two digits where the pattern has two
// letters; every other count is a least number of digits.
func (e element) appendYear(b []byte, year int) []byte {
	if e.count == 2 {
		return appendPadded(b, max(year, -year)%100, 2)
	}
	return appendPadded(b, year, e.count)
}

// appendPadded writes a number with at least so many digits, a sign before them.
func appendPadded(b []byte, n, digits int) []byte {
	if n < 0 {
		b = append(b, '-')
		n = -n
	}
	var buffer [20]byte
	s := strconv.AppendInt(buffer[:0], int64(n), 10)
	for i := len(s); i < digits; i++ {
		b = append(b, '0')
	}
	return append(b, s...)
}

// appendFraction writes as many digits of the second's fraction as there are
// letters: cut off, never rounded, and zeros beyond the millisecond.
func appendFraction(b []byte, t time.Time, digits int) []byte {
	ms := appendPadded(nil, t.Nanosecond()/int(time.Millisecond), 3)
	for i := range digits {
		if i < len(ms) {
			b = append(b, ms[i])
		} else {
			b = append(b, '0')
		}
	}
	return b
}

// appendName writes a name, or its first three letters.
func appendName(b []byte, name string, full bool) []byte {
	if full {
		return append(b, name...)
	}
	return append(b, name[:3]...)
}

// appendOffset writes an offset from UTC as +hh and mm, with a separator between
// them.
func appendOffset(b []byte, t time.Time, separator string) []byte {
	_, seconds := t.Zone()
	if seconds < 0 {
		b = append(b, '-')
		seconds = -seconds
	} else {
		b = append(b, '+')
	}
	b = appendPadded(b, seconds/3600, 2)
	b = append(b, separator...)
	return appendPadded(b, seconds/60%60, 2)
}

// appendZoneID writes the IANA name, or the offset where the zone has none.
func appendZoneID(b []byte, t time.Time) []byte {
	name := t.Location().String()
	if name == "" || name == "Local" {
		return appendOffset(b, t, ":")
	}
	return append(b, name...)
}

// appendZoneName writes the abbreviation or, with full, the English name of
// the zone at that instant. Where the database holds no letters (it has only
// "-03" for São Paulo) or there is no name, it is the offset, as Joda-Time
// prints zones that it has no name for.
func appendZoneName(b []byte, t time.Time, full bool) []byte {
	short, _ := t.Zone()
	if short == "" || !isLetter(short[0]) {
		return appendOffset(b, t, ":")
	}
	if !full {
		return append(b, short...)
	}
	if name := longName(short, t.Location().String()); name != "" {
		return append(b, name...)
	}
	return appendOffset(b, t, ":")
}

// yearOfEra counts 1 BC as 1: the year before 1 is written 0 in ISO 8601.
func yearOfEra(t time.Time) int {
	if y := t.Year(); y > 0 {
		return y
	}
	return 1 - t.Year()
}

// weekday is ISO 8601's day of the week, Monday 1 to Sunday 7.
func weekday(t time.Time) int { return (int(t.Weekday())+6)%7 + 1 }

// isoWeek is the ISO 8601 week with its year: a week belongs to the year that
// holds its Thursday.
func isoWeek(t time.Time) (year, week int) {
	thursday := t.AddDate(0, 0, 4-weekday(t))
	return thursday.Year(), (thursday.YearDay()-1)/7 + 1
}

// clockhour counts midnight (and noon) as the full circle.
func clockhour(hour, circle int) int {
	if hour == 0 {
		return circle
	}
	return hour
}

// nameIndex finds the name, or its first three letters, that text begins with,
// in any case; the longest wins.
func nameIndex(text string, names []string) (index, length int) {
	index = -1
	for i, name := range names {
		for _, n := range []int{len(name), min(3, len(name))} {
			if n > length && len(text) >= n && strings.EqualFold(text[:n], name[:n]) {
				index, length = i, n
			}
		}
	}
	return index, length
}
