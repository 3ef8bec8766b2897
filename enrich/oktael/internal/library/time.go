package library

import (
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/datetime"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Time functions. Formats are Joda-Time patterns, as in Okta; see package
// datetime. Zones and formats that are literals are read once, when the
// expression is compiled.

// timeFunctions are the functions of both dialects that start from the clock
// or, in the Classic dialect, from a string.
var timeFunctions = []Function{
	// The present time, in UTC or a time zone, as ISO 8601 with milliseconds or
	// in a format (a Joda-Time pattern). In the Identity Engine dialect it is
	// DateTime.now and takes no arguments.
	// Null: a null argument counts as omitted.
	{
		Name: "Time.now", Dialect: syntax.Classic, Result: value.KindText, Reads: input.Clock,
		Params:   []Param{{Name: "timeZoneId", Want: argText, Nullable: true}, {Name: "format", Want: argText, Nullable: true}},
		Optional: 2,
		Prepare:  checkZoneAndFormat(0, 1),
		Call: func(e *Env, prepared any, args []any) (any, error) {
			now := e.Context.Time().UTC()
			if len(args) > 0 && args[0] != nil {
				zone, err := callZone(prepared, args[0].(string))
				if err != nil {
					return nil, err
				}
				now = now.In(zone)
			}
			if len(args) > 1 && args[1] != nil {
				return formatTime(prepared, now, args[1].(string))
			}
			return datetime.ISO8601(now), nil
		},
	},
	// A Windows (LDAP) timestamp, 100-nanosecond ticks since 1601, as ISO 8601.
	{
		Name: "Time.fromWindowsToIso8601", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{{Name: "time", Want: argText}}, Call: timeToISO(datetime.FromWindows),
	},
	// A Unix timestamp in milliseconds as ISO 8601.
	{
		Name: "Time.fromUnixToIso8601", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{{Name: "time", Want: argText}}, Call: timeToISO(datetime.FromUnix),
	},
	// A time in a format (a Joda-Time pattern) as ISO 8601; UTC if the format
	// has no zone.
	{
		Name: "Time.fromStringToIso8601", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params:  []Param{{Name: "time", Want: argText}, {Name: "format", Want: argText}},
		Prepare: checkZoneAndFormat(-1, 1),
		Call: func(_ *Env, prepared any, args []any) (any, error) {
			t, err := parseText(prepared, args[0].(string), args[1].(string))
			return datetime.ISO8601(t), err
		},
	},
	// A time in ISO 8601 as a Windows (LDAP) timestamp.
	{
		Name: "Time.fromIso8601ToWindows", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{{Name: "time", Want: argText}}, Call: isoToText(datetime.ToWindows),
	},
	// A time in ISO 8601 as a Unix timestamp in milliseconds.
	{
		Name: "Time.fromIso8601ToUnix", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{{Name: "time", Want: argText}}, Call: isoToText(datetime.ToUnix),
	},
	// A time in ISO 8601 in a format (a Joda-Time pattern).
	{
		Name: "Time.fromIso8601ToString", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params:  []Param{{Name: "time", Want: argText}, {Name: "format", Want: argText}},
		Prepare: checkZoneAndFormat(-1, 1),
		Call: func(_ *Env, prepared any, args []any) (any, error) {
			t, err := datetime.ParseISO8601(args[0].(string))
			if err != nil {
				return nil, err
			}
			return formatTime(prepared, t, args[1].(string))
		},
	},
	// The present time in UTC.
	{
		Name: "DateTime.now", Dialect: syntax.IdentityEngine, Result: value.KindTime, Reads: input.Clock,
		Call: func(e *Env, _ any, _ []any) (any, error) {
			return value.DateTime{Time: e.Context.Time().UTC()}, nil
		},
	},
}

// timeToISO writes a time in another form as ISO 8601.
func timeToISO(parse func(string) (time.Time, error)) Call {
	return func(_ *Env, _ any, args []any) (any, error) {
		t, err := parse(args[0].(string))
		return datetime.ISO8601(t), err
	}
}

// isoToText writes a time of ISO 8601 in another form.
func isoToText(write func(time.Time) string) Call {
	return func(_ *Env, _ any, args []any) (any, error) {
		t, err := datetime.ParseISO8601(args[0].(string))
		if err != nil {
			return nil, err
		}
		return write(t), nil
	}
}

// timeArguments are a zone and a format that are literals, made ready at load.
type timeArguments struct {
	zone   *time.Location
	format *datetime.Pattern
}

// checkZoneAndFormat makes literal zones and formats ready and refuses wrong
// ones. The numbers are the arguments' positions; -1 where there is none.
func checkZoneAndFormat(zone, format int) func(Checker, *syntax.Node, []*syntax.Node) (any, error) {
	return func(c Checker, _ *syntax.Node, args []*syntax.Node) (any, error) {
		var ready timeArguments
		for i, arg := range args {
			if !arg.IsText() {
				continue
			}
			var err error
			switch text := arg.Value.(string); i {
			case zone:
				if ready.zone, err = datetime.Zone(text); err != nil {
					return nil, c.Fail(arg.Offset, "unknown time zone %q%s", text, suggest.DidYouMean(text, datetime.ZoneNames()))
				}
			case format:
				ready.format, err = datetime.Compile(text)
			}
			if err != nil {
				return nil, c.Fail(arg.Offset, "%v", err)
			}
		}
		return ready, nil
	}
}

// callZone returns the zone that a call names, ready where it is a literal.
func callZone(prepared any, name string) (*time.Location, error) {
	if ready, ok := prepared.(timeArguments); ok && ready.zone != nil {
		return ready.zone, nil
	}
	return datetime.Zone(name)
}

// callFormat returns the format that a call names, ready where it is a literal.
func callFormat(prepared any, pattern string) (*datetime.Pattern, error) {
	if ready, ok := prepared.(timeArguments); ok && ready.format != nil {
		return ready.format, nil
	}
	return datetime.Compile(pattern)
}

// formatTime writes a time in the format of a call.
func formatTime(prepared any, t time.Time, pattern string) (any, error) {
	p, err := callFormat(prepared, pattern)
	if err != nil {
		return nil, err
	}
	return p.Format(t), nil
}

// parseText reads a time in the format of a call; UTC where it has no zone.
func parseText(prepared any, text, pattern string) (time.Time, error) {
	p, err := callFormat(prepared, pattern)
	if err != nil {
		return time.Time{}, err
	}
	return p.Parse(text, time.UTC)
}
