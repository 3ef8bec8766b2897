package directory

import "github.com/tokenenrich/caddy-token-enrich/enrich/identity"

// AccountStates returns the values that a user's status may have, in Okta's
// spelling. A kind that takes the status from its source refuses any other
// value: a misspelt SUSPENDED must not let the suspended user in.
func AccountStates() []string {
	return []string{
		"STAGED", "PROVISIONED", identity.StatusActive, "RECOVERY", "PASSWORD_EXPIRED",
		identity.StatusLockedOut, identity.StatusSuspended, identity.StatusDeprovisioned,
	}
}
