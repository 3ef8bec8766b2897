package issuer

import (
	"github.com/tokenenrich/caddy-token-enrich/enrich/grouplist"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file reads the groups that a token brings.

// The lengths at which issuers cut off a list of groups. A list of exactly that
// length may be the beginning of a longer one.
const (
	// capOkta is Okta's limit for a groups claim.
	capOkta = 100
	// capEntra is Entra ID's limit for groups in a JWT.
	capEntra = 200
)

// Why the groups of a token are unknown, besides what package grouplist returns.
const (
	unknownElsewhere = "the token refers to another source for its groups"
	unknownCut       = "the list has exactly the length at which issuers truncate it"
	unknownNoTexts   = "the list contains a value that is not a string"
)

// readGroups sets the groups of a principal from the claim of this name. They are
// known only if they are strings. They are unknown, which is not the same as none,
// if the token says that it omits them for their number, or may have cut them off.
// The URL that a distributed claim names (OpenID Connect Core, section 5.6.2) is
// never fetched.
func readGroups(p *identity.Principal, name, delimiter string) {
	p.GroupsClaim = name
	if identity.GroupsOverage(p.Claims, name) {
		p.GroupsPartial, p.GroupsUnknown = true, unknownElsewhere
		return
	}
	claim := p.Claims[name]
	if v, ok := claim.([]any); ok && (len(v) == capOkta || len(v) == capEntra) {
		p.GroupsPartial, p.GroupsUnknown = true, unknownCut
		return
	}
	list, unknown := grouplist.Read(claim, delimiter)
	if p.GroupsUnknown = unknown; list == nil {
		return
	}
	if p.Groups, p.GroupsKnown = texts(list); !p.GroupsKnown {
		p.GroupsUnknown = unknownNoTexts
	}
}

// texts returns a list of strings as such, and whether it is one.
func texts(list []any) ([]string, bool) {
	out := make([]string, len(list))
	for n, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		out[n] = s
	}
	return out, true
}
