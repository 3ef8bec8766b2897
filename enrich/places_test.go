package enrich

import (
	"errors"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

func TestAPlaceIsLookedAtOnce(t *testing.T) {
	bearer := token.Place{Kind: token.Header, Name: "Authorization", Scheme: "Bearer"}
	proof := token.Place{Kind: token.Header, Name: "authorization", Scheme: "DPoP"}
	p, err := CompilePolicy(PolicyDefinition{DPoP: true, TokenFrom: []token.Place{bearer, proof}})
	if err != nil || len(p.Places()) != 2 {
		t.Errorf("both schemes of DPoP written out give the places %v, %v", p.Places(), err)
	}
	if p, err := CompilePolicy(PolicyDefinition{DPoP: true, TokenFrom: []token.Place{bearer}}); err != nil || len(p.Places()) != 2 {
		t.Errorf("Bearer where DPoP is taken gives the places %v, %v", p.Places(), err)
	}
	_, err = CompilePolicy(PolicyDefinition{TokenFrom: []token.Place{bearer, {Kind: token.Header, Name: "AUTHORIZATION", Scheme: "bearer"}}})
	if !errors.Is(err, token.ErrPlace) {
		t.Errorf("one place twice compiles with %v: each of its tokens would be two", err)
	}
}
