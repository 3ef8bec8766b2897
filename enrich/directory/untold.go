package directory

// This file says what a directory can never tell (C35).

import "github.com/tokenenrich/caddy-token-enrich/enrich/identity"

// Teller is met by a kind that cannot say everything that a record can hold. What it
// cannot say in one answer only stands in that answer (identity.Person.Untold).
type Teller interface {
	// Untold returns the facts that no answer of the directory can say. Those
	// about groups, and apps and assignments (Partial), need not be among them.
	//
	// A kind that does not meet Teller is not taken to know linked objects, or
	// assignments to other apps, of a user of whom it gives none.
	Untold() identity.Facts
}

// untoldBy returns what the directory's answer about a person does not say.
func (g *Guarded) untoldBy(p *identity.Person) identity.Facts {
	untold := g.Untold() | p.Untold
	if _, ok := g.shared.directory.(Teller); ok {
		return untold
	}
	if p.Linked == nil {
		untold |= identity.FactLinked
	}
	if p.AppUsers == nil {
		untold |= identity.FactAppUsers
	}
	return untold
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
