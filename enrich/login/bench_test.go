package login_test

import (
	"net/http"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// A whole callback: the exchange of the code, with the provider's part of it in this
// process, the verification of the ID token, and the sealing of the session.
func BenchmarkCallback(b *testing.B) {
	s := newStage(b, withoutSockets)
	person := s.browser()
	person.login("/x")
	cookie := transactionCookie + "=" + person.cookie(transactionCookie)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		query := person.callback("/.token-enrich/login").RawQuery
		b.StartTimer()
		if w := s.ask(b, "/.token-enrich/callback", query, cookie); w.Code != http.StatusSeeOther || s.ofProvider(w.Header().Get("Location")) {
			b.Fatalf("status %d", w.Code)
		}
	}
}

// What each request with a session costs before its decision is found.
func BenchmarkVisitOpen(b *testing.B) {
	s := newStage(b, withoutSockets, withClaims("groups", "department", "email"))
	s.providers[0].SetAccount(testPerson, enrichtest.Claims{
		"name": testName, "email": "ada@example.com", "department": "Analytical Engines", "groups": []string{"everyone", "engineers", "payroll-readers", "vpn"},
	})
	person := s.browser()
	person.login("/x")
	cookie, now := person.cookie(sessionCookie), s.clock.Now()
	b.Logf("the cookie has %d bytes", len(cookie))
	b.ReportAllocs()
	for b.Loop() {
		v := s.site.Visit()
		if _, err := v.Open(cookie, now); err != nil {
			b.Fatal(err)
		}
	}
}
