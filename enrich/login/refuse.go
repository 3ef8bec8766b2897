package login

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/login/page"
)

// A Reason is why a request is refused that a login may mend.
type Reason uint8

// The reasons.
const (
	// NoSession: the request has neither token nor session, or its session has ended.
	NoSession Reason = iota
	// WeakSession: the policy requires a stronger or newer authentication (RFC 9470).
	WeakSession
	// ForeignSession: the policy accepts sessions of other issuers than this one.
	ForeignSession
	// UnreadSession: the session cannot be read at the moment.
	UnreadSession
)

// Refuse answers a request that a policy refuses: a person's navigation is sent to log
// in, a form that was posted gets a page, and everything else an error with the address
// that begins a login. The caller has set the challenges of a 401, and the Retry-After of
// a 503. errorID names the refusal in the log.
func (s *Site) Refuse(w http.ResponseWriter, r *http.Request, v *Visit, policyName string, reason Reason, cookies []string, errorID string) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	if cookie := v.Cleared(); cookie != "" {
		header.Add("Set-Cookie", cookie)
	}
	policy := s.policies[policyName]
	switch kind := Classify(r); {
	case reason == UnreadSession && (kind == WebSocket || kind == Call):
		w.WriteHeader(http.StatusServiceUnavailable)
	case reason == UnreadSession:
		s.show(w, r, page.Page{Message: page.StoreUnreachable, ErrorID: errorID, Links: []page.Link{{Label: page.TryAgain, URL: s.target(r, kind)}}})
	case kind == WebSocket || kind == Call:
		s.answerCall(w, r, reason.status(), policyName)
	case reason == ForeignSession:
		header.Del("WWW-Authenticate")
		s.show(w, r, page.Page{Message: page.OtherProvider, ErrorID: errorID, Links: providerLinks(policy.Providers, policyName, s.target(r, kind))})
	case kind == FormPost:
		s.show(w, r, page.Page{Message: page.SessionEnded, Links: []page.Link{{Label: page.SignInAgain, URL: loginURL(policyName, s.target(r, kind))}}})
	case reason == NoSession && v.circles(s.o.Clock()):
		header.Del("WWW-Authenticate")
		message := page.Blocked
		if errors.Is(v.ended, errFuture) {
			message = page.Internal
		}
		s.show(w, r, page.Page{Message: message, ErrorID: errorID, Links: []page.Link{{Label: page.TryAgain, URL: loginURL(policyName, s.target(r, kind))}}})
	default:
		header.Del("WWW-Authenticate")
		if _, p, err := v.session(); reason == WeakSession && err == nil && slices.Contains(policy.Providers, p) {
			policy.Providers = []*Provider{p} // the person has chosen it before
		}
		s.sendToLogin(w, r, policy, cookies)
	}
}

// status returns the status of a refusal for this reason.
func (reason Reason) status() int {
	if reason == ForeignSession {
		return http.StatusForbidden
	}
	return http.StatusUnauthorized
}

// sendToLogin sends a navigation to log in and back.
func (s *Site) sendToLogin(w http.ResponseWriter, r *http.Request, policy PolicyLogin, cookies []string) {
	if s.toOrigin(w, r, cookies) {
		return
	}
	target := s.target(r, Navigation)
	if len(policy.Providers) != 1 {
		s.redirect(w, loginURL(policy.Name, target))
		return
	}
	s.begin(w, r, cookies, policy.Providers[0], Transaction{Policy: policy.Name, Return: target})
}

// target returns where a request's person comes back to after a login: to the page
// itself, or else to the page that sent the request, if it is one of this site.
func (s *Site) target(r *http.Request, kind Request) string {
	address := r.URL.RequestURI()
	if kind != Navigation {
		address = ""
		if from, err := url.Parse(r.Referer()); err == nil {
			if o, err := ParseOrigin((&url.URL{Scheme: from.Scheme, Host: from.Host}).String()); err == nil && o == s.origin {
				address = from.RequestURI()
			}
		}
	}
	target, ok := s.returnTarget(address)
	if !ok {
		return "/"
	}
	return target
}

// returnTarget is ReturnTarget, and replaces the site's own endpoints with the root:
// coming back to one would begin a login or ask for a logout.
func (s *Site) returnTarget(text string) (string, bool) {
	target, ok := ReturnTarget(text)
	if u, err := url.Parse(target); err == nil && s.Serves(u.Path) {
		return "/", ok
	}
	return target, ok
}

// loginHint is the body of an answer to a script: where its page may send the person.
type loginHint struct {
	LoginURL string `json:"login_url"`
}

// answerCall answers what is no navigation.
func (s *Site) answerCall(w http.ResponseWriter, r *http.Request, status int, policy string) {
	writeJSON(w, r, status, loginHint{LoginURL: loginURL(policy, s.target(r, Call))})
}
