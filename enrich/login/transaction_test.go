package login

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

func transactionsOf(t testing.TB) *Transactions {
	t.Helper()
	return NewTransactions(ringOf(t, 1), originOf(t, "https://app.example.com"))
}

func browserOf(t testing.TB, b byte) Browser {
	t.Helper()
	browser, err := NewBrowser(strings.NewReader(strings.Repeat(string([]byte{b}), 32)))
	if err != nil {
		t.Fatal(err)
	}
	return browser
}

// begun is a login that begins at the epoch.
func begun() Transaction {
	return Transaction{Issuer: "corp", Policy: "https://app.example.com/#0", Return: "/reports?q=a%20b", Began: enrichtest.Epoch}
}

func stateOf(t testing.TB, s *Transactions, x Transaction, b Browser) string {
	t.Helper()
	state, err := s.Seal(x, b)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestALoginOpensToWhatWasSealedAndKnowsItsBrowser(t *testing.T) {
	s, mine, other := transactionsOf(t), browserOf(t, 'a'), browserOf(t, 'b')
	for _, attempt := range []uint8{0, 1, 255} {
		want := begun()
		want.Attempt, want.Session = attempt, [idSize]byte{attempt, 7}
		state := stateOf(t, s, want, mine)
		got, err := s.Open(state, enrichtest.Epoch.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		if !got.Of(mine) || got.Of(other) || got.Of(Browser{}) || want.Of(mine) {
			t.Error("it does not tell its browser from another one")
		}
		got.browser = want.browser
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if stateOf(t, s, want, mine) == state {
			t.Error("two logins have the same state")
		}
	}
	empty, err := s.Open(stateOf(t, s, Transaction{Began: enrichtest.Epoch}, mine), enrichtest.Epoch)
	if err != nil || empty.Issuer+empty.Policy+empty.Return != "" {
		t.Errorf("%+v, %v", empty, err)
	}
}

func TestALoginLastsTenMinutes(t *testing.T) {
	s, b := transactionsOf(t), browserOf(t, 'a')
	state := stateOf(t, s, begun(), b)
	logout, err := s.SealLogout(enrichtest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after   time.Duration
		expired bool
	}{
		{-24 * time.Hour, true},
		{-61 * time.Second, true},
		{-time.Minute, false},
		{0, false},
		{10 * time.Minute, false},
		{10*time.Minute + time.Second, true},
		{24 * time.Hour, true},
	} {
		now := enrichtest.Epoch.Add(tt.after)
		got, err := s.Open(state, now)
		if errors.Is(err, ErrStateExpired) != tt.expired || !tt.expired && err != nil {
			t.Errorf("after %s: %v", tt.after, err)
		}
		if got.Return != begun().Return || got.Policy != begun().Policy || !got.Of(b) {
			t.Errorf("after %s it is %+v", tt.after, got)
		}
		if s.OpenLogout(logout, now) == tt.expired {
			t.Errorf("after %s the logout is taken: %v", tt.after, !tt.expired)
		}
	}
}

func TestAStateOpensAtItsSiteOnly(t *testing.T) {
	ring, app := ringOf(t, 1), originOf(t, "https://app.example.com")
	s := NewTransactions(ring, app)
	state := stateOf(t, s, begun(), browserOf(t, 'a'))
	logout, err := s.SealLogout(enrichtest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := openText(s.login, logout); ok {
		t.Error("logins and logouts are sealed under one name")
	}
	tests := []struct {
		what              string
		by                *Transactions
		state             string
		isState, isLogout bool
	}{
		{"itself", s, state, true, false},
		{"a logout", s, logout, false, true},
		{"a ring with a newer key", NewTransactions(ringOf(t, 2, 1), app), state, true, false},
		{"a ring with a newer key, a logout", NewTransactions(ringOf(t, 2, 1), app), logout, false, true},
		{"another ring", NewTransactions(ringOf(t, 2), app), state, false, false},
		{"another ring, a logout", NewTransactions(ringOf(t, 2), app), logout, false, false},
		{"another site", NewTransactions(ring, originOf(t, "https://b.example.com")), state, false, false},
		{"another site, a logout", NewTransactions(ring, originOf(t, "https://b.example.com")), logout, false, false},
	}
	for _, tt := range tests {
		_, err := tt.by.Open(tt.state, enrichtest.Epoch)
		if (err == nil) != tt.isState || err != nil && !errors.Is(err, ErrState) {
			t.Errorf("%s: %v", tt.what, err)
		}
		if tt.by.OpenLogout(tt.state, enrichtest.Epoch) != tt.isLogout {
			t.Errorf("%s: a logout: %v", tt.what, !tt.isLogout)
		}
	}
}

func TestWhatIsNoStateIsRefused(t *testing.T) {
	s := transactionsOf(t)
	state := stateOf(t, s, begun(), browserOf(t, 'a'))
	session := sealed(t, sealerOf(t), anna())
	for what, text := range map[string]string{
		"empty":                    "",
		"a word":                   "xyz",
		"padding":                  state + "=",
		"a space":                  state + " ",
		"a line end":               state[:9] + "\n" + state[9:],
		"one byte less":            state[:len(state)-1],
		"one byte more":            state + "A",
		"four bytes more":          state + "AAAA",
		"twice":                    state + state,
		"percent-encoded":          "%41" + state[1:],
		"a session":                session,
		"a session's envelope":     session[idLength+1:],
		"zeroes":                   strings.Repeat("A", 200),
		"the longest that is read": strings.Repeat("A", maxState),
		"longer":                   strings.Repeat("A", maxState+4),
		"a megabyte":               strings.Repeat("A", 1<<20),
	} {
		if got, err := s.Open(text, enrichtest.Epoch); !errors.Is(err, ErrState) || got != (Transaction{}) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		if s.OpenLogout(text, enrichtest.Epoch) {
			t.Errorf("%s is a logout", what)
		}
	}
	long := strings.Repeat("A", 1<<20)
	if n := testing.AllocsPerRun(10, func() { _, _ = s.Open(long, enrichtest.Epoch) }); n > 0 {
		t.Errorf("a megabyte costs %.0f allocations", n)
	}
}

// Contents that only a holder of the ring can make: they are refused, too.
func TestASealedContentThatIsNoStateIsRefused(t *testing.T) {
	s := transactionsOf(t)
	head := string(appendTime(nil, enrichtest.Epoch)) + strings.Repeat("\x00", transactionHead-8)
	for what, plain := range map[string]string{
		"nothing": "", "a time": head[:8], "a head cut short": head[:transactionHead-1], "a head alone": head,
		"one text": head + "corp", "two texts": head + "corp\x00p", "four texts": head + "corp\x00p\x00/\x00/",
	} {
		state, err := sealText(s.login, []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := s.Open(state, enrichtest.Epoch); !errors.Is(err, ErrState) || got != (Transaction{}) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		logout, err := sealText(s.logout, []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if s.OpenLogout(logout, enrichtest.Epoch) != (what == "a time") {
			t.Errorf("%s as a logout", what)
		}
	}
}

func TestAStateWithTheLongestReturnTargetFitsAURL(t *testing.T) {
	s, x := transactionsOf(t), begun()
	x.Return = "/" + strings.Repeat("a", maxReturn-1)
	state := stateOf(t, s, x, browserOf(t, 'a'))
	if len(state) >= 2<<10 {
		t.Errorf("the state is %d bytes long", len(state))
	}
	if got, err := s.Open(state, enrichtest.Epoch); err != nil || got.Return != x.Return {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWhatCouldBeMisreadIsNotSealed(t *testing.T) {
	s := transactionsOf(t)
	for what, edit := range map[string]func(*Transaction){
		"a NUL in the issuer":        func(x *Transaction) { x.Issuer = "a\x00" },
		"a NUL in the policy":        func(x *Transaction) { x.Policy = "\x00a" },
		"a NUL in the return target": func(x *Transaction) { x.Return = "/\x00" },
		"too long a return target":   func(x *Transaction) { x.Return = "/" + strings.Repeat("a", maxReturn) },
	} {
		x := begun()
		edit(&x)
		if state, err := s.Seal(x, Browser{}); err == nil {
			t.Errorf("%s: %s", what, state)
		}
	}
	ring, err := seal.NewRing(strings.NewReader(""), make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	broken := NewTransactions(ring, originOf(t, "https://a.example"))
	if _, err := broken.Seal(begun(), Browser{}); err == nil {
		t.Error("sealed without randomness")
	}
	if _, err := broken.SealLogout(enrichtest.Epoch); err == nil {
		t.Error("sealed a logout without randomness")
	}
}

func TestABrowsersCookieIsReadStrictly(t *testing.T) {
	b := browserOf(t, 0xfb)
	cookie := b.Cookie()
	if got, ok := ParseBrowser(cookie); !ok || got != b || len(cookie) != 43 {
		t.Errorf("%q is read as %v, %v", cookie, got, ok)
	}
	for _, text := range []string{
		"", "A", cookie[1:], cookie + "=", cookie + "A", cookie + cookie, " " + cookie, cookie + "\n", cookie[:42] + "\n", strings.Repeat("A", 42) + "\n",
		strings.ReplaceAll(cookie, "-", "+"), strings.ReplaceAll(cookie, "_", "/"), cookie[:42] + "t", `"` + cookie + `"`, strings.Repeat("A", 1<<20),
	} {
		if got, ok := ParseBrowser(text); ok || got != (Browser{}) {
			t.Errorf("%.50q is read as %v", text, got)
		}
	}
	if _, err := NewBrowser(strings.NewReader("short")); err == nil {
		t.Error("made a secret without randomness")
	}
}

// Somebody who begins a login with a cookie of zeroes must not be able to have it
// finished in the browser of a person who has no cookie.
func TestNoBrowserBeganALogin(t *testing.T) {
	s := transactionsOf(t)
	got, err := s.Open(stateOf(t, s, begun(), Browser{}), enrichtest.Epoch)
	if err != nil {
		t.Fatal(err)
	}
	if got.Of(Browser{}) {
		t.Error("a browser without a cookie began the login")
	}
	if b, ok := ParseBrowser(Browser{}.Cookie()); ok {
		t.Errorf("zeroes are read as %v", b)
	}
}

func TestVerifierAndNonceBelongToBrowserAndState(t *testing.T) {
	a, b := browserOf(t, 'a'), browserOf(t, 'b')
	seen := map[string]string{}
	for what, text := range map[string]string{
		"a's verifier for s": a.Verifier("s"), "a's verifier for t": a.Verifier("t"), "b's verifier for s": b.Verifier("s"),
		"a's nonce for s": a.Nonce("s"), "a's nonce for t": a.Nonce("t"), "b's nonce for s": b.Nonce("s"), "a's cookie": a.Cookie(),
	} {
		if other, ok := seen[text]; ok {
			t.Errorf("%s is %s", what, other)
		}
		seen[text] = what
		if len(text) != 43 || strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~") != "" {
			t.Errorf("%s is no code verifier: %q", what, text)
		}
	}
	if same := browserOf(t, 'a'); seen[same.Verifier("s")] != "a's verifier for s" || seen[same.Nonce("s")] != "a's nonce for s" {
		t.Error("they differ from call to call")
	}
}

func FuzzState(f *testing.F) {
	s := NewTransactions(steadyRing(f), originOf(f, "https://app.example.com"))
	b := browserOf(f, 'a')
	real := stateOf(f, s, begun(), b)
	f.Add(real)
	f.Add(real[:len(real)-3])
	f.Add(stateOf(f, NewTransactions(ringOf(f, 2), originOf(f, "https://app.example.com")), begun(), b))
	f.Add("")
	f.Add(strings.Repeat("A", 120))
	f.Fuzz(func(t *testing.T, state string) {
		got, err := s.Open(state, enrichtest.Epoch)
		if state != real && (!errors.Is(err, ErrState) || got != (Transaction{})) || state == real && err != nil {
			t.Fatalf("%q: %+v, %v", state, got, err)
		}
		if s.OpenLogout(state, enrichtest.Epoch) {
			t.Fatalf("%q is a logout", state)
		}
	})
}

func FuzzBrowser(f *testing.F) {
	f.Add(browserOf(f, 'a').Cookie())
	f.Add("")
	f.Add(strings.Repeat("A", 42) + "B")
	f.Fuzz(func(t *testing.T, cookie string) {
		if b, ok := ParseBrowser(cookie); ok && b.Cookie() != cookie {
			t.Fatalf("%q and %q are one secret", cookie, b.Cookie())
		}
	})
}
