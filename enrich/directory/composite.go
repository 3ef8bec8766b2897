package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// CompositeOptions are what a Composite needs besides its sources.
type CompositeOptions struct {
	// Clock, Rand, Logger and Observer are the options of each Resilient that
	// NewComposite makes. Logger and Observer also replace those of a source that
	// already is a *Resilient.
	Clock    func() time.Time
	Rand     io.Reader
	Logger   *slog.Logger
	Observer Observer
}

// Composite is a Directory over several sources. Those that answer for the
// principal's issuer are asked at once, under one deadline, the longest of theirs,
// and their answers are merged in the configured order:
//
//   - The user's id, login, status and times, and each profile attribute, come
//     from the first source that has it. A null attribute counts as absent.
//     Person.UserOrigin and Origin name the source.
//   - Groups are united by id; Person.GroupOrigins names their sources. They are
//     unknown where no source supplies groups, and where one that does could not
//     supply all of them (Person.GroupsUnknown).
//   - App and app user come from the first source that has it, which their
//     Origin names.
//
// The failure of a required source fails the look-up. An optional one is left out
// and named in Person.LeftOut. A subject that names two users in any source is an
// error.
type Composite struct {
	sources   []Source
	resilient []*Resilient
}

// NewComposite returns a directory over sources, in their order. It starts
// nothing.
func NewComposite(sources []Source, o CompositeOptions) (*Composite, error) {
	if len(sources) > MaxSources {
		return nil, fmt.Errorf("merging directories: over %d", MaxSources)
	}
	c := &Composite{sources: make([]Source, len(sources)), resilient: make([]*Resilient, len(sources))}
	copy(c.sources, sources)
	names := make(map[string]bool, len(sources))
	for i := range c.sources {
		src := &c.sources[i]
		switch {
		case src.Name == "":
			return nil, fmt.Errorf("merging directories: directory %d has no name", i+1)
		case names[src.Name]:
			return nil, fmt.Errorf("merging directories: two are named %q", src.Name)
		case src.Directory == nil:
			return nil, fmt.Errorf("merging directories: %q is empty", src.Name)
		}
		names[src.Name] = true
		if err := src.CheckMatch(); err != nil {
			return nil, fmt.Errorf("merging directories: %w", err)
		}
		if r, ok := src.Directory.(*Resilient); ok {
			c.resilient[i] = r.view(src, o.Observer, o.Logger)
			continue
		}
		r, err := NewResilient(src.Directory, ResilientOptions{
			Name: src.Name, Timeout: src.Timeout, Concurrency: src.Concurrency,
			Clock: o.Clock, Rand: o.Rand, Logger: o.Logger, Observer: o.Observer,
		})
		if err != nil {
			return nil, fmt.Errorf("merging directories: %q: %w", src.Name, err)
		}
		c.resilient[i] = r.view(src, nil, nil)
	}
	return c, nil
}

// Person implements Directory. ErrNoDirectory says that no source answers for
// the principal's issuer. It returns ErrNotFound only where each source that was
// asked did: with one left out, the user may be there.
func (c *Composite) Person(ctx context.Context, q Query) (*identity.Person, error) {
	if _, err := q.Subject(); err != nil {
		return nil, err
	}
	asked := c.sourcesFor(q)
	if len(asked) == 0 {
		return nil, fmt.Errorf("looking up a person: %w", ErrNoDirectory)
	}
	answers := askAll(ctx, c, asked, func(ctx context.Context, i int) (*identity.Person, error) {
		return c.resilient[i].Person(ctx, q)
	})
	leftOut, err := c.failedOptional(answers)
	if err != nil {
		return nil, fmt.Errorf("looking up a person: %w", err)
	}
	return c.mergePersons(answers, leftOut)
}

// App implements Directory. It asks all sources: an app belongs to no issuer.
func (c *Composite) App(ctx context.Context, id string) (*identity.App, error) {
	if err := CheckName(id); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	asked := make([]int, len(c.sources))
	for i := range asked {
		asked[i] = i
	}
	if len(asked) == 0 {
		return nil, fmt.Errorf("looking up an app: %w", ErrNoDirectory)
	}
	app, partial, err := askFirst(ctx, c, asked, func(ctx context.Context, i int) (*identity.App, error) {
		a, err := c.resilient[i].App(c.userFor(ctx, i), id)
		if err != nil {
			return nil, err
		}
		own := *a // the answer is shared
		own.Origin = c.sources[i].Name
		return &own, nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking up an app: %w", err)
	}
	if partial {
		app.Keep = shortTTL(app.Keep)
	}
	return app, nil
}

// AppUser implements Directory. Its errors are those of Person.
func (c *Composite) AppUser(ctx context.Context, q Query, appID string) (*identity.AppUser, error) {
	if _, err := q.Subject(); err != nil {
		return nil, err
	}
	asked := c.sourcesFor(q)
	if len(asked) == 0 {
		return nil, fmt.Errorf("looking up an app user: %w", ErrNoDirectory)
	}
	user, partial, err := askFirst(ctx, c, asked, func(ctx context.Context, i int) (*identity.AppUser, error) {
		u, err := c.resilient[i].AppUser(ctx, q, appID)
		if err != nil {
			return nil, err
		}
		own := *u // the answer is shared
		own.Origin = c.sources[i].Name
		return &own, nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking up an app user: %w", err)
	}
	if partial {
		user.Keep = shortTTL(user.Keep)
	}
	return user, nil
}

// sourcesFor returns the indices of the sources that answer for the principal's
// issuer.
func (c *Composite) sourcesFor(q Query) []int {
	asked := make([]int, 0, len(c.sources))
	for i := range c.sources {
		if c.sources[i].answersFor(q.Principal.IssuerName) {
			asked = append(asked, i)
		}
	}
	return asked
}

// answer is the answer of one source, by its index.
type answer[T any] struct {
	source int
	value  *T
	err    error
}

// startAll asks the sources at once. Each answer arrives on a channel of its own.
// All share one deadline, so that a look-up takes no longer than the slowest
// source may. Each channel gets its answer: a Resilient returns in time whatever
// the kind does.
func startAll[T any](ctx context.Context, c *Composite, asked []int, question func(context.Context, int) (*T, error)) ([]chan answer[T], context.CancelFunc) {
	var longest time.Duration
	for _, i := range asked {
		longest = max(longest, c.resilient[i].timeout)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, longest, ErrTimeout)
	answers := make([]chan answer[T], len(asked))
	for n, i := range asked {
		answers[n] = make(chan answer[T], 1)
		go func() {
			v, err := question(ctx, i)
			answers[n] <- answer[T]{i, v, err}
		}()
	}
	return answers, cancel
}

// askAll returns the answers of all sources, in order.
func askAll[T any](ctx context.Context, c *Composite, asked []int, question func(context.Context, int) (*T, error)) []answer[T] {
	if len(asked) == 1 {
		v, err := question(ctx, asked[0])
		return []answer[T]{{asked[0], v, err}}
	}
	answers, cancel := startAll(ctx, c, asked, question)
	defer cancel()
	out := make([]answer[T], len(asked))
	for n := range answers {
		out[n] = <-answers[n]
	}
	return out
}

// askFirst returns the first answer in order, without waiting for the sources
// behind it. The failure of a required source in front of it fails the look-up:
// that source might have had the answer, so one behind it must not replace it. After
// the failure of an optional source the answer is partial: the next look-up may
// have another.
func askFirst[T any](ctx context.Context, c *Composite, asked []int, question func(context.Context, int) (*T, error)) (first *T, partial bool, err error) {
	answers, cancel := startAll(ctx, c, asked, question)
	defer cancel()
	var failed error
	for n := range answers {
		a := <-answers[n]
		if a.err == nil {
			return a.value, failed != nil, nil
		}
		err := fmt.Errorf("directory %q: %w", c.sources[a.source].Name, a.err)
		switch {
		case errors.Is(err, ErrAmbiguous), Failed(err) && c.sources[a.source].Required:
			return nil, false, err
		case Failed(err) && failed == nil:
			failed = err
		}
	}
	if failed != nil {
		// No source has it, but one could not be asked: not authoritative.
		return nil, false, failed
	}
	return nil, false, ErrNotFound
}

// failedOptional returns the names of the optional sources that failed, or the
// error that ends the look-up: two users in any source, or the failure of a
// required one.
func (c *Composite) failedOptional(answers []answer[identity.Person]) (leftOut []string, err error) {
	for _, a := range answers {
		if errors.Is(a.err, ErrAmbiguous) {
			return nil, fmt.Errorf("directory %q: %w", c.sources[a.source].Name, a.err)
		}
	}
	for _, a := range answers {
		if !Failed(a.err) {
			continue
		}
		if c.sources[a.source].Required {
			return nil, fmt.Errorf("directory %q: %w", c.sources[a.source].Name, a.err)
		}
		leftOut = append(leftOut, c.sources[a.source].Name)
	}
	return leftOut, nil
}

// Start begins the background work of the sources that have any. Where one
// fails, the others stay started; Close ends them.
func (c *Composite) Start() error {
	var errs []error
	for i, r := range c.resilient {
		if err := r.Start(); err != nil {
			errs = append(errs, fmt.Errorf("starting directory %q: %w", c.sources[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// Close closes all sources. Sources that are shared with another configuration
// are closed each by its last user instead.
func (c *Composite) Close() error {
	var errs []error
	for i, r := range c.resilient {
		if err := r.Close(); err != nil {
			errs = append(errs, fmt.Errorf("closing directory %q: %w", c.sources[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// Status returns the state and counters of each source, in order.
func (c *Composite) Status() []Status {
	all := make([]Status, len(c.resilient))
	for i, r := range c.resilient {
		all[i] = r.Status()
		all[i].Required, all[i].Issuers = c.sources[i].Required, c.sources[i].Issuers
	}
	return all
}

var _ Directory = (*Composite)(nil)
