package enrich

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// Lookup looks up records: the person by issuer and subject, the app by its id,
// the app user by both. Each part is cached by itself, so a person who uses
// twenty apps is fetched once, and a change of an app reaches all its users.
type Lookup struct {
	directory   directory.Directory
	fingerprint []byte
	keyDeriver  *cache.KeyDeriver
	ttls        *cache.TTLs

	persons  *cache.Cache[*person]
	apps     *cache.Cache[*identity.App]
	appUsers *cache.Cache[*identity.AppUser]
}

// cacheScope returns what the directory's answers depend on besides what they
// are about.
func (l *Lookup) cacheScope(p *identity.Principal) directory.CacheScope {
	if d, ok := l.directory.(directory.CacheScoper); ok {
		return d.CacheScope(p)
	}
	return directory.CacheScope{}
}

// unavailableFacts returns what no directory can say of a principal's record
// (C35).
func (l *Lookup) unavailableFacts(p *identity.Principal) identity.Facts {
	if d, ok := l.directory.(interface {
		Unsupported(issuerName string) identity.Facts
	}); ok {
		return d.Unsupported(p.IssuerName)
	}
	return 0
}

// ttlsFor returns how long an answer is used. One that only a caller's own token
// can renew is not refreshed behind a request and not used once it is stale.
func (l *Lookup) ttlsFor(on directory.CacheScope) cache.TTLs {
	ttls := *l.ttls
	if on.Token {
		ttls.RefreshAfter, ttls.StaleIfError = 0, 0
	}
	return ttls
}

// person is a person as the cache holds it, with the index that makes an
// allow list's cost follow the list and not the person's groups.
type person struct {
	*identity.Person
	index oktael.GroupIndex
}

// NewLookup returns a Lookup over a directory and a store. fingerprint
// identifies the directory with every setting that shapes its answers; ttls are
// how long this configuration uses them.
func NewLookup(d directory.Directory, fingerprint []byte, store *cache.Store, ttls cache.TTLs) *Lookup {
	return &Lookup{
		directory: d, fingerprint: fingerprint, keyDeriver: store.KeyDeriver(), ttls: &ttls,
		persons:  cache.New(store, personCodec{}),
		apps:     cache.New(store, appCodec{}),
		appUsers: cache.New(store, appUserCodec{}),
	}
}

// LookupResult is a record with what a decision needs of it.
type LookupResult struct {
	identity.Record

	// Index is that of the person's groups.
	Index oktael.GroupIndex

	// Parts are handles that report whether the parts are still valid.
	Parts []cache.Handle

	// When the fetches of the parts began; zero for a part that is not there.
	PersonFetched, AppFetched, AppUserFetched time.Time
}

// partAnswer is what the cache says of one part of a record, besides its value.
type partAnswer struct {
	state   identity.State
	part    cache.Handle
	fetched time.Time
	err     error
}

// record looks up in parallel the parts that reads names. The person is always
// looked up, because a disabled or unknown user must not pass whatever the rules
// read; a service account has none. The error says why a part failed; the
// record's states say which.
func (l *Lookup) record(ctx context.Context, q directory.Query, app string, reads oktael.Inputs) (LookupResult, error) {
	var r LookupResult
	var ofPerson, ofApp, ofAppUser partAnswer
	var wg sync.WaitGroup
	serviceAccount := q.Principal.ServiceAccount
	on := l.cacheScope(q.Principal)
	wantApp := app != "" && reads&oktael.InputApp != 0
	wantAppUser := app != "" && !serviceAccount && reads&oktael.InputAppUser != 0
	if wantApp {
		wg.Go(func() { r.App, ofApp = l.app(ctx, q, app, on) })
	}
	if wantAppUser {
		wg.Go(func() { r.AppUser, ofAppUser = l.appUser(ctx, q, app, on) })
	}
	if !serviceAccount {
		r.Person, r.Index, ofPerson = l.person(ctx, q, on)
	}
	wg.Wait()
	if r.Person != nil {
		// What is held of the user's assignments is known by few of the names
		// that a purge may come with.
		who := userIDs(r.Person.User, 3)
		for range maxRepeats {
			again := wantAppUser && l.appUsers.DropIfPurged(ofAppUser.part, who)
			if again {
				r.AppUser, ofAppUser = l.appUser(ctx, q, app, on, who...)
			}
			if wantApp && on.App && l.apps.DropIfPurged(ofApp.part, who) {
				again = true
				r.App, ofApp = l.app(ctx, q, app, on, who...)
			}
			if !again {
				break
			}
		}
	}
	r.PersonState, r.AppState, r.AppUserState = ofPerson.state, ofApp.state, ofAppUser.state
	r.PersonFetched, r.AppFetched, r.AppUserFetched = ofPerson.fetched, ofApp.fetched, ofAppUser.fetched
	answers := [...]partAnswer{ofPerson, ofApp, ofAppUser}
	r.Parts = make([]cache.Handle, 0, len(answers))
	var err error
	for _, a := range answers {
		if a.state != identity.Unasked && a.state != identity.Failed {
			r.Parts = append(r.Parts, a.part)
		}
		err = errors.Join(err, a.err)
	}
	return r, err
}

// maxRepeats bounds how often a part is looked up again because it was purged
// meanwhile: the first time may join a fetch that began before the purge.
const maxRepeats = 3

// refresh fetches the parts that are due anew, behind the request. To look them
// up is enough, because the cache refreshes what is due and returns what it has.
// Answers for a caller's own token are left to requests that bring it.
//
// It takes no context of the request: the fetch outlives it.
func (l *Lookup) refresh(p *identity.Principal, app string, reads oktael.Inputs) {
	if l.cacheScope(p).Token {
		return // only a request that brings the token may ask
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // begin what is due and wait for nothing
	_, _ = l.record(ctx, directory.Query{Principal: p}, app, reads)
}

// person looks up the principal's person, and the index of its groups.
func (l *Lookup) person(ctx context.Context, q directory.Query, on directory.CacheScope) (*identity.Person, oktael.GroupIndex, partAnswer) {
	p := q.Principal
	key := l.keyDeriver.Key("person", l.fingerprint, append([]string{p.IssuerName, p.Issuer, p.Subject}, on.Caller...)...)
	names := func() []cache.ID { return []cache.ID{{Kind: cache.UserID, Value: p.Subject}} }
	res, err := l.persons.Get(ctx, key, l.ttlsFor(on), names, func(ctx context.Context) (*person, error) {
		v, err := l.directory.Person(ctx, q)
		if err != nil {
			return nil, asNotFound(err)
		}
		if v.User == nil {
			return nil, fmt.Errorf("looking up a person: %w", directory.ErrMalformed)
		}
		return newPerson(v), nil
	})
	a := partAnswerOf(res, err)
	if res.Value == nil {
		return nil, oktael.GroupIndex{}, a
	}
	return res.Value.Person, res.Value.index, a
}

// app looks up an app. who are further names that a purge may name the user by,
// on whom the answer may depend.
func (l *Lookup) app(ctx context.Context, q directory.Query, id string, on directory.CacheScope, who ...cache.ID) (*identity.App, partAnswer) {
	ttls, names := *l.ttls, []cache.ID{{Kind: cache.AppID, Value: id}}
	key := l.keyDeriver.Key("app", l.fingerprint, id)
	if on.App {
		// The app is known only from what is said about a user, so it is kept
		// as an answer about that user: a user who is unknown must not make
		// the app unknown to all.
		p := q.Principal
		key = l.keyDeriver.Key("app of a user", l.fingerprint, append([]string{id, p.IssuerName, p.Issuer, p.Subject}, on.Caller...)...)
		ttls, names = l.ttlsFor(on), append(append(names, cache.ID{Kind: cache.UserID, Value: p.Subject}), who...)
	}
	res, err := l.apps.Get(ctx, key, ttls, func() []cache.ID { return names }, func(ctx context.Context) (*identity.App, error) {
		if on.App {
			ctx = directory.WithUser(ctx, q)
		}
		v, err := l.directory.App(ctx, id)
		return v, asNotFound(err)
	})
	return res.Value, partAnswerOf(res, err)
}

// appUser looks up the principal's assignment to an app; who is as for app.
func (l *Lookup) appUser(ctx context.Context, q directory.Query, app string, on directory.CacheScope, who ...cache.ID) (*identity.AppUser, partAnswer) {
	p := q.Principal
	key := l.keyDeriver.Key("app user", l.fingerprint, append([]string{p.IssuerName, p.Issuer, p.Subject, app}, on.Caller...)...)
	names := func() []cache.ID {
		return append([]cache.ID{{Kind: cache.UserID, Value: p.Subject}, {Kind: cache.AppID, Value: app}}, who...)
	}
	res, err := l.appUsers.Get(ctx, key, l.ttlsFor(on), names, func(ctx context.Context) (*identity.AppUser, error) {
		v, err := l.directory.AppUser(ctx, q, app)
		return v, asNotFound(err)
	})
	return res.Value, partAnswerOf(res, err)
}

// asNotFound translates the directory's error for an authoritative absence into
// the cache's. A subject that names two users is an error, which is not cached.
func asNotFound(err error) error {
	if err != nil && errors.Is(err, directory.ErrNotFound) && !directory.Failed(err) {
		return fmt.Errorf("%w: %w", cache.ErrNotFound, err)
	}
	return err
}

// partAnswerOf returns what a cache's result means for a record.
func partAnswerOf[V any](res cache.Result[V], err error) partAnswer {
	a := partAnswer{state: identity.Fresh, part: res.Handle, fetched: res.FetchedAt}
	switch {
	case errors.Is(err, directory.ErrNoDirectory):
		return partAnswer{state: identity.Unasked, err: err}
	case err != nil:
		return partAnswer{state: identity.Failed, err: err}
	case !res.Found:
		a.state = identity.Missing
	case res.State == cache.Stale:
		a.state = identity.Stale
	}
	return a
}
