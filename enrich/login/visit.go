package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// The reasons for which a cookie is no session. Each wraps ErrNoSession.
var (
	errIdle       = fmt.Errorf("it was idle for too long: %w", ErrNoSession)
	errMax        = fmt.Errorf("it has lasted as long as it may: %w", ErrNoSession)
	errEnded      = fmt.Errorf("it was ended: %w", ErrNoSession)
	errFuture     = fmt.Errorf("it begins in the future: %w", ErrNoSession)
	errRevoked    = fmt.Errorf("it was revoked: %w", ErrNoSession)
	errNoProvider = fmt.Errorf("nobody logs in at its issuer any more: %w", ErrNoSession)
)

// clockSkew is how far ahead of this node's clock a session may begin: another node
// has begun it.
const clockSkew = time.Minute

// A Visit is one request to a site, with the session that its cookie holds. It
// implements the source of sessions that enrich.Gateway asks. It is used by one
// goroutine.
type Visit struct {
	site   *Site
	opened Opened
	found  bool  // opened is a session, which may have ended
	unread bool  // the keys could not be had
	ended  error // why the cookie holds no session, or none any more
}

// Visit returns the visit of one request.
func (s *Site) Visit() Visit { return Visit{site: s} }

// Open opens the session of a cookie and returns the key of the decisions about it.
// Errors wrap ErrNoSession, or issuer.ErrUnavailable while the keys are not known.
func (v *Visit) Open(cookie string, now time.Time) (key string, err error) {
	if err := v.open(context.Background(), cookie, now); err != nil {
		v.report()
		return "", err
	}
	return v.opened.Key, nil
}

// open is Open without counting that the session has ended.
func (v *Visit) open(ctx context.Context, cookie string, now time.Time) error {
	keys, err := v.site.ready(ctx)
	if err != nil {
		v.unread = true
		return err
	}
	if v.opened, err = keys.sealer.Open(cookie); err == nil {
		v.found = true
		err = v.check(now)
	}
	v.ended = err
	return err
}

// report counts that the session has come to one of its ends.
func (v *Visit) report() {
	switch {
	case errors.Is(v.ended, errMax):
		v.site.o.Observer.SessionEnded(endMax)
	case errors.Is(v.ended, errIdle):
		v.site.o.Observer.SessionEnded(endIdle)
	}
}

// check checks the ends of the session. A configuration that shortens them shortens
// sessions that are under way.
func (v *Visit) check(now time.Time) error {
	o, c := &v.opened, &v.site.o.Session
	switch {
	case o.Began.After(now.Add(clockSkew)):
		return errFuture
	case !now.Before(v.end()):
		return errMax
	case !now.Before(earlier(o.IdleEnd, o.Renewed.Add(time.Duration(c.Idle)))):
		return errIdle
	case v.site.o.Ended.Has(o.ID, o.Began):
		return errEnded
	}
	return nil
}

// end returns when the session ends whatever happens.
func (v *Visit) end() time.Time {
	return earlier(v.opened.End, v.opened.Began.Add(time.Duration(v.site.o.Session.Max)))
}

// Verify returns whom the opened session is for. Errors wrap ErrNoSession or are those
// of issuer.Set.Verify.
func (v *Visit) Verify(context.Context) (*issuer.Verified, error) {
	session, p, err := v.session()
	if err != nil {
		return nil, err
	}
	return v.site.principal(p, session, v.end())
}

// session reads the opened session, and returns it with the provider at which it began.
func (v *Visit) session() (*Session, *Provider, error) {
	session, err := v.opened.Session()
	if err != nil {
		return nil, nil, err
	}
	p := v.site.provider(session.Issuer)
	if p == nil {
		return nil, nil, errNoProvider
	}
	return session, p, nil
}

// principal returns whom a session of a provider is for.
func (s *Site) principal(p *Provider, session *Session, end time.Time) (*issuer.Verified, error) {
	id, began, ended := session.ID, session.Began, s.o.Ended
	return p.issuer.VerifySession(issuer.SessionClaims{
		Claims: session.Claims, Client: p.config.ClientID, Scopes: session.Scopes, Began: began, End: end,
		Ended: func() bool { return ended.Has(id, began) },
	})
}

// Found reports whether the request's cookie held a session, be it one that has
// ended.
func (v *Visit) Found() bool { return v.found }

// Unread reports whether the session could not be read, so that it may be one.
func (v *Visit) Unread() bool { return v.unread }

// Revoked says that the deny list names the session: it has ended.
func (v *Visit) Revoked() {
	if v.found && v.ended == nil {
		v.ended = errRevoked
		v.site.o.Observer.SessionEnded(endRevoked)
	}
}

// Cleared returns the Set-Cookie that takes away the cookie of a session that has
// ended, or nothing where there is no such cookie.
func (v *Visit) Cleared() string {
	if v.site == nil || v.ended == nil {
		return ""
	}
	return v.site.cleared().String()
}

// renewals is into how many parts the idle time is divided: a cookie is written at
// most once in each.
const renewals = 10

// Renewed returns the Set-Cookie that moves the session's idle end, or nothing where
// it is too early for another one.
func (v *Visit) Renewed(now time.Time) string {
	if !v.found || v.ended != nil {
		return ""
	}
	// One that was moved in the future is moved now: the clock has stepped back, and the
	// session would be idle for too long.
	if age := now.Sub(v.opened.Renewed); age < time.Duration(v.site.o.Session.Idle)/renewals && age >= -clockSkew {
		return ""
	}
	moved := v.opened
	moved.Renewed = now.Truncate(time.Second)
	moved.IdleEnd = earlier(moved.Renewed.Add(time.Duration(v.site.o.Session.Idle)), moved.End)
	value, err := v.site.keys.Load().sealer.Renew(&moved) // the keys that have opened it
	if err != nil {
		return "" // the next request tries again
	}
	return v.site.sessionCookie(value).String()
}

// sessionCookie returns the cookie of a session. It has no end of its own: the browser
// forgets it when it is closed.
func (s *Site) sessionCookie(value string) *http.Cookie {
	return s.origin.cookie(s.origin.SessionCookie(), value, 0)
}

// cleared returns the cookie that takes away that of a session.
func (s *Site) cleared() *http.Cookie { return s.origin.cookie(s.origin.SessionCookie(), "", -1) }

// youngSession is how long after its beginning a session that is refused gets a page
// and no redirect.
const youngSession = time.Minute

// circles reports whether a new login may soon be refused as this session is, so that a
// provider that remembers the person and this site would go round in circles: it began a
// moment ago, and is refused by a list or clock that other nodes do not share.
func (v *Visit) circles(now time.Time) bool {
	return v.found && (errors.Is(v.ended, errRevoked) || errors.Is(v.ended, errFuture)) && now.Sub(v.opened.Began) < youngSession
}

// open opens the session among the cookies of a request, for the site's own
// endpoints. Without one the error is ErrNoSession.
func (s *Site) open(ctx context.Context, cookies []string, now time.Time) (*Visit, error) {
	v := s.Visit()
	value, err := token.ReadCookie(cookies, s.origin.SessionCookie())
	if err != nil {
		return &v, err
	}
	if value == "" {
		return &v, ErrNoSession
	}
	return &v, v.open(ctx, value, now)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
