package issuer

import "github.com/tokenenrich/caddy-token-enrich/enrich/identity"

// The lengths at which issuers cut a list of groups: a list of exactly that
// length may be a part of a longer one.
const (
	// capOkta is Okta's limit for a groups claim.
	capOkta = 100
	// capEntra is Entra ID's limit for groups in a JWT.
	capEntra = 200
)

// readGroups reads the groups that the token brings. known is false where
// the token says nothing of groups, says that it left them out for size, or
// may have cut them: unknown is not empty. The URL that a distributed claim
// names (OpenID Connect Core, section 5.6.2) is never fetched.
func readGroups(claims map[string]any, name string) (groups []string, known bool) {
	if identity.GroupsElsewhere(claims, name) {
		return nil, false
	}
	switch v := claims[name].(type) {
	case string:
		if v == "" {
			return nil, false
		}
		return []string{v}, true
	case []any:
		if len(v) == capOkta || len(v) == capEntra {
			return nil, false
		}
		return texts(v)
	}
	return nil, false
}
