package datetime

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

// jodaCases are what Joda-Time 2.10.14 printed and read; testdata/Joda.java
// wrote them.
//
//go:embed testdata/joda.jsonl
var jodaCases []byte

type jodaCase struct {
	Pattern string  `json:"pattern"`
	Zone    string  `json:"zone"`
	Millis  *int64  `json:"millis"`
	Text    *string `json:"text"`  // printed
	Parse   *string `json:"parse"` // read; without millis, refused
	Bad     *bool   `json:"bad"`   // whether the pattern is refused
}

func TestAgreesWithJodaTime(t *testing.T) {
	seen := 0
	lines := bufio.NewScanner(bytes.NewReader(jodaCases))
	for lines.Scan() {
		seen++
		var c jodaCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatalf("line %d: %v", seen, err)
		}
		if c.Bad != nil {
			if _, err := Compile(c.Pattern); errors.Is(err, ErrPattern) != *c.Bad {
				t.Errorf("pattern %q: refused by Joda-Time %v, here %v", c.Pattern, *c.Bad, err)
			}
			continue
		}
		zone, err := Zone(c.Zone)
		if err != nil {
			t.Fatal(err)
		}
		if c.Text != nil {
			if got, err := formatted(time.UnixMilli(*c.Millis).In(zone), c.Pattern); err != nil || got != *c.Text {
				t.Errorf("%d in %s by %q: got %q, %v, Joda-Time prints %q", *c.Millis, c.Zone, c.Pattern, got, err, *c.Text)
			}
			continue
		}
		got, err := parsed(*c.Parse, c.Pattern, zone)
		switch {
		case c.Millis == nil && !errors.Is(err, ErrText):
			t.Errorf("%q by %q: got %v, %v, Joda-Time refuses it", *c.Parse, c.Pattern, got, err)
		case c.Millis != nil && (err != nil || got.UnixMilli() != *c.Millis):
			t.Errorf("%q by %q in %s: got %v, %v, Joda-Time reads %v", *c.Parse, c.Pattern, c.Zone, got, err, time.UnixMilli(*c.Millis).UTC())
		}
	}
	if seen < 1000 {
		t.Fatalf("only %d cases", seen)
	}
}
