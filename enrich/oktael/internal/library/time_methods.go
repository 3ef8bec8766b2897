package library

import (
	"errors"
	"math"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/datetime"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// selfTime is the receiver of the methods.
var selfTime = Param{Name: "time", Want: argAny}

// timeMethods are the methods around dates and times of the Identity Engine
// dialect.
var timeMethods = append([]Function{
	// The time of a Windows (LDAP) timestamp, in UTC.
	{
		Name: "parseWindowsTime", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindTime,
		Params: []Param{self}, Call: parseTime(datetime.FromWindows),
	},
	// The time of a Unix timestamp in milliseconds, in UTC.
	{
		Name: "parseUnixTime", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindTime,
		Params: []Param{self}, Call: parseTime(datetime.FromUnix),
	},
	// The time of a string in ISO 8601 or in a format (a Joda-Time pattern); UTC
	// if it has no zone.
	{
		Name: "parseStringTime", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindTime,
		Params:   []Param{self, {Name: "format", Want: argText}},
		Optional: 1,
		Prepare:  checkZoneAndFormat(-1, 1),
		Call: func(_ *Env, prepared any, args []any) (any, error) {
			var t time.Time
			var err error
			if len(args) == 1 {
				t, err = datetime.ParseISO8601(args[0].(string))
			} else {
				t, err = parseText(prepared, args[0].(string), args[1].(string))
			}
			return value.DateTime{Time: t}, err
		},
	},
	// The time as a Windows (LDAP) timestamp.
	{
		Name: "toWindows", Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{selfTime}, Call: func(_ *Env, _ any, args []any) (any, error) {
			return datetime.ToWindows(args[0].(value.DateTime).Time), nil
		},
	},
	// The time as a Unix timestamp in milliseconds.
	{
		Name: "toUnix", Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{selfTime}, Call: func(_ *Env, _ any, args []any) (any, error) {
			return datetime.ToUnix(args[0].(value.DateTime).Time), nil
		},
	},
	// The time in ISO 8601, with milliseconds if there are any, or in a format
	// (a Joda-Time pattern).
	{
		Name: "toString", Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params:   []Param{selfTime, {Name: "format", Want: argText}},
		Optional: 1,
		Prepare:  checkZoneAndFormat(-1, 1),
		Call: func(_ *Env, prepared any, args []any) (any, error) {
			t := args[0].(value.DateTime).Time
			if len(args) == 1 {
				return datetime.ZonedISO8601(t), nil
			}
			return formatTime(prepared, t, args[1].(string))
		},
	},
	// The same instant in another time zone.
	{
		Name: "toZone", Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: value.KindTime,
		Params:  []Param{selfTime, {Name: "zoneId", Want: argText}},
		Prepare: checkZoneAndFormat(1, -1),
		Call: func(_ *Env, prepared any, args []any) (any, error) {
			zone, err := callZone(prepared, args[1].(string))
			if err != nil {
				return nil, err
			}
			return value.DateTime{Time: args[0].(value.DateTime).Time.In(zone)}, nil
		},
	},
}, durationMethods...)

// durationMethods are plus…, minus… and within… for each unit.
var durationMethods = []Function{
	// The time this many days later; earlier if the number is negative.
	durationMethod("plusDays", "days", value.KindTime, 0, shift(day, 1)),
	// The time this many days earlier; later if the number is negative.
	durationMethod("minusDays", "days", value.KindTime, 0, shift(day, -1)),
	// Whether the time is at most this many days before or after now.
	durationMethod("withinDays", "days", value.KindBool, input.Clock, within(day)),
	// The time this many hours later; earlier if the number is negative.
	durationMethod("plusHours", "hours", value.KindTime, 0, shift(time.Hour, 1)),
	// The time this many hours earlier; later if the number is negative.
	durationMethod("minusHours", "hours", value.KindTime, 0, shift(time.Hour, -1)),
	// Whether the time is at most this many hours before or after now.
	durationMethod("withinHours", "hours", value.KindBool, input.Clock, within(time.Hour)),
	// The time this many minutes later; earlier if the number is negative.
	durationMethod("plusMinutes", "minutes", value.KindTime, 0, shift(time.Minute, 1)),
	// The time this many minutes earlier; later if the number is negative.
	durationMethod("minusMinutes", "minutes", value.KindTime, 0, shift(time.Minute, -1)),
	// Whether the time is at most this many minutes before or after now.
	durationMethod("withinMinutes", "minutes", value.KindBool, input.Clock, within(time.Minute)),
	// The time this many seconds later; earlier if the number is negative.
	durationMethod("plusSeconds", "seconds", value.KindTime, 0, shift(time.Second, 1)),
	// The time this many seconds earlier; later if the number is negative.
	durationMethod("minusSeconds", "seconds", value.KindTime, 0, shift(time.Second, -1)),
	// Whether the time is at most this many seconds before or after now.
	durationMethod("withinSeconds", "seconds", value.KindBool, input.Clock, within(time.Second)),
}

// durationMethod describes a method of times whose argument counts units.
func durationMethod(name, units string, result value.Kinds, reads input.Set, call Call) Function {
	return Function{
		Name: name, Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: result, Reads: reads,
		Params: []Param{selfTime, {Name: units, Want: argInt}}, Call: call,
	}
}

// day is a day of the clock. What is shifted by days keeps the time of day.
const day = 24 * time.Hour

// maxYears is how far a date may be moved: what can still be written with
// four digits of year.
const maxYears = 10_000

var errFar = errors.New("the time is outside the years 1 to 9999")

// shift moves a time. A day is a day of the calendar, which has 23 or 25
// hours where a zone's clock is changed.
func shift(unit time.Duration, sign int64) Call {
	return func(_ *Env, _ any, args []any) (any, error) {
		t, n := args[0].(value.DateTime).Time, args[1].(int64)
		const year = 366 * 24 * time.Hour
		if limit := maxYears * int64(year/unit); n > limit || n < -limit {
			return nil, errFar
		}
		n *= sign
		if unit == day {
			t = t.AddDate(0, 0, int(n))
		} else {
			// In whole seconds, because a duration holds 292 years.
			t = time.Unix(t.Unix()+n*int64(unit/time.Second), int64(t.Nanosecond())).In(t.Location())
		}
		if y := t.Year(); y < 1 || y > 9999 {
			return nil, errFar
		}
		return value.DateTime{Time: t}, nil
	}
}

// within compares a time with the present, in either direction.
func within(unit time.Duration) Call {
	return func(e *Env, _ any, args []any) (any, error) {
		t, n := args[0].(value.DateTime).Time, args[1].(int64)
		if n < 0 {
			return false, nil
		}
		span := time.Duration(math.MaxInt64)
		if n <= int64(span/unit) {
			span = time.Duration(n) * unit
		}
		return e.Context.Time().Sub(t).Abs() <= span, nil
	}
}

// parseTime reads a time that a string holds.
func parseTime(parse func(string) (time.Time, error)) Call {
	return func(_ *Env, _ any, args []any) (any, error) {
		t, err := parse(args[0].(string))
		return value.DateTime{Time: t}, err
	}
}
