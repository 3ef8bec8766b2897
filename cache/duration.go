package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Duration is a time.Duration in configuration, read and written as Caddy's own
// durations are: in JSON a string such as "100ms", "5m" or "1d" (days have 24
// hours), or a number of nanoseconds, which is also what is written.
type Duration time.Duration

// String returns the duration as time.Duration does.
func (d Duration) String() string { return time.Duration(d).String() }

// UnmarshalJSON reads a string or a number of nanoseconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var n int64
	if err := json.Unmarshal(b, &n); err == nil {
		*d = Duration(n)
		return nil
	}
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return errors.New("reading a duration: neither a string nor whole nanoseconds")
	}
	v, err := parseDuration(s)
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// parseDuration is time.parseDuration with days: "1d", "1d12h".
func parseDuration(s string) (time.Duration, error) {
	var days time.Duration
	rest := s
	if i := strings.IndexByte(s, 'd'); i > 0 {
		n, err := strconv.ParseFloat(s[:i], 64)
		const most = 36_500 // a century; more is a slip of the pen
		if err != nil || !(n >= -most && n <= most) {
			return 0, fmt.Errorf("reading duration %q: invalid number of days", s)
		}
		days, rest = time.Duration(n*24*float64(time.Hour)), s[i+1:]
		if rest == "" {
			return days, nil
		}
	}
	v, err := time.ParseDuration(rest)
	if err != nil {
		return 0, fmt.Errorf("reading duration %q: %w", s, err)
	}
	return days + v, nil
}
