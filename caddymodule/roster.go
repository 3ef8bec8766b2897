package caddymodule

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// roster is the policies of one configuration, which own header names
// together.
type roster struct {
	policies []*policy
	sources  forward.Sources
}

// add takes a policy in: its name must be free, and no policy may write claims
// to where another reads its token. It gives the names that all own together,
// nil where the policy is in already: that of a site on two ports, or of a snippet
// that two sites import.
func (r *roster) add(p *policy) (*forward.Owned, error) {
	contracts := make([]*forward.Contract, 0, len(r.policies)+1)
	for _, q := range r.policies {
		if p.name != "" && q.name == p.name {
			if q.handler.text == p.handler.text && q.handler.at.SameHead(p.handler.at) {
				return nil, nil //nolint:nilnil // nothing new
			}
			return nil, setting.Wrap(fmt.Errorf("two policies are named %q", p.name), "name")
		}
		contracts = append(contracts, q.compiled.Contract())
	}
	sources := p.readFrom(r.sources)
	owned, err := forward.NewOwned(append(contracts, p.compiled.Contract())...).Sparing(sources)
	if err != nil {
		return nil, r.clash(p, err)
	}
	r.policies = append(r.policies, p)
	r.sources = sources
	return owned, nil
}

// clash says with which other policy the policy is at odds.
func (r *roster) clash(p *policy, err error) error {
	for _, q := range r.policies {
		both := forward.NewOwned(q.compiled.Contract(), p.compiled.Contract())
		if _, err := both.Sparing(q.readFrom(p.readFrom(forward.Sources{}))); err != nil {
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
	return sources
}
