package telemetry

import (
	"maps"
	"sync"

	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

// This file counts logins and the sessions of people.

// sessions counts sessions since the process began, for the status.
type sessions struct {
	mu    sync.Mutex
	begun uint64
	ended map[string]uint64 // by cause
}

// loginOK is the outcome of a login that began a session; see login.Outcomes.
const loginOK = "ok"

// InitializeLogins makes the series of logins at these issuers, where there are any,
// before there is anything to count.
func (m *Metrics) InitializeLogins(issuers []string) {
	if len(issuers) == 0 {
		return
	}
	for _, issuer := range issuers {
		for _, outcome := range login.Outcomes() {
			m.logins.WithLabelValues(issuer, outcome)
		}
	}
	for _, cause := range login.EndCauses() {
		m.sessionsEnded.WithLabelValues(cause)
	}
}

// LoginFinished counts a login that ended, with a session or without.
func (m *Metrics) LoginFinished(issuer, outcome string) {
	m.logins.WithLabelValues(issuer, outcome).Inc()
	if outcome == loginOK {
		m.sessions.mu.Lock()
		defer m.sessions.mu.Unlock()
		m.sessions.begun++
	}
}

// SessionEnded counts a person's session that ended.
func (m *Metrics) SessionEnded(cause string) {
	m.sessionsEnded.WithLabelValues(cause).Inc()
	m.sessions.mu.Lock()
	defer m.sessions.mu.Unlock()
	if m.sessions.ended == nil {
		m.sessions.ended = make(map[string]uint64)
	}
	m.sessions.ended[cause]++
}

// Sessions returns how many sessions began since the process did, and how many are
// known to have ended, by cause.
func (m *Metrics) Sessions() (begun uint64, ended map[string]uint64) {
	m.sessions.mu.Lock()
	defer m.sessions.mu.Unlock()
	ended = make(map[string]uint64)
	for _, cause := range login.EndCauses() {
		ended[cause] = 0
	}
	maps.Copy(ended, m.sessions.ended)
	return m.sessions.begun, ended
}

// Interface guard
var _ login.Observer = (*Metrics)(nil)
