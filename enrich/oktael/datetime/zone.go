package datetime

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// Time zones by name, alias and offset.

// MaxZone bounds the length of a zone's name; the longest in the IANA
// database has 32 bytes.
const MaxZone = 64

// ErrZone says that a zone is not known.
var ErrZone = errors.New("unknown time zone")

// abbreviations are the names that Joda-Time reads for the pattern letter z
// (DateTimeUtils.getDefaultTimeZoneNames).
var abbreviations = map[string]string{
	"UT": "UTC", "UTC": "UTC", "GMT": "UTC",
	"EST": "America/New_York", "EDT": "America/New_York",
	"CST": "America/Chicago", "CDT": "America/Chicago",
	"MST": "America/Denver", "MDT": "America/Denver",
	"PST": "America/Los_Angeles", "PDT": "America/Los_Angeles",
}

// aliases win over the database: Java's three-letter names, which
// Joda-Time converts to a zone with daylight saving time (so that EST in July
// is at -04:00, as Okta's example of Time.now("EST") shows, although the
// database has a fixed -05:00 under that name), and names of Okta's list that
// the database no longer has.
var aliases = map[string]string{
	"Z":   "UTC",
	"HST": "Pacific/Honolulu",
	"ACT": "Australia/Darwin",
	"AET": "Australia/Sydney",
	"AGT": "America/Argentina/Buenos_Aires",
	"ART": "Africa/Cairo",
	"AST": "America/Anchorage",
	"BET": "America/Sao_Paulo",
	"BST": "Asia/Dhaka",
	"CAT": "Africa/Harare",
	"CNT": "America/St_Johns",
	"CTT": "Asia/Shanghai",
	"EAT": "Africa/Addis_Ababa",
	"ECT": "Europe/Paris",
	"IET": "America/Indiana/Indianapolis",
	"IST": "Asia/Kolkata",
	"JST": "Asia/Tokyo",
	"MIT": "Pacific/Apia",
	"NET": "Asia/Yerevan",
	"NST": "Pacific/Auckland",
	"PLT": "Asia/Karachi",
	"PNT": "America/Phoenix",
	"PRT": "America/Puerto_Rico",
	"SST": "Pacific/Guadalcanal",
	"VST": "Asia/Ho_Chi_Minh",

	"US/Pacific-New":           "America/Los_Angeles",
	"Canada/East-Saskatchewan": "America/Regina",
}

// refused are files that lie beside the zones on many machines: the
// machine's own zone, and trees whose zones count leap seconds.
var refused = map[string]bool{
	"Local": true, "localtime": true, "posixrules": true, "Factory": true,
	"right": true, "posix": true,
}

// zones holds one loader for each name of Okta's list. A zone is read from
// the database when it is first asked for and kept: the table's size is fixed
// by the list, not by what expressions ask.
var zones = func() map[string]func() (*time.Location, error) {
	table := make(map[string]func() (*time.Location, error))
	for name := range strings.FieldsSeq(oktaZones) {
		table[name] = sync.OnceValues(func() (*time.Location, error) { return load(name) })
	}
	return table
}()

// ZoneNames lists, in order, the names of Okta's list, to suggest which one a
// misspelt name is closest to.
func ZoneNames() []string { return slices.Sorted(maps.Keys(zones)) }

// Zone finds a time zone by IANA name (Europe/Paris), by one of Okta's and
// Joda-Time's aliases (EST is New York with its daylight saving time), or by
// offset (Z, +02:00, +0200, +02). Names are case-sensitive. The machine's own
// zone cannot be named, nor any other file. The error is ErrZone.
func Zone(name string) (*time.Location, error) {
	if name == "" || len(name) > MaxZone {
		return nil, fmt.Errorf("finding a zone by a name of %d bytes: %w", len(name), ErrZone)
	}
	if name[0] == '+' || name[0] == '-' {
		seconds, n := offset(name)
		if n != len(name) {
			return nil, fmt.Errorf("reading an offset: %w", ErrZone)
		}
		return fixed(seconds), nil
	}
	if target, ok := abbreviations[name]; ok {
		name = target
	} else if target, ok := aliases[name]; ok {
		name = target
	}
	if known, ok := zones[name]; ok {
		return known()
	}
	return load(name)
}

// known reports whether a name is in the tables.
func known(name string) bool {
	_, ok := zones[name]
	if !ok {
		_, ok = abbreviations[name]
	}
	if !ok {
		_, ok = aliases[name]
	}
	return ok
}

// load asks the database. A name is made of words joined by slashes, so that
// it cannot leave the database's folder.
func load(name string) (*time.Location, error) {
	for i, word := range strings.Split(name, "/") {
		if word == "" || i == 0 && refused[word] {
			return nil, fmt.Errorf("finding a zone: %w", ErrZone)
		}
		for j := range len(word) {
			if !isZoneByte(word[j]) {
				return nil, fmt.Errorf("finding a zone: %w", ErrZone)
			}
		}
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("finding a zone: %w", ErrZone)
	}
	return zone, nil
}

// isZoneByte reports whether a byte can be part of a zone's name.
func isZoneByte(c byte) bool {
	return isLetter(c) || isDigit(c) || c == '/' || c == '_' || c == '-' || c == '+'
}

// fixed is a zone of one offset, named by it; zero is UTC.
func fixed(seconds int) *time.Location {
	if seconds == 0 {
		return time.UTC
	}
	return time.FixedZone(string(appendOffset(nil, time.Unix(0, 0).In(time.FixedZone("", seconds)), ":")), seconds)
}

// offset reads a signed offset off the start of text: hours, and minutes and
// seconds of two digits each, all with colons or all without.
func offset(text string) (seconds, length int) {
	if len(text) < 3 || text[0] != '+' && text[0] != '-' {
		return 0, -1
	}
	i, unit, colons := 1, 3600, false
	for part := range 3 {
		at := i
		if part == 1 && at < len(text) {
			colons = text[at] == ':'
		}
		if part > 0 && colons {
			if at >= len(text) || text[at] != ':' {
				break
			}
			at++
		}
		if at >= len(text) || !isDigit(text[at]) {
			if part > 0 && !colons {
				break
			}
			return 0, -1
		}
		if at+1 >= len(text) || !isDigit(text[at+1]) {
			return 0, -1
		}
		n := int(text[at]-'0')*10 + int(text[at+1]-'0')
		if n > 59 || part == 0 && n > 23 {
			return 0, -1
		}
		seconds += n * unit
		unit /= 60
		i = at + 2
	}
	if text[0] == '-' {
		seconds = -seconds
	}
	return seconds, i
}
