package enrich

import (
	"context"
	"errors"
	"net/http"

	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// forward is the last stage: headers and signed tokens onto the request, and
// the incoming token or session away from it.
func (g *Gateway) forward(r *http.Request, p *Policy, d *Decision, found token.Found, info RequestInfo) error {
	if p.keeps(found.Place) {
		attach(r, *found.Place, info)
	} else {
		found.Drop(r)
	}
	d.rendered.Write(r.Header)
	for i := range p.tokens {
		value, err := g.signed(r.Context(), p, d, i)
		if err != nil {
			return err
		}
		if err := p.tokens[i].target.Write(r, value); err != nil {
			return refuse(KindHeader, err)
		}
	}
	return nil
}

// attach returns the incoming token to the request, and of the credentials that
// were taken out nothing else.
func attach(r *http.Request, place token.Place, info RequestInfo) {
	name := place.Name
	if place.Kind == token.Cookie {
		name = "Cookie"
	}
	if values, detached := info.Credentials[name]; detached && place.Kind != token.Query {
		r.Header[name] = values
	}
	info.Reserved.ScrubCredentials(r, place)
}

// signed returns the header or cookie value of one signed token. A token is
// used again until half its life is gone, unless the policy wants one for each
// request.
func (g *Gateway) signed(ctx context.Context, p *Policy, d *Decision, i int) (string, error) {
	now := g.Clock()
	t := p.tokens[i].template
	if g.Signer == nil {
		return "", refuse(KindUnavailable, mint.ErrNotReady)
	}
	if m := d.minted[i].Load(); m != nil && m.Reusable(now) && g.Signer.IsActive(m.KeyID) && !t.PerRequest() {
		return m.value, nil
	}
	m, err := g.Signer.Mint(ctx, t, d.signingRequest(now))
	if err != nil {
		return "", refuseSigning(err)
	}
	g.Observer.Minted(p.name)
	value := t.Value(m.Token)
	if !t.PerRequest() {
		d.minted[i].Store(&mintedToken{Minted: m, value: value})
	}
	return value, nil
}

// refuseSigning returns the refusal for an error of the signer, or nil.
func refuseSigning(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mint.ErrNoSubject), errors.Is(err, mint.ErrExpired):
		return refuse(KindInvalidToken, err)
	case errors.Is(err, mint.ErrNotReady):
		return refuse(KindUnavailable, err)
	}
	return refuse(KindInternal, err)
}
