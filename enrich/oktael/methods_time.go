package oktael

import (
	"errors"
	"math"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/datetime"
)

var selfTime = parameter{name: "time", want: argAny}

// timeMethods are the methods around dates and times of the Identity Engine
// dialect.
var timeMethods = append([]function{
	{
		name: "parseWindowsTime", receiver: kindText, dialect: IdentityEngine, result: kindTime,
		params: []parameter{self},
		doc:    "The time of a Windows (LDAP) timestamp, in UTC.",
		call:   parseTime(datetime.FromWindows),
	},
	{
		name: "parseUnixTime", receiver: kindText, dialect: IdentityEngine, result: kindTime,
		params: []parameter{self},
		doc:    "The time of a Unix timestamp in milliseconds, in UTC.",
		call:   parseTime(datetime.FromUnix),
	},
	{
		name: "parseStringTime", receiver: kindText, dialect: IdentityEngine, result: kindTime,
		params:   []parameter{self, {name: "format", want: argText}},
		optional: 1,
		doc:      "The time that a text gives in ISO 8601 or in a format (a Joda-Time pattern); UTC where it has no zone.",
		prepare:  checkZoneAndFormat(-1, 1),
		call: func(_ *env, prepared any, args []any) (any, error) {
			var t time.Time
			var err error
			if len(args) == 1 {
				t, err = datetime.ParseISO8601(args[0].(string))
			} else {
				t, err = parseText(prepared, args[0].(string), args[1].(string))
			}
			if err != nil {
				return nil, err
			}
			return dateTime{t}, nil
		},
	},
	{
		name: "toWindows", receiver: kindTime, dialect: IdentityEngine, result: kindText,
		params: []parameter{selfTime}, doc: "The time as a Windows (LDAP) timestamp.",
		call: func(_ *env, _ any, args []any) (any, error) {
			return datetime.ToWindows(args[0].(dateTime).t), nil
		},
	},
	{
		name: "toUnix", receiver: kindTime, dialect: IdentityEngine, result: kindText,
		params: []parameter{selfTime}, doc: "The time as a Unix timestamp in milliseconds.",
		call: func(_ *env, _ any, args []any) (any, error) {
			return datetime.ToUnix(args[0].(dateTime).t), nil
		},
	},
	{
		name: "toString", receiver: kindTime, dialect: IdentityEngine, result: kindText,
		params:   []parameter{selfTime, {name: "format", want: argText}},
		optional: 1,
		doc:      "The time in ISO 8601, with milliseconds where there are any, or in a format (a Joda-Time pattern).",
		prepare:  checkZoneAndFormat(-1, 1),
		call: func(_ *env, prepared any, args []any) (any, error) {
			t := args[0].(dateTime).t
			if len(args) == 1 {
				return datetime.ZonedISO8601(t), nil
			}
			return formatTime(prepared, t, args[1].(string))
		},
	},
	{
		name: "toZone", receiver: kindTime, dialect: IdentityEngine, result: kindTime,
		params:  []parameter{selfTime, {name: "zoneId", want: argText}},
		doc:     "The same instant in another time zone.",
		prepare: checkZoneAndFormat(1, -1),
		call: func(_ *env, prepared any, args []any) (any, error) {
			zone, err := callZone(prepared, args[1].(string))
			if err != nil {
				return nil, err
			}
			return dateTime{args[0].(dateTime).t.In(zone)}, nil
		},
	},
}, durationMethods()...)

// durationMethods are plus…, minus… and within… for each unit.
func durationMethods() []function {
	units := []struct {
		name, word string
		length     time.Duration
	}{
		{"Days", "days", 24 * time.Hour},
		{"Hours", "hours", time.Hour},
		{"Minutes", "minutes", time.Minute},
		{"Seconds", "seconds", time.Second},
	}
	methods := make([]function, 0, 3*len(units))
	for _, unit := range units {
		params := []parameter{selfTime, {name: unit.word, want: argInt}}
		days := unit.name == "Days"
		methods = append(methods,
			function{
				name: "plus" + unit.name, receiver: kindTime, dialect: IdentityEngine, result: kindTime, params: params,
				doc:  "The time so many " + unit.word + " later; earlier where the number is negative.",
				call: shift(unit.length, 1, days),
			},
			function{
				name: "minus" + unit.name, receiver: kindTime, dialect: IdentityEngine, result: kindTime, params: params,
				doc:  "The time so many " + unit.word + " earlier; later where the number is negative.",
				call: shift(unit.length, -1, days),
			},
			function{
				name: "within" + unit.name, receiver: kindTime, dialect: IdentityEngine, result: kindBool, params: params, reads: RootClock,
				doc:  "Whether the time lies at most so many " + unit.word + " before or after the present.",
				call: within(unit.length),
			})
	}
	return methods
}

// maxYears is how far a date may be moved: what can still be written with
// four digits of year.
const maxYears = 10_000

var errFar = errors.New("the time lies outside of the years 1 to 9999")

// shift moves a time. A day is a day of the calendar, which has 23 or 25
// hours where a zone's clock is changed.
func shift(unit time.Duration, sign int64, days bool) call {
	return func(_ *env, _ any, args []any) (any, error) {
		t, n := args[0].(dateTime).t, args[1].(int64)
		const year = 366 * 24 * time.Hour
		if limit := maxYears * int64(year/unit); n > limit || n < -limit {
			return nil, errFar
		}
		n *= sign
		switch {
		case days:
			t = t.AddDate(0, 0, int(n))
		default:
			// In whole seconds, because a duration holds 292 years.
			t = time.Unix(t.Unix()+n*int64(unit/time.Second), int64(t.Nanosecond())).In(t.Location())
		}
		if y := t.Year(); y < 1 || y > 9999 {
			return nil, errFar
		}
		return dateTime{t}, nil
	}
}

// within compares a time with the present, in either direction.
func within(unit time.Duration) call {
	return func(e *env, _ any, args []any) (any, error) {
		t, n := args[0].(dateTime).t, args[1].(int64)
		if n < 0 {
			return false, nil
		}
		span := time.Duration(math.MaxInt64)
		if n <= int64(span/unit) {
			span = time.Duration(n) * unit
		}
		return e.c.Clock().Sub(t).Abs() <= span, nil
	}
}

func parseTime(parse func(string) (time.Time, error)) call {
	return func(_ *env, _ any, args []any) (any, error) {
		t, err := parse(args[0].(string))
		if err != nil {
			return nil, err
		}
		return dateTime{t}, nil
	}
}
