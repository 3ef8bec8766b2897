package enrich

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// draw makes canonical values and records at random, the same for the same
// seed.
type draw struct{ *rand.Rand }

func (d draw) text() string {
	texts := []string{"", "a", "Ada Lovelace", "Łukasz", "\u2028", "<&>\"\\", "00g1", "\x00\x1f", "emoji 🙂", "{env.SECRET}"}
	return texts[d.IntN(len(texts))]
}

func (d draw) value(depth int) any {
	switch n := d.IntN(9); {
	case n == 0:
		return nil
	case n == 1:
		return d.IntN(2) == 0
	case n <= 3:
		return d.text()
	case n == 4:
		return d.Int64() - d.Int64()
	case n == 5:
		return []float64{0.1, 1e300, -2.5, 5e-324, math.MaxFloat64, 1e21, 123456789.125}[d.IntN(7)]
	case n == 6:
		return json.Number("92233720368547758" + fmt.Sprint(100+d.IntN(900)))
	case depth == 0:
		return d.Int64()
	case n == 7:
		list := make([]any, d.IntN(4))
		for i := range list {
			list[i] = d.value(depth - 1)
		}
		return list
	}
	return d.profile(depth - 1)
}

func (d draw) profile(depth int) map[string]any {
	m := map[string]any{}
	for range d.IntN(5) {
		m[d.text()+fmt.Sprint(d.IntN(100))] = d.value(depth)
	}
	return m
}

// canonicalProfile is what a directory hands over.
func (d draw) canonicalProfile() map[string]any {
	if d.IntN(4) == 0 {
		return nil
	}
	v, err := identity.Canonical(d.profile(3))
	if err != nil {
		panic(err)
	}
	if m := v.(map[string]any); len(m) > 0 {
		return m
	}
	return nil // as an empty one reads back
}

func (d draw) time() time.Time {
	if d.IntN(3) == 0 {
		return time.Time{}
	}
	return time.Unix(d.Int64N(4e9), d.Int64N(1e9)).UTC()
}

func (d draw) user() *identity.User {
	return &identity.User{
		ID: d.text() + "u", Login: d.text(), Status: d.text(), Created: d.time(), LastLogin: d.time(), Profile: d.canonicalProfile(),
	}
}

func (d draw) appUser() identity.AppUser {
	return identity.AppUser{ID: d.text(), Origin: d.text(), App: d.text(), UserName: d.text(), Status: d.text(), Profile: d.canonicalProfile()}
}

func (d draw) person() *identity.Person {
	p := &identity.Person{User: d.user(), GroupsKnown: d.IntN(2) == 0}
	for range d.IntN(4) {
		p.Groups = append(p.Groups, identity.Group{
			ID: d.text(), Name: d.text(), Type: d.text(), Source: d.text(), Created: d.time(), Profile: d.canonicalProfile(),
		})
	}
	for range d.IntN(3) {
		p.AppUsers = append(p.AppUsers, d.appUser())
	}
	if d.IntN(2) == 0 {
		p.Linked = map[string]*identity.User{"manager": d.user(), "nobody": nil}
	}
	if d.IntN(2) == 0 {
		p.Origin, p.LeftOut = map[string]string{d.text(): "corp"}, []string{"hr"}
		p.UserOrigin, p.GroupOrigins = identity.UserOrigin{ID: "corp", Status: "hr"}, []identity.GroupOrigin{{Directory: "corp", Groups: len(p.Groups)}}
	}
	return p
}

// roundTrip holds for every part of a record: what was encoded is what is
// decoded, to the digit, and equal parts have equal bytes.
func roundTrip[V any](t *testing.T, codec cache.Codec[V], in V, plain func(V) any) {
	t.Helper()
	text, err := codec.Encode(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := codec.Decode(text)
	if err != nil {
		t.Fatalf("decoding %s: %v", text, err)
	}
	if !reflect.DeepEqual(plain(in), plain(out)) {
		t.Fatalf("%s\nreads back as another: %#v\nwas %#v", text, plain(out), plain(in))
	}
	again, err := codec.Encode(out)
	if err != nil || !bytes.Equal(text, again) {
		t.Fatalf("encoded twice:\n%s\n%s", text, again)
	}
	if codec.Cost(in) < len(text)/4 {
		t.Errorf("%d bytes of text cost %d", len(text), codec.Cost(in))
	}
	if !reflect.DeepEqual(codec.Names(in), codec.Names(out)) {
		t.Errorf("names %v, after reading back %v", codec.Names(in), codec.Names(out))
	}
}

func TestRecordsReadBackAsTheyWere(t *testing.T) {
	for seed := range uint64(500) {
		d := draw{rand.New(rand.NewPCG(seed, 7))} //nolint:gosec // not for secrets
		roundTrip(t, personCodec{}, newPerson(d.person()), func(p *person) any { return p.Person })
		app := &identity.App{ID: d.text(), Origin: d.text(), ClientID: d.text(), Name: d.text(), Profile: d.canonicalProfile(), Attributes: d.canonicalProfile()}
		roundTrip(t, appCodec{}, app, func(a *identity.App) any { return a })
		u := d.appUser()
		roundTrip(t, appUserCodec{}, &u, func(u *identity.AppUser) any { return u })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestNumbersKeepTheirDigitsAndKinds(t *testing.T) {
	p := ada()
	p.User.Profile = map[string]any{
		"int": int64(math.MaxInt64), "least": int64(math.MinInt64), "beyond": json.Number("18446744073709551616"),
		"float": 0.1, "whole": 3.0, "zero": int64(0), "list": []any{int64(1), 2.5, json.Number("-9223372036854775809")},
	}
	want, err := identity.Canonical(p.User.Profile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := personCodec{}.Encode(newPerson(p))
	if err != nil {
		t.Fatal(err)
	}
	out, err := personCodec{}.Decode(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range want.(map[string]any) {
		got := out.User.Profile[name]
		if name == "whole" {
			// 3.0 and 3 are one number in JSON.
			if got != int64(3) && got != 3.0 {
				t.Errorf("%s: %#v", name, got)
			}
			continue
		}
		if !reflect.DeepEqual(got, w) {
			t.Errorf("%s: %#v, want %#v", name, got, w)
		}
	}
}

// TestWhatIsNotARecordIsRefused: an entry of another version, or a garbled
// one, is a miss and never a guess.
func TestWhatIsNotARecordIsRefused(t *testing.T) {
	deep := strings.Repeat(`{"a":`, identity.MaxDepth+2) + "1" + strings.Repeat("}", identity.MaxDepth+2)
	for name, text := range map[string]string{
		"nothing":                "",
		"null":                   "null",
		"no user":                `{"user":null,"groupsKnown":true}`,
		"an unknown member":      `{"user":{"id":"u"},"groupsKnown":true,"roles":["root"]}`,
		"an unknown user member": `{"user":{"id":"u","admin":true},"groupsKnown":true}`,
		"two values":             `{"user":{"id":"u"},"groupsKnown":true}{}`,
		"cut short":              `{"user":{"id":"u"},"groupsKnown":tr`,
		"another kind":           `[]`,
		"groups of another kind": `{"user":{"id":"u"},"groups":"Staff","groupsKnown":true}`,
		"nested too deep":        `{"user":{"id":"u","profile":` + deep + `},"groupsKnown":true}`,
		"a number beyond floats": `{"user":{"id":"u","profile":{"n":1e999}},"groupsKnown":true}`,
		"too many groups":        `{"user":{"id":"u"},"groups":[` + strings.Repeat(`{"id":"g"},`, directory.MaxGroups) + `{"id":"g"}],"groupsKnown":true}`,
	} {
		t.Run(name, func(t *testing.T) {
			if p, err := (personCodec{}).Decode([]byte(text)); err == nil {
				t.Errorf("decoded as %+v", p.User)
			}
		})
	}
	for _, text := range []string{"", "null", `{"id":"a","x":1}`, `{"id":"a"}7`, `"a"`, `{"id":"a","profile":{"n":1e999}}`} {
		if v, err := (appCodec{}).Decode([]byte(text)); err == nil {
			t.Errorf("app: %q decoded as %+v", text, v)
		}
	}
	for _, text := range []string{"", "null", `{"id":"a","x":1}`, `{"id":"a"}7`, `"a"`, `{"id":"a","profile":{"n":1e999}}`} {
		if v, err := (appUserCodec{}).Decode([]byte(text)); err == nil {
			t.Errorf("app user: %q decoded as %+v", text, v)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	for _, p := range []*identity.Person{ada("Staff", "Payroll"), ada(), (draw{rand.New(rand.NewPCG(1, 2))}).person()} { //nolint:gosec // not for secrets
		text, err := personCodec{}.Encode(newPerson(p))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte(`{"id":"0oa1","profile":{"n":18446744073709551616}}`))
	f.Add([]byte(`{"user":{"id":"u","profile":{"a":{"b":[1,null,{}]}}},"linked":{"manager":null},"groupsKnown":true}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		if p, err := (personCodec{}).Decode(text); err == nil {
			stable(t, personCodec{}, p)
		}
		if a, err := (appCodec{}).Decode(text); err == nil {
			stable(t, appCodec{}, a)
		}
		if u, err := (appUserCodec{}).Decode(text); err == nil {
			stable(t, appUserCodec{}, u)
		}
	})
}

// stable: whatever is decoded has a cost and names, and is a fixed point.
func stable[V any](t *testing.T, codec cache.Codec[V], v V) {
	t.Helper()
	if codec.Cost(v) <= 0 {
		t.Errorf("cost %d", codec.Cost(v))
	}
	codec.Names(v)
	first, err := codec.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	again, err := codec.Decode(first)
	if err != nil {
		t.Fatalf("%s does not read back: %v", first, err)
	}
	second, err := codec.Encode(again)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("%s\nbecame %s", first, second)
	}
}

func TestAPersonIsPurgedByWhateverItsEmailIsCalled(t *testing.T) {
	for attribute, v := range map[string]any{"email": "ada@example.com", "mail": []any{"a.l@example.com", "ada@example.com"}} {
		p := newPerson(&identity.Person{User: &identity.User{ID: "ada", Profile: map[string]any{attribute: v}}})
		if !slices.Contains((personCodec{}).Names(p), cache.ID{Kind: cache.UserID, Value: "ada@example.com"}) {
			t.Errorf("%s names nobody", attribute)
		}
	}
}
