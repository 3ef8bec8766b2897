package issuer

import "time"

// Status is what the status endpoint shows of an issuer. The identifier is its only
// URL, and it holds no key and nothing of any token.
type Status struct {
	// Name is the configured name, Issuer the identifier: the iss of tokens.
	Name   string `json:"name"`
	Issuer string `json:"issuer"`

	// Ready is set if tokens can be verified now.
	Ready bool `json:"ready"`

	// Since is when the key server began to answer, or to fail, as it does now.
	Since time.Time `json:"since,omitzero"`

	// Failing is set if the last fetch of keys failed. LastError is its outcome,
	// a value of the closed set of fetch outcomes.
	Failing   bool   `json:"failing"`
	LastError string `json:"last_error,omitempty"`

	// KeysConfirmed is when the keys in use were last fetched. Keys and
	// KeysSkipped are the numbers of those that can and cannot be used. KeySet is
	// their version, which changes when their content does, and only then; 0
	// means that there are none yet.
	KeysConfirmed time.Time `json:"keys_confirmed,omitzero"`
	Keys          int       `json:"keys"`
	KeysSkipped   int       `json:"keys_skipped"`
	KeySet        uint64    `json:"key_set"`

	// Fetches and FetchErrors count since the start.
	Fetches     uint64 `json:"fetches"`
	FetchErrors uint64 `json:"fetch_errors"`

	// Introspects is set if the issuer is asked about tokens, and
	// IntrospectionFailing if it failed to answer the last time.
	Introspects          bool `json:"introspects"`
	IntrospectionFailing bool `json:"introspection_failing"`
}

// Status returns the issuer's state.
func (i *Issuer) Status() Status {
	s := Status{Name: i.name, Issuer: i.identifier, Ready: i.Ready()}
	if st := i.keys.state.Load(); st != nil {
		s.KeysConfirmed, s.KeySet = st.confirmed, st.version
		s.Keys, s.KeysSkipped = st.set.Len(), st.set.Skipped()
	}
	if n := i.introspect; n != nil {
		s.Introspects = true
		n.mu.Lock()
		s.IntrospectionFailing = n.failing
		n.mu.Unlock()
	}
	k := i.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	s.Since, s.Fetches, s.FetchErrors = k.since, k.fetches, k.errors
	if k.failed != nil {
		s.Failing, s.LastError = true, outcomeOf(k.failed)
	}
	return s
}

// Ready reports whether the issuer has keys that may be used now.
func (i *Issuer) Ready() bool { return i.keys.valid(i.clock()) != nil }
