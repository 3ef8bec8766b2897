package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login/page"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// This file answers the endpoint that begins a login and the one that tells of the
// session, and shows pages. No answer and no log line of the site's endpoints repeats
// a query, since that of the callback holds a code.

// maxQuery bounds the query of a request to an endpoint, in bytes.
const maxQuery = 16 << 10

// one returns the one value of a parameter, or nothing; two are an error (RFC 6749,
// section 3.1).
func one(query url.Values, name string) (string, error) {
	switch values := query[name]; len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", failed(outcomeMalformed, errors.New("the parameter "+name+" is there twice"))
}

// parameters returns the one value of each of the parameters of a request, in their
// order.
func parameters(r *http.Request, names ...string) ([]string, error) {
	if len(r.URL.RawQuery) > maxQuery {
		return nil, failed(outcomeMalformed, errors.New("the query is too long"))
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, failed(outcomeMalformed, errors.New("the query cannot be parsed"))
	}
	values := make([]string, len(names))
	for i, name := range names {
		if values[i], err = one(query, name); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// allow reports whether the method is one of these, and refuses the request
// otherwise.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	w.WriteHeader(http.StatusMethodNotAllowed)
	return false
}

// loginURL returns the address that begins a login for a policy, with the address that
// it comes back to.
func loginURL(policy, target string, more ...string) string {
	query := url.Values{}
	if policy != "" {
		query.Set("policy", policy)
	}
	if target != "" && target != "/" {
		query.Set("return", target)
	}
	for i := 0; i+1 < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	if len(query) == 0 {
		return LoginPath
	}
	return LoginPath + "?" + query.Encode()
}

// serveLogin begins a login: at the one provider, or at the one that the person
// chooses.
func (s *Site) serveLogin(w http.ResponseWriter, r *http.Request, cookies []string) {
	if !allow(w, r, http.MethodGet, http.MethodHead) || s.toOrigin(w, r, cookies) {
		return
	}
	values, err := parameters(r, "return", "issuer", "policy")
	if err != nil {
		s.fail(w, r, "", err, LoginPath)
		return
	}
	target, name, policy := values[0], values[1], s.policies[values[2]]
	if target == "" {
		target = "/"
	}
	target, ok := s.returnTarget(target)
	if !ok {
		s.fail(w, r, "", failed(outcomeMalformed, errors.New("return is not a path of this site")), LoginPath)
		return
	}
	providers := policy.Providers
	if len(providers) == 0 {
		providers = s.providers
	}
	if name == "" && len(providers) > 1 {
		s.show(w, r, page.Page{Message: page.Choose, Links: providerLinks(providers, policy.Name, target)})
		return
	}
	// With one provider there is nothing to choose. A name must be one of the policy's,
	// so that no link leads a person to a login that the policy does not accept.
	chosen := providers[0]
	if name != "" {
		i := slices.IndexFunc(providers, func(p *Provider) bool { return p.Name() == name })
		if i < 0 {
			s.fail(w, r, "", failed(outcomeMalformed, errors.New("nobody logs in at the issuer that is asked for")), LoginPath)
			return
		}
		chosen = providers[i]
	}
	s.begin(w, r, cookies, chosen, Transaction{Policy: policy.Name, Return: target})
}

// providerLinks returns a link to log in at each of the providers.
func providerLinks(providers []*Provider, policy, target string) []page.Link {
	links := make([]page.Link, len(providers))
	for i, p := range providers {
		links[i] = page.Link{Label: page.SignInWith, Provider: p.Name(), URL: loginURL(policy, target, "issuer", p.Name())}
	}
	return links
}

// begin sends a person to a provider. The browser keeps its transaction cookie if it
// has one, so that logins in other tabs go on. It is not set anew: that would replace
// the one that another tab has just got.
func (s *Site) begin(w http.ResponseWriter, r *http.Request, cookies []string, p *Provider, t Transaction) {
	location, cookie, err := s.authorize(r.Context(), cookies, p, t)
	if err != nil {
		s.fail(w, r, p.Name(), err, loginURL(t.Policy, t.Return, "issuer", p.Name()))
		return
	}
	if cookie != nil {
		w.Header().Add("Set-Cookie", cookie.String())
	}
	s.redirect(w, location)
}

// authorize returns the address of the provider for a transaction, and the cookie of the
// browser that it is bound to, nil where the browser has it.
func (s *Site) authorize(ctx context.Context, cookies []string, p *Provider, t Transaction) (string, *http.Cookie, error) {
	keys, err := s.ready(ctx)
	if err != nil {
		return "", nil, failed(outcomeNotReady, err)
	}
	value, err := token.ReadCookie(cookies, s.origin.TransactionCookie())
	if err != nil {
		return "", nil, failed(outcomeMalformed, err)
	}
	var cookie *http.Cookie
	browser, ok := ParseBrowser(value)
	if !ok {
		if browser, err = NewBrowser(s.o.Rand); err != nil {
			return "", nil, failed(outcomeInternal, err)
		}
		cookie = s.origin.cookie(s.origin.TransactionCookie(), browser.Cookie(), 0)
	}
	t.Issuer, t.Began = p.Name(), s.o.Clock()
	if v, err := s.open(ctx, cookies, t.Began); err == nil && t.Attempt == 0 {
		t.Session = v.opened.ID
	}
	state, err := keys.transactions.Seal(t, browser)
	if err != nil {
		return "", nil, failed(outcomeInternal, err)
	}
	policy := s.policies[t.Policy]
	location, err := p.authorizationURL(ctx, authorization{
		redirectURI: s.origin.String() + s.callback(p), state: state, nonce: browser.Nonce(state), verifier: browser.Verifier(state),
		acrValues: policy.ACRValues, maxAge: policy.MaxAge,
	})
	return location, cookie, err
}

// sessionInfo is the answer of session_info.
type sessionInfo struct {
	Subject     string    `json:"subject"`
	Name        string    `json:"name,omitempty"`
	Issuer      string    `json:"issuer"`
	Expires     time.Time `json:"expires"`
	IdleExpires time.Time `json:"idle_expires"`
}

// serveSessionInfo tells a page's script of the session. It does not move the idle
// end: a page that asks every minute would never be idle.
func (s *Site) serveSessionInfo(w http.ResponseWriter, r *http.Request, cookies []string) {
	if !allow(w, r, http.MethodGet, http.MethodHead) {
		return
	}
	v, err := s.open(r.Context(), cookies, s.o.Clock())
	var info sessionInfo
	if err == nil {
		info, err = s.info(r.Context(), v)
	}
	switch {
	case errors.Is(err, ErrNoSession), errors.Is(err, issuer.ErrInvalidToken):
		v.report()
		if cookie := v.Cleared(); cookie != "" {
			w.Header().Add("Set-Cookie", cookie)
		}
		s.answerCall(w, r, http.StatusUnauthorized, "")
	case err != nil:
		w.Header().Set("Retry-After", retryAfter)
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		writeJSON(w, r, http.StatusOK, info)
	}
}

// info returns what is told of the session of a visit. Where it is revoked the error
// wraps ErrNoSession.
func (s *Site) info(ctx context.Context, v *Visit) (sessionInfo, error) {
	verified, err := v.Verify(ctx)
	if err != nil {
		return sessionInfo{}, err
	}
	if err := s.o.Denied(ctx, verified); err != nil {
		if errors.Is(err, ErrNoSession) {
			v.Revoked()
		}
		return sessionInfo{}, err
	}
	principal := verified.Principal
	// A name that is no text, or that the provider does not send, is left out.
	name, _ := principal.Claims["name"].(string)
	return sessionInfo{
		Subject: principal.Subject, Name: name, Issuer: principal.IssuerName, Expires: v.end().UTC(),
		IdleExpires: earlier(v.end(), v.opened.IdleEnd).UTC(),
	}, nil
}

// retryAfter is the Retry-After of what is tried again in a moment, in seconds.
const retryAfter = "5"

// movedCookie is the value of the transaction cookie of a browser that was just sent to
// the site's own host, and movedTTL how long it lasts.
const (
	movedCookie = "moved"
	movedTTL    = 10 * time.Second
)

// toOrigin sends a navigation to another host than the site's to that first, and
// reports whether it did: cookies are the host's own. A browser that has our cookie
// already is where it should be, and a proxy between us replaces the host: it would be
// sent there for ever.
func (s *Site) toOrigin(w http.ResponseWriter, r *http.Request, cookies []string) bool {
	if s.sameHost(r) {
		return false
	}
	if value, err := token.ReadCookie(cookies, s.origin.TransactionCookie()); value != "" || err != nil {
		if !s.warned.Swap(true) {
			s.o.Logger.Warn("a browser was sent to external_url and comes back under another host: a proxy in front of the gateway may replace it", "external_url", s.origin.String())
		}
		return false
	}
	w.Header().Add("Set-Cookie", s.origin.cookie(s.origin.TransactionCookie(), movedCookie, movedTTL).String())
	target, ok := ReturnTarget(r.URL.RequestURI())
	if !ok {
		target = "/"
	}
	s.redirect(w, s.origin.String()+target)
	return true
}

// redirect sends a browser on with a GET.
func (s *Site) redirect(w http.ResponseWriter, location string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
}

// show shows a page.
func (s *Site) show(w http.ResponseWriter, r *http.Request, p page.Page) {
	if err := s.o.Pages.Write(w, r, p); err != nil {
		s.o.Logger.Error("a page cannot be shown", "page", p.Message.String(), "error", err)
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// fail shows the page of a login that failed, and tells the operator why in one line.
// again is where the person may try again.
func (s *Site) fail(w http.ResponseWriter, r *http.Request, issuerName string, err error, again string) {
	f, ok := errors.AsType[*failure](err)
	if !ok {
		f = failed(outcomeInternal, err)
	}
	of := outcomes[f.outcome]
	gone := r.Context().Err() != nil // the person has left, so that nothing failed
	if issuerName != "" && !gone {
		s.o.Observer.LoginFinished(issuerName, of.word)
	}
	id := s.errorID()
	log := s.o.Logger.Info
	switch {
	case gone || f.outcome == outcomeMalformed: // anybody can cause these at will
		log = s.o.Logger.Debug
	case of.ours:
		log = s.o.Logger.Error
	}
	attributes := []any{"issuer", issuerName, "outcome", of.word, "status", of.message.Status(), "error_id", id, "cause", f.cause}
	if f.code != "" {
		attributes = append(attributes, "provider_error", f.code)
	}
	log("login failed", attributes...)
	p := page.Page{Message: of.message, ErrorID: id, Links: []page.Link{{Label: page.TryAgain, URL: again}}}
	if of.message.Status() == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	s.show(w, r, p)
}

// errorID returns what names an error on a page and in the log.
func (s *Site) errorID() string {
	var b [6]byte
	if _, err := io.ReadFull(s.o.Rand, b[:]); err != nil {
		return ""
	}
	return fmt.Sprintf("%x", b)
}

// writeJSON answers with a JSON document.
func writeJSON(w http.ResponseWriter, r *http.Request, status int, document any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_ = json.NewEncoder(w).Encode(document) // the client has gone
	}
}
