package admin

import (
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// status is the answer of GET /token_enrich/status. It names no person, no
// token and no secret. Lists are in the order of the configuration and never
// null.
type status struct {
	Issuers     []issuerStatus     `json:"issuers"`
	Directories []directory.Status `json:"directories"`

	// Tiers and PurgeLog are missing while the key that seals shared entries is
	// not known.
	Tiers    []cache.TierStatus `json:"tiers"`
	PurgeLog *purgelog.Status   `json:"purge_log,omitempty"`

	Decisions decisionStatus `json:"decisions"`
	Keys      *mint.Status   `json:"keys"`     // null without signing
	Policies  []string       `json:"policies"` // by name

	// Sessions is missing where there is no login.
	Sessions *sessionStatus `json:"sessions,omitempty"`
}

// issuerStatus is the state of an issuer, and whether people log in there.
type issuerStatus struct {
	issuer.Status
	Login bool `json:"login"`
}

// sessionStatus is where the sessions of people are kept, and how many of them began
// since the process did and are known to have ended, by cause. One whose cookie never
// comes again is not counted.
type sessionStatus struct {
	Store string            `json:"store"`
	Begun uint64            `json:"begun"`
	Ended map[string]uint64 `json:"ended"`
}

// decisionStatus is the size of the decision cache.
type decisionStatus struct {
	Entries int    `json:"entries"`
	Bytes   uint64 `json:"bytes"`
}

// getStatus answers GET /token_enrich/status. It waits for nothing and calls no other
// server: a monitor that polls it must not add load to a gateway in trouble.
func getStatus(r *request) (any, error) {
	s := status{Issuers: []issuerStatus{}, Directories: r.app.DirectoryStatus(), Tiers: []cache.TierStatus{}, Policies: []string{}}
	logins := r.app.LoginIssuers()
	for _, i := range r.app.IssuerSet().Issuers() {
		s.Issuers = append(s.Issuers, issuerStatus{i.Status(), slices.Contains(logins, i.Name())})
	}
	if len(logins) > 0 {
		s.Sessions = &sessionStatus{Store: r.app.SessionConfig().Store}
		s.Sessions.Begun, s.Sessions.Ended = r.app.SessionCounts()
	}
	if store := r.app.CurrentStore(); store != nil {
		st := store.Status()
		s.Tiers, s.PurgeLog = st.Tiers, &st.Log
	}
	s.Decisions.Entries, s.Decisions.Bytes = r.app.DecisionCache().Status()
	if signer := r.app.Signer(); signer != nil {
		k := signer.Status()
		s.Keys = &k
	}
	for _, h := range r.app.Policies() {
		s.Policies = append(s.Policies, h.Name)
	}
	return s, nil
}
