package integration

import (
	"context"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// knows is a directory that knows everybody by a name of its own.
func knows(login string) *directorytest.Fake {
	return &directorytest.Fake{PersonFunc: func(_ context.Context, q directory.Query) (*identity.Person, error) {
		return &identity.Person{User: &identity.User{ID: q.Principal.Subject, Login: login}, GroupsKnown: true}, nil
	}}
}

// twoIssuers is a world with a second provider and a directory for each.
func twoIssuers(t *testing.T, site string) (w *world, partner *enrichtest.Provider, ours, theirs *directorytest.Fake) {
	t.Helper()
	w = prepare(t)
	partner = enrichtest.NewProvider(t)
	ours, theirs = knows("ours"), knows("theirs")
	second := strings.NewReplacer(w.issuer.Issuer(), partner.Issuer(), "name corp", "name partner").Replace(w.issuerBlock(""))
	w.load(strings.ReplaceAll(site, "%a", w.legacy.Addr()), w.issuerBlock(""), second, script(t, ours, "name ours", "issuers corp"), script(t, theirs, "name theirs", "issuers partner"))
	return w, partner, ours, theirs
}

func TestSubjectOfOneIssuerIsNeverLookedUpInTheDirectoryOfTheOther(t *testing.T) {
	w, partner, ours, theirs := twoIssuers(t, policySite)
	for range 2 {
		wantStatus(t, w.get("/", w.token("alice")), 200)
		wantHeader(t, w.received(), "X-User", "ours")
	}
	if theirs.Persons.Load() != 0 {
		t.Error("the other issuer's directory was asked")
	}
	asked := ours.Persons.Load()
	for range 2 {
		wantStatus(t, w.get("/", partner.Mint(enrichtest.Claims{"sub": "alice", "aud": audience})), 200)
		wantHeader(t, w.received(), "X-User", "theirs") // the same subject is another person
	}
	if ours.Persons.Load() != asked {
		t.Error("the first issuer's directory was asked")
	}
}

func TestKeyBelongsToItsIssuer(t *testing.T) {
	w, partner, _, _ := twoIssuers(t, policySite)
	for name, token := range map[string]string{
		"a token of ours signed with the partner's key":                  w.token("alice", enrichtest.Claims{"iss": partner.Issuer()}),
		"a token of the partner's signed with our key":                   partner.Mint(enrichtest.Claims{"iss": w.issuer.Issuer(), "aud": audience}),
		"the partner's key under our key's id":                           partner.Mint(enrichtest.Claims{"iss": w.issuer.Issuer(), "aud": audience}, enrichtest.WithHeader("kid", w.issuer.Key().ID)),
		"a third issuer":                                                 w.token("alice", enrichtest.Claims{"iss": "https://third.example.com"}),
		"an issuer whose identifier begins like ours":                    w.token("alice", enrichtest.Claims{"iss": w.issuer.Issuer() + "/oauth2"}),
		"both issuers in a list":                                         w.token("alice", enrichtest.Claims{"iss": []string{w.issuer.Issuer(), partner.Issuer()}}),
		"a good token of ours with the partner named in the header only": w.issuer.Mint(enrichtest.Claims{"iss": "x", "aud": audience}, enrichtest.WithHeader("iss", w.issuer.Issuer())),
	} {
		t.Run(name, func(t *testing.T) { w.in(t).wantInvalidToken(t, w.get("/", token)) })
	}
}

func TestPolicyTakesOnlyTheIssuersThatItNames(t *testing.T) {
	w, partner, _, _ := twoIssuers(t, "token_enrich /corp {\nissuers corp\nname a\n}\ntoken_enrich /both {\nissuers corp partner\nname b\n}\n"+policySite)
	theirs := partner.Mint(enrichtest.Claims{"sub": "alice", "aud": audience})
	wantStatus(t, w.get("/both", theirs), 200) // and is now in the decision cache
	wantStatus(t, w.get("/", theirs), 200)
	w.legacy.Forget()
	w.wantInvalidToken(t, w.get("/corp", theirs))
	wantStatus(t, w.get("/corp", w.token("alice")), 200)
}

func TestOneIssuersOutageIsNotTheOthers(t *testing.T) {
	w := prepare(t)
	partner := enrichtest.NewProvider(t)
	partner.Break(enrichtest.Discovery, enrichtest.Status(500, ""))
	partner.Break(enrichtest.OAuthMetadata, enrichtest.Status(500, ""))
	second := strings.NewReplacer(w.issuer.Issuer(), partner.Issuer(), "name corp", "name partner").Replace(w.issuerBlock(""))
	w.load("token_enrich\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""), second)
	wantStatus(t, w.get("/", w.token("alice", enrichtest.Claims{"groups": []string{}})), 200)
	wantRefusal(t, w.get("/", partner.Mint(enrichtest.Claims{"aud": audience})), 503)
}

func TestDiscoveryThatNamesAnotherIssuerServesNobody(t *testing.T) {
	w := prepare(t)
	w.issuer.EditMetadata(func(m map[string]any) { m["issuer"] = "https://evil.example" })
	w.load("token_enrich\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""))
	wantRefusal(t, w.get("/", w.token("alice")), 503)
	w.nothingReceived()
	if log := w.logged(); !strings.Contains(log, `name another issuer: \"https://evil.example\", not \"`+w.issuer.Issuer()+`\"`) {
		t.Error("the log does not say which issuer was found")
	}
}

func TestClientOfItsOwnIsNoUserOfThatName(t *testing.T) {
	w, _, ours, _ := twoIssuers(t, "token_enrich {\nclaim login user.login {\non_error omit\n}\nheader X-User login\n}\nreverse_proxy %a")
	wantStatus(t, w.get("/", w.token("alice", enrichtest.Claims{"client_id": "alice", "cid": nil})), 200)
	wantHeader(t, w.received(), "X-User", "")
	if ours.Persons.Load() != 0 {
		t.Error("a user was looked up for a client")
	}
}

// A key that the issuer has published while its key server is down cannot be
// told from a forged one without asking, so that the answer is not about the
// token.
func TestNewKeyWhileTheKeyServerIsDownIsNoVerdict(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich\nreverse_proxy " + w.legacy.Addr())
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	w.legacy.Forget()
	w.issuer.Break(enrichtest.KeySet, enrichtest.Status(500, "down"))
	w.issuer.Rotate()
	wantRefusal(t, w.get("/", w.token("00u1ada")), 503)
	w.nothingReceived()
}
