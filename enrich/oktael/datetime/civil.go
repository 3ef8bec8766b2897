package datetime

import (
	"fmt"
	"time"
)

// maxYear is the last whole year that Joda-Time can name: what 64 bits of
// milliseconds reach.
const maxYear = 292_278_992

// A date as it is written: fields that name an instant only together.

// civil gathers the fields of a text until they can be made an instant.
type civil struct {
	// zone is where the fields are local time.
	zone *time.Location

	// has are the fields that the text has; the others are zero.
	has fields

	// era is 0 before Christ and 1 after; century and year are as written.
	era, century, year, weekyear         int
	month, week, yearday, day, weekday   int
	halfday, hour, hour12, minute, milli int
	second                               int
}

// fields is a set of civil's fields.
type fields uint32

const (
	hasEra fields = 1 << iota
	hasCentury
	hasYear
	hasYearOfEra
	hasWeekyear
	hasMonth
	hasWeek
	hasYearday
	hasDay
	hasWeekday
	hasHalfday
	hasHour
	hasHour12
	hasBad // a value outside of its field's range
)

// years are the fields that fix a year, dates those that name a day within one.
const (
	years = hasEra | hasCentury | hasYear | hasYearOfEra | hasWeekyear
	dates = hasMonth | hasWeek | hasYearday | hasDay | hasWeekday
)

// set stores a number under its pattern letter.
func (c *civil) set(letter byte, value int) {
	put := func(field *int, low, high int, has fields) {
		*field = value
		c.has |= has
		if value < low || value > high {
			c.has |= hasBad
		}
	}
	switch letter {
	case 'C':
		put(&c.century, 0, maxYear/100, hasCentury)
	case 'Y':
		put(&c.year, 1, maxYear, hasYearOfEra)
	case 'y':
		put(&c.year, -maxYear, maxYear, hasYear)
	case 'x':
		put(&c.weekyear, -maxYear, maxYear, hasWeekyear)
	case 'M':
		put(&c.month, 1, 12, hasMonth)
	case 'w':
		put(&c.week, 1, 53, hasWeek)
	case 'D':
		put(&c.yearday, 1, 366, hasYearday)
	case 'd':
		put(&c.day, 1, 31, hasDay)
	case 'e':
		put(&c.weekday, 1, 7, hasWeekday)
	case 'H':
		put(&c.hour, 0, 23, hasHour)
	case 'k':
		put(&c.hour, 1, 24, hasHour)
		c.hour %= 24
	case 'K':
		put(&c.hour12, 0, 11, hasHour12)
	case 'h':
		put(&c.hour12, 1, 12, hasHour12)
		c.hour12 %= 12
	case 'm':
		put(&c.minute, 0, 59, 0)
	case 's':
		put(&c.second, 0, 59, 0)
	}
}

// time settles the fields from the largest to the smallest, as Joda-Time
// does: where two disagree (a wrong day of the week), the smaller one wins.
func (c *civil) time() (time.Time, error) {
	if c.has&hasBad != 0 {
		return time.Time{}, fmt.Errorf("parsing a date: number out of range: %w", ErrText)
	}
	date, ok := c.date()
	if !ok {
		return time.Time{}, fmt.Errorf("parsing a date: no such day: %w", ErrText)
	}
	hour := 12 * c.halfday
	if c.has&hasHour != 0 {
		hour = c.hour
	}
	if c.has&hasHour12 != 0 {
		hour = hour/12*12 + c.hour12
	}
	local := date.Add(time.Duration(hour)*time.Hour + time.Duration(c.minute)*time.Minute +
		time.Duration(c.second)*time.Second + time.Duration(c.milli)*time.Millisecond)
	return inZone(local, c.zone)
}

// date is midnight, in UTC, of the day that the fields name.
func (c *civil) date() (time.Time, bool) {
	year := 1970
	if c.has&years == 0 && c.has&dates != 0 {
		year = 2000 // a leap year
	}
	if c.has&hasCentury != 0 {
		year = c.century * 100
	}
	switch {
	case c.has&hasYear != 0:
		year = c.year
	case c.has&hasYearOfEra != 0:
		year = c.year
		if c.has&hasEra != 0 && c.era == 0 {
			year = 1 - year
		}
	}
	d, ok := c.within(day(year, 1, 1))
	if ok && c.has&hasWeekyear == 0 && d.Year() != year {
		// A week or weekday led out of the calendar year. Joda-Time sets the
		// fields a second time, from that day of the right year.
		month, dom := d.Month(), d.Day()
		if d = day(year, month, dom); d.Month() != month {
			d = day(year, month, dom-1)
		}
		d, ok = c.within(d)
	}
	return d, ok
}

// within sets the fields below the year, the largest first.
func (c *civil) within(d time.Time) (time.Time, bool) {
	if c.has&hasWeekyear != 0 && c.has&(hasYear|hasYearOfEra) == 0 {
		d = monday(c.weekyear, 1)
	}
	if c.has&hasMonth != 0 {
		d = day(d.Year(), time.Month(c.month), 1)
	}
	if c.has&hasWeek != 0 {
		weekyear, _ := isoWeek(d)
		d = monday(weekyear, c.week)
		if y, _ := isoWeek(d); y != weekyear {
			return d, false // a 53rd week that the year lacks
		}
	}
	if c.has&hasYearday != 0 {
		y := d.Year()
		if d = day(y, 1, c.yearday); d.Year() != y {
			return d, false
		}
	}
	if c.has&hasDay != 0 {
		m := d.Month()
		if d = day(d.Year(), m, c.day); d.Month() != m {
			return d, false
		}
	}
	if c.has&hasWeekday != 0 {
		d = d.AddDate(0, 0, c.weekday-weekday(d))
	}
	return d, true
}

// day is midnight, in UTC, of a day of the calendar. A day or month out of range
// runs into the next, which the caller notices.
func day(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// monday is the first day of an ISO 8601 week: week 1 holds 4 January.
func monday(weekyear, week int) time.Time {
	fourth := day(weekyear, 1, 4)
	return fourth.AddDate(0, 0, 1-weekday(fourth)+7*(week-1))
}

// inZone returns the instant at which clocks in zone show local (held as UTC).
// Of the two instants at the end of daylight saving time it takes the
// earlier; an hour that the clocks skipped is an error, never moved.
func inZone(local time.Time, zone *time.Location) (time.Time, error) {
	// The offsets a day before and after are those on both sides of any
	// transition near by.
	_, before := local.Add(-24 * time.Hour).In(zone).Zone()
	_, after := local.Add(24 * time.Hour).In(zone).Zone()
	for _, seconds := range []int{max(before, after), min(before, after)} {
		t := local.Add(-time.Duration(seconds) * time.Second).In(zone)
		if _, got := t.Zone(); got == seconds {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("parsing a date: the zone skipped that hour: %w", ErrText)
}
