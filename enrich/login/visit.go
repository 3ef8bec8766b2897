package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// The reasons for which a cookie is no session. Each wraps ErrNoSession.
var (
	errIdle       = fmt.Errorf("it was idle for too long: %w", ErrNoSession)
	errMax        = fmt.Errorf("it has lasted as long as it may: %w", ErrNoSession)
	errEnded      = fmt.Errorf("it was ended: %w", ErrNoSession)
	errFuture     = fmt.Errorf("it begins in the future: %w", ErrNoSession)
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
	found  bool // opened is a session, which may have ended
	ended  bool
}

// Visit returns the visit of one request.
func (s *Site) Visit() Visit { return Visit{site: s} }

// Open opens the session of a cookie and returns the key of the decisions about it.
// Errors wrap ErrNoSession, or issuer.ErrUnavailable while the keys are not known.
func (v *Visit) Open(cookie string, now time.Time) (key string, err error) {
	keys, err := v.site.ready(context.Background())
	if err != nil {
		return "", err
	}
	if v.opened, err = keys.sealer.Open(cookie); err != nil {
		v.ended = true
		return "", err
	}
	v.found = true
	if err := v.check(now); err != nil {
		v.ended = true
		return "", err
	}
	return v.opened.Key, nil
}

// check checks the ends of the session. A configuration that shortens them shortens
// sessions that are under way.
func (v *Visit) check(now time.Time) error {
	o, c := &v.opened, &v.site.o.Session
	switch {
	case o.Began.After(now.Add(clockSkew)):
		return errFuture
	case !now.Before(v.end()):
		v.site.o.Observer.SessionEnded(endMax)
		return errMax
	case !now.Before(earlier(o.IdleEnd, o.Renewed.Add(time.Duration(c.Idle)))):
		v.site.o.Observer.SessionEnded(endIdle)
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
	session, err := v.opened.Session()
	if err != nil {
		return nil, err
	}
	p := v.site.provider(session.Issuer)
	if p == nil {
		return nil, errNoProvider
	}
	return p.principal(session, v.end())
}

// principal returns whom a session is for.
func (p *Provider) principal(session *Session, end time.Time) (*issuer.Verified, error) {
	return p.issuer.VerifySession(issuer.SessionClaims{
		Claims: session.Claims, Client: p.config.ClientID, Scopes: session.Scopes, Began: session.Began, End: end,
	})
}

// Found reports whether the request's cookie held a session, be it one that has
// ended.
func (v *Visit) Found() bool { return v.found }

// Revoked says that the deny list names the session: it has ended.
func (v *Visit) Revoked() {
	if v.found && !v.ended {
		v.ended = true
		v.site.o.Observer.SessionEnded(endRevoked)
	}
}

// Cleared returns the Set-Cookie that takes away the cookie of a session that has
// ended, or nothing where there is no such cookie.
func (v *Visit) Cleared() string {
	if v.site == nil || !v.ended {
		return ""
	}
	return v.site.origin.cookie(v.site.origin.SessionCookie(), "", -1).String()
}

// renewals is into how many parts the idle time is divided: a cookie is written at
// most once in each.
const renewals = 10

// Renewed returns the Set-Cookie that moves the session's idle end, or nothing where
// it is too early for another one.
func (v *Visit) Renewed(now time.Time) string {
	if !v.found || v.ended || now.Sub(v.opened.Renewed) < time.Duration(v.site.o.Session.Idle)/renewals {
		return ""
	}
	keys, err := v.site.ready(context.Background())
	if err != nil {
		return ""
	}
	moved := v.opened
	moved.Renewed = now.Truncate(time.Second)
	moved.IdleEnd = earlier(moved.Renewed.Add(time.Duration(v.site.o.Session.Idle)), moved.End)
	value, err := keys.sealer.Renew(&moved)
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

// youngSession is how long after its beginning a session that is refused gets a page
// and no redirect: a provider that remembers the person would answer at once, and the
// two would go round in circles.
const youngSession = time.Minute

// young reports whether the session began a moment ago.
func (v *Visit) young(now time.Time) bool {
	return v.found && now.Sub(v.opened.Began) < youngSession
}

// open opens the session among the cookies of a request, for the site's own
// endpoints. Without one the error is ErrNoSession.
func (s *Site) open(cookies []string, now time.Time) (*Visit, error) {
	v := s.Visit()
	value, err := readCookie(cookies, s.origin.SessionCookie())
	if err != nil {
		return &v, err
	}
	if value == "" {
		return &v, ErrNoSession
	}
	_, err = v.Open(value, now)
	return &v, err
}

// errTwoCookies says that a cookie of ours is there twice.
var errTwoCookies = errors.New("two cookies of one name")

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
