package oktael

import (
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
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
		call: func(e *env, prepared any, args []any) (any, error) {
			now := e.c.Clock().UTC()
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
		call: func(_ *env, prepared any, args []any) (any, error) {
			t, err := parseText(prepared, args[0].(string), args[1].(string))
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
		call: func(_ *env, prepared any, args []any) (any, error) {
			t, err := datetime.ParseISO8601(args[0].(string))
			if err != nil {
				return nil, err
			}
			return formatTime(prepared, t, args[1].(string))
		},
	},
	{
		name: "DateTime.now", dialect: IdentityEngine, result: kindTime, reads: RootClock,
		doc: "The present time in UTC.",
		call: func(e *env, _ any, _ []any) (any, error) {
			return dateTime{e.c.Clock().UTC()}, nil
		},
	},
}

func timeToISO(parse func(string) (time.Time, error)) call {
	return func(_ *env, _ any, args []any) (any, error) {
		t, err := parse(args[0].(string))
		if err != nil {
			return nil, err
		}
		return datetime.ISO8601(t), nil
	}
}

func isoToText(write func(time.Time) string) call {
	return func(_ *env, _ any, args []any) (any, error) {
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
func checkZoneAndFormat(zone, format int) func(checker, *syntaxNode, []*syntaxNode) (any, error) {
	return func(c checker, _ *syntaxNode, args []*syntaxNode) (any, error) {
		var ready timeArguments
		for i, arg := range args {
			if !arg.isText() {
				continue
			}
			var err error
			switch text := arg.value.(string); i {
			case zone:
				if ready.zone, err = datetime.Zone(text); err != nil {
					return nil, c.Fail(arg.offset, "unknown time zone %q%s", text, nearest.Hint(text, datetime.ZoneNames()))
				}
			case format:
				ready.format, err = datetime.Compile(text)
			}
			if err != nil {
				return nil, c.Fail(arg.offset, "%v", err)
			}
		}
		return ready, nil
	}
}

// zone gives the call's zone.
func callZone(prepared any, name string) (*time.Location, error) {
	if ready, ok := prepared.(timeArguments); ok && ready.zone != nil {
		return ready.zone, nil
	}
	return datetime.Zone(name)
}

// format gives the call's format.
func callFormat(prepared any, pattern string) (*datetime.Pattern, error) {
	if ready, ok := prepared.(timeArguments); ok && ready.format != nil {
		return ready.format, nil
	}
	return datetime.Compile(pattern)
}

func formatTime(prepared any, t time.Time, pattern string) (any, error) {
	p, err := callFormat(prepared, pattern)
	if err != nil {
		return nil, err
	}
	return p.Format(t), nil
}

func parseText(prepared any, text, pattern string) (time.Time, error) {
	p, err := callFormat(prepared, pattern)
	if err != nil {
		return time.Time{}, err
	}
	return p.Parse(text, time.UTC)
}
