package scim

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file looks up a user with the groups. The user is found in user.go, the
// groups in group.go.

// Directory reads one SCIM service.
type Directory struct {
	config Config
	client *fetch.Client

	clock   func() time.Time
	rand    io.Reader
	service atomic.Pointer[serviceConfig]
	probed  atomic.Pointer[time.Time] // when filters on groups were last found to work

	mu   sync.Mutex // of the background work
	stop context.CancelFunc
	done chan struct{}
}

// New returns a Directory. It reads the CA file, does not touch the network and
// starts nothing: see Start.
func New(c Config, o Options) (*Directory, error) {
	c, err := c.validate()
	if err != nil {
		return nil, err
	}
	d := &Directory{config: c, clock: o.Clock, rand: o.Rand}
	if d.clock == nil {
		d.clock = time.Now
	}
	if d.rand == nil {
		d.rand = rand.Reader
	}
	// Made once; the credentials do not change.
	authorization := c.authorization()
	d.client, err = fetch.New(fetch.Options{
		Base:      strings.TrimSuffix(c.URL, "/"),
		CAFile:    c.CAFile,
		Transport: o.Transport,
		Clock:     d.clock,
		Rand:      d.rand,
		Authorize: func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", authorization)
			return nil
		},
	})
	if err != nil {
		return nil, fmt.Errorf("configuring the scim directory: %w", err)
	}
	return d, nil
}

// Person implements directory.Directory. Groups are unknown where neither the
// user's own list nor a query has them.
func (d *Directory) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	subject, err := q.Subject()
	if err != nil {
		return nil, err
	}
	// The subject may be any attribute, the groups are found by the id.
	r, err := d.find(ctx, subject)
	if err != nil {
		return nil, err
	}
	u, err := r.user()
	if err != nil {
		return nil, err
	}
	p := &identity.Person{User: u}
	p.Groups, p.GroupsKnown, err = d.groups(ctx, r, u.ID)
	if err != nil {
		return nil, err
	}
	// Expected and missing, in contrast to a configuration without groups.
	if !p.GroupsKnown && d.config.Groups != GroupsUnknown {
		p.GroupsUnknown = "the user's own list lacks them, and the service cannot search groups by member"
	}
	return p, nil
}

// Supports implements directory.Partial: SCIM has users only.
func (d *Directory) Supports() (apps, appUsers bool) { return false, false }

// App implements directory.Directory. It always is ErrNotFound.
func (d *Directory) App(context.Context, string) (*identity.App, error) {
	return nil, fmt.Errorf("reading an app: SCIM knows none: %w", directory.ErrNotFound)
}

// AppUser implements directory.Directory. It always is ErrNotFound.
func (d *Directory) AppUser(context.Context, directory.Query, string) (*identity.AppUser, error) {
	return nil, fmt.Errorf("reading an assignment: SCIM knows none: %w", directory.ErrNotFound)
}

// get sends one request. A 404 is ErrNotFound only with a SCIM error body: a
// wrong address, or the error page of a proxy, is a failure.
func (d *Directory) get(ctx context.Context, url string) (*fetch.Response, error) {
	answer, err := d.client.Do(ctx, fetch.Request{URL: url, Accept: []string{fetch.MediaSCIM, fetch.MediaJSON}})
	if err != nil {
		return nil, explain(err)
	}
	return answer, nil
}

// Unsupported implements directory.Limited: RFC 7643 has no attributes for
// these facts.
func (d *Directory) Unsupported() identity.Facts {
	return identity.FactPasswordChanged | identity.FactLastLogin | identity.FactLinked | identity.FactAppUsers
}

var (
	_ directory.Directory = (*Directory)(nil)
	_ directory.Partial   = (*Directory)(nil)
	_ directory.Starter   = (*Directory)(nil)
	_ directory.Limited   = (*Directory)(nil)
)
