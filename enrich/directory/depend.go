package directory

import (
	"context"
	"strconv"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// Dependence says on what the answers of a directory depend besides what it
// was asked about. Its zero value is the rule: an answer about a user depends
// on issuer and subject, one about an app on the app's id, and whoever holds
// it may serve it to everybody who asks the same.
type Dependence struct {
	// Caller are the parts of the principal on which answers about its user
	// depend besides issuer and subject. Who keeps an answer keeps it under
	// these parts too, in their order.
	Caller []string

	// Token says that only a request that brings its own token can ask: an
	// answer is not refreshed behind requests.
	Token bool

	// App says that the directory knows an app only from what it is told
	// about a user: App is asked with About, and what it says of an app is
	// kept as an answer about that user.
	App bool
}

// Dependent is met by a directory whose answers depend on more than what they
// are about.
type Dependent interface {
	Dependence(p *identity.Principal) Dependence
}

type aboutKey struct{}

// About notes in the context on whose behalf an app is looked up.
func About(ctx context.Context, q Query) context.Context {
	return context.WithValue(ctx, aboutKey{}, q)
}

// AboutWhom gives what About noted.
func AboutWhom(ctx context.Context) (Query, bool) {
	q, ok := ctx.Value(aboutKey{}).(Query)
	return q, ok && q.Principal != nil
}

// Dependence implements Dependent.
func (g *Guarded) Dependence(p *identity.Principal) Dependence {
	if d, ok := g.shared.directory.(Dependent); ok {
		return d.Dependence(p)
	}
	return Dependence{}
}

// Dependence implements Dependent: that of every member that answers for the
// principal's issuer together.
func (m *Merged) Dependence(p *identity.Principal) Dependence {
	var all Dependence
	for _, i := range m.membersFor(Query{Principal: p}) {
		one := m.guards[i].Dependence(p)
		if len(one.Caller) > 0 {
			// Place and number, so that two members' parts are never taken
			// for those of one.
			all.Caller = append(all.Caller, strconv.Itoa(i), strconv.Itoa(len(one.Caller)))
			all.Caller = append(all.Caller, one.Caller...)
		}
		all.Token = all.Token || one.Token
		all.App = all.App || one.App
	}
	return all
}

// aboutFor takes the user out of a look-up of an app for a member that does
// not answer for the user's issuer.
func (m *Merged) aboutFor(ctx context.Context, member int) context.Context {
	if q, ok := AboutWhom(ctx); ok && !m.members[member].answersFor(q.Principal.IssuerName) {
		return About(ctx, Query{})
	}
	return ctx
}

var (
	_ Dependent = (*Guarded)(nil)
	_ Dependent = (*Merged)(nil)
)
