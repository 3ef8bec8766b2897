package cache

// Observer receives what metrics count. Its methods run on the request's path
// and must be cheap and safe for concurrent use.
type Observer interface {
	// CacheRequest counts one question to a tier ("memory", "redis",
	// "source") by its outcome ("hit", "stale", "negative", "miss",
	// "refused", "error"). Both come from closed sets.
	CacheRequest(tier, outcome string)

	// UnsealFailure counts an entry of a shared tier, or a record of its
	// log, that did not open.
	UnsealFailure()

	// Purge counts purges by where they came from ("local", "log").
	Purge(origin string)
}

// Outcomes of a question to a tier.
const (
	OutcomeHit      = "hit"
	OutcomeStale    = "stale"
	OutcomeNegative = "negative"
	OutcomeMiss     = "miss"
	OutcomeRefused  = "refused"
	OutcomeError    = "error"
)

// Names of the tiers as metrics, status and logs show them. The source is
// counted beside them.
const (
	TierMemory = "memory"
	TierRedis  = "redis"
	TierSource = "source"
)

// observed makes a nil Observer safe to call.
func observed(o Observer) Observer {
	if o == nil {
		return NopObserver{}
	}
	return o
}

// NopObserver is an Observer that counts nothing.
type NopObserver struct{}

// CacheRequest does nothing.
func (NopObserver) CacheRequest(string, string) {}

// UnsealFailure does nothing.
func (NopObserver) UnsealFailure() {}

// Purge does nothing.
func (NopObserver) Purge(string) {}
