package login

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// ringOf returns a ring over keys that are made of these bytes.
func ringOf(t testing.TB, keys ...byte) *seal.Ring {
	t.Helper()
	var all [][]byte
	for _, k := range keys {
		all = append(all, bytes.Repeat([]byte{k}, seal.KeySize))
	}
	r, err := seal.NewRing(nil, all...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// steadyRing returns a ring whose nonces are the same in each process of a fuzzing
// run, so that what one of them seals for its corpus is known to the others.
func steadyRing(t testing.TB) *seal.Ring {
	t.Helper()
	r, err := seal.NewRing(rand.NewChaCha8([32]byte{}), bytes.Repeat([]byte{1}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func originOf(t testing.TB, text string) Origin {
	t.Helper()
	o, err := ParseOrigin(text)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

var readClaims = [8]byte{1, 2, 3}

func sealerOf(t testing.TB) *Sealer {
	t.Helper()
	return NewSealer(ringOf(t, 1), originOf(t, "https://app.example.com"), readClaims)
}

// anna is a session as an ordinary provider's ID token begins it.
func anna() *Session {
	return &Session{
		ID:    [idSize]byte{0xfb, 0xff, 1, 2, 3, 15: 9},
		Began: enrichtest.Epoch, Renewed: enrichtest.Epoch.Add(time.Minute),
		End: enrichtest.Epoch.Add(10 * time.Hour), IdleEnd: enrichtest.Epoch.Add(31 * time.Minute),
		Issuer: "corp", Scopes: []string{"openid", "profile"},
		Claims: map[string]any{
			"sub": "00u1anna", "sid": "102-b4c", "auth_time": int64(1772366400), "acr": "urn:mfa", "amr": []any{"pwd", "otp"},
			"email": "anna@example.com", "email_verified": true, "manager": nil, "rate": 5.0, "employee": map[string]any{"number": int64(7)},
		},
	}
}

func sealed(t testing.TB, s *Sealer, x *Session) string {
	t.Helper()
	cookie, err := s.Seal(x)
	if err != nil {
		t.Fatal(err)
	}
	return cookie
}

// padded returns a session whose cookie's value is about so long.
func padded(t testing.TB, s *Sealer, length int) (x *Session, cookie string) {
	t.Helper()
	x = anna()
	more := length - len(sealed(t, s, x))
	x.Claims["groups"] = strings.Repeat("g", more*3/4-14)
	cookie = sealed(t, s, x)
	if d := length - len(cookie); d < 0 || d > 8 {
		t.Fatalf("made a cookie of %d bytes instead of %d", len(cookie), length)
	}
	return x, cookie
}

func TestASessionOpensToWhatWasSealed(t *testing.T) {
	s, x := sealerOf(t), anna()
	cookie := sealed(t, s, x)
	o, err := s.Open(cookie)
	if err != nil {
		t.Fatal(err)
	}
	if o.ID != x.ID || !o.Began.Equal(x.Began) || !o.Renewed.Equal(x.Renewed) || !o.End.Equal(x.End) || !o.IdleEnd.Equal(x.IdleEnd) {
		t.Errorf("the head is %+v", o)
	}
	if !strings.HasPrefix(cookie, o.Key+".") || o.Key != encode(x.ID[:]) {
		t.Errorf("the key is %q", o.Key)
	}
	got, err := o.Session()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, x) {
		t.Errorf("got %#v, want %#v", got, x)
	}
	if strings.Trim(cookie, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
		t.Errorf("%q needs quoting in a header", cookie)
	}
	if again := sealed(t, s, x); again == cookie {
		t.Error("one session is sealed alike twice")
	}
}

func TestASessionWithoutScopesAndClaims(t *testing.T) {
	s := sealerOf(t)
	o, err := s.Open(sealed(t, s, &Session{Issuer: "corp"}))
	if err != nil {
		t.Fatal(err)
	}
	x, err := o.Session()
	if err != nil || x.Scopes != nil || len(x.Claims) != 0 || x.Issuer != "corp" || !x.Began.IsZero() {
		t.Errorf("%#v, %v", x, err)
	}
}

func TestRenewingMovesTheTimesAlone(t *testing.T) {
	s, x := sealerOf(t), anna()
	cookie := sealed(t, s, x)
	o, err := s.Open(cookie)
	if err != nil {
		t.Fatal(err)
	}
	o.Renewed, o.IdleEnd = o.Renewed.Add(time.Hour), o.IdleEnd.Add(time.Hour)
	renewed, err := s.Renew(&o)
	if err != nil {
		t.Fatal(err)
	}
	if len(renewed) != len(cookie) || renewed == cookie || renewed[:idLength] != cookie[:idLength] {
		t.Errorf("renewed %q to %q", cookie, renewed)
	}
	if o, err = s.Open(renewed); err != nil {
		t.Fatal(err)
	}
	got, err := o.Session()
	x.Renewed, x.IdleEnd = x.Renewed.Add(time.Hour), x.IdleEnd.Add(time.Hour)
	if err != nil || !reflect.DeepEqual(got, x) {
		t.Errorf("got %#v, %v", got, err)
	}
}

// The names are what an attacker holds: another site of the same ring, another
// cookie's name, another ring, a session of his own.
func TestASessionOpensAtItsSiteUnderItsIDOnly(t *testing.T) {
	ring, app := ringOf(t, 1), originOf(t, "https://app.example.com")
	s := NewSealer(ring, app, readClaims)
	cookie := sealed(t, s, anna())
	mine := anna()
	mine.ID[0]++
	other := sealed(t, s, mine)
	state, err := NewTransactions(ring, app).Seal(Transaction{Issuer: "corp", Policy: "p", Return: "/" + strings.Repeat("a", 100)}, Browser{})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		what   string
		by     *Sealer
		cookie string
		want   error
	}{
		{"itself", s, cookie, nil},
		{"a ring with a newer key", NewSealer(ringOf(t, 2, 1), app, readClaims), cookie, nil},
		{"the same origin written otherwise", NewSealer(ring, originOf(t, "https://APP.example.com:443/"), readClaims), cookie, nil},
		{"a ring without the key", NewSealer(ringOf(t, 2), app, readClaims), cookie, seal.ErrUnknownKey},
		{"another host", NewSealer(ring, originOf(t, "https://app2.example.com"), readClaims), cookie, seal.ErrOpen},
		{"another port", NewSealer(ring, originOf(t, "https://app.example.com:8443"), readClaims), cookie, seal.ErrOpen},
		{"plain http", NewSealer(ring, originOf(t, "http://localhost"), readClaims), cookie, seal.ErrOpen},
		{"other claims", NewSealer(ring, app, [8]byte{9}), cookie, errSessionClaims},
		{"another session's id", s, other[:idLength] + cookie[idLength:], seal.ErrOpen},
		{"a state in the place of the envelope", s, cookie[:idLength+1] + state, seal.ErrOpen},
		{"a state", s, state, errSessionForm},
	}
	for _, tt := range tests {
		_, err := tt.by.Open(tt.cookie)
		if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) || err != nil && !errors.Is(err, ErrNoSession) {
			t.Errorf("%s: %v, want %v", tt.what, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), tt.cookie[:idLength]) || strings.Contains(err.Error(), "anna")) {
			t.Errorf("%s: the error shows the session: %v", tt.what, err)
		}
	}
}

func TestWhatIsNoSessionCookieIsRefused(t *testing.T) {
	s := sealerOf(t)
	cookie := sealed(t, s, anna())
	id, text := cookie[:idLength], cookie[idLength+1:]
	tests := map[string]string{
		"empty":                     "",
		"a dot":                     ".",
		"an id alone":               id,
		"an id and a dot":           id + ".",
		"an envelope alone":         text,
		"a dot too early":           id[1:] + "." + text,
		"two dots":                  id + ".." + text,
		"a space before":            " " + cookie,
		"a space behind":            cookie + " ",
		"quotes":                    `"` + cookie + `"`,
		"padding":                   cookie + "=",
		"a line end inside":         cookie[:50] + "\n" + cookie[50:],
		"two line ends inside":      cookie[:50] + "\r\n" + cookie[50:],
		"a line end in the id":      cookie[:5] + "\n" + cookie[5:idLength-1] + "." + text,
		"a NUL":                     cookie[:50] + "\x00" + cookie[51:],
		"not ASCII":                 cookie[:50] + "é" + cookie[52:],
		"the standard alphabet":     "+/" + cookie[2:], // the id begins with -_
		"percent-encoded":           strings.Replace(cookie, ".", "%2E", 1),
		"other last bits of the id": id[:idLength-1] + "R." + text,
		"one byte less":             cookie[:len(cookie)-1],
		"one byte more":             cookie + "A",
		"four bytes more":           cookie + "AAAA",
		"zeroes":                    strings.Repeat("A", idLength) + "." + strings.Repeat("A", 100),
		"the longest zeroes":        strings.Repeat("A", idLength) + "." + strings.Repeat("A", maxSessionText-idLength-1),
		"too long":                  cookie + strings.Repeat("A", maxSessionText-len(cookie)+1),
		"16 KiB":                    strings.Repeat("A", 16<<10),
		"two cookies":               cookie + "; " + cookie,
		"an id of nothing":          "." + text,
	}
	if id[idLength-1] == 'R' {
		t.Fatal("the id's own last bits are those of the test")
	}
	for what, text := range tests {
		if _, err := s.Open(text); !errors.Is(err, ErrNoSession) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for length, want := range map[int]error{maxSessionText: errSessionForm, maxSessionText + 1: errSessionLong} {
		if _, err := s.Open(strings.Repeat("A", length)); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", length, err, want)
		}
	}
	for i := range cookie {
		edited := []byte(cookie)
		edited[i] = "AB"[min(1, strings.Count(cookie[i:i+1], "A"))]
		if _, err := s.Open(string(edited)); !errors.Is(err, ErrNoSession) {
			t.Fatalf("opens with byte %d edited: %v", i, err)
		}
	}
}

// Contents that only a holder of the ring can make: they are refused, too.
func TestASealedContentThatIsNoSessionIsRefused(t *testing.T) {
	s, x := sealerOf(t), anna()
	head := append(bytes.Clone(readClaims[:]), make([]byte, sessionHead-len(readClaims))...)
	for what, plain := range map[string][]byte{
		"nothing":              nil,
		"a fingerprint alone":  readClaims[:],
		"a head cut short":     head[:sessionHead-1],
		"a head alone":         head,
		"an issuer alone":      append(bytes.Clone(head), "corp"...),
		"no claims":            append(bytes.Clone(head), "corp\x00openid"...),
		"empty claims":         append(bytes.Clone(head), "corp\x00openid\x00"...),
		"claims that are none": append(bytes.Clone(head), "corp\x00openid\x00[]"...),
		"one claim twice":      append(bytes.Clone(head), "corp\x00openid\x00{\"a\":1,\"a\":2}"...),
		"more behind them":     append(bytes.Clone(head), "corp\x00openid\x00{}{}"...),
	} {
		envelope, err := s.named.Seal(plain, x.ID[:])
		if err != nil {
			t.Fatal(err)
		}
		o, err := s.Open(encode(x.ID[:]) + "." + encode(envelope))
		if err == nil {
			_, err = o.Session()
		}
		if !errors.Is(err, errSessionTail) || !errors.Is(err, ErrNoSession) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A thousand crafted cookies, none of which may cost more than a real one (L15).
func TestACraftedCookieCostsNoMoreThanARealOne(t *testing.T) {
	s := sealerOf(t)
	_, largest := padded(t, s, maxSessionCookie-len(s.cookie))
	random := rand.New(rand.NewPCG(1, 2))
	alphabet := "ABCxyz019-_.=+/; \n\x00é%"
	cost := func(cookie string) (allocs float64, size uint64) {
		allocs = testing.AllocsPerRun(1, func() { _, _ = s.Open(cookie) })
		const runs = 4
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			_, _ = s.Open(cookie)
		}
		runtime.ReadMemStats(&after)
		return allocs, (after.TotalAlloc - before.TotalAlloc) / runs
	}
	for i := range 1000 {
		var cookie string
		length := random.IntN(16 << 10)
		switch i % 4 {
		case 0: // real at its beginning
			cookie = largest[:min(length, len(largest))] + strings.Repeat("A", length)
		case 1: // well-formed
			cookie = strings.Repeat("A", idLength) + "." + strings.Repeat("B", length)
		case 2:
			cookie = strings.Repeat(alphabet, length/len(alphabet)+1)[i%len(alphabet):]
		case 3: // one letter of a real one is another
			b := []byte(largest)
			b[random.IntN(len(b))] = alphabet[random.IntN(len(alphabet))]
			cookie = string(b)
		}
		if allocs, size := cost(cookie); allocs > 3 || size > 6<<10 {
			t.Fatalf("cookie %d of %d bytes costs %.0f allocations and %d bytes", i, len(cookie), allocs, size)
		}
	}
}

func TestASessionIsAtMostWhatBrowsersKeep(t *testing.T) {
	s := sealerOf(t)
	x, cookie := padded(t, s, maxSessionCookie-len("__Host-token_enrich"))
	if o, err := s.Open(cookie); err != nil {
		t.Error(err)
	} else if got, err := o.Session(); err != nil || !reflect.DeepEqual(got, x) {
		t.Errorf("the largest session opens to another one, %v", err)
	}
	x.Claims["groups"] = x.Claims["groups"].(string) + "0123456789"
	x.Claims["picture"] = strings.Repeat("p", 300)
	for i := range 10 {
		x.Claims[fmt.Sprintf("c%d", i)] = "a secret value"
	}
	_, err := s.Seal(x)
	var large *TooLargeError
	if !errors.As(err, &large) {
		t.Fatal(err)
	}
	if large.Limit != maxSessionCookie || large.Bytes <= maxSessionCookie || len(large.Largest) != maxLargest ||
		large.Largest[0].Name != "groups" || large.Largest[1] != (ClaimSize{"picture", 311}) {
		t.Errorf("%+v", large)
	}
	text := err.Error()
	if !strings.Contains(text, "over 3900; its largest claims: groups (") || !strings.Contains(text, ", picture (311 bytes)") ||
		strings.Contains(text, "ppp") || strings.Contains(text, "secret") || strings.Contains(text, "anna") {
		t.Error(text)
	}
}

// The length that a browser counts is that of name and value.
func TestTheLimitIsThatOfNameAndValue(t *testing.T) {
	for _, origin := range []string{"https://app.example.com", "http://localhost:8080"} {
		s, x := NewSealer(ringOf(t, 1), originOf(t, origin), readClaims), anna()
		longest := 0
		for i := 2000; ; i++ {
			x.Claims["groups"] = strings.Repeat("g", i)
			cookie, err := s.Seal(x)
			if large, ok := errors.AsType[*TooLargeError](err); ok {
				if n := large.Bytes; n <= maxSessionCookie || n > longest+2 {
					t.Errorf("%s: %d bytes are too many, and %d are not", origin, n, longest)
				}
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if longest = len(s.cookie) + len(cookie); longest > maxSessionCookie {
				t.Fatalf("%s: the cookie is %d bytes long", origin, longest)
			}
		}
	}
}

func TestWhatCouldNotBeReadIsNotSealed(t *testing.T) {
	many := map[string]any{}
	for i := range 257 {
		many[fmt.Sprintf("%x", i)] = int64(1)
	}
	deep := any("x")
	for range identity.MaxDepth + 1 {
		deep = []any{deep}
	}
	for what, edit := range map[string]func(*Session){
		"no issuer":                 func(x *Session) { x.Issuer = "" },
		"a NUL in the issuer":       func(x *Session) { x.Issuer = "a\x00b" },
		"a space in a scope":        func(x *Session) { x.Scopes = []string{"a b"} },
		"an empty scope":            func(x *Session) { x.Scopes = []string{""} },
		"a line end in a scope":     func(x *Session) { x.Scopes = []string{"a\n"} },
		"a value of no JSON kind":   func(x *Session) { x.Claims["f"] = func() {} },
		"more members than a token": func(x *Session) { x.Claims = many },
		"deeper than a token":       func(x *Session) { x.Claims["deep"] = deep },
	} {
		x := anna()
		edit(x)
		if cookie, err := sealerOf(t).Seal(x); err == nil {
			t.Errorf("%s: sealed %q", what, cookie)
		}
	}
	broken, err := seal.NewRing(strings.NewReader(""), make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewSealer(broken, originOf(t, "https://a.example"), readClaims).Seal(anna()); err == nil {
		t.Error("sealed without randomness")
	}
}

// A claim that was read from a session is the same value as from the token: kind by
// kind, and for claims at random.
func TestAClaimFromASessionIsTheTokensOwn(t *testing.T) {
	s := sealerOf(t)
	check := func(text string) {
		t.Helper()
		claims, err := jose.DecodeObject([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		x := anna()
		x.Claims = claims
		cookie, err := s.Seal(x)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		o, err := s.Open(cookie)
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.Session()
		if err != nil || !reflect.DeepEqual(got.Claims, claims) {
			t.Fatalf("%s: %#v became %#v, %v", text, claims, got.Claims, err)
		}
	}
	for _, value := range []string{
		`null`, `true`, `false`, `""`, `"a"`, `"\u0000\u001f\"\\\/<>&\u2028é😀"`, `[]`, `{}`, `[[],{},null]`,
		`0`, `-0`, `1`, `-1`, `9007199254740993`, `9223372036854775807`, `-9223372036854775808`, `9223372036854775808`,
		`123456789012345678901234567890`, `-123456789012345678901234567890`, `0.0`, `-0.0`, `5.0`, `5e0`, `1E3`, `1e20`, `1e21`, `1e25`, `1e-7`,
		`0.1`, `1.7976931348623157e308`, `5e-324`, `3.141592653589793`, `{"a":[1,1.0,{"b":1e0}]}`,
	} {
		check(`{"c":` + value + `}`)
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		check(randomObject(random, 3))
	}
}

// randomObject returns the text of a JSON object.
func randomObject(r *rand.Rand, depth int) string {
	members := map[string]string{}
	for range r.IntN(5) {
		members[fmt.Sprintf("%q", string(rune('a'+r.IntN(26))))] = randomValue(r, depth-1)
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		parts = append(parts, name+":"+members[name])
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func randomValue(r *rand.Rand, depth int) string {
	switch n := r.IntN(8); {
	case n == 0 && depth > 0:
		return randomObject(r, depth)
	case n == 1 && depth > 0:
		var parts []string
		for range r.IntN(4) {
			parts = append(parts, randomValue(r, depth-1))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case n < 4:
		return fmt.Sprintf("%d", int64(r.Uint64())>>r.IntN(64))
	case n < 5:
		return fmt.Sprintf("%d.%d", r.IntN(1000), r.IntN(1000))
	case n < 6:
		return fmt.Sprintf("%de%d", r.IntN(100), r.IntN(300)-150)
	}
	sum := sha256.Sum256([]byte{byte(r.Uint32())})
	return `"` + encode(sum[:r.IntN(32)]) + `"`
}

func TestOpeningASessionAllocatesLittle(t *testing.T) {
	s := sealerOf(t)
	_, cookie := padded(t, s, 700)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := s.Open(cookie); err != nil {
			t.Error(err)
		}
	})
	if allocs > 3 {
		t.Errorf("%.0f allocations", allocs)
	}
}

func FuzzSession(f *testing.F) {
	s := NewSealer(steadyRing(f), originOf(f, "https://app.example.com"), readClaims)
	real := sealed(f, s, anna())
	f.Add(real)
	f.Add(real[:len(real)-2])
	f.Add(sealed(f, NewSealer(ringOf(f, 1), originOf(f, "https://b.example"), readClaims), anna()))
	f.Add(strings.Repeat("A", idLength) + "." + strings.Repeat("A", 80))
	f.Add("")
	f.Fuzz(func(t *testing.T, cookie string) {
		o, err := s.Open(cookie)
		if err != nil {
			if !errors.Is(err, ErrNoSession) {
				t.Fatal(err)
			}
			return
		}
		// Only what was sealed opens, and in its own text only.
		if cookie != real || o.Key != real[:idLength] {
			t.Fatalf("%q opens", cookie)
		}
	})
}

// FuzzSessionTail reads contents that a ring's holder could have sealed.
func FuzzSessionTail(f *testing.F) {
	tail, err := appendTail(nil, anna())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(tail)
	f.Add([]byte("corp\x00\x00{}"))
	f.Add([]byte("corp\x00a  b\x00{\"a\":1.0}"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, tail []byte) {
		o := Opened{tail: tail}
		x, err := o.Session()
		if err != nil {
			if !errors.Is(err, ErrNoSession) {
				t.Fatal(err)
			}
			return
		}
		again, err := appendTail(nil, x)
		if err != nil {
			return // an empty name, or one with a space
		}
		y, err := (&Opened{tail: again}).Session()
		if err != nil || !reflect.DeepEqual(x, y) {
			t.Fatalf("%#v became %#v, %v", x, y, err)
		}
	})
}

func BenchmarkSessionOpen(b *testing.B) {
	for _, size := range []int{700, maxSessionCookie - len("__Host-token_enrich")} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			s := sealerOf(b)
			_, cookie := padded(b, s, size)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Open(cookie); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSessionRead(b *testing.B) {
	s := sealerOf(b)
	_, cookie := padded(b, s, 700)
	o, err := s.Open(cookie)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := o.Session(); err != nil {
			b.Fatal(err)
		}
	}
}
