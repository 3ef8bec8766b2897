package cache

import "time"

// TTLs says how long values serve. It belongs to the reader, not to the entry:
// two readers with different lives may share an entry, and a changed setting
// takes effect at the next read without emptying the cache. All durations are
// counted from the moment the fetch began.
type TTLs struct {
	// Fresh is how long a value is used without asking again.
	Fresh time.Duration

	// RefreshAfter is the age (±10 %, fixed per key) from which a value is
	// still served but fetched anew behind the request. Zero, or Fresh and
	// above, means never: then it is refreshed in the foreground only.
	RefreshAfter time.Duration

	// StaleIfError is how long past Fresh a value still serves while the
	// source fails (RFC 5861, section 4). Zero means not at all.
	StaleIfError time.Duration

	// Negative is the TTL of "there is no such thing". Zero means that it
	// is not kept.
	Negative time.Duration

	// UnconfirmedMax is how long a value serves without contact to a shared
	// purge log, counted from the last contact or from its own fetch,
	// whichever is later. Zero means that without contact every look-up goes
	// to the source. Contact is renewed about every second, so less than a
	// few seconds makes entries come and go. Without a shared log it has no
	// effect.
	UnconfirmedMax time.Duration
}

// DefaultTTLs returns the documented defaults: 5m fresh, refreshed after 4m,
// 1h stale if error, 5s negative, 30s unconfirmed.
func DefaultTTLs() TTLs {
	return TTLs{
		Fresh:          5 * time.Minute,
		RefreshAfter:   4 * time.Minute,
		StaleIfError:   time.Hour,
		Negative:       5 * time.Second,
		UnconfirmedMax: 30 * time.Second,
	}
}

// freshFor is how long an entry of that kind is fresh.
func (l *TTLs) freshFor(found bool) time.Duration {
	if found {
		return l.Fresh
	}
	return l.Negative
}

// retainFor is how long a tier may hold an entry of that kind for this reader.
func (l *TTLs) retainFor(found bool) time.Duration {
	if found {
		return l.Fresh + max(l.StaleIfError, 0)
	}
	return l.Negative
}
