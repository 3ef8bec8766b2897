package enrichtest

import "time"

// Silent is the gateway's observer where nobody counts.
type Silent struct{}

// Decided does nothing.
func (Silent) Decided(string, string, bool, time.Duration) {}

// HeaderOverflowed does nothing.
func (Silent) HeaderOverflowed(string, string) {}

// Minted does nothing.
func (Silent) Minted(string) {}
