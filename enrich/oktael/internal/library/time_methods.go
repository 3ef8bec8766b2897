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

var selfTime = Param{Name: "time", Want: argAny}

// timeMethods are the methods around dates and times of the Identity Engine
// dialect.
var timeMethods = append([]Function{
	{
		Name: "parseWindowsTime", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindTime,
		Params: []Param{self},
		Doc:    "The time of a Windows (LDAP) timestamp, in UTC.",
		Call:   parseTime(datetime.FromWindows),
	},
	{
		Name: "parseUnixTime", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindTime,
		Params: []Param{self},
		Doc:    "The time of a Unix timestamp in milliseconds, in UTC.",
		Call:   parseTime(datetime.FromUnix),
	},
	{
		Name: "parseStringTime", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindTime,
		Params:   []Param{self, {Name: "format", Want: argText}},
		Optional: 1,
		Doc:      "The time that a text gives in ISO 8601 or in a format (a Joda-Time pattern); UTC where it has no zone.",
		Prepare:  checkZoneAndFormat(-1, 1),
		Call: func(_ *Env, prepared any, args []any) (any, error) {
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
			return value.DateTime{Time: t}, nil
		},
	},
	{
		Name: "toWindows", Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{selfTime}, Doc: "The time as a Windows (LDAP) timestamp.",
		Call: func(_ *Env, _ any, args []any) (any, error) {
			return datetime.ToWindows(args[0].(value.DateTime).Time), nil
		},
	},
	{
		Name: "toUnix", Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{selfTime}, Doc: "The time as a Unix timestamp in milliseconds.",
		Call: func(_ *Env, _ any, args []any) (any, error) {
			return datetime.ToUnix(args[0].(value.DateTime).Time), nil
		},
	},
	{
		Name: "toString", Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params:   []Param{selfTime, {Name: "format", Want: argText}},
		Optional: 1,
		Doc:      "The time in ISO 8601, with milliseconds where there are any, or in a format (a Joda-Time pattern).",
		Prepare:  checkZoneAndFormat(-1, 1),
		Call: func(_ *Env, prepared any, args []any) (any, error) {
			t := args[0].(value.DateTime).Time
			if len(args) == 1 {
				return datetime.ZonedISO8601(t), nil
			}
			return formatTime(prepared, t, args[1].(string))
		},
	},
	{
		Name: "toZone", Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: value.KindTime,
		Params:  []Param{selfTime, {Name: "zoneId", Want: argText}},
		Doc:     "The same instant in another time zone.",
		Prepare: checkZoneAndFormat(1, -1),
		Call: func(_ *Env, prepared any, args []any) (any, error) {
			zone, err := callZone(prepared, args[1].(string))
			if err != nil {
				return nil, err
			}
			return value.DateTime{Time: args[0].(value.DateTime).Time.In(zone)}, nil
		},
	},
}, durationMethods()...)

// durationMethods are plus…, minus… and within… for each unit.
func durationMethods() []Function {
	units := []struct {
		name, word string
		length     time.Duration
	}{
		{"Days", "days", 24 * time.Hour},
		{"Hours", "hours", time.Hour},
		{"Minutes", "minutes", time.Minute},
		{"Seconds", "seconds", time.Second},
	}
	methods := make([]Function, 0, 3*len(units))
	for _, unit := range units {
		params := []Param{selfTime, {Name: unit.word, Want: argInt}}
		days := unit.name == "Days"
		methods = append(methods,
			Function{
				Name: "plus" + unit.name, Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: value.KindTime, Params: params,
				Doc:  "The time so many " + unit.word + " later; earlier where the number is negative.",
				Call: shift(unit.length, 1, days),
			},
			Function{
				Name: "minus" + unit.name, Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: value.KindTime, Params: params,
				Doc:  "The time so many " + unit.word + " earlier; later where the number is negative.",
				Call: shift(unit.length, -1, days),
			},
			Function{
				Name: "within" + unit.name, Receiver: value.KindTime, Dialect: syntax.IdentityEngine, Result: value.KindBool, Params: params, Reads: input.Clock,
				Doc:  "Whether the time lies at most so many " + unit.word + " before or after the present.",
				Call: within(unit.length),
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
func shift(unit time.Duration, sign int64, days bool) Call {
	return func(_ *Env, _ any, args []any) (any, error) {
		t, n := args[0].(value.DateTime).Time, args[1].(int64)
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

func parseTime(parse func(string) (time.Time, error)) Call {
	return func(_ *Env, _ any, args []any) (any, error) {
		t, err := parse(args[0].(string))
		if err != nil {
			return nil, err
		}
		return value.DateTime{Time: t}, nil
	}
}
