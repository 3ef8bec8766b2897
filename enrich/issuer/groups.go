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

// readGroups reads the groups that the token brings. They are known only
// where it brings them as texts; they are withheld where it says that it left
// them out for size, or may have cut them: unknown is not empty. The URL that
// a distributed claim names (OpenID Connect Core, section 5.6.2) is never
// fetched.
func readGroups(claims map[string]any, name string) (groups []string, known, withheld bool) {
	if identity.GroupsElsewhere(claims, name) {
		return nil, false, true
	}
	switch v := claims[name].(type) {
	case string:
		if v == "" {
			return nil, false, false
		}
		return []string{v}, true, false
	case []any:
		if len(v) == capOkta || len(v) == capEntra {
			return nil, false, true
		}
		groups, known = texts(v)
	}
	return groups, known, false
}
