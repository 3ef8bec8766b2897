package caddymodule

import (
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// This file holds what the admin API and the logout hook say alike of denials.

// DefaultDenyFor is how long a denial holds where no duration is given: longer
// than any access token lives. The issuer's tokens carry their own expiry, but
// a denial names tokens that this node has not seen.
const DefaultDenyFor = 25 * time.Hour

// DenyLogout is the claim under which the deny list remembers the jti of a logout
// token. No access token is looked up under it.
const DenyLogout = "logout_jti"

// DenialKind returns the word for what a record of the deny list names: jti,
// sid or user. It is unknown for a record of a node of an older version, which
// does not say it.
func DenialKind(r purgelog.Record) string {
	switch r.Claim {
	case enrich.DenyTokenID:
		return "jti"
	case enrich.DenySession:
		return "sid"
	case enrich.DenyUser:
		return "user"
	}
	return "unknown"
}

// Propagation returns the words for the nodes at which a record of the purge
// log holds.
func Propagation(reach purgelog.Propagation) string {
	switch reach {
	case purgelog.Pending:
		return "this one, the others as soon as Redis can be reached"
	case purgelog.AllNodes:
		return "all"
	default:
		return "this one"
	}
}
