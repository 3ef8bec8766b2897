package login

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login/page"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// SiteOptions are what a Site is made of. All but Rand are required.
type SiteOptions struct {
	// Endpoints are the site's addresses, with their defaults and ExternalURL.
	Endpoints Endpoints

	// Session has its defaults.
	Session SessionConfig

	// Ring returns the keys that seal sessions. It may wait for them; its error
	// says that they cannot be had now.
	Ring func(context.Context) (*seal.Ring, error)

	// Ended are the sessions of this node that ended before their time.
	Ended *Ended

	// Pages are what a person sees.
	Pages *page.Set

	// Denied returns the error of a person or session that is refused whatever a
	// policy says, so that no session begins; see enrich.Gateway.CheckDenied.
	Denied func(context.Context, *issuer.Verified) error

	// Clock returns the time, Logger takes what an operator should see, Observer
	// counts. Rand is the source of session ids. Default: crypto/rand.
	Clock    func() time.Time
	Logger   *slog.Logger
	Observer Observer
	Rand     io.Reader
}

// Observer receives what metrics count. Its arguments come from closed sets: the
// configured names of issuers, Outcomes and EndCauses.
type Observer interface {
	// LoginFinished reports how one login ended.
	LoginFinished(issuer, outcome string)

	// SessionEnded reports that a session ended and why. A session that is never
	// seen again is not reported.
	SessionEnded(cause string)
}

// PolicyLogin is what a site must know of one of its policies.
type PolicyLogin struct {
	// Name is the policy's name.
	Name string

	// Providers are where people may log in for the policy.
	Providers []*Provider

	// ACRValues and MaxAge are what the policy requires of the authentication (RFC
	// 9470); none of them is met by any.
	ACRValues []string
	MaxAge    time.Duration

	// Claims are the names of the token's claims that the policy reads; AllClaims
	// says that it may read any, Groups that it reads the person's groups.
	Claims    []string
	AllClaims bool
	Groups    bool
}

// A Site is what the policies of one origin share: its cookies, its endpoints and the
// providers to log in at. It is safe for concurrent use once all policies are added.
type Site struct {
	o         SiteOptions
	origin    Origin
	policies  map[string]PolicyLogin
	providers []*Provider // of all policies, in their order

	held   claimSet // of all policies
	groups bool
	once   sync.Once // adds the principals' claims to held

	keys   atomic.Pointer[siteKeys] // nil until the ring is known
	warned atomic.Bool              // that a proxy replaces the host
}

// siteKeys are what needs the ring.
type siteKeys struct {
	sealer       *Sealer
	transactions *Transactions
}

// NewSite returns a site without policies.
func NewSite(o SiteOptions) (*Site, error) {
	origin, err := ParseOrigin(o.Endpoints.ExternalURL)
	if err != nil {
		return nil, fmt.Errorf("external_url: %w", err)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return &Site{o: o, origin: origin, policies: make(map[string]PolicyLogin)}, nil
}

// Add adds a policy, before the first request.
func (s *Site) Add(p PolicyLogin) {
	s.policies[p.Name] = p
	for _, provider := range p.Providers {
		if !slices.Contains(s.providers, provider) {
			s.providers = append(s.providers, provider)
		}
	}
	s.held.add(p.Claims...)
	s.held.all = s.held.all || p.AllClaims
	s.groups = s.groups || p.Groups
}

// Hold adds claims that sessions hold for others than policies, before the first
// request.
func (s *Site) Hold(names ...string) { s.held.add(names...) }

// Origin returns where people reach the site.
func (s *Site) Origin() Origin { return s.origin }

// Endpoints returns the site's addresses.
func (s *Site) Endpoints() Endpoints { return s.o.Endpoints }

// HeldClaims returns the names of the claims that sessions hold, sorted, and whether
// they hold all.
func (s *Site) HeldClaims() (names []string, all bool) {
	held := s.claims()
	for name := range held.names {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, held.all
}

// claims returns the claims that sessions hold: those of the policies, those that a
// principal is read from, and the name that session_info shows.
func (s *Site) claims() *claimSet {
	s.once.Do(func() {
		s.held.keep("name")
		for _, p := range s.providers {
			alone := p.issuer.PrincipalClaims(false)
			s.held.add(alone...)
			// A claim of groups is worth nothing without what says that it is partial.
			more := slices.DeleteFunc(p.issuer.PrincipalClaims(true), func(name string) bool { return slices.Contains(alone, name) })
			if s.groups || slices.ContainsFunc(more, func(name string) bool { _, read := s.held.names[name]; return read }) {
				s.held.add(more...)
			}
		}
	})
	return &s.held
}

// ready returns what needs the ring. Its error wraps issuer.ErrUnavailable.
func (s *Site) ready(ctx context.Context) (*siteKeys, error) {
	if k := s.keys.Load(); k != nil {
		return k, nil
	}
	ring, err := s.o.Ring(ctx)
	if err != nil {
		return nil, fmt.Errorf("the key that seals sessions: %w: %w", err, issuer.ErrUnavailable)
	}
	// What a session holds depends on these; one that began under others has ended.
	var texts []string
	for _, p := range s.providers {
		texts = append(texts, p.Name(), p.issuer.Identifier(), p.config.ClientID)
	}
	k := &siteKeys{sealer: NewSealer(ring, s.origin, s.claims().fingerprint(texts...)), transactions: NewTransactions(ring, s.origin)}
	s.keys.Store(k)
	return k, nil
}

// provider returns the provider of a configured name, or nil.
func (s *Site) provider(name string) *Provider {
	for _, p := range s.providers {
		if p.Name() == name {
			return p
		}
	}
	return nil
}

// callback returns the path of a provider's redirect URI. With several providers each
// has its own, so that an answer of one is never taken for another's (RFC 9700,
// section 4.4).
func (s *Site) callback(p *Provider) string {
	if len(s.providers) > 1 {
		return s.o.Endpoints.Callback + "/" + p.Name()
	}
	return s.o.Endpoints.Callback
}

// logoutDone is added to the path of logout: where the provider sends people back to.
const logoutDone = "/done"

// endpoint returns what answers a path, nil where the path is none of the site's.
func (s *Site) endpoint(path string) func(*Site, http.ResponseWriter, *http.Request, []string) {
	e := &s.o.Endpoints
	switch {
	case path == LoginPath:
		return (*Site).serveLogin
	case path == e.Callback, len(s.providers) > 1 && strings.HasPrefix(path, e.Callback+"/"):
		return (*Site).serveCallback
	case path == e.Logout:
		return (*Site).serveLogout
	case strings.TrimSuffix(path, logoutDone) == e.Logout:
		return (*Site).serveLogoutDone
	case path == e.SessionInfo:
		return (*Site).serveSessionInfo
	}
	return nil
}

// Serves reports whether a path is one of the site's endpoints.
func (s *Site) Serves(path string) bool { return s.endpoint(path) != nil }

// ServeHTTP answers a request to one of the site's endpoints. cookies are the values
// of its Cookie header.
func (s *Site) ServeHTTP(w http.ResponseWriter, r *http.Request, cookies []string) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	serve := s.endpoint(r.URL.Path)
	if serve == nil {
		http.NotFound(w, r)
		return
	}
	for _, name := range []string{s.origin.SessionCookie(), s.origin.TransactionCookie()} {
		if _, err := token.ReadCookie(cookies, name); err != nil {
			s.fail(w, r, "", failed(outcomeMalformed, err), LoginPath)
			return
		}
	}
	serve(s, w, r, cookies)
}

// sameHost reports whether the request names the origin's host.
func (s *Site) sameHost(r *http.Request) bool {
	host := strings.ToLower(r.Host)
	if s.origin.Secure() {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	return host == s.origin.Host()
}
