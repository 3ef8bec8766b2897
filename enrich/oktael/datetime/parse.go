package datetime

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Reading a time by a pattern.

// window is the first year that two digits can mean.
const window = 1946

// Parse reads the whole text. A text without a zone of its own is local time
// in zone (nil: UTC); the result is in the zone that the text or the argument
// named. What the pattern lacks is the start of the next
// larger unit, of the year 1970, or of the year 2000 where the pattern's
// largest unit is a month, a week or a day (so that 29 February can be read).
//
// A year of two digits (yy, YY, xx) is the one from 1946 to 2045. Joda-Time
// moves that window with the clock, which would change claims on New Year's
// Eve; this is its window of the year 2026.
//
// The error is ErrText.
func (p *Pattern) Parse(text string, zone *time.Location) (time.Time, error) {
	if len(text) > MaxText {
		return time.Time{}, fmt.Errorf("parsing a date over %d bytes: %w", MaxText, ErrText)
	}
	zone = cmp.Or(zone, time.UTC)
	c := civil{zone: zone}
	at := 0
	for _, e := range p.elements {
		n := e.read(text[at:], &c)
		if n < 0 {
			return time.Time{}, fmt.Errorf("parsing a date: %s at byte %d: %w", e.expected(), at, ErrText)
		}
		at += n
	}
	if at < len(text) {
		return time.Time{}, fmt.Errorf("parsing a date: unexpected text at byte %d: %w", at, ErrText)
	}
	return c.time()
}

// expected names what the pattern expects; the text is never repeated, because
// it may be a date of birth.
func (e element) expected() string {
	if e.letter == 0 {
		return "other text"
	}
	return "no " + strings.Repeat(string(e.letter), min(e.count, 4))
}

// read takes the element's value off the start of text into c. It returns the
// bytes taken, or -1.
func (e element) read(text string, c *civil) int {
	switch e.letter {
	case 0:
		if len(text) < len(e.text) || !strings.EqualFold(text[:len(e.text)], e.text) {
			return -1
		}
		return len(e.text)
	case 'G':
		for i, era := range eras {
			if len(text) >= 2 && strings.EqualFold(text[:2], era) {
				c.era = i
				c.has |= hasEra
				return 2
			}
		}
		return -1
	case 'a':
		for i, half := range halfdays {
			if len(text) >= 2 && strings.EqualFold(text[:2], half) {
				c.halfday = i
				c.has |= hasHalfday
				return 2
			}
		}
		return -1
	case 'E':
		i, n := nameIndex(text, weekdays)
		if i < 0 {
			return -1
		}
		c.weekday = i + 1
		c.has |= hasWeekday
		return n
	case 'z':
		if e.count >= 4 {
			return -1 // as in Joda-Time, full names are for printing only
		}
		return c.readAbbreviation(text)
	case 'Z':
		if e.count >= 3 {
			return c.readZoneID(text)
		}
		return c.readOffset(text)
	case 'S':
		return c.readFraction(text, e.count)
	case 'M':
		if e.count >= 3 {
			i, n := nameIndex(text, months)
			if i < 0 {
				return -1
			}
			c.month = i + 1
			c.has |= hasMonth
			return n
		}
	case 'y', 'Y', 'x':
		if e.count == 2 {
			year, n := e.readShortYear(text)
			if n >= 0 {
				c.set(e.letter, year)
			}
			return n
		}
	}
	value, n := readNumber(text, e.digits(), strings.IndexByte("yxC", e.letter) >= 0)
	if n >= 0 {
		c.set(e.letter, value)
	}
	return n
}

// digits is the most digits that a number takes: its field's width, or the
// letters where they are more; a year takes nine unless a number follows.
func (e element) digits() int {
	width := 2
	switch e.letter {
	case 'D':
		width = 3
	case 'e':
		width = 1
	case 'C':
		return e.count
	case 'y', 'Y', 'x':
		if !e.adjacent {
			width = 9
		} else {
			width = 1
		}
	}
	return max(width, e.count)
}

// readNumber reads up to limit digits; a sign does not count as one.
func readNumber(text string, limit int, signed bool) (value, length int) {
	i, negative := 0, false
	if signed && len(text) > 1 && (text[0] == '-' || text[0] == '+') && limit > 1 {
		negative = text[0] == '-'
		i = 1
	}
	start := i
	for i < len(text) && i-start < limit && isDigit(text[i]) {
		if value > maxYear {
			return 0, -1
		}
		value = value*10 + int(text[i]-'0')
		i++
	}
	if i == start {
		return 0, -1
	}
	if negative {
		value = -value
	}
	return value, i
}

// readShortYear reads a year of two letters. Exactly two digits are put into
// the window; where no number follows, more or fewer digits, or a sign, mean
// the year as written.
func (e element) readShortYear(text string) (year, length int) {
	if e.adjacent {
		if len(text) < 2 || !isDigit(text[0]) || !isDigit(text[1]) {
			return 0, -1
		}
	} else {
		year, length = readNumber(text, MaxText, true)
		if length != 2 || !isDigit(text[0]) {
			return year, length
		}
	}
	year = int(text[0]-'0')*10 + int(text[1]-'0')
	year += window - window%100
	if year < window {
		year += 100
	}
	return year, 2
}

// readFraction reads up to limit digits of the second's fraction; what is
// finer than a millisecond is cut off.
func (c *civil) readFraction(text string, limit int) int {
	i, unit, ms := 0, 100, 0
	for i < len(text) && i < limit && isDigit(text[i]) {
		ms += int(text[i]-'0') * unit
		unit /= 10
		i++
	}
	if i == 0 {
		return -1
	}
	c.milli = ms
	return i
}

// readOffset reads Z, or a signed offset: +hh, +hhmm, +hh:mm and the same with
// seconds.
func (c *civil) readOffset(text string) int {
	if len(text) > 0 && (text[0] == 'Z' || text[0] == 'z') {
		c.zone = time.UTC
		return 1
	}
	seconds, n := offset(text)
	if n > 0 {
		c.zone = fixed(seconds)
	}
	return n
}

// readAbbreviation reads one of the few zone names that Joda-Time can read:
// abbreviations mean different zones in different countries, so it knows
// those of the United States only.
func (c *civil) readAbbreviation(text string) int {
	best := ""
	for name := range abbreviations {
		if strings.HasPrefix(text, name) && len(name) > len(best) {
			best = name
		}
	}
	if best == "" {
		return -1
	}
	zone, err := Zone(best)
	if err != nil {
		return -1
	}
	c.zone = zone
	return len(best)
}

// readZoneID reads the longest zone name that text begins with.
func (c *civil) readZoneID(text string) int {
	run := 0
	for run < len(text) && run < MaxZone && isZoneByte(text[run]) {
		run++
	}
	for n := run; n > 0; n-- {
		// Only the whole run may be a name that is not in the table: trying
		// every beginning in the database would cost a file look-up each.
		if n < run && !known(text[:n]) {
			continue
		}
		if zone, err := Zone(text[:n]); err == nil {
			c.zone = zone
			return n
		}
	}
	return -1
}

// isDigit reports whether a byte is a decimal digit of ASCII.
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
