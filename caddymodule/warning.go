package caddymodule

import "strings"

// Warning is a suspicious entry of a configuration: allowed, but probably a
// mistake.
type Warning struct {
	// The name of the policy that it is about; empty for what concerns several
	// or none.
	Policy string `json:"policy,omitempty"`

	// The site, option, log or directory that it is about, as an operator knows
	// it.
	Where string `json:"where,omitempty"`

	// What is suspicious, and what to write instead.
	Text string `json:"warning"`
}

// String returns the warning as one line of text.
func (w Warning) String() string {
	var parts []string
	if w.Policy != "" {
		parts = append(parts, "policy "+w.Policy)
	}
	if w.Where != "" {
		parts = append(parts, w.Where)
	}
	return strings.Join(append(parts, w.Text), ": ")
}
