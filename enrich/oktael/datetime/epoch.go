package datetime

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
)

// Timestamps: numbers that count from an epoch.
const (
	// windowsEpoch is 1601-01-01T00:00:00Z in Unix seconds: where Windows
	// and LDAP timestamps of Active Directory begin to count.
	windowsEpoch = -11_644_473_600

	// ticks is the number of Windows' units, 100 ns, in a second.
	ticks = 10_000_000
)

// FromWindows reads a Windows timestamp: 100-nanosecond ticks since the
// beginning of 1601, in decimal. The result is in UTC; the error is ErrText.
func FromWindows(text string) (time.Time, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("parsing a Windows timestamp: %w", ErrText)
	}
	seconds, rest := n/ticks, n%ticks
	return time.Unix(windowsEpoch+seconds, rest*100).UTC(), nil
}

// ToWindows writes t as a Windows timestamp; see FromWindows.
func ToWindows(t time.Time) string {
	seconds, rest := t.Unix()-windowsEpoch, int64(t.Nanosecond()/100)
	if seconds > -math.MaxInt64/ticks && seconds < math.MaxInt64/ticks {
		return strconv.FormatInt(seconds*ticks+rest, 10)
	}
	// Past the year 30828, where Windows' own 64 bits end.
	n := new(big.Int).Mul(big.NewInt(seconds), big.NewInt(ticks))
	return n.Add(n, big.NewInt(rest)).String()
}

// FromUnix reads a Unix timestamp as Okta's functions take it: milliseconds
// since 1970 in decimal. Okta's reference gives no unit for the Classic
// functions, but its support article on derived dates cuts the result of
// Time.fromIso8601ToUnix to its first ten digits to get seconds, and appends
// "000" for Time.fromUnixToIso8601; the Identity Engine reference writes
// milliseconds out. The result is in UTC; the error is ErrText.
func FromUnix(text string) (time.Time, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("parsing a Unix timestamp: %w", ErrText)
	}
	return time.UnixMilli(n).UTC(), nil
}

// ToUnix writes t as a Unix timestamp in milliseconds; see FromUnix.
func ToUnix(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
