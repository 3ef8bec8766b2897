package identity

// GroupsOverage reports whether verified claims say that the groups claim of
// that name was left out for size or has to be fetched from elsewhere: by
// _claim_names (OpenID Connect Core, section 5.6.2; Entra ID's groups overage),
// or by hasgroups (Entra ID's tokens of the implicit flow). The gateway does not
// fetch them. The groups are then unknown, not empty.
func GroupsOverage(claims map[string]any, name string) bool {
	if names, ok := claims["_claim_names"]; ok {
		members, isObject := names.(map[string]any)
		if _, ok := members[name]; ok || !isObject {
			return true
		}
	}
	switch v := claims["hasgroups"].(type) {
	case bool:
		return v
	case string:
		return v == "true"
	}
	return false
}
