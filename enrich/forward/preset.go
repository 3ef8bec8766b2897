package forward

import (
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Preset returns a documented set of headers. Their claims are the standard
// ones of OpenID Connect where there is one; a policy that has others writes
// a header of the same name, which replaces the set's.
//
// siteminder, as the SiteMinder web agent sends them:
//
//   - SM_USER from preferred_username: the user name
//     (https://techdocs.broadcom.com/us/en/symantec-security-software/identity-security/siteminder/12-8/configuring/web-agent-configuration/web-application-protection/default-http-headers-used-by-the-product.html)
//   - SM_USERDN from dn: the user's distinguished name (the same page); a
//     claim rule has to compute the claim dn
//   - SM_UNIVERSALID from sub: the identifier for applications, often another
//     than the user name
//     (https://ftpdocs.broadcom.com/cadocs/0/CA%20SiteMinder%2012%2052-ENU/Bookshelf_Files/HTML/idocs/345742.html)
//   - SM_USERGROUPS from groups: the groups with a circumflex between them
//     (https://knowledge.broadcom.com/external/article/54621/how-do-i-configure-a-response-to-return.html).
//     There the elements are the groups' distinguished names; here they are
//     what the claim groups holds.
//
// All four keep their spelling. A SiteMinder web agent sends more (session,
// realm and directory), which a gateway without SiteMinder has no values for.
//
// remote_user, as Authelia sends them
// (https://www.authelia.com/integration/trusted-header-sso/introduction/):
//
//   - Remote-User from preferred_username
//   - Remote-Groups from groups, with commas
//   - Remote-Name from name
//   - Remote-Email from email
//
// oauth2_proxy, as OAuth2 Proxy sends them with pass_user_headers
// (https://oauth2-proxy.github.io/oauth2-proxy/configuration/overview):
//
//   - X-Forwarded-User from sub
//   - X-Forwarded-Email from email
//   - X-Forwarded-Groups from groups, with commas
//   - X-Forwarded-Preferred-Username from preferred_username
//
// and, as it answers with set_xauthrequest (the same page), for applications
// that stood behind a proxy which copied that answer's headers:
//
//   - X-Auth-Request-User from sub
//   - X-Auth-Request-Email from email
//   - X-Auth-Request-Groups from groups, with commas
//   - X-Auth-Request-Preferred-Username from preferred_username
func Preset(name string) ([]HeaderDefinition, error) {
	switch name {
	case "siteminder":
		return []HeaderDefinition{
			{Name: "SM_USER", Claim: "preferred_username", Exact: true},
			{Name: "SM_USERDN", Claim: "dn", Exact: true},
			{Name: "SM_UNIVERSALID", Claim: "sub", Exact: true},
			{Name: "SM_USERGROUPS", Claim: "groups", Delimiter: "^", Exact: true},
		}, nil
	case "remote_user":
		return []HeaderDefinition{
			{Name: "Remote-User", Claim: "preferred_username"},
			{Name: "Remote-Groups", Claim: "groups", Delimiter: ","},
			{Name: "Remote-Name", Claim: "name"},
			{Name: "Remote-Email", Claim: "email"},
		}, nil
	case "oauth2_proxy":
		return []HeaderDefinition{
			{Name: "X-Forwarded-User", Claim: "sub"},
			{Name: "X-Forwarded-Email", Claim: "email"},
			{Name: "X-Forwarded-Groups", Claim: "groups", Delimiter: ","},
			{Name: "X-Forwarded-Preferred-Username", Claim: "preferred_username"},
			{Name: "X-Auth-Request-User", Claim: "sub"},
			{Name: "X-Auth-Request-Email", Claim: "email"},
			{Name: "X-Auth-Request-Groups", Claim: "groups", Delimiter: ","},
			{Name: "X-Auth-Request-Preferred-Username", Claim: "preferred_username"},
		}, nil
	}
	return nil, fmt.Errorf("unknown preset %q%s", name, suggest.DidYouMean(name, namesOfPresets()))
}

// presetNames lists what Preset knows.
var presetNames = [...]string{"oauth2_proxy", "remote_user", "siteminder"}

// namesOfPresets lists the presets, sorted.
func namesOfPresets() []string { return slices.Clone(presetNames[:]) }
