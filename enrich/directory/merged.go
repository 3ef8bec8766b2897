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

// MergeOptions are what a merge needs besides its members.
type MergeOptions struct {
	// Clock, Rand and Logger are handed to the guards made for members that
	// bring none; Logger and Observer also to a view of those that do.
	Clock    func() time.Time
	Rand     io.Reader
	Logger   *slog.Logger
	Observer Observer
}

// Merged is a Directory over several. Those that answer for the principal's
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
type Merged struct {
	members []Member
	guards  []*Guarded
}

// NewMerged merges members, in their order. It starts nothing.
func NewMerged(members []Member, o MergeOptions) (*Merged, error) {
	if len(members) > MaxMembers {
		return nil, fmt.Errorf("merging directories: over %d", MaxMembers)
	}
	m := &Merged{members: make([]Member, len(members)), guards: make([]*Guarded, len(members))}
	copy(m.members, members)
	names := make(map[string]bool, len(members))
	for i := range m.members {
		mb := &m.members[i]
		switch {
		case mb.Name == "":
			return nil, fmt.Errorf("merging directories: directory %d has no name", i+1)
		case names[mb.Name]:
			return nil, fmt.Errorf("merging directories: two are named %q", mb.Name)
		case mb.Directory == nil:
			return nil, fmt.Errorf("merging directories: %q is empty", mb.Name)
		}
		names[mb.Name] = true
		if err := mb.CheckMatch(); err != nil {
			return nil, fmt.Errorf("merging directories: %w", err)
		}
		if g, ok := mb.Directory.(*Guarded); ok {
			m.guards[i] = g.view(mb, o.Observer, o.Logger)
			continue
		}
		g, err := NewGuarded(mb.Directory, GuardOptions{
			Name: mb.Name, Timeout: mb.Timeout, Concurrency: mb.Concurrency,
			Clock: o.Clock, Rand: o.Rand, Logger: o.Logger, Observer: o.Observer,
		})
		if err != nil {
			return nil, fmt.Errorf("merging directories: %q: %w", mb.Name, err)
		}
		m.guards[i] = g.view(mb, nil, nil)
	}
	return m, nil
}

// Person implements Directory. ErrNoDirectory says that no member answers for
// the principal's issuer. ErrNotFound is said only where every directory that
// was asked said so: with one left out nobody knows.
func (m *Merged) Person(ctx context.Context, q Query) (*identity.Person, error) {
	if _, err := q.Subject(); err != nil {
		return nil, err
	}
	asked := m.membersFor(q)
	if len(asked) == 0 {
		return nil, fmt.Errorf("looking up a person: %w", ErrNoDirectory)
	}
	answers := askAll(ctx, m, asked, func(ctx context.Context, i int) (*identity.Person, error) {
		return m.guards[i].Person(ctx, q)
	})
	leftOut, err := m.judge(answers)
	if err != nil {
		return nil, fmt.Errorf("looking up a person: %w", err)
	}
	return m.mergePersons(answers, leftOut)
}

// App implements Directory. It asks every member: an app is nobody's subject.
func (m *Merged) App(ctx context.Context, id string) (*identity.App, error) {
	if err := CheckName(id); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	asked := make([]int, len(m.members))
	for i := range asked {
		asked[i] = i
	}
	if len(asked) == 0 {
		return nil, fmt.Errorf("looking up an app: %w", ErrNoDirectory)
	}
	app, partial, err := askFirst(ctx, m, asked, func(ctx context.Context, i int) (*identity.App, error) {
		a, err := m.guards[i].App(m.aboutFor(ctx, i), id)
		if err != nil {
			return nil, err
		}
		own := *a // the answer is shared
		own.Origin = m.members[i].Name
		return &own, nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking up an app: %w", err)
	}
	if partial {
		app.Keep = briefly(app.Keep)
	}
	return app, nil
}

// AppUser implements Directory; its errors are as those of Person.
func (m *Merged) AppUser(ctx context.Context, q Query, appID string) (*identity.AppUser, error) {
	if _, err := q.Subject(); err != nil {
		return nil, err
	}
	asked := m.membersFor(q)
	if len(asked) == 0 {
		return nil, fmt.Errorf("looking up an app user: %w", ErrNoDirectory)
	}
	user, partial, err := askFirst(ctx, m, asked, func(ctx context.Context, i int) (*identity.AppUser, error) {
		u, err := m.guards[i].AppUser(ctx, q, appID)
		if err != nil {
			return nil, err
		}
		own := *u // the answer is shared
		own.Origin = m.members[i].Name
		return &own, nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking up an app user: %w", err)
	}
	if partial {
		user.Keep = briefly(user.Keep)
	}
	return user, nil
}

// membersFor gives the members that answer for the principal's issuer.
func (m *Merged) membersFor(q Query) []int {
	asked := make([]int, 0, len(m.members))
	for i := range m.members {
		if m.members[i].answersFor(q.Principal.IssuerName) {
			asked = append(asked, i)
		}
	}
	return asked
}

// answer is what one member said.
type answer[T any] struct {
	member int
	value  *T
	err    error
}

// begin asks the members at once; each answer arrives on a channel of its own.
// All share one deadline, so that a look-up takes as long as the slowest
// member may and no longer. Every channel gets its answer: a Guarded comes
// back in time whatever the kind does.
func begin[T any](ctx context.Context, m *Merged, asked []int, question func(context.Context, int) (*T, error)) ([]chan answer[T], context.CancelFunc) {
	var longest time.Duration
	for _, i := range asked {
		longest = max(longest, m.guards[i].timeout)
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
func askAll[T any](ctx context.Context, m *Merged, asked []int, question func(context.Context, int) (*T, error)) []answer[T] {
	if len(asked) == 1 {
		v, err := question(ctx, asked[0])
		return []answer[T]{{asked[0], v, err}}
	}
	answers, cancel := begin(ctx, m, asked, question)
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
func askFirst[T any](ctx context.Context, m *Merged, asked []int, question func(context.Context, int) (*T, error)) (first *T, partial bool, err error) {
	answers, cancel := begin(ctx, m, asked, question)
	defer cancel()
	var failed error
	for n := range answers {
		a := <-answers[n]
		if a.err == nil {
			return a.value, failed != nil, nil
		}
		err := fmt.Errorf("directory %q: %w", m.members[a.member].Name, a.err)
		switch {
		case errors.Is(err, ErrAmbiguous), Failed(err) && m.members[a.member].Required:
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

// judge names the optional members that failed, or gives the error that ends
// the look-up: two users in any directory, or a required directory's failure.
func (m *Merged) judge(answers []answer[identity.Person]) (leftOut []string, err error) {
	for _, a := range answers {
		if errors.Is(a.err, ErrAmbiguous) {
			return nil, fmt.Errorf("directory %q: %w", m.members[a.member].Name, a.err)
		}
	}
	for _, a := range answers {
		if !Failed(a.err) {
			continue
		}
		if m.members[a.member].Required {
			return nil, fmt.Errorf("directory %q: %w", m.members[a.member].Name, a.err)
		}
		leftOut = append(leftOut, m.members[a.member].Name)
	}
	return leftOut, nil
}

// Start begins the background work of the members that have any. Where one
// fails to, those begun stay; Close ends them.
func (m *Merged) Start() error {
	var errs []error
	for i, g := range m.guards {
		if err := g.Start(); err != nil {
			errs = append(errs, fmt.Errorf("starting directory %q: %w", m.members[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// Close closes every member. Where members are shared with another
// configuration, close each where its last user gives it back instead.
func (m *Merged) Close() error {
	var errs []error
	for i, g := range m.guards {
		if err := g.Close(); err != nil {
			errs = append(errs, fmt.Errorf("closing directory %q: %w", m.members[i].Name, err))
		}
	}
	return errors.Join(errs...)
}

// Status tells how each member does, in order.
func (m *Merged) Status() []Status {
	all := make([]Status, len(m.guards))
	for i, g := range m.guards {
		all[i] = g.Status()
		all[i].Required, all[i].Issuers = m.members[i].Required, m.members[i].Issuers
	}
	return all
}

// Names gives the members' names, in order: the values of a metric's label.
func (m *Merged) Names() []string {
	names := make([]string, len(m.members))
	for i := range m.members {
		names[i] = m.members[i].Name
	}
	return names
}

var _ Directory = (*Merged)(nil)
