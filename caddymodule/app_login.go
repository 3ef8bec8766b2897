package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/pooled"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/telemetry"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login/page"
	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
)

// This file makes what logins need when a configuration loads: the providers and the
// ring of the app, and the sites that its policies are in.

// logins are what the policies with a login share.
type logins struct {
	session   login.SessionConfig        // with its defaults
	providers map[string]*login.Provider // by the issuer's name; empty where there is no login
	ring      *pooled.Ring
	ended     *login.Ended
	pages     *page.Set
	logger    *slog.Logger

	sites map[string]*login.Site  // by external URL
	at    map[any]login.Endpoints // of the policies so far, by the site that they are in
}

// openLogins makes the providers and acquires what outlives the configuration. It
// does nothing more than check where there is no login.
func (a *App) openLogins() error {
	l := &a.logins
	if a.Session != nil {
		l.session = *a.Session
	}
	var err error
	if l.session, err = l.session.WithDefaults(); err != nil {
		return fmt.Errorf("session: %w", err)
	}
	l.providers = make(map[string]*login.Provider)
	l.sites, l.at = make(map[string]*login.Site), make(map[any]login.Endpoints)
	// Sampled: anybody can open a callback with nonsense in it.
	l.logger = slog.New(telemetry.NewHandler(a.sampler.Core(a.logger.Core())))
	for i, is := range a.Issuers {
		if is.Login == nil {
			continue
		}
		c := a.known[i]
		// Made anew by each configuration: all that should outlive one, keys and
		// metadata, is the issuer's.
		l.providers[c.Name], err = login.NewProvider(*is.Login, a.issuers.Issuer(c.Name), login.ProviderOptions{
			CA: c.CA, Timeout: time.Duration(c.Timeout), Clock: time.Now, Logger: l.logger,
		})
		if err != nil {
			return fmt.Errorf("issuer %q: login: %w", c.Name, err)
		}
		// A decision about a session holds what follows from these settings.
		key, err := pooled.Digest(c.Name, is.Login, l.session)
		if err != nil {
			return err
		}
		a.settings = pooled.AppendPart(a.settings, key)
	}
	if len(l.providers) == 0 {
		return nil
	}
	var folder fs.FS
	if l.session.Pages != "" {
		folder = os.DirFS(l.session.Pages)
	}
	if l.pages, err = page.New(folder); err != nil {
		return fmt.Errorf("session: pages: %w", err)
	}
	// One for the process: a reload must not revive who has logged out.
	l.ended, err = pooled.Acquire(&a.releases, "ended", "", func() (*login.Ended, error) { return login.NewEnded(0), nil }, nil)
	return err
}

// LoginIssuers returns the names of the issuers at which people log in, in the order of
// the configuration.
func (a *App) LoginIssuers() []string {
	var names []string
	for _, c := range a.known {
		if a.logins.providers[c.Name] != nil {
			names = append(names, c.Name)
		}
	}
	return names
}

// errDiffer is the error of two policies that share a site and not its endpoints.
var errDiffer = errors.New("policies of one site must have the same endpoints")

// openSite finds where people reach the site that the policy is in, and joins the
// other policies there. It does nothing where the policy has no login.
func (h *Handler) openSite(ctx caddy.Context) (*login.Site, error) {
	if len(h.Login) == 0 {
		return nil, nil //nolint:nilnil // a policy need have no login
	}
	endpoints, err := h.Endpoints.WithDefaults()
	if err != nil {
		return nil, err
	}
	if endpoints.ExternalURL == "" {
		if endpoints.ExternalURL, err = routes.Origin(ctx); err != nil {
			return nil, setting.Wrap(fmt.Errorf("%w: set external_url to where people reach it, such as https://app.example.com", err), "login")
		}
		origin, err := login.ParseOrigin(endpoints.ExternalURL)
		if err != nil {
			return nil, setting.Wrap(fmt.Errorf("the site's own address, %s: %w; set external_url to where people reach it", endpoints.ExternalURL, err), "login")
		}
		endpoints.ExternalURL = origin.String()
	}
	a := h.app
	a.mu.Lock() // of policies that are provisioned at the same time
	defer a.mu.Unlock()
	return a.logins.join(endpoints, routes.SiteOf(ctx), a)
}

// plainHTTP is the warning of a site whose cookies are not Secure.
const plainHTTP = "people log in over plain http, which is safe on this machine only"

// join returns the site with these endpoints, made by its first policy. Policies that
// share a site block or an external URL share cookies, so they must share the endpoints
// that read and write these. at identifies the site block that the policy is in, nil
// where that is not known.
func (l *logins) join(endpoints login.Endpoints, at any, a *App) (*login.Site, error) {
	other, shared := l.at[at]
	if at == nil || !shared {
		other = endpoints
	}
	site := l.sites[endpoints.ExternalURL]
	if site != nil && other == endpoints {
		other = site.Endpoints()
	}
	if err := sameEndpoints(endpoints, other); err != nil {
		return nil, err
	}
	if at != nil {
		l.at[at] = endpoints
	}
	if site != nil {
		return site, nil
	}
	site, err := login.NewSite(login.SiteOptions{
		Endpoints: endpoints, Session: l.session, Ring: l.ring.Get, Ended: l.ended, Pages: l.pages,
		Denied: a.denied, Clock: time.Now, Logger: l.logger, Observer: a.metrics,
	})
	if err == nil {
		l.sites[endpoints.ExternalURL] = site
	}
	return site, err
}

// sameEndpoints returns an error that names the first difference between the endpoints
// of two policies of one site.
func sameEndpoints(own, other login.Endpoints) error {
	for _, o := range []struct{ path, option, own, other string }{
		{"external_url", "external_url", own.ExternalURL, other.ExternalURL},
		{"callback", "callback", own.Callback, other.Callback},
		{"logout", "logout", own.Logout, other.Logout},
		{"logout", "where logout leads", own.AfterLogout, other.AfterLogout},
		{"session_info", "session_info", own.SessionInfo, other.SessionInfo},
	} {
		if o.own != o.other {
			return setting.Wrap(fmt.Errorf("%s is %q here and %q in another policy: %w", o.option, o.own, o.other, errDiffer), o.path)
		}
	}
	return nil
}

// denied returns the error of a person who is denied, so that no session begins. It
// wraps login.ErrNoSession where the deny list names the person or the session.
func (a *App) denied(ctx context.Context, v *issuer.Verified) error {
	g, err := a.ready(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", issuer.ErrUnavailable, err)
	}
	err = g.CheckDenied(v)
	if refusal, ok := errors.AsType[*enrich.Refusal](err); ok && refusal.Kind == enrich.KindSessionEnded {
		return fmt.Errorf("%w: %w", login.ErrNoSession, refusal.Cause)
	}
	return err
}

// GroupsFromToken reports whether no directory answers for the issuer of that name, so
// that its users' groups are those of the token.
func (a *App) GroupsFromToken(issuer string) bool {
	return a.unavailableFacts([]string{issuer})&identity.FactUser != 0
}

// addLogin adds a compiled policy to its site.
func (h *Handler) addLogin() {
	site := h.policy.site
	if site == nil {
		return
	}
	p := login.PolicyLogin{Name: h.Name}
	for _, name := range h.Login {
		p.Providers = append(p.Providers, h.app.logins.providers[name])
	}
	if r := h.RequireACR; r != nil {
		p.ACRValues, p.MaxAge = slices.Clone(r.Values), time.Duration(r.MaxAge)
	}
	p.Claims, p.Groups, p.AllClaims = h.policy.compiled.TokenClaims()
	p.Groups = p.Groups && slices.ContainsFunc(h.Login, h.app.GroupsFromToken)
	h.app.mu.Lock()
	defer h.app.mu.Unlock()
	site.Add(p)
	if h.app.routes != nil {
		site.Hold(h.app.routes.claims...)
	}
}
