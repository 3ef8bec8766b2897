package login

import (
	"net/http"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/login/page"
)

// This file signs people out: here, and at the provider (OpenID Connect RP-Initiated
// Logout 1.0).

// serveLogout ends the session, if the person has asked for it on this site. What
// another site has the browser send, and what may come from one, is asked about first:
// nobody is to be signed out by a picture in a page.
func (s *Site) serveLogout(w http.ResponseWriter, r *http.Request, cookies []string) {
	if !allow(w, r, http.MethodGet, http.MethodHead, http.MethodPost) || r.Method != http.MethodPost && s.toOrigin(w, r, cookies) {
		return
	}
	from := InitiatorOf(r, s.origin)
	switch {
	case r.Method == http.MethodHead:
		w.WriteHeader(http.StatusOK)
	case from == InitiatorSame && (r.Method == http.MethodPost || Classify(r) == Navigation):
		s.logout(w, r, cookies)
	case r.Method == http.MethodPost && from == InitiatorOther:
		s.show(w, r, page.Page{Message: page.Malformed, Status: http.StatusForbidden})
	default:
		s.show(w, r, page.Page{
			Message: page.AskSignOut, FormAction: s.o.Endpoints.Logout, FormTargets: s.logoutTargets(r, cookies),
			Links: []page.Link{{Label: page.Back, URL: "/"}},
		})
	}
}

// logoutTargets returns where the answer to the form may redirect to. Browsers hold
// each hop to it, also those behind the provider's own, so every https address is
// allowed.
func (s *Site) logoutTargets(r *http.Request, cookies []string) []string {
	targets := []string{"https:"}
	if a := s.o.Endpoints.AfterLogout; strings.HasPrefix(a, "http:") {
		targets = append(targets, a)
	}
	if _, p := s.sessionOf(r, cookies); p != nil {
		if m, err := p.metadata(r.Context()); err == nil && m.CheckEndpoint(m.EndSessionEndpoint) == nil && strings.HasPrefix(m.EndSessionEndpoint, "http:") {
			targets = append(targets, m.EndSessionEndpoint)
		}
	}
	return targets
}

// sessionOf returns the visit with the session among the cookies, and its provider; nil
// where there is none.
func (s *Site) sessionOf(r *http.Request, cookies []string) (*Visit, *Provider) {
	v, err := s.open(r.Context(), cookies, s.o.Clock())
	if err != nil {
		return nil, nil
	}
	_, p, err := v.session()
	if err != nil {
		return nil, nil
	}
	return v, p
}

// logout ends the session here and sends the person to the provider, which ends its
// own.
func (s *Site) logout(w http.ResponseWriter, r *http.Request, cookies []string) {
	w.Header().Add("Set-Cookie", s.cleared().String())
	v, p := s.sessionOf(r, cookies)
	if p == nil {
		s.signedOut(w, r, page.SignedOut)
		return
	}
	s.end(v.opened.ID, v.end(), s.o.Clock(), endLogout)
	location, err := s.providerLogout(r, p)
	switch {
	case err != nil:
		s.o.Logger.Warn("the provider cannot be told of a logout", "issuer", p.Name(), "cause", err)
		s.signedOut(w, r, page.SignedOutHere)
	case location == "":
		s.signedOut(w, r, page.SignedOutHere)
	default:
		s.redirect(w, location)
	}
}

// providerLogout returns the address at which the provider ends its session, or
// nothing where it has none.
func (s *Site) providerLogout(r *http.Request, p *Provider) (string, error) {
	keys, err := s.ready(r.Context())
	if err != nil {
		return "", err
	}
	state, err := keys.transactions.SealLogout(s.o.Clock())
	if err != nil {
		return "", err
	}
	return p.logoutURL(r.Context(), s.origin.String()+s.o.Endpoints.Logout+logoutDone, state)
}

// serveLogoutDone answers the provider's redirect after it has ended its session. Only
// one with the state of a logout of ours is sent on: anybody can link to this address.
func (s *Site) serveLogoutDone(w http.ResponseWriter, r *http.Request, _ []string) {
	if !allow(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	values, err := parameters(r, "state")
	if err != nil {
		s.fail(w, r, "", err, LoginPath)
		return
	}
	if keys, err := s.ready(r.Context()); err == nil && keys.transactions.OpenLogout(values[0], s.o.Clock()) {
		s.signedOut(w, r, page.SignedOut)
		return
	}
	s.show(w, r, page.Page{Message: page.SignedOut, Links: signInAgain()})
}

// signedOut sends a person to where the policy wants it after a logout, or shows the
// page that says so.
func (s *Site) signedOut(w http.ResponseWriter, r *http.Request, message page.Message) {
	switch after := s.o.Endpoints.AfterLogout; {
	case strings.HasPrefix(after, "/"):
		s.redirect(w, s.origin.String()+after)
	case after != "":
		s.redirect(w, after)
	default:
		s.show(w, r, page.Page{Message: message, Links: signInAgain()})
	}
}

// signInAgain returns the link back.
func signInAgain() []page.Link { return []page.Link{{Label: page.SignInAgain, URL: "/"}} }
