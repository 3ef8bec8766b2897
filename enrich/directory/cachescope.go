package directory

import (
	"context"
	"strconv"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file says for whom a cached answer of a directory holds.

// CacheScope is what the answers of a directory depend on besides what was
// looked up. Its zero value is the rule: an answer about a user depends on issuer
// and subject, one about an app on the app's id, and a cache may use it for each
// look-up of the same.
type CacheScope struct {
	// Caller are the parts of the principal on which answers about its user
	// depend besides issuer and subject. They become part of the cache key, in
	// this order.
	Caller []string

	// Token says that only a request with its own token can ask, so that an
	// answer cannot be refreshed in the background.
	Token bool

	// App says that the directory finds an app only in its answers about a
	// user. App is then called with the user in the context (WithUser), and its
	// answer is cached as one about that user.
	App bool
}

// CacheScoper is implemented by a directory whose answers depend on more than
// what they are about.
type CacheScoper interface {
	// CacheScope returns what answers for this principal depend on.
	CacheScope(p *identity.Principal) CacheScope
}

// userKey is the key of the user in a context.
type userKey struct{}

// WithUser returns a context that holds the user for whom an app is looked up.
func WithUser(ctx context.Context, q Query) context.Context {
	return context.WithValue(ctx, userKey{}, q)
}

// UserFrom returns the user that WithUser put into the context, false where there
// is none.
func UserFrom(ctx context.Context) (Query, bool) {
	q, ok := ctx.Value(userKey{}).(Query)
	return q, ok && q.Principal != nil
}

// CacheScope implements CacheScoper: it returns that of the kind.
func (r *Resilient) CacheScope(p *identity.Principal) CacheScope {
	if d, ok := r.shared.directory.(CacheScoper); ok {
		return d.CacheScope(p)
	}
	return CacheScope{}
}

// CacheScope implements CacheScoper: it joins those of all sources that answer
// for the principal's issuer.
func (c *Composite) CacheScope(p *identity.Principal) CacheScope {
	var all CacheScope
	for _, i := range c.sourcesFor(Query{Principal: p}) {
		one := c.resilient[i].CacheScope(p)
		if len(one.Caller) > 0 {
			// Index and number keep the parts of two sources from being taken
			// for those of one.
			all.Caller = append(all.Caller, strconv.Itoa(i), strconv.Itoa(len(one.Caller)))
			all.Caller = append(all.Caller, one.Caller...)
		}
		all.Token = all.Token || one.Token
		all.App = all.App || one.App
	}
	return all
}

// userFor returns the context for a source's look-up of an app, without the user
// where the source does not answer for the user's issuer.
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
