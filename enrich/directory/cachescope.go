package directory

import (
	"context"
	"strconv"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// CacheScope says on what the answers of a directory depend besides what it
// was asked about. Its zero value is the rule: an answer about a user depends
// on issuer and subject, one about an app on the app's id, and whoever holds
// it may serve it to everybody who asks the same.
type CacheScope struct {
	// Caller are the parts of the principal on which answers about its user
	// depend besides issuer and subject. Who keeps an answer keeps it under
	// these parts too, in their order.
	Caller []string

	// Token says that only a request that brings its own token can ask: an
	// answer is not refreshed behind requests.
	Token bool

	// App says that the directory knows an app only from what it is told
	// about a user: App is asked with WithUser, and what it says of an app is
	// kept as an answer about that user.
	App bool
}

// CacheScoper is met by a directory whose answers depend on more than what they
// are about.
type CacheScoper interface {
	CacheScope(p *identity.Principal) CacheScope
}

type userKey struct{}

// WithUser notes in the context on whose behalf an app is looked up.
func WithUser(ctx context.Context, q Query) context.Context {
	return context.WithValue(ctx, userKey{}, q)
}

// UserFrom gives what WithUser noted.
func UserFrom(ctx context.Context) (Query, bool) {
	q, ok := ctx.Value(userKey{}).(Query)
	return q, ok && q.Principal != nil
}

// CacheScope implements CacheScoper.
func (r *Resilient) CacheScope(p *identity.Principal) CacheScope {
	if d, ok := r.shared.directory.(CacheScoper); ok {
		return d.CacheScope(p)
	}
	return CacheScope{}
}

// CacheScope implements CacheScoper: that of every member that answers for the
// principal's issuer together.
func (c *Composite) CacheScope(p *identity.Principal) CacheScope {
	var all CacheScope
	for _, i := range c.sourcesFor(Query{Principal: p}) {
		one := c.resilient[i].CacheScope(p)
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

// userFor takes the user out of a look-up of an app for a member that does
// not answer for the user's issuer.
func (c *Composite) userFor(ctx context.Context, source int) context.Context {
	if q, ok := UserFrom(ctx); ok && !c.sources[source].answersFor(q.Principal.IssuerName) {
		return WithUser(ctx, Query{})
	}
	return ctx
}

var (
	_ CacheScoper = (*Resilient)(nil)
	_ CacheScoper = (*Composite)(nil)
)
