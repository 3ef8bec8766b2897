package enrich

import (
	"strconv"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// Challenge returns the WWW-Authenticate value of a refusal (RFC 6750, section
// 3; RFC 9470, section 3; RFC 9728, section 5.1), or nothing where the status
// needs none.
func (p *Policy) Challenge(r *Refusal, c issuer.Challenge) string {
	var b strings.Builder
	b.WriteString(c.Scheme)
	sep := " "
	add := func(name, value string) {
		if value != "" {
			b.WriteString(sep + name + `="` + quoted.Replace(value) + `"`)
			sep = ", "
		}
	}
	add("realm", p.definition.Realm)
	switch r.Kind {
	case KindNoToken, KindSessionEnded: // no error code: the client sent no token (RFC 6750, section 3.1)
	case KindMalformedRequest:
		add("error", "invalid_request")
	case KindInvalidToken:
		switch {
		case r.OAuthError == "" || r.OAuthError == "invalid_token":
			add("error", "invalid_token")
			add("error_description", "The access token is not valid.")
		case c.Algorithms != "": // the codes that RFC 9449 adds are for its own scheme
			add("error", r.OAuthError)
			add("error_description", "The DPoP proof is not valid here.")
		}
	case KindInsufficientScope:
		add("error", "insufficient_scope")
		add("scope", strings.Join(r.Scopes, " "))
	case KindInsufficientAuthentication:
		add("error", "insufficient_user_authentication")
		add("acr_values", strings.Join(r.ACRValues, " "))
		if r.MaxAge > 0 {
			add("max_age", strconv.FormatInt(int64(r.MaxAge/time.Second), 10))
		}
	default:
		return ""
	}
	add("algs", c.Algorithms)
	add("resource_metadata", p.definition.ResourceMetadata)
	return b.String()
}

// quoted escapes what would end a quoted string (RFC 9110, section 5.6.4).
var quoted = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
