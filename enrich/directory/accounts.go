package directory

import "github.com/tokenenrich/caddy-token-enrich/enrich/identity"

// AccountStates lists the words that a user's status may be, in Okta's
// spelling. A kind that takes the word from its source refuses any other: a
// misspelt SUSPENDED must not let in whom it was meant to keep out.
func AccountStates() []string {
	return []string{
		"STAGED", "PROVISIONED", identity.StatusActive, "RECOVERY", "PASSWORD_EXPIRED",
		identity.StatusLockedOut, identity.StatusSuspended, identity.StatusDeprovisioned,
	}
}
