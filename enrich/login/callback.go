package login

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// This file answers a provider's redirect back to the site, and begins the session.

// An answer is what a provider's redirect brings (RFC 6749, section 4.1.2; RFC 9207).
type answer struct{ state, code, iss, error string }

// serveCallback answers a provider's redirect.
func (s *Site) serveCallback(w http.ResponseWriter, r *http.Request, cookies []string) {
	if !allow(w, r, http.MethodGet) { // a HEAD request would use up the code
		return
	}
	values, err := parameters(r, "state", "code", "iss", "error")
	if err != nil {
		s.fail(w, r, "", err, LoginPath)
		return
	}
	a := answer{state: values[0], code: values[1], iss: values[2], error: values[3]}
	keys, err := s.ready(r.Context())
	if err != nil {
		s.fail(w, r, "", failed(outcomeNotReady, err), LoginPath)
		return
	}
	now := s.o.Clock()
	t, err := keys.transactions.Open(a.state, now)
	expired := errors.Is(err, ErrStateExpired)
	if err != nil && !expired {
		s.fail(w, r, "", failed(outcomeMalformed, err), LoginPath)
		return
	}
	// The state is ours from here on, and so is where it leads. The rest is not.
	again := loginURL(t.Policy, t.Return)
	p := s.provider(t.Issuer)
	if p == nil || r.URL.Path != s.callback(p) {
		s.fail(w, r, "", failed(outcomeMixUp, errors.New("the callback is that of another issuer")), again)
		return
	}
	value, _ := token.ReadCookie(cookies, s.origin.TransactionCookie()) // there is one at most
	browser, _ := ParseBrowser(value)
	if expired || !t.Of(browser) {
		s.beginAnew(w, r, cookies, p, t, !expired && browser != Browser{})
		return
	}
	cookie, err := s.finish(r.Context(), keys, p, &t, browser, a)
	if err != nil {
		s.fail(w, r, p.Name(), err, again)
		return
	}
	s.o.Observer.LoginFinished(p.Name(), outcomeOK.String())
	w.Header().Add("Set-Cookie", cookie.String())
	s.redirect(w, s.origin.String()+t.Return)
}

// maxOverwritten is how many fresh logins follow one another because other tabs, which
// began without a cookie as this one did, have replaced it by theirs. Browsers follow
// some twenty redirects, of which each login takes two.
const maxOverwritten = 5

// beginAnew answers a callback that comes late or without the cookie of its login: a
// fresh one begins, which the provider answers at once if it remembers the person. A
// second time in a row, the browser keeps no cookie; overwritten says that it does. Only
// then is the session of another tab good enough: the person who has signed in here may
// be another one.
func (s *Site) beginAnew(w http.ResponseWriter, r *http.Request, cookies []string, p *Provider, t Transaction, overwritten bool) {
	limit := uint8(1)
	if overwritten {
		limit = maxOverwritten
	}
	if t.Attempt < limit {
		t.Attempt++
		s.begin(w, r, cookies, p, t)
		return
	}
	if v, err := s.open(r.Context(), cookies, s.o.Clock()); err == nil && v.opened.ID != t.Session {
		s.redirect(w, s.origin.String()+t.Return)
		return
	}
	err := errors.New("the callback comes late, or without the cookie of its login, for the second time")
	s.fail(w, r, p.Name(), failed(outcomeExpired, err), loginURL(t.Policy, t.Return))
}

// finish takes a provider's answer to a session and returns its cookie. Whatever fails
// on the way, the code is sent at most once, and a session that the browser has goes on.
func (s *Site) finish(ctx context.Context, keys *siteKeys, p *Provider, t *Transaction, browser Browser, a answer) (*http.Cookie, error) {
	if err := p.checkAnswer(ctx, a); err != nil {
		return nil, err
	}
	given, err := p.exchange(ctx, a.code, s.origin.String()+s.callback(p), browser.Verifier(a.state))
	if err != nil {
		return nil, err
	}
	policy := s.policies[t.Policy]
	id, err := p.issuer.VerifyIDToken(ctx, given.idToken, issuer.IDTokenCheck{
		ClientID: p.config.ClientID, Nonce: browser.Nonce(a.state), AccessToken: given.accessToken,
	})
	switch {
	case errors.Is(err, issuer.ErrUnavailable):
		return nil, failed(outcomeUnavailable, err)
	case err != nil:
		return nil, failed(outcomeIDToken, err)
	}
	now := s.o.Clock()
	if err := policy.checkAuthentication(id, now, p.issuer.Leeway()); err != nil {
		return nil, err
	}
	held := s.claims()
	if err := p.userinfo(ctx, id.Claims, id.Subject, given, held); err != nil {
		return nil, err
	}
	began := now.Truncate(time.Second)
	if s.o.Ended.Has([idSize]byte{}, began) {
		began = began.Add(time.Second) // the list overflowed in this second: what began in it has ended
	}
	session := &Session{
		Began: began, Renewed: began, End: began.Add(time.Duration(s.o.Session.Max)), IdleEnd: began.Add(time.Duration(s.o.Session.Idle)),
		Issuer: p.Name(), Scopes: given.scopes, Claims: held.of(id.Claims),
	}
	// The id is new with each login, also for the same person, so that nobody can fix it
	// beforehand.
	if _, err := io.ReadFull(s.o.Rand, session.ID[:]); err != nil {
		return nil, failed(outcomeInternal, err)
	}
	// As each request will read it: a session that no policy could use never begins, and
	// neither does one of a person who is denied.
	verified, err := s.principal(p, session, session.End)
	if err != nil {
		return nil, failed(outcomeIDToken, err)
	}
	switch err := s.o.Denied(ctx, verified); {
	case errors.Is(err, ErrNoSession):
		return nil, failed(outcomeRevoked, err)
	case err != nil:
		return nil, failed(outcomeNotReady, err)
	}
	value, err := keys.sealer.Seal(session)
	if err != nil {
		return nil, sealError(err)
	}
	if t.Session != [idSize]byte{} {
		// Not the session that the browser has now: that may be one of another tab,
		// whose page is on its way with it.
		s.end(t.Session, now.Add(MaxSession), now, endReplaced)
	}
	lifetime := id.Expiry.Sub(now)
	if given.lifetime > 0 {
		lifetime = min(lifetime, given.lifetime)
	}
	p.warnOfShortTokens(lifetime, session.End.Sub(now))
	return s.sessionCookie(value), nil
}

// sealError returns the failure of a session that cannot be sealed.
func sealError(err error) *failure {
	if _, ok := errors.AsType[*TooLargeError](err); ok {
		return failed(outcomeTooLarge, err)
	}
	return failed(outcomeInternal, err)
}

// checkAnswer checks who answers and whether the person was let in. An answer that
// names its issuer must name this one, also where it is an error; one that does not is
// refused where the metadata promise the name (RFC 9207, section 2.4).
func (p *Provider) checkAnswer(ctx context.Context, a answer) error {
	m, err := p.metadata(ctx)
	if err != nil {
		return err
	}
	switch {
	case a.iss != "" && a.iss != p.issuer.Identifier():
		return failed(outcomeMixUp, errors.New("iss names another issuer"))
	case a.iss == "" && m.ResponseIssuer:
		return failed(outcomeMixUp, errors.New("iss is missing, and the metadata promise it"))
	case a.error == "access_denied":
		f := failed(outcomeDenied, errors.New("the provider refuses the person, or the person has cancelled"))
		f.code = a.error
		return f
	case a.error != "":
		f := failed(outcomeProvider, errors.New("the provider answers with an error"))
		f.code = errorCode(a.error)
		return f
	case a.code == "":
		return failed(outcomeMalformed, errors.New("the callback has neither code nor error"))
	}
	return nil
}

// checkAuthentication checks that a provider gave what the policy requires of the
// authentication. It may return less than what it was asked for (RFC 9470, section
// 5).
func (p PolicyLogin) checkAuthentication(id *issuer.IDToken, now time.Time, leeway time.Duration) error {
	if len(p.ACRValues) > 0 && !slices.Contains(p.ACRValues, id.ACR) {
		return failed(outcomeInsufficient, fmt.Errorf("the ID token's acr is not among those that policy %q requires", p.Name))
	}
	// As the policy checks it on each request: what passes here and not there would go
	// round in circles.
	if at := id.AuthTime; p.MaxAge > 0 && (at.IsZero() || now.Sub(at) > p.MaxAge+leeway || at.After(now.Add(leeway))) {
		return failed(outcomeInsufficient, fmt.Errorf("the ID token's auth_time is missing, ahead, or older than policy %q allows", p.Name))
	}
	return nil
}

// end ends a session before its time, which would otherwise last until then at most.
func (s *Site) end(id [idSize]byte, until, now time.Time, cause string) {
	if s.o.Ended.End(id, until, now) {
		s.o.Logger.Error("too many sessions were ended before their time: every session that began until now has ended with them")
	}
	s.o.Observer.SessionEnded(cause)
}
