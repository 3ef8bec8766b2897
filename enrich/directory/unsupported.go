package directory

// This file says what a directory can never answer (C35).

import "github.com/tokenenrich/caddy-token-enrich/enrich/identity"

// Limited is implemented by a kind that cannot supply all facts that a record can
// hold. What one answer lacks by itself is in that answer
// (identity.Person.Unavailable).
type Limited interface {
	// Unsupported returns the facts that no answer of the directory holds. Those
	// about groups, and apps and assignments (Partial), need not be among them.
	//
	// Of a kind that does not implement Limited, linked objects and assignments
	// to other apps count as unknown where an answer has none.
	Unsupported() identity.Facts
}

// unsupportedFor returns the facts that the directory's answer about a person
// lacks.
func (r *Resilient) unsupportedFor(p *identity.Person) identity.Facts {
	unsupported := r.Unsupported() | p.Unavailable
	if _, ok := r.shared.directory.(Limited); ok {
		return unsupported
	}
	if p.Linked == nil {
		unsupported |= identity.FactLinked
	}
	if p.AppUsers == nil {
		unsupported |= identity.FactAppUsers
	}
	return unsupported
}

// Unsupported implements Limited, with what Partial adds to it.
func (r *Resilient) Unsupported() identity.Facts {
	var unsupported identity.Facts
	if t, ok := r.shared.directory.(Limited); ok {
		unsupported = t.Unsupported()
	}
	apps, appUsers := r.knows()
	if !apps {
		unsupported |= identity.FactApp
	}
	if !appUsers {
		unsupported |= identity.FactAppUser
	}
	return unsupported
}

// Unsupported returns the facts that none of the sources supplies that answer for
// the issuer of this configured name. Apps are not bound to an issuer.
func (c *Composite) Unsupported(issuerName string) identity.Facts {
	unsupported := identity.AllFacts
	for i := range c.sources {
		of := c.resilient[i].Unsupported()
		if !c.sources[i].answersFor(issuerName) {
			of |= ^identity.FactApp
		}
		unsupported &= of
	}
	return unsupported
}
