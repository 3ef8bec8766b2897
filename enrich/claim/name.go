package claim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNameBytes bounds a claim's name. Names become header names and log
// fields; a longer one has no use.
const maxNameBytes = 255

// errReserved says that a claim's name is one that a rule may not compute.
var errReserved = errors.New("reserved name")

// reserved are the claims that state who issued a token, for whom, until when
// and on what authority (RFC 7519, section 4.1; RFC 9068, section
// 2.2; RFC 7800; RFC 8693, section 4; RFC 8417, section 2.2; OpenID Connect
// Core, sections 2, 3.3.2.11 and 5.6.2), and those which Okta keeps for the
// like. A rule that wrote one would forge the issuer's word in a token that
// the gateway signs.
var reserved = [...]string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "ver", "typ",
	"nonce", "at_hash", "c_hash", "s_hash",
	"client_id", "cid", "azp", "uid", "active", "token_type", "token_use",
	"scp", "authorization_details",
	"acr", "amr", "auth_time", "sid", "idp", "idp_iss",
	"cnf", "act", "may_act", "hotk", "mac_key",
	"as_uri", "rpt", "rsi", "events", "toe", "_claim_names", "_claim_sources",
}

// isReserved reports whether name is refused as the name of a claim rule, in
// whatever capitalisation: there are JSON decoders, Go's own among them, that
// take "Exp" for "exp".
func isReserved(name string) bool {
	return slices.ContainsFunc(reserved[:], func(r string) bool { return strings.EqualFold(r, name) })
}

// checkName returns why a rule may not compute a claim of that name.
func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("a claim needs a name")
	case len(name) > maxNameBytes:
		return fmt.Errorf("a claim's name has at most %d bytes", maxNameBytes)
	case !utf8.ValidString(name):
		return errors.New("a claim's name must be valid UTF-8")
	case strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("a claim's name must not contain control characters")
	case strings.TrimSpace(name) != name:
		return errors.New("a claim's name must not begin or end with a space")
	case isReserved(name):
		return fmt.Errorf("applications trust this claim as the issuer's own: %w", errReserved)
	}
	return nil
}
