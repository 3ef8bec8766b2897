package caddymodule

import (
	"cmp"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// This file holds what the admin API and the logout hook say alike of denials.

// DefaultDenyFor is how long a denial holds where no duration is given: longer
// than any access token lives. The issuer's tokens carry their own expiry, but
// a denial names tokens that this node has not seen.
const DefaultDenyFor = 25 * time.Hour

// denialKinds are the words for what a denial names, by its claim.
var denialKinds = map[string]string{enrich.DenyTokenID: "jti", enrich.DenySession: "sid", enrich.DenyUser: "user"}

// DenialKind returns the word for what a record of the deny list names: jti,
// sid or user. A record that a node of an older version made does not say it,
// and is unknown.
func DenialKind(r purgelog.Record) string { return cmp.Or(denialKinds[r.Claim], "unknown") }

// propagations are the words for how far a record of the purge log has got.
var propagations = map[purgelog.Propagation]string{
	purgelog.ThisNode: "this one", purgelog.Pending: "this one, the others as soon as Redis can be reached", purgelog.AllNodes: "all",
}

// Propagation returns the words for the nodes at which a record of the purge
// log holds.
func Propagation(reach purgelog.Propagation) string { return propagations[reach] }
