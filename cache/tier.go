package cache

import (
	"context"
	"time"
)

// Tier is one place that holds entries. A memory tier holds decoded values; a
// shared tier holds sealed bytes. Neither decides about freshness.
type Tier interface {
	// NameHash is the tier's name in metrics, status and logs.
	Name() string

	// Get answers the entry under key, or ErrMiss, ErrUnsealed,
	// ErrUnavailable or ErrClosed. Only ErrUnavailable may take time, and
	// never more than the tier's own time-out.
	Get(ctx context.Context, key Key) (*Entry, error)

	// Set puts an entry under key and forgets it some time after keep has
	// passed. It does not wait for a network; an entry may be dropped where
	// there is no room for it, which is not an error. A keep of zero or less
	// removes what is held under the key.
	Set(key Key, e *Entry, keep time.Duration)

	// Delete removes what is held under key, without waiting for a network.
	Delete(key Key)

	// Status describes the tier.
	Status() TierStatus

	// Close returns back what the tier holds. Other methods answer ErrClosed
	// or do nothing from then on.
	Close() error
}

// TierStatus describes a tier for the status endpoint and the gauges.
type TierStatus struct {
	// NameHash is the tier's name.
	Name string `json:"name"`

	// Ready says whether the tier answers now.
	Ready bool `json:"ready"`

	// Since is when Ready last changed.
	Since time.Time `json:"since,omitzero"`

	// LastError is the class of the last error ("timeout", "refused",
	// "auth", …), never its text.
	LastError string `json:"last_error,omitempty"`

	// Entries and Bytes are what the tier holds, where it knows; Limit is
	// the bound on Bytes.
	Entries int64 `json:"entries"`
	Bytes   int64 `json:"bytes"`
	Limit   int64 `json:"limit,omitempty"`

	// UnsealFailures counts entries that did not open, Dropped writes that
	// found no room in the queue, Refused values over the size limit.
	UnsealFailures uint64 `json:"unseal_failures,omitempty"`
	Dropped        uint64 `json:"dropped,omitempty"`
	Refused        uint64 `json:"refused,omitempty"`

	// Split says that another node shares this tier but not the seal key.
	Split bool `json:"split,omitempty"`

	// Warnings name what is wrong with the tier's own settings.
	Warnings []string `json:"warnings,omitempty"`
}
