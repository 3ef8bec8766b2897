package telemetry

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// Metrics are the gateway's counters. They outlive a configuration, so that they
// go on counting over a reload, and are registered with the registry of each.
// Every label comes from the configuration or from a closed set; nothing of a
// request ever becomes one.
type Metrics struct {
	decisions       *prometheus.CounterVec
	decisionSeconds *prometheus.HistogramVec
	cacheRequests   *prometheus.CounterVec
	unseal          prometheus.Counter
	directories     *prometheus.CounterVec
	directorySecs   *prometheus.HistogramVec
	directoryState  *prometheus.GaugeVec
	keyFetches      *prometheus.CounterVec
	keysSkipped     *prometheus.CounterVec
	keysConfirmed   sync.Map // issuer → time.Time of the last confirmation
	introspections  *prometheus.CounterVec
	scrubbed        *prometheus.CounterVec
	overflow        *prometheus.CounterVec
	minted          *prometheus.CounterVec
	purges          *prometheus.CounterVec
	linesLeftOut    *prometheus.CounterVec
	logins          *prometheus.CounterVec
	sessionsEnded   *prometheus.CounterVec
	sessions        sessions
}

// Names of the metrics: caddy_token_enrich_<name>.
const (
	metricsNamespace = "caddy"
	metricsSubsystem = "token_enrich"
)

// secondsBuckets reach from a hit in memory (microseconds) to a slow directory.
var secondsBuckets = []float64{1e-6, 2e-6, 5e-6, 1e-5, 5e-5, 1e-4, 5e-4, 1e-3, 5e-3, .01, .05, .1, .5, 1, 3, 10}

// NewMetrics returns the counters, with no values yet. Labels whose value is not
// in the configuration take it from a closed set: an outcome, a kind, a tier, an
// origin.
func NewMetrics() *Metrics {
	counters := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help}, labels)
	}
	gauges := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help}, labels)
	}
	seconds := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: name, Help: help, Buckets: secondsBuckets,
		}, labels)
	}
	return &Metrics{
		decisions:       counters("decisions_total", "Decisions by policy and outcome.", "policy", "outcome"),
		decisionSeconds: seconds("decision_seconds", "Time spent in the stages, by policy and whether the decision was cached.", "policy", "path"),
		cacheRequests:   counters("cache_requests_total", "Requests to cache tiers by result.", "tier", "result"),
		unseal: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: metricsNamespace, Subsystem: metricsSubsystem, Name: "cache_unseal_failures_total",
			Help: "Entries of the shared tier that could not be opened.",
		}),
		directories:    counters("directory_requests_total", "Look-ups by directory and outcome.", "directory", "outcome"),
		directorySecs:  seconds("directory_seconds", "Time spent in look-ups, retries included.", "directory"),
		directoryState: gauges("directory_state", "Circuit breaker: 0 closed, 1 half open, 2 open.", "directory"),
		keyFetches:     counters("issuer_key_fetches_total", "Fetches of key sets by issuer and outcome.", "issuer", "outcome"),
		keysSkipped:    counters("issuer_keys_skipped_total", "Keys in fetched sets that cannot be used.", "issuer"),
		introspections: counters("issuer_introspections_total", "Token introspections by issuer and outcome.", "issuer", "outcome"),
		scrubbed:       counters("scrubbed_headers_total", "Client headers that were deleted because a policy owns their names.", "policy"),
		overflow:       counters("header_overflow_total", "Header values that were too large.", "policy", "header"),
		minted:         counters("tokens_minted_total", "Tokens that were signed.", "policy"),
		purges:         counters("purges_total", "Purges by origin.", "origin"),
		linesLeftOut:   counters("log_lines_left_out_total", "Log lines about requests without a valid token that were left out.", "policy", "reason"),
		logins:         counters("logins_total", "Logins by issuer and outcome.", "issuer", "outcome"),
		sessionsEnded:  counters("sessions_ended_total", "Sessions of people that ended, by cause.", "cause"),
	}
}

// Register registers the counters with the registry of a configuration. The
// registry is new for each configuration; the counters are not.
func (m *Metrics) Register(registry *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{
		m.decisions, m.decisionSeconds, m.cacheRequests, m.unseal, m.directories, m.directorySecs, m.directoryState,
		m.keyFetches, m.keysSkipped,
		keyAges{m},
		m.introspections, m.scrubbed, m.overflow, m.minted, m.purges, m.linesLeftOut, m.logins, m.sessionsEnded,
	} {
		if err := register(registry, c); err != nil {
			return err
		}
	}
	return nil
}

// register registers a collector; one that is registered already is fine.
func register(registry *prometheus.Registry, c prometheus.Collector) error {
	var already prometheus.AlreadyRegisteredError
	if err := registry.Register(c); err != nil && !errors.As(err, &already) {
		return fmt.Errorf("registering metrics: %w", err)
	}
	return nil
}

// PolicySeries names the series of one policy.
type PolicySeries struct {
	Name    string
	Headers []string // the labels of the headers that it writes
	Mints   bool     // it signs tokens
}

// Initialize makes the series of a configuration before there is anything to
// count, so that a rate or an alert has a zero to start from.
func (m *Metrics) Initialize(policies []PolicySeries, directories []directory.Status) {
	for _, p := range policies {
		m.decisions.WithLabelValues(p.Name, enrich.OutcomeAllowed)
		for _, path := range []string{pathHit, pathMiss} {
			m.decisionSeconds.WithLabelValues(p.Name, path)
		}
		m.scrubbed.WithLabelValues(p.Name)
		m.linesLeftOut.WithLabelValues(p.Name, enrich.KindNoToken.String())
		for _, header := range p.Headers {
			m.overflow.WithLabelValues(p.Name, header)
		}
		if p.Mints {
			m.minted.WithLabelValues(p.Name)
		}
	}
	for _, d := range directories {
		m.directories.WithLabelValues(d.Name, directory.Classes()[0])
		m.directorySecs.WithLabelValues(d.Name)
	}
	m.cacheRequests.WithLabelValues(cache.TierMemory, cache.OutcomeHit)
	m.purges.WithLabelValues(purgelog.OriginLocal)
}

// The values of the label path.
const (
	pathHit  = "hit"
	pathMiss = "miss"
)

// Decided counts a request and the time that its stages took.
func (m *Metrics) Decided(policy, outcome string, hit bool, took time.Duration) {
	path := pathMiss
	if hit {
		path = pathHit
	}
	m.decisions.WithLabelValues(policy, outcome).Inc()
	m.decisionSeconds.WithLabelValues(policy, path).Observe(took.Seconds())
}

// Scrubbed counts headers that were deleted from a client's request.
func (m *Metrics) Scrubbed(policy string, headers int) {
	m.scrubbed.WithLabelValues(policy).Add(float64(headers))
}

// HeaderOverflowed counts a header value that was too large.
func (m *Metrics) HeaderOverflowed(policy, header string) {
	m.overflow.WithLabelValues(policy, header).Inc()
}

// Minted counts a signed token.
func (m *Metrics) Minted(policy string) { m.minted.WithLabelValues(policy).Inc() }

// KeysFetched counts a fetch of keys.
func (m *Metrics) KeysFetched(issuer, outcome string) {
	m.keyFetches.WithLabelValues(issuer, outcome).Inc()
}

// KeysSkipped counts keys that cannot be used.
func (m *Metrics) KeysSkipped(issuer string, skipped int) {
	m.keysSkipped.WithLabelValues(issuer).Add(float64(skipped))
}

// KeysCurrent sets when the issuer last confirmed its keys.
func (m *Metrics) KeysCurrent(issuer string, at time.Time) {
	m.keysConfirmed.Store(issuer, at)
}

// Introspected counts an introspection of a token.
func (m *Metrics) Introspected(issuer, outcome string) {
	m.introspections.WithLabelValues(issuer, outcome).Inc()
}

// DirectoryRequest counts a look-up and the time that it took.
func (m *Metrics) DirectoryRequest(directory, outcome string, took time.Duration) {
	m.directories.WithLabelValues(directory, outcome).Inc()
	m.directorySecs.WithLabelValues(directory).Observe(took.Seconds())
}

// DirectoryState sets the state of a directory's circuit breaker.
func (m *Metrics) DirectoryState(name string, state directory.State) {
	m.directoryState.WithLabelValues(name).Set(float64(state))
}

// CacheRequest counts a request to a tier of the cache.
func (m *Metrics) CacheRequest(tier, outcome string) {
	m.cacheRequests.WithLabelValues(tier, outcome).Inc()
}

// UnsealFailure counts an entry of the shared tier that did not open.
func (m *Metrics) UnsealFailure() { m.unseal.Inc() }

// Purge counts a purge by where it came from.
func (m *Metrics) Purge(origin string) { m.purges.WithLabelValues(origin).Inc() }

// keyAges collects how long ago each issuer's keys were confirmed. An age is
// computed when it is collected; a gauge that is set once would not grow.
type keyAges struct{ metrics *Metrics }

var keyAgeDesc = prometheus.NewDesc(metricsNamespace+"_"+metricsSubsystem+"_issuer_keys_age_seconds",
	"Time since the keys were last confirmed.", []string{"issuer"}, nil)

// Describe implements prometheus.Collector.
func (keyAges) Describe(to chan<- *prometheus.Desc) { to <- keyAgeDesc }

// Collect implements prometheus.Collector.
func (a keyAges) Collect(to chan<- prometheus.Metric) {
	a.metrics.keysConfirmed.Range(func(issuer, at any) bool {
		name, _ := issuer.(string)
		confirmed, _ := at.(time.Time)
		to <- prometheus.MustNewConstMetric(keyAgeDesc, prometheus.GaugeValue, time.Since(confirmed).Seconds(), name)
		return true
	})
}

// sizes collects what the caches of a configuration hold, and the age of its
// purge log.
type sizes struct {
	store     func() *cache.Store
	decisions *enrich.DecisionCache
}

// RegisterSizes registers the gauges of what the caches of a configuration hold.
// The function store returns nil until the store is open.
func RegisterSizes(registry *prometheus.Registry, store func() *cache.Store, decisions *enrich.DecisionCache) error {
	return register(registry, sizes{store: store, decisions: decisions})
}

var (
	bytesDesc = prometheus.NewDesc(metricsNamespace+"_"+metricsSubsystem+"_cache_bytes",
		"Bytes that a tier of the cache holds.", []string{"tier"}, nil)
	entriesDesc = prometheus.NewDesc(metricsNamespace+"_"+metricsSubsystem+"_cache_entries",
		"Entries that a tier of the cache holds.", []string{"tier"}, nil)
	logAgeDesc = prometheus.NewDesc(metricsNamespace+"_"+metricsSubsystem+"_purge_log_age_seconds",
		"Time since the purge log was last read to its end; 0 without Redis.", nil, nil)
)

// Describe implements prometheus.Collector.
func (sizes) Describe(to chan<- *prometheus.Desc) {
	to <- bytesDesc
	to <- entriesDesc
	to <- logAgeDesc
}

// Collect implements prometheus.Collector. Before the store is open there is no
// tier to collect.
func (s sizes) Collect(to chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if store := s.store(); store != nil {
		for _, t := range store.Status().Tiers {
			if t.Name == cache.TierMemory {
				gauge(bytesDesc, float64(t.Bytes), t.Name)
				gauge(entriesDesc, float64(t.Entries), t.Name)
			}
		}
		gauge(logAgeDesc, store.Log().Age(time.Now()).Seconds())
	}
	entries, bytes := s.decisions.Status()
	gauge(bytesDesc, float64(bytes), "decisions")
	gauge(entriesDesc, float64(entries), "decisions")
}

// Interface guards. The packages of the core count through interfaces of their
// own, so that none of them depends on Prometheus.
var (
	_ enrich.Observer    = (*Metrics)(nil)
	_ issuer.Observer    = (*Metrics)(nil)
	_ directory.Observer = (*Metrics)(nil)
	_ cache.Observer     = (*Metrics)(nil)
)
