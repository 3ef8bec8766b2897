package directory_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// recorder is an Observer that keeps what it is told.
type recorder struct {
	mu       sync.Mutex
	outcomes map[string]int
	states   []directory.State
}

func (r *recorder) DirectoryRequest(name, outcome string, _ time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outcomes == nil {
		r.outcomes = map[string]int{}
	}
	r.outcomes[name+"/"+outcome]++
}

func (r *recorder) DirectoryState(_ string, s directory.State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.states = append(r.states, s)
}

func guard(t testing.TB, d directory.Directory, o directory.ResilientOptions) *directory.Resilient {
	t.Helper()
	g, err := directory.NewResilient(d, o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func persons(f func(context.Context) (*identity.Person, error)) *directorytest.Fake {
	return &directorytest.Fake{PersonFunc: func(ctx context.Context, _ directory.Query) (*identity.Person, error) { return f(ctx) }}
}

func lookUp(g directory.Directory) error {
	_, err := g.Person(context.Background(), directorytest.Query("ada"))
	return err
}

func TestAKindThatIgnoresItsContextCostsItsPlaceAndNoTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := persons(func(context.Context) (*identity.Person, error) { <-release; return person("ada", nil), nil })
		g := guard(t, f, directory.ResilientOptions{Concurrency: 2, Failures: 100})
		for range 3 {
			begin := time.Now()
			if err := lookUp(g); !errors.Is(err, directory.ErrTimeout) {
				t.Errorf("error %v, want ErrTimeout", err)
			}
			if took := time.Since(begin); took != directory.DefaultTimeout {
				t.Errorf("it took %v", took)
			}
		}
		if n := f.Persons.Load(); n != 2 {
			t.Errorf("the directory was asked %d times at once, want 2", n)
		}
		if s := g.Status(); s.InFlight != 2 || s.Waiting != 0 {
			t.Errorf("status %+v", s)
		}
		close(release)
		synctest.Wait()
		if s := g.Status(); s.InFlight != 0 {
			t.Errorf("%d places are lost", s.InFlight)
		}
	})
}

func TestLookUpsWaitForAPlaceAndTheQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := persons(func(ctx context.Context) (*identity.Person, error) {
			select {
			case <-time.After(100 * time.Millisecond):
				return person("ada", nil), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		})
		g := guard(t, f, directory.ResilientOptions{Concurrency: 1, Failures: 1000})
		var mu sync.Mutex
		outcomes := map[string]int{}
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				err := lookUp(g)
				mu.Lock()
				defer mu.Unlock()
				outcomes[directory.Class(err)]++
			})
		}
		wg.Wait()
		// One is under way and sixteen wait; the last of them is answered
		// after 1.7 s of its 3.
		if outcomes["found"] != 17 || outcomes["unavailable"] != 23 {
			t.Errorf("outcomes %v, want 17 found and 23 turned away", outcomes)
		}
	})
}

func TestAWaitingCallerMayGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		f := persons(func(context.Context) (*identity.Person, error) { <-release; return person("ada", nil), nil })
		g := guard(t, f, directory.ResilientOptions{Concurrency: 1})
		go func() { _ = lookUp(g) }()
		synctest.Wait()
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		_, err := g.Person(gone, directorytest.Query("ada"))
		if !errors.Is(err, context.Canceled) || directory.Class(err) != "canceled" {
			t.Errorf("error %v", err)
		}
		close(release)
		synctest.Wait()
		if s := g.Status(); s.State != "closed" || s.Failures != 0 || s.Waiting != 0 || s.InFlight != 0 {
			t.Errorf("a caller that went away counts against the directory: %+v", s)
		}
	})
}

func TestThePanicOfAKindIsAnError(t *testing.T) {
	var log bytes.Buffer
	g := guard(t, persons(func(context.Context) (*identity.Person, error) { panic("ada@example.com has no groups") }),
		directory.ResilientOptions{Name: "hr", Failures: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for range 3 {
		if err := lookUp(g); !errors.Is(err, directory.ErrPanicked) || strings.Contains(err.Error(), "ada") {
			t.Errorf("error %v", err)
		}
	}
	if g.State() != directory.StateClosed {
		t.Error("one person's panic keeps everybody out")
	}
	if strings.Contains(log.String(), "ada@") || !strings.Contains(log.String(), "resilient_test.go") {
		t.Error("the log names the person, or not the place")
	}
}

func TestAnswersOverABoundAreRefusedWhole(t *testing.T) {
	groups := person("ada", nil)
	groups.Groups = make([]identity.Group, directory.MaxGroups+1)
	deep := any("x")
	for range identity.MaxDepth + 2 {
		deep = []any{deep}
	}
	for name, c := range map[string]struct {
		p    *identity.Person
		want error
	}{
		"groups":       {groups, directory.ErrTooLarge},
		"an attribute": {person("ada", object{"x": strings.Repeat("a", directory.MaxRecord)}), directory.ErrTooLarge},
		"a list":       {person("ada", object{"x": []any{strings.Repeat("a", directory.MaxRecord/2), strings.Repeat("a", directory.MaxRecord/2)}}), directory.ErrTooLarge},
		"depth":        {person("ada", object{"x": deep}), directory.ErrTooLarge},
		"no user":      {&identity.Person{}, directory.ErrMalformed},
		"nothing":      {nil, directory.ErrMalformed},
	} {
		g := guard(t, persons(func(context.Context) (*identity.Person, error) { return c.p, nil }), directory.ResilientOptions{})
		if p, err := g.Person(context.Background(), directorytest.Query("ada")); p != nil || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	nothing := &directorytest.Fake{
		AppFunc:     func(context.Context, string) (*identity.App, error) { return nil, nil },                      //nolint:nilnil // the fault that is tested
		AppUserFunc: func(context.Context, directory.Query, string) (*identity.AppUser, error) { return nil, nil }, //nolint:nilnil // the same
	}
	g := guard(t, nothing, directory.ResilientOptions{})
	if _, err := g.App(context.Background(), "x"); !errors.Is(err, directory.ErrMalformed) {
		t.Errorf("no app and no error: %v", err)
	}
	if _, err := g.AppUser(context.Background(), directorytest.Query("ada"), "x"); !errors.Is(err, directory.ErrMalformed) {
		t.Errorf("no assignment and no error: %v", err)
	}
}

func TestOnlyWhatAKindCallsTransientIsAskedAgain(t *testing.T) {
	for _, c := range []struct {
		name  string
		err   error
		asked int64
	}{
		{"transient", directory.Transient(directory.ErrUnavailable), 1 + directory.DefaultRetries},
		{"unavailable", directory.ErrUnavailable, 1},
		{"refused", directory.ErrRefused, 1},
		{"not found", directory.ErrNotFound, 1},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := directorytest.Failing(c.err)
			g := guard(t, f, directory.ResilientOptions{})
			if err := lookUp(g); !errors.Is(err, c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
			if n := f.Persons.Load(); n != c.asked {
				t.Errorf("%s: asked %d times, want %d", c.name, n, c.asked)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := guard(t, persons(func(context.Context) (*identity.Person, error) {
			if n++; n == 1 {
				return nil, directory.Transient(directory.ErrUnavailable)
			}
			return person("ada", nil), nil
		}), directory.ResilientOptions{})
		if err := lookUp(g); err != nil || g.Status().Retries != 1 {
			t.Errorf("the second attempt: %v, %+v", err, g.Status())
		}
	})
}

func TestRetriesEndByThemselvesAgainstADirectoryThatIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := directorytest.Failing(directory.Transient(directory.ErrUnavailable))
		g := guard(t, f, directory.ResilientOptions{Failures: 1 << 30, Retries: directory.MaxRetries, OpenFor: time.Nanosecond})
		for range 200 {
			_ = lookUp(g)
		}
		if n := g.Status().Retries; n > 20 {
			t.Errorf("%d retries for 200 look-ups, want no more than the reserve of 20", n)
		}
	})
}

func TestTheCircuitOpensTriesAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		failing := true
		f := persons(func(context.Context) (*identity.Person, error) {
			if failing {
				return nil, directory.ErrUnavailable
			}
			return person("ada", nil), nil
		})
		var log bytes.Buffer
		seen := &recorder{}
		g := guard(t, f, directory.ResilientOptions{Name: "hr", Logger: slog.New(slog.NewTextHandler(&log, nil)), Observer: seen})
		for range 5 {
			if err := lookUp(g); !errors.Is(err, directory.ErrUnavailable) {
				t.Fatal(err)
			}
		}
		if s := g.Status(); s.State != "open" || s.Ready || s.LastError != "unavailable" || !s.Since.Equal(time.Now()) {
			t.Errorf("after five failures: %+v", s)
		}
		for range 10 {
			if err := lookUp(g); !errors.Is(err, directory.ErrOpen) {
				t.Errorf("an open circuit: %v", err)
			}
		}
		if n := f.Persons.Load(); n != 5 {
			t.Errorf("the directory was asked %d times, want 5", n)
		}
		if g.Status().LastError != "unavailable" {
			t.Error("why the circuit opened is forgotten")
		}
		for range 3 { // three probes that fail
			<-time.After(11 * time.Second)
			if g.State() != directory.StateHalfOpen {
				t.Errorf("state %v, want half open", g.State())
			}
			if err := lookUp(g); !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("the probe: %v", err)
			}
			if err := lookUp(g); !errors.Is(err, directory.ErrOpen) {
				t.Errorf("behind the probe: %v", err)
			}
		}
		failing = false
		<-time.After(11 * time.Second)
		if err := lookUp(g); err != nil {
			t.Errorf("the probe: %v", err)
		}
		if s := g.Status(); s.State != "closed" || !s.Ready {
			t.Errorf("after an answer: %+v", s)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 2 {
			t.Errorf("%d log lines for one outage, want 2:\n%s", lines, &log)
		}
		if strings.Contains(log.String(), "ada") {
			t.Error("the log names the person")
		}
		if seen.outcomes["hr/unavailable"] != 8 || seen.outcomes["hr/open"] != 13 || seen.outcomes["hr/found"] != 1 {
			t.Errorf("observed %v", seen.outcomes)
		}
		if n := len(seen.states); n == 0 || seen.states[0] != directory.StateOpen || seen.states[n-1] != directory.StateClosed {
			t.Errorf("observed states %v", seen.states)
		}
	})
}

// decide asks what a decision asks at once, and gives what became of it.
func decide(g *directory.Resilient) [3]error {
	var errs [3]error
	var all sync.WaitGroup
	all.Go(func() { _, errs[0] = g.Person(context.Background(), directorytest.Query("ada")) })
	all.Go(func() { _, errs[1] = g.App(context.Background(), "payroll") })
	all.Go(func() { _, errs[2] = g.AppUser(context.Background(), directorytest.Query("ada"), "payroll") })
	all.Wait()
	return errs
}

func TestTheFirstDecisionBehindAnOutageIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fails := directory.ErrUnavailable
		var asked atomic.Int64
		f := persons(func(context.Context) (*identity.Person, error) {
			<-time.After(100 * time.Millisecond)
			asked.Add(1)
			return person("ada", nil), fails
		})
		f.AppFunc = func(context.Context, string) (*identity.App, error) {
			<-time.After(50 * time.Millisecond) // before the probe ends, whichever that is
			asked.Add(1)
			return &identity.App{ID: "payroll"}, fails
		}
		f.AppUserFunc = func(context.Context, directory.Query, string) (*identity.AppUser, error) {
			<-time.After(200 * time.Millisecond)
			asked.Add(1)
			return &identity.AppUser{ID: "ada"}, fails
		}
		seen := &recorder{}
		g := guard(t, f, directory.ResilientOptions{Name: "hr", Observer: seen})
		for range 5 {
			_ = lookUp(g)
		}
		for range 3 { // the outage lasts: each try costs what one decision asks, and no more
			<-time.After(11 * time.Second)
			asked.Store(0)
			for range 4 {
				for _, err := range decide(g) {
					if err == nil {
						t.Error("an answer of a directory that is down")
					}
				}
			}
			if n := asked.Load(); n != 3 {
				t.Errorf("a directory that is down was asked %d times, want 3", n)
			}
			if s := g.Status(); s.State != "open" || s.Ready || seen.states[len(seen.states)-1] != directory.StateOpen {
				t.Errorf("after a try that failed: %+v, observed %v", s, seen.states)
			}
		}
		fails = nil
		<-time.After(11 * time.Second)
		go func() {
			<-time.After(10 * time.Millisecond)
			if s := g.Status(); s.State != "half_open" || !s.Ready || seen.states[len(seen.states)-1] != directory.StateHalfOpen {
				t.Errorf("while it tries: %+v, observed %v", s, seen.states)
			}
			if err := lookUp(g); !errors.Is(err, directory.ErrOpen) {
				t.Errorf("one more than a decision asks: %v", err)
			}
		}()
		for _, err := range decide(g) {
			if err != nil {
				t.Errorf("the first decision behind the outage: %v", err)
			}
		}
		if s := g.Status(); s.State != "closed" || seen.states[len(seen.states)-1] != directory.StateClosed {
			t.Errorf("after an answer: %+v, observed %v", s, seen.states)
		}
	})
}

func TestAnAnswerBesideAProbeThatSaysNothingClosesTheCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan error)
		g := guard(t, persons(func(context.Context) (*identity.Person, error) { return person("ada", nil), <-answers }),
			directory.ResilientOptions{Failures: 1})
		ask := func() {
			go func() { _ = lookUp(g) }()
			synctest.Wait()
		}
		ask()
		answers <- directory.ErrUnavailable
		<-time.After(11 * time.Second)
		ask() // the probe
		ask()
		answers <- directory.ErrMalformed
		synctest.Wait()
		if g.State() != directory.StateHalfOpen {
			t.Errorf("state %v, want half open", g.State())
		}
		answers <- nil
		synctest.Wait()
		if g.State() != directory.StateClosed {
			t.Errorf("state %v, want closed", g.State())
		}
	})
}

func TestHalfOfManyFailingOpensTheCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		g := guard(t, persons(func(context.Context) (*identity.Person, error) {
			if n++; n%2 == 0 {
				return nil, directory.ErrUnavailable
			}
			return person("ada", nil), nil
		}), directory.ResilientOptions{})
		for range 30 {
			_ = lookUp(g)
		}
		if g.State() != directory.StateOpen {
			t.Errorf("state %v, want open", g.State())
		}
	})
}

func TestWhatOnePersonBringsAboutOpensNoCircuit(t *testing.T) {
	for _, err := range []error{
		directory.ErrNotFound, directory.ErrAmbiguous, directory.ErrForeign, directory.ErrTooLarge,
		directory.ErrMalformed, directory.ErrRejected, directory.ErrThrottled,
	} {
		g := guard(t, directorytest.Failing(err), directory.ResilientOptions{})
		for range 50 {
			_ = lookUp(g)
		}
		if g.State() != directory.StateClosed {
			t.Errorf("%v opens the circuit", err)
		}
	}
}

// peopleOnly is a directory that knows no apps and no assignments.
type peopleOnly struct{ *directorytest.Fake }

func (peopleOnly) Supports() (apps, appUsers bool) { return false, false }

func TestWhatAKindCannotKnowIsNoSignOfItsHealth(t *testing.T) {
	f := peopleOnly{directorytest.Failing(directory.ErrUnavailable)}
	r := &recorder{}
	g := guard(t, f, directory.ResilientOptions{Name: "people", Failures: 5, Observer: r})
	nothing := func() {
		t.Helper()
		if _, err := g.App(t.Context(), "payroll"); !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
			t.Errorf("an app: %v", err)
		}
		if _, err := g.AppUser(t.Context(), directorytest.Query("ada"), "payroll"); !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
			t.Errorf("an assignment: %v", err)
		}
	}
	for range 5 {
		if err := lookUp(g); !errors.Is(err, directory.ErrUnavailable) {
			t.Fatalf("error %v", err)
		}
		nothing()
	}
	if g.State() != directory.StateOpen {
		t.Errorf("after five failures in a row the circuit is %v", g.State())
	}
	nothing() // nor is the directory missed while its circuit is open
	if f.Apps.Load()+f.AppUsers.Load() != 0 || r.outcomes["people/not_found"] != 0 {
		t.Errorf("it was asked for %d apps and %d assignments; outcomes %v", f.Apps.Load(), f.AppUsers.Load(), r.outcomes)
	}
}

func TestViewsShareOneState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := guard(t, directorytest.Failing(directory.ErrUnavailable), directory.ResilientOptions{Name: "old"})
		before, after := &recorder{}, &recorder{}
		one, err := directory.NewComposite([]directory.Source{{Name: "a", Directory: shared}}, directory.CompositeOptions{Observer: before})
		if err != nil {
			t.Fatal(err)
		}
		two, err := directory.NewComposite([]directory.Source{{Name: "b", Directory: shared}}, directory.CompositeOptions{Observer: after})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			_ = lookUp(one)
		}
		if err := lookUp(two); !errors.Is(err, directory.ErrOpen) {
			t.Errorf("the new configuration asks a directory that the old knows to fail: %v", err)
		}
		if before.outcomes["a/unavailable"] != 5 || after.outcomes["b/open"] != 1 || len(after.outcomes) != 1 {
			t.Errorf("observed %v and %v", before.outcomes, after.outcomes)
		}
	})
}

// closing is a directory that can be closed and started.
type closing struct {
	directory.Directory
	started, closed int
}

func (c *closing) Start() error           { c.started++; return nil }
func (c *closing) Close() error           { c.closed++; return nil }
func (c *closing) Report() (bool, string) { return false, "nothing to answer from" }

func TestClosingWaitsForThoseUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		inner := &closing{Directory: persons(func(context.Context) (*identity.Person, error) { <-release; return person("ada", nil), nil })}
		g := guard(t, inner, directory.ResilientOptions{})
		if err := errors.Join(g.Start(), g.Start()); err != nil || inner.started != 1 {
			t.Errorf("started %d times, %v", inner.started, err)
		}
		if s := g.Status(); s.Ready || s.Problem != "nothing to answer from" {
			t.Errorf("what the kind reports is not shown: %+v", s)
		}
		done := make(chan error, 1)
		go func() { done <- lookUp(g) }()
		synctest.Wait()
		if err := errors.Join(g.Close(), g.Close()); err != nil {
			t.Error(err)
		}
		if inner.closed != 0 {
			t.Error("closed under a look-up")
		}
		if err := lookUp(g); !errors.Is(err, directory.ErrClosed) {
			t.Errorf("a look-up after Close: %v", err)
		}
		close(release)
		if err := <-done; err != nil {
			t.Errorf("the look-up under way: %v", err)
		}
		synctest.Wait()
		if inner.closed != 1 {
			t.Errorf("closed %d times, want 1", inner.closed)
		}
		<-time.After(time.Minute)
		if inner.closed != 1 {
			t.Errorf("closed %d times, want 1", inner.closed)
		}
	})
}

func TestClosingDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		inner := &closing{Directory: persons(func(context.Context) (*identity.Person, error) { <-release; return nil, directory.ErrClosed })}
		g := guard(t, inner, directory.ResilientOptions{})
		_ = lookUp(g)
		_ = g.Close()
		<-time.After(time.Minute)
		synctest.Wait()
		if inner.closed != 1 {
			t.Errorf("closed %d times, want 1 after the bounded wait", inner.closed)
		}
		close(release)
		synctest.Wait()
		if inner.closed != 1 {
			t.Errorf("closed %d times, want 1", inner.closed)
		}
	})
}

func TestAQueryIsLoggedWithoutTokenAndSubject(t *testing.T) {
	var log bytes.Buffer
	q := directorytest.Query("ada@example.com")
	q.Token = "eyJhbGciOi"
	slog.New(slog.NewTextHandler(&log, nil)).Info("asking", "query", q)
	if text := log.String(); strings.Contains(text, "ada@") || strings.Contains(text, "eyJ") || !strings.Contains(text, "corp") {
		t.Errorf("log line %s", text)
	}
}
