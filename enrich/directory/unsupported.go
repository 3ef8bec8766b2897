package directory

// This file says what a directory can never tell (C35).

import "github.com/tokenenrich/caddy-token-enrich/enrich/identity"

// Limited is met by a kind that cannot say everything that a record can hold. What it
// cannot say in one answer only stands in that answer (identity.Person.Untold).
type Limited interface {
	// Untold returns the facts that no answer of the directory can say. Those
	// about groups, and apps and assignments (Partial), need not be among them.
	//
	// A kind that does not meet Limited is not taken to know linked objects, or
	// assignments to other apps, of a user of whom it gives none.
	Unsupported() identity.Facts
}

// unsupportedFor returns what the directory's answer about a person does not say.
func (r *Resilient) unsupportedFor(p *identity.Person) identity.Facts {
	untold := r.Unsupported() | p.Untold
	if _, ok := r.shared.directory.(Limited); ok {
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

// Unsupported implements Limited.
func (r *Resilient) Unsupported() identity.Facts {
	var untold identity.Facts
	if t, ok := r.shared.directory.(Limited); ok {
		untold = t.Unsupported()
	}
	apps, appUsers := r.knows()
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
func (c *Composite) Unsupported(issuerName string) identity.Facts {
	untold := identity.AllFacts
	for i := range c.sources {
		of := c.resilient[i].Unsupported()
		if !c.sources[i].answersFor(issuerName) {
			of |= ^identity.FactApp
		}
		untold &= of
	}
	return untold
}
