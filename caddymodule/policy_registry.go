package caddymodule

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/document"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// policy is the configuration of a handler, compiled.
type policy struct {
	name           string
	text           string           // the configuration as JSON
	at             *block.Positions // of the options in the Caddyfile
	compiled       *enrich.Policy
	mints          bool                  // it signs tokens
	resource       *document.Resource    // nil where the policy names none
	site           *login.Site           // nil where there is no login
	warnings       []Warning             // what the policy's own settings make likely to be a mistake
	importWarnings []claim.ImportWarning // what okta_claims left out, for check
}

// policyRegistry holds the policies of one configuration. None of them may write
// what another one reads, and each scrubs the names of all.
type policyRegistry struct {
	policies []*policy
	named    map[string]*policy // those that have a name
	owned    ownedNames
}

// add registers a policy: its name must be free, and no policy may write claims to
// where another reads its token. It reports whether the policy is new: that of a
// site on two ports, or of a snippet that two sites import, is registered already.
func (r *policyRegistry) add(p *policy) (added bool, err error) {
	if q := r.named[p.name]; q != nil {
		if q.text == p.text && q.at.SameHead(p.at) {
			return false, nil
		}
		return false, setting.Wrap(fmt.Errorf("two policies are named %q", p.name), "name")
	}
	if err := r.owned.add(p.compiled.HeaderPlan(), p.readFrom(forward.Sources{})); err != nil {
		return false, r.clash(p, err)
	}
	r.policies = append(r.policies, p)
	if p.name != "" {
		if r.named == nil {
			r.named = make(map[string]*policy)
		}
		r.named[p.name] = p
	}
	return true, nil
}

// ownedNames are the names that the policies reserve together. Policies register one
// by one, and a union made for each of them would cost the square of their number:
// it is made when it is first needed.
type ownedNames struct {
	mu       sync.Mutex // guards reserved
	reserved forward.Reservations
	union    atomic.Pointer[forward.ReservedNames] // nil: to be made from reserved
}

// add reserves the names of one policy.
func (n *ownedNames) add(plan *forward.HeaderPlan, sources forward.Sources) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.reserved.Add(plan, sources); err != nil {
		return err
	}
	n.union.Store(nil)
	return nil
}

// Load returns the union over the policies that have registered.
func (n *ownedNames) Load() *forward.ReservedNames {
	if o := n.union.Load(); o != nil {
		return o
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	o := n.union.Load()
	if o == nil {
		o = n.reserved.Union()
		n.union.Store(o)
	}
	return o
}

// clash adds to an error of forward the name of the other policy.
func (r *policyRegistry) clash(p *policy, err error) error {
	for _, q := range r.policies {
		both := forward.NewReservedNames(q.compiled.HeaderPlan(), p.compiled.HeaderPlan())
		if _, err := both.Except(q.readFrom(p.readFrom(forward.Sources{}))); err != nil {
			return fmt.Errorf("%w; the other policy is %q", err, q.name)
		}
	}
	return err
}

// readFrom adds the places that the policy reads tokens from.
func (p *policy) readFrom(sources forward.Sources) forward.Sources {
	for _, place := range p.compiled.Places() {
		switch place.Kind {
		case token.Header:
			sources.Headers = append(sources.Headers, place.Name)
		case token.Cookie:
			sources.Cookies = append(sources.Cookies, place.Name)
		}
	}
	if p.site != nil {
		sources.Cookies = append(sources.Cookies, p.site.Origin().TransactionCookie())
	}
	return sources
}
