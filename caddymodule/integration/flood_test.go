package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// loadText gives Caddy a Caddyfile as the standard one becomes by replacements.
func (w *world) loadText(text string, replacements ...string) {
	w.t.Helper()
	config, err := adapt(strings.NewReplacer(replacements...).Replace(text))
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.run(config); err != nil {
		w.t.Fatal(err)
	}
}

// calmIssuer is the issuer of most tests, whose keys are fetched once.
func (w *world) calmIssuer() string {
	return strings.Replace(w.issuerBlock(""), "key_min_interval 1ms", "key_min_interval 1h", 1) + "\ndirectory file " + w.directory
}

// concurrently calls f for 0 to n-1, eight at a time.
func concurrently(n int, f func(i int)) {
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			for i := worker; i < n; i += 8 {
				f(i)
			}
		})
	}
	all.Wait()
}

// resigned is a token with one of many signatures that are not the issuer's.
func resigned(token string, i int) string {
	at := len(token) - 16 // not the last ones, of which some say nothing
	return fmt.Sprintf("%s%08d%s", token[:at], i, token[at+8:])
}

// lines counts the lines of the log that hold these members.
func (w *world) lines(members ...string) (n int) {
	w.t.Helper()
	for _, e := range entries(w.t, w.log) {
		matches := true
		for i := 0; i+1 < len(members); i += 2 {
			matches = matches && e[members[i]] == members[i+1]
		}
		if matches {
			n++
		}
	}
	return n
}

// TestAFloodFillsNoLog holds SECURITY P67 over HTTP: 5,000 requests without a
// good token are counted one by one, and the log, which is to tell of each
// denial, tells of some and how many more there were. Who has a good token is
// served meanwhile, and no denial of a person is lost.
func TestAFloodFillsNoLog(t *testing.T) {
	w := prepare(t)
	w.loadText(w.caddyfile("token_enrich {\nname payroll\nlog_decision denied\n}\nreverse_proxy "+w.legacy.Addr(), w.calmIssuer()), "level DEBUG", "level INFO")
	good, barred := w.token("00u1ada"), w.token("00u3alan")
	eventually(t, "keys", func() bool { return w.get("/", good).StatusCode == 200 })
	foreign := w.token("00u1ada", enrichtest.Claims{"iss": "https://elsewhere.example"})
	unknown := w.issuer.Mint(enrichtest.Claims{"aud": audience, "sub": "00u1ada"}, enrichtest.WithHeader("kid", "nobody's"))
	wantStatus(t, w.get("/", barred), 403)
	before := w.lines()
	held := func() [3]float64 {
		return [3]float64{w.metric("cache_entries"), w.metric("cache_requests_total"), w.metric("directory_requests_total")}
	}
	heldBefore := held()
	strangers := []struct {
		class   string
		code    int
		headers func(i int) []string
	}{
		{"no_token", 401, func(int) []string { return nil }},
		{"no_token", 401, func(i int) []string { return []string{"Authorization", fmt.Sprintf("Basic %d", i)} }},
		{"invalid_request", 400, func(int) []string { return []string{"Authorization", "Bearer"} }},
		{"invalid_request", 400, func(int) []string {
			return []string{"Authorization", "Bearer " + good, "Authorization", "Bearer " + good}
		}},
		{"invalid_token", 401, func(i int) []string { return []string{"Authorization", fmt.Sprintf("Bearer garbage-%d", i)} }},
		{"invalid_token", 401, func(i int) []string { return []string{"Authorization", fmt.Sprintf("Bearer a.b.c.d.%d", i)} }},
		{"invalid_token", 401, func(i int) []string {
			return []string{"Authorization", "Bearer " + resigned(good, i)}
		}},
		{"invalid_token", 401, func(int) []string { return []string{"Authorization", "Bearer " + foreign} }},
		{"invalid_token", 401, func(int) []string { return []string{"Authorization", "Bearer " + unknown} }},
		{"invalid_token", 401, func(int) []string { return []string{"Authorization", "Bearer " + strings.Repeat("a", 17<<10)} }},
	}
	const flood, people = 5000, 100
	counted := func(class string) float64 { return w.metric("decisions_total", "policy", "payroll", "outcome", class) }
	allowed, denied := counted("allowed"), counted("denied")
	sent := map[string]int{}
	for i := range flood {
		sent[strangers[i%len(strangers)].class]++
	}
	concurrently(flood, func(i int) {
		s := strangers[i%len(strangers)]
		if got := w.send(w.request(http.MethodGet, "/", "", s.headers(i)...)); got.StatusCode != s.code {
			t.Errorf("%s: status %d, want %d", s.class, got.StatusCode, s.code)
		}
		if i%(flood/people) == 0 {
			if got := w.get("/", good); got.StatusCode != 200 {
				t.Errorf("a good token: status %d", got.StatusCode)
			}
			if got := w.get("/", barred); got.StatusCode != 403 {
				t.Errorf("a barred user's token: status %d", got.StatusCode)
			}
		}
	})
	if n := counted("allowed") - allowed; n != people {
		t.Errorf("%v requests with a good token are counted, want %d", n, people)
	}
	if n := w.lines("msg", "decision", "outcome", "denied"); n != people+1 || counted("denied")-denied != people {
		t.Errorf("%d denials of a person are logged and %v counted, want %d", n-1, counted("denied")-denied, people)
	}
	// C16: nothing is kept of a token before it is verified, or asked for.
	if now := held(); now != heldBefore {
		t.Errorf("cache entries, questions to the cache and to the directory are %v, before %v", now, heldBefore)
	}
	for class, n := range sent {
		written, leftOut := w.lines("msg", "decision", "outcome", class), w.metric("log_lines_left_out_total", "policy", "payroll", "reason", class)
		if counted(class) != float64(n) || float64(written)+leftOut != float64(n) {
			t.Errorf("%s: %v are counted, %d logged and %v left out, want %d", class, counted(class), written, leftOut, n)
		}
	}
	// 60 lines a minute: a machine on which this takes minutes has room for it.
	if n := w.lines() - before - people; n > flood/10 {
		t.Errorf("%d lines about strangers:\n%s", n, w.logged())
	}
	if n := w.issuer.Hits(enrichtest.KeySet); n != 1 {
		t.Errorf("the keys were fetched %d times", n)
	}
	// What was left out is told when a minute is over, or the configuration.
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := w.lines("msg", "further lines were left out", "policy", "payroll"); n < len(sent) {
		t.Errorf("the log tells of %d kinds of lines that it leaves out:\n%s", n, w.logged())
	}
}

// TestAnonymousRequestsFillNoLog: with log_decision all, too, a request without
// a token is a stranger's (P67).
func TestAnonymousRequestsFillNoLog(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich {\nname open\nanonymous\nlog_decision all\n}\nreverse_proxy " + w.legacy.Addr())
	good := w.token("00u1ada")
	eventually(t, "keys", func() bool { return w.get("/", good).StatusCode == 200 })
	before := w.lines("msg", "decision")
	const flood = 500
	concurrently(flood, func(i int) {
		w.get("/", "")
		if i%10 == 0 {
			w.get("/", good)
		}
	})
	strangers := w.lines("msg", "decision", "status", "anonymous")
	leftOut := w.metric("log_lines_left_out_total", "policy", "open", "reason", "anonymous")
	if people := w.lines("msg", "decision") - before - strangers; people != flood/10 || float64(strangers)+leftOut != flood || leftOut == 0 {
		t.Errorf("%d lines about people; %d about strangers, and %v left out", people, strangers, leftOut)
	}
}

// TestCaddysOwnLinesAboutRefusalsAreSampledByCaddy holds what the reference says
// of Caddy's own log of errors.
func TestCaddysOwnLinesAboutRefusalsAreSampledByCaddy(t *testing.T) {
	const flood = 500
	const sampled = `
	log errors {
		include http.log.error
		output file %s
		format json
		sampling {
			interval 1m
			first 20
			thereafter 1000
		}
	}
	log {
		exclude http.log.error
		level INFO`
	for name, tc := range map[string]struct {
		options, handle string
		most, least     int
	}{
		"as Caddy has it":   {options: "\n\tlog {\n\t\tlevel INFO", most: flood, least: flood},
		"sampled by Caddy":  {options: sampled, most: flood / 10, least: 1},
		"with an errorpage": {options: "\n\tlog {\n\t\tlevel INFO", handle: "\nhandle_errors {\nrespond \"{err.status_code}\"\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			w.issuer.Break(enrichtest.KeySet, enrichtest.Status(500, ""))
			options := tc.options
			if strings.Contains(options, "%s") {
				options = fmt.Sprintf(options, w.log+".errors")
			}
			w.loadText(w.caddyfile("token_enrich {\nname payroll\n}\nreverse_proxy "+w.legacy.Addr()+tc.handle, w.calmIssuer()), "\n\tlog {\n\t\tlevel DEBUG", options)
			raw := w.token("00u1ada")
			concurrently(flood, func(i int) {
				if got := w.get("/", resigned(raw, i)); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" {
					t.Errorf("status %d, %v", got.StatusCode, got.Header)
				}
			})
			own := w.lines("msg", "request refused", "level", "error")
			if leftOut := w.metric("log_lines_left_out_total", "policy", "payroll", "reason", "unavailable"); own > flood/10 || float64(own)+leftOut != flood {
				t.Errorf("%d lines of our own, and %v left out", own, leftOut)
			}
			n := w.lines("logger", "http.log.error")
			if strings.Contains(tc.options, "errors {") {
				n += len(entries(t, w.log+".errors"))
			}
			if n < tc.least || n > tc.most {
				t.Errorf("%d lines of Caddy's, want %d to %d", n, tc.least, tc.most)
			}
		})
	}
}

// TestAFloodAtTheHookFillsNoLog: anybody may post to the place where an issuer
// sends its logout tokens (P67).
func TestAFloodAtTheHookFillsNoLog(t *testing.T) {
	w := hooked(t)
	token := w.logoutToken(enrichtest.Claims{"sub": "ada", "jti": "j-1"})
	eventually(t, "keys", func() bool { return w.get("/", w.token("ada")).StatusCode == 200 })
	const flood = 300
	concurrently(flood, func(i int) {
		w.postForm("/logout", "text/plain", "nothing")
		w.logOut(resigned(token, i))
	})
	written := w.lines("msg", "logout request refused") + w.lines("msg", "logout token refused")
	leftOut := w.metric("log_lines_left_out_total", "policy", "", "reason", "logout")
	if float64(written)+leftOut != 2*flood || written > flood {
		t.Errorf("%d lines, and %v left out of %d", written, leftOut, 2*flood)
	}
	wantLoggedOut(t, w.logOut(token))
	if n := w.lines("msg", "logged out"); n != 1 {
		t.Errorf("%d lines about a logout", n)
	}
}

// TestAFloodOfOpaqueTokensLeavesPlaces holds SECURITY P67 over HTTP: while an
// endpoint that is slow about forged tokens keeps strangers waiting, tokens that
// were seen good before are asked about at once, though no answer is held.
func TestAFloodOfOpaqueTokensLeavesPlaces(t *testing.T) {
	w := introspects(t, "ttl 1ms", "timeout 5m") // nobody gives up waiting
	good := make([]string, 40)
	for i := range good {
		good[i] = w.opaque(nil)
		wantStatus(t, w.get("/", good[i]), 200)
	}
	gate := make(chan struct{})
	var mu sync.Mutex
	held := 0
	w.issuer.Break(enrichtest.Introspection, func(rw http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		if forged := strings.HasPrefix(r.FormValue("token"), "forged"); forged {
			mu.Lock()
			held++
			mu.Unlock()
			<-gate
		}
		answer(rw, r)
	})
	var flood sync.WaitGroup
	for i := range 200 {
		flood.Go(func() {
			if got := w.get("/", fmt.Sprintf("forged-%d", i)); got.StatusCode != 401 {
				t.Errorf("a forged token: status %d", got.StatusCode)
			}
		})
	}
	now := func() int { mu.Lock(); defer mu.Unlock(); return held }
	eventually(t, "the strangers' places are taken", func() bool { return now() >= 16 })
	concurrently(4*len(good), func(i int) {
		if got := w.get("/", good[i%len(good)]); got.StatusCode != 200 {
			t.Errorf("a token that was seen good: status %d", got.StatusCode)
		}
	})
	if n := now(); n != 16 {
		t.Errorf("%d forged tokens are asked about at once, want 16", n)
	}
	close(gate)
	flood.Wait()
	if n := w.metric("issuer_introspections_total", "outcome", "inactive"); n != 200 {
		t.Errorf("%v forged tokens are counted", n)
	}
}
