package datetime

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestISO8601Spelling(t *testing.T) {
	tokyo, err := Zone("Asia/Tokyo")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2015, 7, 31, 17, 18, 37, 979_999_999, time.UTC)
	for _, c := range []struct{ got, want string }{
		{ISO8601(at), "2015-07-31T17:18:37.979Z"},
		{ISO8601(at.Truncate(time.Second)), "2015-07-31T17:18:37.000Z"},
		{ISO8601(at.In(tokyo)), "2015-08-01T02:18:37.979+09:00"},
		{ISO8601(at.In(fixed(0))), "2015-07-31T17:18:37.979Z"},
		{ISO8601(time.Date(-44, 3, 15, 0, 0, 0, 0, time.UTC)), "-0044-03-15T00:00:00.000Z"},
		{ZonedISO8601(at), "2015-07-31T17:18:37.979Z"},
		{ZonedISO8601(at.Truncate(time.Second).In(tokyo)), "2015-08-01T02:18:37+09:00"},
		{ZonedISO8601(at.Truncate(time.Second).Add(999)), "2015-07-31T17:18:37Z"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}

func TestParseISO8601(t *testing.T) {
	for text, want := range map[string]string{
		"2015-06-17T00:23:19.676Z":       "2015-06-17T00:23:19.676Z",
		"2015-06-17t00:23:19.676z":       "2015-06-17T00:23:19.676Z",
		"2015-06-17T00:23:19Z":           "2015-06-17T00:23:19Z",
		"2015-06-17T00:23:19,5Z":         "2015-06-17T00:23:19.5Z",
		"2015-06-17T00:23:19.123456789Z": "2015-06-17T00:23:19.123456789Z",
		"2015-06-17T00:23Z":              "2015-06-17T00:23:00Z",
		"2015-06-17T00+02":               "2015-06-17T00:00:00+02:00",
		"2015-06-17T00:23:19":            "2015-06-17T00:23:19Z",
		"2015-06-17T00:23:19.676+0900":   "2015-06-17T00:23:19.676+09:00",
		"2015-06-17T00:23:19-00:30":      "2015-06-17T00:23:19-00:30",
		"2015-06-17":                     "2015-06-17T00:00:00Z",
		"2015-06":                        "2015-06-01T00:00:00Z",
		"2015":                           "2015-01-01T00:00:00Z",
		"2015-212":                       "2015-07-31T00:00:00Z",
		"2015-W31-5":                     "2015-07-31T00:00:00Z",
		"2015-W31":                       "2015-07-27T00:00:00Z",
		"2015-08-01T02:18:37.979+09:00[Asia/Tokyo]":   "2015-08-01T02:18:37.979+09:00",
		"2015-07-31T13:30:49.964-04:00[EST]":          "2015-07-31T13:30:49.964-04:00",
		"2015-08-01T02:18:37.979+09:00[Europe/Paris]": "",
		"2015-08-01T02:18:37.979+09:00[Nowhere]":      "",
		"2015-08-01T02:18:37.979+09:00[Asia/Tokyo":    "",
		"2015-06-31":                      "",
		"2015-06-17T25:00Z":               "",
		"2015-06-17T00:23:19.Z":           "",
		"2015-06-17T00:23:19.1234567890Z": "",
		"2015-06-17T":                     "",
		"2015-06-17T00:23:19.676Zx":       "",
		"2015-06-17 00:23:19":             "",
		"15-06-17":                        "",
		"2015-6-17":                       "",
		"":                                "",
		"Monday":                          "",
		strings.Repeat("2", MaxText+1):    "",
	} {
		got, err := ParseISO8601(text)
		switch {
		case want == "" && !errors.Is(err, ErrText):
			t.Errorf("%s: got %v, %v", text, got, err)
		case want != "" && (err != nil || got.Format(time.RFC3339Nano) != want):
			t.Errorf("%s: got %v, %v", text, got.Format(time.RFC3339Nano), err)
		}
	}
}

func TestTimestamps(t *testing.T) {
	for _, c := range []struct{ windows, unix, iso string }{
		{"130828367179790000", "1438363117979", "2015-07-31T17:18:37.979Z"},
		{"130827743120000000", "1438300712000", "2015-07-30T23:58:32.000Z"},
		{"0", "-11644473600000", "1601-01-01T00:00:00.000Z"},
		{"116444736000000000", "0", "1970-01-01T00:00:00.000Z"},
		{"-10000", "-11644473600001", "1600-12-31T23:59:59.999Z"},
		{"9223372036854770000", "910692730085477", "30828-09-14T02:48:05.477Z"}, // "never", cut to milliseconds
	} {
		w, err := FromWindows(c.windows)
		if err != nil || ISO8601(w) != c.iso || ToWindows(w) != c.windows {
			t.Errorf("windows %s: got %s, %v, and back %s", c.windows, ISO8601(w), err, ToWindows(w))
		}
		u, err := FromUnix(c.unix)
		if err != nil || ISO8601(u) != c.iso || ToUnix(u) != c.unix {
			t.Errorf("unix %s: got %s, %v, and back %s", c.unix, ISO8601(u), err, ToUnix(u))
		}
	}
	if got := ToWindows(time.Date(40000, 1, 1, 0, 0, 0, 0, time.UTC)); got != "12117553344000000000" {
		t.Errorf("a year past 64 bits of ticks wrapped to %s", got)
	}
	for _, text := range []string{"", "x", "1.5", " 1", "1 ", "0x10", "99999999999999999999"} {
		if _, err := FromWindows(text); !errors.Is(err, ErrText) {
			t.Errorf("FromWindows(%q): %v", text, err)
		}
		if _, err := FromUnix(text); !errors.Is(err, ErrText) {
			t.Errorf("FromUnix(%q): %v", text, err)
		}
	}
}

func FuzzParseISO8601(f *testing.F) {
	f.Add("2015-08-01T02:18:37.979+09:00[Asia/Tokyo]")
	f.Add("2015-W53-7T24")
	f.Fuzz(func(t *testing.T, text string) {
		at, err := ParseISO8601(text)
		if err != nil {
			return
		}
		if _, seconds := at.Zone(); seconds%60 != 0 {
			return // the spelling has no seconds in its offset
		}
		again, err := ParseISO8601(ISO8601(at))
		if err != nil || !again.Equal(at.Truncate(time.Millisecond)) {
			t.Errorf("%q is %v, read again %v, %v", text, at, again, err)
		}
	})
}
