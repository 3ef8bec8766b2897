package datetime

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// formatted writes t by a pattern, and parsed reads a text by one.
func formatted(t time.Time, pattern string) (string, error) {
	p, err := Compile(pattern)
	if err != nil {
		return "", err
	}
	return p.Format(t), nil
}

func parsed(text, pattern string, zone *time.Location) (time.Time, error) {
	p, err := Compile(pattern)
	if err != nil {
		return time.Time{}, err
	}
	return p.Parse(text, zone)
}

func TestOktasExamples(t *testing.T) {
	est, err := Zone("EST")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2015, 7, 31, 17, 36, 48, 0, time.UTC)
	if got, err := formatted(at.In(est), "YYYY-MM-dd HH:mm:ss"); err != nil || got != "2015-07-31 13:36:48" {
		t.Errorf("got %s, %v", got, err)
	}
	if got := ISO8601(at.In(est)); got != "2015-07-31T13:36:48.000-04:00" {
		t.Errorf("got %s", got)
	}
}

func TestZoneNamesArePrinted(t *testing.T) {
	at := time.Date(2015, 7, 31, 12, 0, 0, 0, time.UTC)
	for name, want := range map[string]string{
		"UTC":               "UTC, Coordinated Universal Time",
		"America/New_York":  "EDT, Eastern Daylight Time",
		"Asia/Kolkata":      "IST, India Standard Time",
		"Asia/Shanghai":     "CST, China Standard Time",
		"America/Sao_Paulo": "-03:00, -03:00",
		"+05:45":            "+05:45, +05:45",
	} {
		zone, err := Zone(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := formatted(at.In(zone), "z, zzzz"); err != nil || got != want {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

func TestPatternsAndTextsAreBounded(t *testing.T) {
	if _, err := Compile(strings.Repeat("d", MaxPattern)); err != nil {
		t.Error(err)
	}
	if _, err := Compile(strings.Repeat("d", MaxPattern+1)); !errors.Is(err, ErrPattern) {
		t.Error(err)
	}
	if _, err := parsed(strings.Repeat(" ", MaxText+1), "yyyy", nil); !errors.Is(err, ErrText) {
		t.Error(err)
	}
}

func TestErrorsDoNotRepeatTheText(t *testing.T) {
	_, err := parsed("1980-secret-31", "yyyy-MM-dd", nil)
	if err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "1980") {
		t.Errorf("got %v", err)
	}
}

func TestParsedZoneIsKept(t *testing.T) {
	got, err := parsed("2015-07-31 17:18 Asia/Tokyo", "yyyy-MM-dd HH:mm ZZZ", nil)
	if err != nil || got.Location().String() != "Asia/Tokyo" || ISO8601(got) != "2015-07-31T17:18:00.000+09:00" {
		t.Errorf("got %v, %v", got, err)
	}
}

// A pattern that names every field without a gap reads back what it wrote.
func FuzzFormatThenParse(f *testing.F) {
	f.Add(int64(1438363117979), "yyyy-MM-dd HH:mm:ss.SSS ZZ", uint16(3))
	f.Add(int64(-62135596800000), "G YYYY/DDD h:mm:ss.SSS a Z", uint16(200))
	f.Add(int64(0), "xxxx-'W'ww-e kk:mm:ss.SSS ZZZ", uint16(77))
	f.Add(int64(1), "EEEE d MMMM yyyy KK:mm:ss,SSS aa ZZ 'o''clock", uint16(8))
	names := strings.Fields(oktaZones)
	full := []string{
		"yyyy-MM-dd HH:mm:ss.SSS ZZ", "G YYYY/DDD h:mm:ss.SSS a ZZ",
		"xxxx-'W'ww-e kk:mm:ss.SSS ZZ", "EEEE d MMMM yyyy KK:mm:ss,SSS aa ZZ", "yyyyMMdd HHmmssSSS Z",
	}
	f.Fuzz(func(t *testing.T, millis int64, pattern string, n uint16) {
		zone, err := Zone(names[int(n)%len(names)])
		if err != nil {
			t.Fatal(err)
		}
		at := time.UnixMilli(millis % 253_402_300_800_000).In(zone)
		if p, err := Compile(pattern); err == nil {
			// Never a panic, and what it reads it can write.
			if got, err := p.Parse(p.Format(at), zone); err == nil {
				_ = p.Format(got)
			}
		}
		if _, seconds := at.Zone(); seconds%60 != 0 || at.Year() < 1 || at.Year() > 9999 {
			return
		}
		pattern = full[int(n)%len(full)]
		text, err := formatted(at, pattern)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parsed(text, pattern, nil); err != nil || !got.Equal(at) {
			t.Errorf("%v by %q is %q, read back %v, %v", at, pattern, text, got, err)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add("2015-07-31", "yyyy-MM-dd")
	f.Add("Fri, 31 Jul 15 EDT", "EEE, dd MMM yy z")
	f.Fuzz(func(t *testing.T, text, pattern string) {
		_, err := parsed(text, pattern, nil)
		if err != nil && !errors.Is(err, ErrPattern) && !errors.Is(err, ErrText) {
			t.Errorf("%q by %q: %v", text, pattern, err)
		}
	})
}

func BenchmarkFormat(b *testing.B) {
	at := time.Date(2015, 7, 31, 17, 36, 48, 0, time.UTC)
	p, err := Compile("YYYY-MM-dd HH:mm:ss")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Format(at)
	}
}

func BenchmarkZone(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Zone("EST"); err != nil {
			b.Fatal(err)
		}
	}
}
