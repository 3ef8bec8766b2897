package directory

// This file says what a directory can never tell (C35).

import "github.com/tokenenrich/caddy-token-enrich/enrich/identity"

// Teller is met by a kind that cannot say everything that a record can hold. What it
// cannot say in one answer only stands in that answer (identity.Person.Untold).
type Teller interface {
	// Untold returns the facts that no answer of the directory can say. Those
	// about groups, and apps and assignments (Partial), need not be among them.
	Untold() identity.Facts
}

// Untold implements Teller.
func (g *Guarded) Untold() identity.Facts {
	var untold identity.Facts
	if t, ok := g.shared.directory.(Teller); ok {
		untold = t.Untold()
	}
	apps, appUsers := g.knows()
	if !apps {
		untold |= identity.FactApp
	}
	if !appUsers {
		untold |= identity.FactAppUser
	}
	return untold
}

// Untold returns what no member can say that answers for the issuer of that
// configured name; apps are everybody's.
func (m *Merged) Untold(issuerName string) identity.Facts {
	untold := identity.AllFacts
	for i := range m.members {
		of := m.guards[i].Untold()
		if !m.members[i].answersFor(issuerName) {
			of |= ^identity.FactApp
		}
		untold &= of
	}
	return untold
}
