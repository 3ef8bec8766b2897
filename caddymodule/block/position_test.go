package block

import (
	"errors"
	"fmt"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
)

func TestAnErrorIsLocatedByThePathsOfItsSettings(t *testing.T) {
	d := caddyfile.NewTestDispenser("policy {\n\trealm a\n\theader one\n\tfile two\n\theader three\n\tpreset b\n}")
	d.Next()
	at := NewPositions(d.Token())
	var realm, preset string
	var headers []string
	err := Parse(d, "policy", at.Record([]Option{
		Text("realm", &realm),
		Text("preset", &preset),
		{Name: "header", List: "headers", Parse: Texts("header", &headers).Parse},
		{Name: "file", List: "headers", Parse: Texts("file", &headers).Parse},
	}))
	if err != nil {
		t.Fatal(err)
	}
	wrong := errors.New("it is wrong")
	for _, c := range []struct {
		name string
		err  error
		line int
	}{
		{"no path", wrong, 1},
		{"an option", setting.Wrap(wrong, "realm"), 2},
		{"an option that was not written", setting.Wrap(wrong, "budget"), 1},
		{"an element", setting.Wrap(wrong, "headers[0]"), 3},
		{"an element that another option added", setting.Wrap(wrong, "headers[1]"), 4},
		{"within an element", setting.Wrap(wrong, "headers[2].encode.more"), 5},
		{"beyond the last element", setting.Wrap(wrong, "headers[3]"), 1},
		{"the last of several", setting.Wrap(wrong, "preset", "headers[0]", "headers[2]", ""), 6},
		{"within a longer error", fmt.Errorf("policy: %w", setting.Wrap(wrong, "headers[2]")), 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			want := fmt.Sprintf("Testfile:%d: %s", c.line, c.err)
			if got := at.Locate(c.err); got.Error() != want || !errors.Is(got, wrong) {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
	joined := errors.Join(setting.Wrap(wrong, "realm"), errors.Join(setting.Wrap(fmt.Errorf("%w, %w", wrong, wrong), "preset"), wrong))
	want := "Testfile:2: it is wrong\nTestfile:6: it is wrong, it is wrong\nTestfile:1: it is wrong"
	if got := at.LocateEach(joined); got.Error() != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBlocksBeginAtTheSamePlace(t *testing.T) {
	at := func(file string, line int) *Positions { return NewPositions(caddyfile.Token{File: file, Line: line}) }
	for _, c := range []struct {
		a, b *Positions
		want bool
	}{
		{at("a", 1), at("a", 1), true},
		{at("a", 1), at("a", 2), false},
		{at("a", 1), at("b", 1), false},
		{at("a", 1), nil, true},
		{nil, nil, true},
	} {
		if got := c.a.SameHead(c.b); got != c.want {
			t.Errorf("%v and %v: %v", c.a, c.b, got)
		}
	}
}

func TestValuesFromJSONFollowTheRulesOfTheCaddyfile(t *testing.T) {
	word, negative, zero := "alow", int64(-1), new(int64)
	var none *int64
	for want, options := range map[string][]Option{
		"": {Text("text", &word), OptionalDuration("leeway", &zero), OptionalDuration("leeway", &none), Enum("empty", new(string), "a")},
		"origin: unknown value \"alow\" (want deny or allow) (did you mean \"allow\"?)": {Flag("flag", new(bool)), Enum("origin", &word, "deny", "allow")},
		"ttl: -1ns is negative": {Duration("ttl", &negative)},
	} {
		got := ""
		if err := CheckValues(options...); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
