package oktael

import (
	"errors"
	"math"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/datetime"
)

// timeFunctions are the functions of both dialects that start from the clock
// or, in the Classic dialect, from a text.
var timeFunctions = []function{
	{
		name: "Time.now", dialect: Classic, result: kindText, reads: RootClock,
		params:    []parameter{{name: "timeZoneId", want: argText, nullable: true}, {name: "format", want: argText, nullable: true}},
		optional:  2,
		onNullDoc: "a null argument counts as left out",
		doc:       "The present time, in UTC or a time zone, as ISO 8601 with milliseconds or in a format (a Joda-Time pattern). In the Identity Engine dialect it is another name of DateTime.now, and takes no arguments.",
		prepare:   checkZoneAndFormat(0, 1),
		call: func(e *evaluation, _ *callNode, args []any) (any, error) {
			now := e.c.now().UTC()
			if len(args) > 0 && args[0] != nil {
				zone, err := datetime.Zone(args[0].(string))
				if err != nil {
					return nil, err
				}
				now = now.In(zone)
			}
			if len(args) > 1 && args[1] != nil {
				return formatTime(now, args[1].(string))
			}
			return datetime.ISO8601(now), nil
		},
	},
	{
		name: "Time.fromWindowsToIso8601", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{{name: "time", want: argText}},
		doc:    "A Windows (LDAP) timestamp, 100-nanosecond ticks since 1601, as ISO 8601.",
		call:   timeToISO(datetime.FromWindows),
	},
	{
		name: "Time.fromUnixToIso8601", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{{name: "time", want: argText}},
		doc:    "A Unix timestamp in milliseconds as ISO 8601.",
		call:   timeToISO(datetime.FromUnix),
	},
	{
		name: "Time.fromStringToIso8601", dialect: Classic, result: kindText, onNull: nullNull,
		params:  []parameter{{name: "time", want: argText}, {name: "format", want: argText}},
		doc:     "A time in a format (a Joda-Time pattern) as ISO 8601; UTC where the format has no zone.",
		prepare: checkZoneAndFormat(-1, 1),
		call: func(_ *evaluation, _ *callNode, args []any) (any, error) {
			t, err := datetime.Parse(args[0].(string), args[1].(string), time.UTC)
			if err != nil {
				return nil, err
			}
			return datetime.ISO8601(t), nil
		},
	},
	{
		name: "Time.fromIso8601ToWindows", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{{name: "time", want: argText}},
		doc:    "A time in ISO 8601 as a Windows (LDAP) timestamp.",
		call:   isoToText(datetime.ToWindows),
	},
	{
		name: "Time.fromIso8601ToUnix", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{{name: "time", want: argText}},
		doc:    "A time in ISO 8601 as a Unix timestamp in milliseconds.",
		call:   isoToText(datetime.ToUnix),
	},
	{
		name: "Time.fromIso8601ToString", dialect: Classic, result: kindText, onNull: nullNull,
		params:  []parameter{{name: "time", want: argText}, {name: "format", want: argText}},
		doc:     "A time in ISO 8601 in a format (a Joda-Time pattern).",
		prepare: checkZoneAndFormat(-1, 1),
		call: func(_ *evaluation, _ *callNode, args []any) (any, error) {
			t, err := datetime.ParseISO8601(args[0].(string))
			if err != nil {
				return nil, err
			}
			return formatTime(t, args[1].(string))
		},
	},
	{
		name: "DateTime.now", dialect: IdentityEngine, result: kindTime, reads: RootClock,
		doc: "The present time in UTC.",
		call: func(e *evaluation, _ *callNode, _ []any) (any, error) {
			return dateTime{e.c.now().UTC()}, nil
		},
	},
}

func formatTime(t time.Time, pattern string) (any, error) {
	s, err := datetime.Format(t, pattern)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func timeToISO(parse func(string) (time.Time, error)) func(*evaluation, *callNode, []any) (any, error) {
	return func(_ *evaluation, _ *callNode, args []any) (any, error) {
		t, err := parse(args[0].(string))
		if err != nil {
			return nil, err
		}
		return datetime.ISO8601(t), nil
	}
}

func isoToText(write func(time.Time) string) func(*evaluation, *callNode, []any) (any, error) {
	return func(_ *evaluation, _ *callNode, args []any) (any, error) {
		t, err := datetime.ParseISO8601(args[0].(string))
		if err != nil {
			return nil, err
		}
		return write(t), nil
	}
}

// checkZoneAndFormat refuses zones and formats that are literals and wrong.
// The numbers are the arguments' positions; -1 where there is none.
func checkZoneAndFormat(zone, format int) func(*compiler, *syntaxNode, []*syntaxNode) (any, *Error) {
	return func(c *compiler, name *syntaxNode, args []*syntaxNode) (any, *Error) {
		for i, arg := range args {
			if !arg.isText() {
				continue
			}
			var err error
			switch text := arg.value.(string); i {
			case zone:
				_, err = datetime.Zone(text)
			case format:
				_, err = datetime.Compile(text)
			}
			if err != nil {
				return nil, c.failAt(arg.offset, "%v", err)
			}
		}
		return nil, nil
	}
}

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
		call: func(_ *evaluation, _ *callNode, args []any) (any, error) {
			var t time.Time
			var err error
			if len(args) == 1 {
				t, err = datetime.ParseISO8601(args[0].(string))
			} else {
				t, err = datetime.Parse(args[0].(string), args[1].(string), time.UTC)
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
		call: func(_ *evaluation, _ *callNode, args []any) (any, error) {
			return datetime.ToWindows(args[0].(dateTime).t), nil
		},
	},
	{
		name: "toUnix", receiver: kindTime, dialect: IdentityEngine, result: kindText,
		params: []parameter{selfTime}, doc: "The time as a Unix timestamp in milliseconds.",
		call: func(_ *evaluation, _ *callNode, args []any) (any, error) {
			return datetime.ToUnix(args[0].(dateTime).t), nil
		},
	},
	{
		name: "toString", receiver: kindTime, dialect: IdentityEngine, result: kindText,
		params:   []parameter{selfTime, {name: "format", want: argText}},
		optional: 1,
		doc:      "The time in ISO 8601, with milliseconds where there are any, or in a format (a Joda-Time pattern).",
		prepare:  checkZoneAndFormat(-1, 1),
		call: func(_ *evaluation, _ *callNode, args []any) (any, error) {
			t := args[0].(dateTime).t
			if len(args) == 1 {
				return datetime.ZonedISO8601(t), nil
			}
			return formatTime(t, args[1].(string))
		},
	},
	{
		name: "toZone", receiver: kindTime, dialect: IdentityEngine, result: kindTime,
		params:  []parameter{selfTime, {name: "zoneId", want: argText}},
		doc:     "The same instant in another time zone.",
		prepare: checkZoneAndFormat(1, -1),
		call: func(_ *evaluation, _ *callNode, args []any) (any, error) {
			zone, err := datetime.Zone(args[1].(string))
			if err != nil {
				return nil, err
			}
			return dateTime{args[0].(dateTime).t.In(zone)}, nil
		},
	},
}, durationMethods()...)

// durationMethods are plus…, minus… and within… for each unit.
func durationMethods() []function {
	var methods []function
	for _, unit := range []struct {
		name, word string
		length     time.Duration
	}{
		{"Days", "days", 24 * time.Hour},
		{"Hours", "hours", time.Hour},
		{"Minutes", "minutes", time.Minute},
		{"Seconds", "seconds", time.Second},
	} {
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
func shift(unit time.Duration, sign int64, days bool) func(*evaluation, *callNode, []any) (any, error) {
	return func(_ *evaluation, _ *callNode, args []any) (any, error) {
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
func within(unit time.Duration) func(*evaluation, *callNode, []any) (any, error) {
	return func(e *evaluation, _ *callNode, args []any) (any, error) {
		t, n := args[0].(dateTime).t, args[1].(int64)
		if n < 0 {
			return false, nil
		}
		span := time.Duration(math.MaxInt64)
		if n <= int64(span/unit) {
			span = time.Duration(n) * unit
		}
		return e.c.now().Sub(t).Abs() <= span, nil
	}
}

func parseTime(parse func(string) (time.Time, error)) func(*evaluation, *callNode, []any) (any, error) {
	return func(_ *evaluation, _ *callNode, args []any) (any, error) {
		t, err := parse(args[0].(string))
		if err != nil {
			return nil, err
		}
		return dateTime{t}, nil
	}
}
