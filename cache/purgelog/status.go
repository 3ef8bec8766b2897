package purgelog

import (
	"math"
	"time"
)

// Status describes the log for the status endpoint and the gauges.
type Status struct {
	// Shared says whether other nodes see this log.
	Shared bool `json:"shared"`

	// Ready says whether it can be read now; without a shared log always.
	Ready bool `json:"ready"`

	// Since is when Ready last changed.
	Since time.Time `json:"since,omitzero"`

	// LastError is the class of the last error.
	LastError string `json:"last_error,omitempty"`

	// AgeSeconds is how long ago the log was last known to be complete; -1
	// where it was never read.
	AgeSeconds float64 `json:"age_seconds"`

	// Purges counts the purges learned of, Names those remembered, Denials
	// those on the deny list that were not taken back, Pending the records that are not shared
	// yet.
	Purges  uint64 `json:"purges"`
	Names   int    `json:"names"`
	Denials int    `json:"denials"`
	Pending int    `json:"pending,omitempty"`
}

// Status describes the log.
func (l *Log) Status() Status {
	now := l.line.now()
	age := -1.0
	if a := l.Age(now); a != math.MaxInt64 {
		age = a.Seconds()
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	s := Status{
		Shared: l.stream != nil, Ready: l.stream == nil || l.reachable,
		LastError: l.lastError, AgeSeconds: age,
		Purges: l.purges.Load(), Names: len(l.names), Denials: l.denials.Len(), Pending: len(l.pending),
	}
	if t := l.changed.Load(); t != 0 {
		s.Since = now.Add(-time.Duration(l.line.at(now) - t))
	}
	return s
}
