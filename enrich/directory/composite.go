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

// CompositeOptions are what a merge needs besides its members.
type CompositeOptions struct {
	// Clock, Rand and Logger are handed to the guards made for members that
	// bring none; Logger and Observer also to a view of those that do.
	Clock    func() time.Time
	Rand     io.Reader
	Logger   *slog.Logger
	Observer Observer
}

// Composite is a Directory over several. Those that answer for the principal's
// issuer are asked at once, under one deadline, the longest of theirs, and
// their answers are merged in the configured order:
//
//   - of the user's id, login, status and times, and for each profile
//     attribute, the first directory that has it wins; null is not having it.
//     Person.UserOrigin and Origin tell which;
//   - groups are united by id. Person.GroupOrigins tells whose they are. They
//     are unknown where no directory that was asked says anything of groups, and
//     where one that does could not tell them whole (Person.GroupsUnknown);
//   - app and app user come from the first that knows it, which their Origin
//     names.
//
// A required directory that fails, fails the look-up. An optional one is left
// out and named in Person.LeftOut. A subject that names two users in any of
// them is an error.
type Composite struct {
	sources   []Source
	resilient []*Resilient
}

// NewComposite merges members, in their order. It starts nothing.
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

// Person implements Directory. ErrNoDirectory says that no member answers for
// the principal's issuer. ErrNotFound is said only where every directory that
// was asked said so: with one left out nobody knows.
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

// App implements Directory. It asks every member: an app is nobody's subject.
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

// AppUser implements Directory; its errors are as those of Person.
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

// sourcesFor gives the members that answer for the principal's issuer.
func (c *Composite) sourcesFor(q Query) []int {
	asked := make([]int, 0, len(c.sources))
	for i := range c.sources {
		if c.sources[i].answersFor(q.Principal.IssuerName) {
			asked = append(asked, i)
		}
	}
	return asked
}

// answer is what one member said.
type answer[T any] struct {
	source int
	value  *T
	err    error
}

// startAll asks the members at once; each answer arrives on a channel of its own.
// All share one deadline, so that a look-up takes as long as the slowest
// member may and no longer. Every channel gets its answer: a Guarded comes
// back in time whatever the kind does.
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

// askAll gives what every member says, in order.
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

// askFirst gives the first answer in order that is one, without waiting for
// those behind it. A failure decides where it comes before: a required
// directory that failed might have known, so one behind it must not speak in
// its place. Where an optional one failed, the answer is partial: the one to
// be had next time may be another.
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
		// Nobody knows it, but one could not be asked: not authoritative.
		return nil, false, failed
	}
	return nil, false, ErrNotFound
}

// failedOptional names the optional members that failed, or gives the error that ends
// the look-up: two users in any directory, or a required directory's failure.
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

// Start begins the background work of the members that have any. Where one
// fails to, those begun stay; Close ends them.
func (c *Composite) Start() error {
	var errs []error
	for i, r := range c.resilient {
		if err := r.Start(); err != nil {
			errs = append(errs, fmt.Errorf("starting directory %q: %w", c.sources[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// Close closes every member. Where members are shared with another
// configuration, close each where its last user gives it back instead.
func (c *Composite) Close() error {
	var errs []error
	for i, r := range c.resilient {
		if err := r.Close(); err != nil {
			errs = append(errs, fmt.Errorf("closing directory %q: %w", c.sources[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// Status tells how each member does, in order.
func (c *Composite) Status() []Status {
	all := make([]Status, len(c.resilient))
	for i, r := range c.resilient {
		all[i] = r.Status()
		all[i].Required, all[i].Issuers = c.sources[i].Required, c.sources[i].Issuers
	}
	return all
}

// Names gives the members' names, in order: the values of a metric's label.
func (c *Composite) Names() []string {
	names := make([]string, len(c.sources))
	for i := range c.sources {
		names[i] = c.sources[i].Name
	}
	return names
}

var _ Directory = (*Composite)(nil)
