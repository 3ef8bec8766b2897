package cache_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

func TestKeysOfDifferentPartsNeverCollide(t *testing.T) {
	k := cache.NewKeyDeriver(ring(t))
	type parts struct {
		kind        string
		fingerprint string
		ids         []string
	}
	all := []parts{
		{"person", "d", []string{"iss", "sub"}},
		{"person", "d", []string{"isss", "ub"}},
		{"person", "d", []string{"iss", "sub", ""}},
		{"person", "d", []string{"isssub"}},
		{"person", "d", []string{"a|b", "c"}},
		{"person", "d", []string{"a", "b|c"}},
		{"person", "d", []string{"other", "sub"}},
		{"person", "d", []string{"sub", "iss"}},
		{"person", "e", []string{"iss", "sub"}},
		{"person", "", []string{"d", "iss", "sub"}},
		{"app", "d", []string{"iss", "sub"}},
		{"person", "d", nil},
	}
	seen := map[cache.Key]parts{}
	for _, p := range all {
		key := k.Key(p.kind, []byte(p.fingerprint), p.ids...)
		if other, ok := seen[key]; ok {
			t.Errorf("%q and %q have one key", p, other)
		}
		seen[key] = p
		if k.Key(p.kind, []byte(p.fingerprint), p.ids...) != key {
			t.Errorf("%q has two keys", p)
		}
	}
}

func TestNamesFoldCaseAndKeepKindsApart(t *testing.T) {
	k := cache.NewKeyDeriver(ring(t))
	n := func(kind cache.IDKind, v string) purgelog.NameHash { return k.NameHash(cache.ID{Kind: kind, Value: v}) }
	if n(cache.UserID, "Ada@Example.COM") != n(cache.UserID, "ada@example.com") {
		t.Error("case tells names apart")
	}
	if n(cache.UserID, "x") == n(cache.GroupID, "x") || n(cache.GroupID, "x") == n(cache.AppID, "x") {
		t.Error("kinds share names")
	}
	d := map[purgelog.NameHash]bool{}
	for _, v := range [][3]string{{"i", "sid", "x"}, {"i", "jti", "x"}, {"j", "sid", "x"}, {"i", "sid", "X"}, {"is", "id", "x"}} {
		d[k.DenialHash(v[0], v[1], v[2])] = true
	}
	if len(d) != 5 {
		t.Errorf("%d names of 5 denials", len(d))
	}
}

func TestKeysCannotBeMadeWithoutTheSecret(t *testing.T) {
	other, err := seal.NewRing(nil, bytes.Repeat([]byte{1}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	a, b := cache.NewKeyDeriver(ring(t)), cache.NewKeyDeriver(other)
	if a.Key("person", nil, "x") == b.Key("person", nil, "x") ||
		a.NameHash(cache.ID{Kind: cache.UserID, Value: "x"}) == b.NameHash(cache.ID{Kind: cache.UserID, Value: "x"}) ||
		a.DenialHash("i", "jti", "x") == b.DenialHash("i", "jti", "x") {
		t.Error("another secret gives the same")
	}
}

func TestEntriesAreReadBackAsTheyWereWritten(t *testing.T) {
	for _, e := range []*cache.Entry{
		{Found: true, FetchedAt: time.Unix(0, 1234567890123456789), Position: purgelog.Position{Millis: 1 << 63, Serial: 9}, Content: []byte("x")},
		{Found: true, FetchedAt: time.Unix(0, -1), Content: []byte{}},
		{FetchedAt: time.Unix(5, 0)},
		{Found: true, FetchedAt: time.Unix(5, 0), Content: make([]byte, cache.MaxEntry)},
	} {
		b, err := e.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := cache.DecodeEntry(b)
		if err != nil {
			t.Fatal(err)
		}
		if got.Found != e.Found || !got.FetchedAt.Equal(e.FetchedAt) || got.Position != e.Position || !bytes.Equal(got.Content, e.Content) {
			t.Errorf("%+v became %+v", e, got)
		}
	}
	for name, e := range map[string]*cache.Entry{
		"too large":               {Found: true, Content: make([]byte, cache.MaxEntry+1)},
		"an absence with content": {Content: []byte("x")},
	} {
		if _, err := e.AppendBinary(nil); err == nil {
			t.Errorf("%s was encoded", name)
		}
	}
}

func FuzzDecodeEntry(f *testing.F) {
	for _, e := range []*cache.Entry{{Found: true, FetchedAt: time.Unix(1, 2), Content: []byte(`{"id":"x"}`)}, {FetchedAt: time.Unix(1, 2)}} {
		b, err := e.AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append([]byte{9}, b[1:]...))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := cache.DecodeEntry(bytes.Clone(b))
		if err != nil {
			return
		}
		again, err := e.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Fatalf("%x is not what is written for what was read: %x, %v", b, again, err)
		}
	})
}

func TestDurationsAreTextsOrNanoseconds(t *testing.T) {
	tests := []struct {
		text string
		want time.Duration
		bad  bool
	}{
		{`"100ms"`, 100 * time.Millisecond, false},
		{`"1d"`, 24 * time.Hour, false},
		{`"1.5d"`, 36 * time.Hour, false},
		{`"2d3h"`, 51 * time.Hour, false},
		{`-5`, -5, false},
		{`1000000000`, time.Second, false},
		{`"5"`, 0, true},
		{`"d"`, 0, true},
		{`"1e300d"`, 0, true},
		{`"NaNd"`, 0, true},
		{`true`, 0, true},
		{`1.5`, 0, true},
		{`""`, 0, true},
	}
	for _, tt := range tests {
		var d cache.Duration
		err := json.Unmarshal([]byte(tt.text), &d)
		if (err != nil) != tt.bad || !tt.bad && time.Duration(d) != tt.want {
			t.Errorf("%s: %v, %v", tt.text, time.Duration(d), err)
		}
	}
	b, err := json.Marshal(cache.Duration(90 * time.Second))
	var back cache.Duration
	if err != nil || json.Unmarshal(b, &back) != nil || time.Duration(back) != 90*time.Second {
		t.Errorf("%s, %v", b, err)
	}
}

func TestAValueThatDoesNotDecodeIsRefusedAndDeleted(t *testing.T) {
	net, r, _ := bareNode(t)
	if err := net.Put(r.key("ada"), &cache.Entry{Found: true, FetchedAt: time.Now(), Content: []byte(`{"id":""}`)}); err != nil {
		t.Fatal(err)
	}
	if res := r.must("ada", life); res.Tier != cache.TierSource {
		t.Fatalf("from %s", res.Tier)
	}
	if r.counts.of("redis refused") != 1 {
		t.Error("not counted")
	}
}

func TestAnEntryFromTheFutureIsRefused(t *testing.T) {
	net, r, _ := bareNode(t)
	for ahead, tier := range map[time.Duration]string{30 * time.Second: cache.TierRedis, 2 * time.Minute: cache.TierSource} {
		id := ahead.String()
		r.src.set(func(s *source) { s.people[id] = &person{ID: id} })
		e := &cache.Entry{Found: true, FetchedAt: time.Now().Add(ahead), Position: r.store.Log().Position(), Content: []byte(`{"id":"` + id + `"}`)}
		if err := net.Put(r.key(id), e); err != nil {
			t.Fatal(err)
		}
		if res := r.must(id, life); res.Tier != tier {
			t.Errorf("%v ahead: from %s, want %s", ahead, res.Tier, tier)
		}
	}
}

func TestAStoreNeedsWhatItNeeds(t *testing.T) {
	if _, err := cache.NewStore(cache.Options{}); err == nil {
		t.Error("a store without anything")
	}
	_, r, node := bareNode(t)
	if _, err := cache.NewStore(cache.Options{KeyDeriver: cache.NewKeyDeriver(ring(t)), Memory: node, Shared: node}); err == nil {
		t.Error("a shared tier without a shared log: purges would not reach it")
	}
	if _, err := cache.NewStore(cache.Options{KeyDeriver: cache.NewKeyDeriver(ring(t)), Memory: node, Rand: bytes.NewReader(nil)}); err == nil {
		t.Error("a store without randomness")
	}
	if _, err := r.store.Purge(t.Context(), cache.ID{Value: "x"}); err == nil {
		t.Error("purged an id of no kind")
	}
}
