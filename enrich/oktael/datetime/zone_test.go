package datetime

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestEveryZoneOfOktasListIsFound(t *testing.T) {
	n := 0
	for name := range strings.FieldsSeq(oktaZones) {
		n++
		if _, err := Zone(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n < 560 {
		t.Fatalf("the list holds %d names", n)
	}
}

func TestZoneAliasesKeepDaylightSavingTime(t *testing.T) {
	summer := time.Date(2015, 7, 31, 17, 0, 0, 0, time.UTC)
	winter := time.Date(2015, 1, 31, 17, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name           string
		summer, winter int // hours
	}{
		{"EST", -4, -5},
		{"EDT", -4, -5},
		{"CST", -5, -6},
		{"MST", -6, -7},
		{"PST", -7, -8},
		{"HST", -10, -10},
		{"UT", 0, 0},
		{"GMT", 0, 0},
		{"Z", 0, 0},
		{"EST5EDT", -4, -5},
		{"US/Pacific-New", -7, -8},
		{"Canada/East-Saskatchewan", -6, -6},
		{"Europe/Kyiv", 3, 2}, // newer than Okta's list
		{"Etc/GMT+3", -3, -3}, // POSIX counts westward
		{"+02:00", 2, 2},
		{"-0800", -8, -8},
		{"+09", 9, 9},
		{"+00:00", 0, 0},
	} {
		zone, err := Zone(c.name)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		_, s := summer.In(zone).Zone()
		_, w := winter.In(zone).Zone()
		if s != c.summer*3600 || w != c.winter*3600 {
			t.Errorf("%s: got %d s in summer and %d s in winter", c.name, s, w)
		}
	}
}

func TestZoneRefusesWhatIsNoZone(t *testing.T) {
	for _, name := range []string{
		"", "Local", "localtime", "posixrules", "Factory", "right/Europe/Paris", "posix/Europe/Paris",
		"../../../etc/passwd", "/etc/localtime", "Europe/../Europe/Paris", "Europe//Paris", "Europe/", `Europe\Paris`,
		"zone.tab", "Nowhere", "europe/paris", "Europe/Paris\x00", strings.Repeat("A", MaxZone+1),
		"+", "+2", "+25:00", "+02:60", "+02:0", "+02:00x", "2", "UTC+2", "{env.HOME}",
	} {
		if zone, err := Zone(name); !errors.Is(err, ErrZone) {
			t.Errorf("%q: got %v, %v", name, zone, err)
		}
	}
}

func TestMachinesOwnZoneIsNeverUsed(t *testing.T) {
	t.Setenv("TZ", "Asia/Tokyo")
	got, err := parsed("2015-07-31 12:00", "yyyy-MM-dd HH:mm", nil)
	if err != nil || got.Format(time.RFC3339) != "2015-07-31T12:00:00Z" {
		t.Errorf("got %v, %v", got, err)
	}
}

func FuzzZone(f *testing.F) {
	for _, s := range []string{"Europe/Paris", "+02:00", "EST", "../x", "right/UTC", "Local"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		zone, err := Zone(name)
		if err != nil {
			return
		}
		if zone == nil || zone.String() == "Local" || strings.Contains(name, "..") || len(name) > MaxZone {
			t.Errorf("%q gave %v", name, zone)
		}
	})
}
