package directorytest

import (
	"context"
	"sync/atomic"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// Fake is a directory with functions of a test's own, for what no real source can
// be made to do. A function that is nil answers ErrNotFound.
type Fake struct {
	PersonFunc  func(context.Context, directory.Query) (*identity.Person, error)
	AppFunc     func(context.Context, string) (*identity.App, error)
	AppUserFunc func(context.Context, directory.Query, string) (*identity.AppUser, error)

	// Persons, Apps and AppUsers count the calls.
	Persons, Apps, AppUsers atomic.Int64
}

// Person implements directory.Directory.
func (f *Fake) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	f.Persons.Add(1)
	if f.PersonFunc == nil {
		return nil, directory.ErrNotFound
	}
	return f.PersonFunc(ctx, q)
}

// App implements directory.Directory.
func (f *Fake) App(ctx context.Context, id string) (*identity.App, error) {
	f.Apps.Add(1)
	if f.AppFunc == nil {
		return nil, directory.ErrNotFound
	}
	return f.AppFunc(ctx, id)
}

// AppUser implements directory.Directory.
func (f *Fake) AppUser(ctx context.Context, q directory.Query, appID string) (*identity.AppUser, error) {
	f.AppUsers.Add(1)
	if f.AppUserFunc == nil {
		return nil, directory.ErrNotFound
	}
	return f.AppUserFunc(ctx, q, appID)
}

// Holding returns a fake that has one person, under each of the subjects.
func Holding(p *identity.Person, subjects ...string) *Fake {
	known := make(map[string]bool, len(subjects))
	for _, s := range subjects {
		known[s] = true
	}
	return &Fake{PersonFunc: func(_ context.Context, q directory.Query) (*identity.Person, error) {
		if !known[q.Principal.Subject] {
			return nil, directory.ErrNotFound
		}
		return p, nil
	}}
}

// Failing returns a fake that answers each look-up with err.
func Failing(err error) *Fake {
	return &Fake{
		PersonFunc:  func(context.Context, directory.Query) (*identity.Person, error) { return nil, err },
		AppFunc:     func(context.Context, string) (*identity.App, error) { return nil, err },
		AppUserFunc: func(context.Context, directory.Query, string) (*identity.AppUser, error) { return nil, err },
	}
}

var _ directory.Directory = (*Fake)(nil)
