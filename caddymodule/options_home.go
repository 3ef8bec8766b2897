package caddymodule

import "slices"

// homes says in which block an option stands, for a hint where somebody wrote it
// into another: those of the global option and of a site look alike. Names that
// several blocks have are not here.
var homes = map[string][]string{
	"the global option token_enrich": {"issuer", "directory", "cache", "signing", "deny_max_age", "on_denylist_error", "explain"},
	"cache":                          {"fresh", "refresh_after", "stale_if_error", "negative", "unconfirmed_max", "memory", "decision_memory", "redis", "seal_key"},
	"redis":                          {"address", "master_name", "cluster", "db", "prefix"},
	"signing":                        {"algorithm", "rotate", "rotate_overlap", "key_file"},
	"issuer": {
		"any_audience", "tokens", "algorithms", "discovery_url", "jwks_url", "jwks_file", "key_refresh", "key_min_interval", "key_max_stale",
		"leeway", "subject_claim", "client_claim", "scope_claim", "introspect", "dpop", "dpop_nonce", "dpop_replay", "mtls", "external_url",
	},
	"token_enrich of a site": {
		"app", "token_from", "path_readings", "cross_origin", "anonymous", "on_missing_user", "on_directory_error", "claim", "okta_claims", "require", "require_scope", "require_acr",
		"preset", "header", "headers_from", "header_budget", "token", "upstream_token", "realm", "resource", "max_connection", "log_decision", "log_subject", "user_placeholder", "test",
	},
	"header":                          {"list", "count", "escape", "encode", "max_bytes", "on_overflow", "exact"},
	"claim":                           {"on_error", "dialect"},
	"claim with groups or allow_list": {"limit", "on_limit"},
}

// homeHint gives the words that say where an option stands, to put behind an
// error, or nothing where that is not known.
func homeHint(name string) string {
	for block, names := range homes {
		if slices.Contains(names, name) {
			return "; it stands in " + block
		}
	}
	return ""
}
