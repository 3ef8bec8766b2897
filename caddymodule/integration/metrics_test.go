package integration

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// sample is one line of the metrics.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

var (
	sampleLine = regexp.MustCompile(`^(caddy_token_enrich_\w+)(?:\{(.*)\})? (\S+)$`)
	labelPair  = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// metricsText gives the lines of the gateway's metrics.
func (w *world) metricsText() string {
	w.t.Helper()
	got := w.adminDo("GET", "/metrics", "")
	wantStatus(w.t, got, 200)
	var b strings.Builder
	for line := range strings.Lines(got.body) {
		if strings.Contains(line, "token_enrich") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// metrics gives the gateway's metrics as a Prometheus reads them.
func (w *world) metrics() []sample {
	w.t.Helper()
	var all []sample
	for line := range strings.Lines(w.metricsText()) {
		m := sampleLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		s := sample{name: strings.TrimPrefix(m[1], "caddy_token_enrich_"), labels: map[string]string{}}
		for _, pair := range labelPair.FindAllStringSubmatch(m[2], -1) {
			s.labels[pair[1]] = pair[2]
		}
		value, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			w.t.Fatalf("%s: %v", line, err)
		}
		s.value = value
		all = append(all, s)
	}
	return all
}

// metric adds up the samples of a name whose labels hold these pairs.
func (w *world) metric(name string, pairs ...string) float64 {
	w.t.Helper()
	sum := 0.0
	for _, s := range w.metrics() {
		matches := s.name == name
		for i := 0; i+1 < len(pairs); i += 2 {
			matches = matches && s.labels[pairs[i]] == pairs[i+1]
		}
		if matches {
			sum += s.value
		}
	}
	return sum
}

// labelled are the metrics of the manual with the values that each label can
// have in the tests' configuration.
var labelled = map[string]map[string][]string{
	"decisions_total": {"policy": {"payroll", "open"}, "outcome": {
		"allowed", "anonymous", "internal", "no_token", "invalid_request", "invalid_token", "insufficient_scope",
		"insufficient_user_authentication", "cross_origin", "denied", "unknown_user", "unavailable", "claim_error", "header_error",
	}},
	"decision_seconds":            {"policy": {"payroll", "open"}, "path": {"hit", "miss"}},
	"cache_requests_total":        {"tier": {"memory", "redis", "source"}, "result": {"hit", "stale", "negative", "miss", "refused", "error"}},
	"cache_bytes":                 {"tier": {"memory", "decisions"}},
	"cache_entries":               {"tier": {"memory", "decisions"}},
	"cache_unseal_failures_total": {},
	"directory_requests_total":    {"directory": {"file"}, "outcome": directory.Classes()},
	"directory_seconds":           {"directory": {"file"}},
	"directory_state":             {"directory": {"file"}},
	"issuer_key_fetches_total":    {"issuer": {"corp"}, "outcome": {"ok", "error", "timeout", "redirect", "too_large", "malformed", "no_keys", "mismatch"}},
	"issuer_keys_skipped_total":   {"issuer": {"corp"}},
	"issuer_keys_age_seconds":     {"issuer": {"corp"}},
	"scrubbed_headers_total":      {"policy": {"payroll", "open"}},
	"header_overflow_total":       {"policy": {"payroll"}, "header": {"X-Note", "X-User"}},
	"tokens_minted_total":         {"policy": {"payroll"}},
	"purges_total":                {"origin": {"local", "log"}},
	"purge_log_age_seconds":       {},
	"log_lines_left_out_total": {"policy": {"payroll", "open", ""}, "reason": {
		"anonymous", "logout", "internal", "no_token", "invalid_request", "invalid_token", "cross_origin", "unavailable",
	}},
}

// counted is a site in which each metric has something to count.
func counted(w *world) string {
	return `token_enrich_jwks
	token_enrich /open {
		name open
		anonymous
	}
	token_enrich {
		name payroll
		claim login user.login
		claim note token.note
		header X-User login
		header X-Note note {
			max_bytes 16
		}
		require_scope openid
		token {
			audience payroll
		}
	}
	reverse_proxy ` + w.legacy.Addr()
}

func TestEveryMetricIsThereWithClosedLabels(t *testing.T) {
	w := prepare(t)
	w.issuer.AddEntries(`{"kty":"WAT","kid":"decoy-kid"}`)
	redis := cachetest.StartRedis(t)
	w.load(counted(w), w.standard(), w.signer(), "cache {\nredis "+redis.URL()+"\n}")
	w.signed()

	// What strangers send: none of it may become a label.
	odd := []string{"odd\"subject\n", "../../etc", "{token_enrich.subject}", "Ünïcode", strings.Repeat("s", 300), "odd-value"}
	for _, text := range odd {
		w.get("/", w.token(text, enrichtest.Claims{"cid": text, "jti": text}))
		w.get("/", w.issuer.Mint(enrichtest.Claims{"aud": audience, "sub": "x"}, enrichtest.WithHeader("kid", text)))
		w.get("/", w.token("00u1ada", enrichtest.Claims{"iss": "https://odd-value.example"}))
		w.get("/"+strings.TrimSpace("odd-value"), "", "X-User", "odd-value", "X-Odd-Value", "1")
		w.do("ODDVALUE", "/", "odd-value")
	}
	for range 3 {
		wantStatus(t, w.get("/", w.token("00u1ada"), "X-User", "odd-value"), 200)
	}
	incoming := w.token("00u1ada")
	for range 2 {
		wantStatus(t, w.get("/", incoming), 200) // a hit, and one that is
	}
	wantStatus(t, w.get("/open", ""), 200)
	wantStatus(t, w.get("/", w.token("00u1ada", enrichtest.Claims{"note": strings.Repeat("n", 40)})), 500)
	wantStatus(t, w.get("/", w.token("00u1ada", enrichtest.Claims{"scp": "groups"})), 403)
	wantStatus(t, w.adminDo("POST", "/token_enrich/purge", `{"user":"00u2grace"}`), 200)
	eventually(t, "the purge is counted", func() bool { return w.metric("purges_total") > 0 })

	all := w.metrics()
	seen := map[string]bool{}
	for _, s := range all {
		name := s.name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, suffix)
		}
		seen[name] = true
		labels, known := labelled[name]
		if !known && name != "issuer_introspections_total" {
			t.Errorf("a metric %s is not in the manual", name)
		}
		for label, value := range s.labels {
			if label != "le" && !slices.Contains(labels[label], value) {
				t.Errorf("%s has %s=%q", name, label, value)
			}
		}
		for label := range labels {
			if _, there := s.labels[label]; !there {
				t.Errorf("%s has no label %s", name, label)
			}
		}
	}
	for name := range labelled {
		if !seen[name] {
			t.Errorf("the metric %s is missing", name)
		}
	}
	for _, want := range []struct {
		name  string
		pairs []string
		least float64
	}{
		{"decisions_total", []string{"policy", "payroll", "outcome", "allowed"}, 5},
		{"decisions_total", []string{"policy", "open", "outcome", "anonymous"}, 1},
		{"decisions_total", []string{"outcome", "header_error"}, 1},
		{"decisions_total", []string{"outcome", "insufficient_scope"}, 1},
		{"decisions_total", []string{"outcome", "no_token"}, 6},
		{"decision_seconds_count", []string{"path", "hit"}, 1},
		{"decision_seconds_count", []string{"path", "miss"}, 5},
		{"header_overflow_total", []string{"header", "X-Note"}, 1},
		{"tokens_minted_total", []string{"policy", "payroll"}, 4},
		{"scrubbed_headers_total", nil, 9},
		{"issuer_keys_skipped_total", []string{"issuer", "corp"}, 1},
		{"issuer_key_fetches_total", []string{"outcome", "ok"}, 1},
		{"cache_entries", []string{"tier", "decisions"}, 1},
		{"cache_bytes", []string{"tier", "memory"}, 1},
	} {
		if got := w.metric(want.name, want.pairs...); got < want.least {
			t.Errorf("%s %v is %v, want at least %v", want.name, want.pairs, got, want.least)
		}
	}
	text := w.metricsText()
	for _, stranger := range append([]string{"decoy-kid", "odd-value", "oddvalue", "ODDVALUE"}, odd...) {
		if strings.Contains(text, stranger) {
			t.Errorf("the metrics hold %q of a request", stranger)
		}
	}
	wantNobody(t, "the metrics", text, incoming)
}

func TestMetricsSurviveReloads(t *testing.T) {
	w := prepare(t)
	site := func(header string) string {
		return "token_enrich {\nname payroll\nheader " + header + " sub\n}\nreverse_proxy " + w.legacy.Addr()
	}
	w.load(site("X-User"))
	incoming := w.token("00u1ada")
	for range 2 {
		wantStatus(t, w.get("/", incoming, "X-User", "root"), 200)
	}
	w.get("/", "")
	before := map[string]float64{
		"allowed":  w.metric("decisions_total", "outcome", "allowed"),
		"no_token": w.metric("decisions_total", "outcome", "no_token"),
		"fetches":  w.metric("issuer_key_fetches_total"),
		"scrubbed": w.metric("scrubbed_headers_total"),
		"seconds":  w.metric("decision_seconds_count"),
	}
	for _, header := range []string{"X-User", "X-Other", "X-User"} {
		w.load(site(header))
		after := map[string]float64{
			"allowed":  w.metric("decisions_total", "outcome", "allowed"),
			"no_token": w.metric("decisions_total", "outcome", "no_token"),
			"fetches":  w.metric("issuer_key_fetches_total"),
			"scrubbed": w.metric("scrubbed_headers_total"),
			"seconds":  w.metric("decision_seconds_count"),
		}
		for name, value := range before {
			if after[name] < value || value == 0 {
				t.Errorf("after the reload %s is %v, before %v", name, after[name], value)
			}
		}
		// The sizes of the caches are told without a request.
		for _, name := range []string{"cache_entries", "cache_bytes", "purge_log_age_seconds"} {
			if !slices.ContainsFunc(w.metrics(), func(s sample) bool { return s.name == name }) {
				t.Errorf("after the reload there is no %s before the first request", name)
			}
		}
		wantStatus(t, w.get("/", incoming), 200)
		if got := w.metric("decisions_total", "outcome", "allowed"); got != after["allowed"]+1 {
			t.Errorf("after the reload one request makes %v of %v", got, after["allowed"])
		}
		before = after
	}
	if names := series(t, w); len(names) == 0 {
		t.Error("no metrics")
	}
	if text := w.logged(); strings.Contains(text, "registering metrics") || strings.Contains(text, "duplicate metrics") {
		t.Error("the log complains of metrics")
	}
}

// series fails the test where a metric with the same labels stands twice.
func series(t *testing.T, w *world) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(w.metricsText()) {
		name, _, _ := strings.Cut(line, " ")
		if strings.HasPrefix(name, "caddy_token_enrich_") {
			if seen[name] {
				t.Errorf("%s stands twice", name)
			}
			seen[name] = true
		}
	}
	return seen
}

// A policy that is renamed or gone leaves the metrics with its last value or
// without one, but a new one counts from nothing.
func TestNewPolicyCountsFromNothing(t *testing.T) {
	w := prepare(t)
	site := func(name string) string {
		return "token_enrich {\nname " + name + "\n}\nreverse_proxy " + w.legacy.Addr()
	}
	w.load(site("first"))
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	w.load(site("second"))
	if got := w.metric("decisions_total", "policy", "second"); got != 0 {
		t.Errorf("it begins with %v", got)
	}
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	if got := w.metric("decisions_total", "policy", "second", "outcome", "allowed"); got != 1 {
		t.Errorf("one request makes %v", got)
	}
}

func TestEveryMetricIsThereBeforeThereIsSomethingToCount(t *testing.T) {
	w := prepare(t)
	w.load(counted(w), w.standard(), w.signer())
	seen := map[string]bool{}
	for _, s := range w.metrics() {
		seen[s.name] = true
	}
	for _, name := range []string{
		"decisions_total", "decision_seconds_count", "cache_requests_total", "cache_bytes", "cache_entries", "cache_unseal_failures_total",
		"directory_requests_total", "directory_seconds_count", "directory_state", "scrubbed_headers_total", "header_overflow_total",
		"tokens_minted_total", "purges_total", "purge_log_age_seconds", "log_lines_left_out_total",
	} {
		if !seen[name] {
			t.Errorf("the metric %s is missing", name)
		}
	}
}

func TestAClaimsNameIsNoLabel(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich {\nname payroll\nheaders_from X-Id-\nheader_budget 6KiB\n}\nreverse_proxy " + w.legacy.Addr())
	for _, name := range []string{"odd-one", "odd-two"} {
		wantStatus(t, w.get("/", w.token("00u1ada", enrichtest.Claims{name: strings.Repeat("n", 5000)})), 500)
	}
	if n := w.metric("header_overflow_total", "policy", "payroll", "header", "X-Id-"); n != 2 {
		t.Errorf("%v headers overflowed under their prefix, want 2:\n%s", n, w.metricsText())
	}
	if text := w.metricsText(); strings.Contains(text, "odd") {
		t.Errorf("a token's claim name is a label:\n%s", text)
	}
}
