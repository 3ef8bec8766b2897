package directory

// PerCaller is met by a kind that answers with the rights of the caller's own
// token, as the userinfo kind does. Its answer about a user is that of one
// token: it must not be given to another caller, not outlive the token, and
// not be fetched anew without it.
type PerCaller interface {
	// PerCaller reports whether answers belong to the token they were asked
	// with.
	PerCaller() bool
}

// PerCaller reports whether the guarded kind's answers belong to the token
// they were asked with.
func (g *Guarded) PerCaller() bool {
	p, ok := g.shared.directory.(PerCaller)
	return ok && p.PerCaller()
}

// PerCaller reports whether a directory that answers for the issuer of that
// name does so with the caller's own rights.
func (m *Merged) PerCaller(issuerName string) bool {
	for i := range m.members {
		if m.members[i].answersFor(issuerName) && m.guards[i].PerCaller() {
			return true
		}
	}
	return false
}
