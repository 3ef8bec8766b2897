package directory_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

type object = map[string]any

func person(id string, profile object, groups ...string) *identity.Person {
	p := &identity.Person{User: &identity.User{ID: id, Profile: profile}, GroupsKnown: true}
	for _, g := range groups {
		p.Groups = append(p.Groups, identity.Group{ID: g, Name: g + " of " + id})
	}
	return p
}

func holding(p *identity.Person) *directorytest.Fake { return directorytest.Holding(p, "ada") }

func merge(t testing.TB, members ...directory.Source) *directory.Composite {
	t.Helper()
	m, err := directory.NewComposite(members, directory.CompositeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMergeTakesEachAttributeFromTheFirstThatHasIt(t *testing.T) {
	first := person("", object{"email": nil, "department": "Engineering", "floor": int64(0)}, "a", "b", "a")
	first.GroupsKnown = false
	second := person("two", object{"email": "ada@example.com", "department": "Sales", "secret": "x"}, "b", "c")
	second.User.Status = identity.StatusSuspended
	second.Linked = map[string]*identity.User{"manager": {ID: "boss", Profile: object{"email": "boss@example.com", "pay": int64(1)}}}
	second.AppUsers = []identity.AppUser{{App: "x", UserName: "second"}}
	third := person("three", object{"email": "other@example.com", "city": "Paris"}, "d")
	third.User.Login, third.User.Status = "ada", identity.StatusActive
	third.User.Created = time.Unix(1, 0)
	third.Linked = map[string]*identity.User{"manager": {ID: "other"}, "assistant": {ID: "help"}}
	third.AppUsers = []identity.AppUser{{App: "x", UserName: "third"}, {App: "y", UserName: "third"}}
	before := fmt.Sprintf("%+v %+v %+v", first.User, second.User, third.User)

	p, err := merge(t,
		directory.Source{Name: "hr", Directory: holding(first), Required: true},
		directory.Source{Name: "ldap", Directory: holding(second), Attributes: []string{"email", "department"}},
		directory.Source{Name: "okta", Directory: holding(third)},
	).Person(context.Background(), directorytest.Query("ada"))
	if err != nil {
		t.Fatal(err)
	}
	want := &identity.Person{
		User: &identity.User{
			ID: "two", Login: "ada", Status: identity.StatusSuspended, Created: time.Unix(1, 0),
			Profile: object{"email": "ada@example.com", "department": "Engineering", "floor": int64(0), "city": "Paris"},
		},
		Groups: []identity.Group{
			{ID: "a", Name: "a of "}, {ID: "b", Name: "b of "}, {ID: "c", Name: "c of two"}, {ID: "d", Name: "d of three"},
		},
		GroupsKnown: true, Unavailable: identity.GroupFacts, // no group has a type
		Linked:     map[string]*identity.User{"manager": {ID: "boss", Profile: object{"email": "boss@example.com"}}, "assistant": {ID: "help"}},
		AppUsers:   []identity.AppUser{{App: "x", UserName: "second", Origin: "ldap"}, {App: "y", UserName: "third", Origin: "okta"}},
		Origin:     map[string]string{"email": "ldap", "department": "hr", "floor": "hr", "city": "okta"},
		UserOrigin: identity.UserOrigin{ID: "ldap", Login: "okta", Status: "ldap"},
		GroupOrigins: []identity.GroupOrigin{
			{Directory: "hr", Groups: 2}, {Directory: "ldap", Groups: 1}, {Directory: "okta", Groups: 1},
		},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("merged\n %+v %+v\nwant\n %+v %+v", p, p.User, want, want.User)
	}
	if after := fmt.Sprintf("%+v %+v %+v", first.User, second.User, third.User); after != before {
		t.Error("merging changed an answer that others share")
	}
}

func TestAppAndAppUserSayWhereTheyCameFrom(t *testing.T) {
	app, user := &identity.App{ID: "x"}, &identity.AppUser{UserName: "ada"}
	m := merge(t, directory.Source{Name: "ldap", Directory: &directorytest.Fake{}}, directory.Source{Name: "okta", Directory: &directorytest.Fake{
		AppFunc:     func(context.Context, string) (*identity.App, error) { return app, nil },
		AppUserFunc: func(context.Context, directory.Query, string) (*identity.AppUser, error) { return user, nil },
	}})
	a, err := m.App(context.Background(), "x")
	if err != nil || a.Origin != "okta" {
		t.Errorf("app %+v, %v", a, err)
	}
	u, err := m.AppUser(context.Background(), directorytest.Query("ada"), "x")
	if err != nil || u.Origin != "okta" {
		t.Errorf("app user %+v, %v", u, err)
	}
	if app.Origin != "" || user.Origin != "" {
		t.Error("an answer that others share was changed")
	}
}

func TestGroupsAreUnknownOnlyWhereNobodyCouldSay(t *testing.T) {
	unknown := person("a", nil)
	unknown.GroupsKnown = false
	p, err := merge(t, directory.Source{Name: "a", Directory: holding(unknown)}, directory.Source{Name: "b", Directory: holding(unknown)},
		directory.Source{Name: "c", Directory: directorytest.Holding(person("c", nil))},
	).Person(context.Background(), directorytest.Query("ada"))
	if err != nil || p.GroupsKnown {
		t.Errorf("known %v, %v; want unknown", p != nil && p.GroupsKnown, err)
	}
}

func TestFailuresOfMembers(t *testing.T) {
	ada := holding(person("ada", object{"email": "x"}))
	nobody := directorytest.Holding(nil)
	down := directorytest.Failing(directory.ErrUnavailable)
	twice := directorytest.Failing(directory.ErrAmbiguous)
	foreign := directorytest.Failing(directory.ErrForeign)
	for _, c := range []struct {
		name     string
		members  []directory.Source
		want     error
		leftOut  []string
		negative bool // an authoritative "not found"
	}{
		{"a required one that fails, fails", []directory.Source{{Directory: ada}, {Directory: down, Required: true}}, directory.ErrUnavailable, nil, false},
		{"an optional one is left out", []directory.Source{{Directory: down}, {Directory: ada}, {Directory: foreign}}, nil, []string{"m0", "m2"}, false},
		{"two matches in an optional one fail", []directory.Source{{Directory: ada}, {Directory: twice}}, directory.ErrAmbiguous, nil, false},
		{"two matches weigh more than a failure", []directory.Source{{Directory: down, Required: true}, {Directory: twice}}, directory.ErrAmbiguous, nil, false},
		{"all optional and all down", []directory.Source{{Directory: down}, {Directory: down}}, directory.ErrUnavailable, nil, false},
		{"not found in all", []directory.Source{{Directory: nobody}, {Directory: nobody, Required: true}}, directory.ErrNotFound, nil, true},
		{"not found, but one could not be asked", []directory.Source{{Directory: nobody, Required: true}, {Directory: down}}, directory.ErrUnavailable, nil, false},
		{"found in one suffices", []directory.Source{{Directory: nobody, Required: true}, {Directory: ada}}, nil, nil, false},
		{"an answer for somebody else by match", []directory.Source{{Directory: ada, Required: true, Match: []string{"login", "email"}}}, directory.ErrForeign, nil, false},
		{"an answer that match allows", []directory.Source{{Directory: ada, Match: []string{"login", "id"}}}, nil, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.members {
				c.members[i].Name = fmt.Sprintf("m%d", i)
			}
			p, err := merge(t, c.members...).Person(context.Background(), directorytest.Query("ada"))
			if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if errors.Is(err, directory.ErrNotFound) != c.negative || (c.negative && directory.Failed(err)) {
				t.Errorf("%v counts as authoritative: %v", err, !c.negative)
			}
			if p != nil && !slices.Equal(p.LeftOut, c.leftOut) {
				t.Errorf("left out %v, want %v", p.LeftOut, c.leftOut)
			}
		})
	}
}

// TestAnAnswerThatMatchRefusesIsTold: status and metrics speak of the failure
// that the look-up met, and not of a user who was found.
func TestAnAnswerThatMatchRefusesIsTold(t *testing.T) {
	r := &recorder{}
	m, err := directory.NewComposite([]directory.Source{
		{Name: "m", Directory: holding(person("ada", nil)), Match: []string{"email"}},
	}, directory.CompositeOptions{Observer: r})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Person(t.Context(), directorytest.Query("ada")); !errors.Is(err, directory.ErrForeign) {
		t.Fatalf("error %v", err)
	}
	if st := m.Status()[0]; st.LastError != "foreign" || st.Failures != 1 || r.outcomes["m/foreign"] != 1 || r.outcomes["m/found"] != 0 {
		t.Errorf("status %+v, outcomes %v", st, r.outcomes)
	}
}

func TestAppsComeFromTheFirstThatKnowsThem(t *testing.T) {
	knows := func(name string) *directorytest.Fake {
		return &directorytest.Fake{
			AppFunc: func(context.Context, string) (*identity.App, error) { return &identity.App{ID: "x", Name: name}, nil },
			AppUserFunc: func(context.Context, directory.Query, string) (*identity.AppUser, error) {
				return &identity.AppUser{UserName: name}, nil
			},
		}
	}
	none, down := &directorytest.Fake{}, directorytest.Failing(directory.ErrTimeout)
	for _, c := range []struct {
		name    string
		members []directory.Source
		want    string
		err     error
	}{
		{"the first", []directory.Source{{Directory: none}, {Directory: knows("b")}, {Directory: knows("c")}}, "b", nil},
		{"not past a required one that fails", []directory.Source{{Directory: down, Required: true}, {Directory: knows("b")}}, "", directory.ErrTimeout},
		{"past an optional one that fails", []directory.Source{{Directory: down}, {Directory: knows("b")}}, "b", nil},
		{"whatever comes after it", []directory.Source{{Directory: knows("a")}, {Directory: down, Required: true}}, "a", nil},
		{"none", []directory.Source{{Directory: none}, {Directory: none}}, "", directory.ErrNotFound},
		{"none, but one could not be asked", []directory.Source{{Directory: none}, {Directory: down}}, "", directory.ErrTimeout},
		{"no directory", nil, "", directory.ErrNoDirectory},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i := range c.members {
				c.members[i].Name = fmt.Sprintf("m%d", i)
			}
			m := merge(t, c.members...)
			a, err := m.App(context.Background(), "x")
			if !errors.Is(err, c.err) || (c.err == nil && (err != nil || a.Name != c.want)) {
				t.Errorf("app %+v, %v", a, err)
			}
			u, err := m.AppUser(context.Background(), directorytest.Query("ada"), "x")
			if !errors.Is(err, c.err) || (c.err == nil && (err != nil || u.UserName != c.want)) {
				t.Errorf("app user %+v, %v", u, err)
			}
		})
	}
}

func TestTheFirstAppDoesNotWaitForThoseBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		quick := &directorytest.Fake{AppFunc: func(context.Context, string) (*identity.App, error) { return &identity.App{ID: "x"}, nil }}
		slow := &directorytest.Fake{AppFunc: func(ctx context.Context, _ string) (*identity.App, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}
		m := merge(t, directory.Source{Name: "quick", Directory: quick}, directory.Source{Name: "slow", Directory: slow, Required: true})
		if _, err := m.App(context.Background(), "x"); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("it waited %v", took)
		}
	})
}

func TestASubjectNeverReachesTheDirectoryOfAnotherIssuer(t *testing.T) {
	corp, partner := holding(person("corp", nil)), holding(person("partner", nil))
	m := merge(t,
		directory.Source{Name: "corp", Directory: corp, Issuers: []string{"corp"}},
		directory.Source{Name: "partner", Directory: partner, Issuers: []string{"partner", "subsidiary"}})
	q := func(issuer string) directory.Query {
		return directory.Query{Principal: &identity.Principal{IssuerName: issuer, Subject: "ada"}}
	}
	for issuer, want := range map[string]string{"corp": "corp", "partner": "partner", "subsidiary": "partner"} {
		p, err := m.Person(context.Background(), q(issuer))
		if err != nil || p.User.ID != want {
			t.Errorf("%s: %+v, %v", issuer, p, err)
		}
	}
	asked := corp.Persons.Load() + partner.Persons.Load()
	for _, issuer := range []string{"", "Corp", "other", "corp "} {
		if _, err := m.Person(context.Background(), q(issuer)); !errors.Is(err, directory.ErrNoDirectory) {
			t.Errorf("%q: %v, want ErrNoDirectory", issuer, err)
		}
		if _, err := m.AppUser(context.Background(), q(issuer), "x"); !errors.Is(err, directory.ErrNoDirectory) {
			t.Errorf("%q: %v, want ErrNoDirectory", issuer, err)
		}
	}
	if corp.Persons.Load() != 1 || partner.Persons.Load() != 2 || asked != 3 || corp.AppUsers.Load() != 0 {
		t.Error("a directory was asked for another issuer's subject")
	}
}

func TestValidateWantsIssuersWhereThereAreTwo(t *testing.T) {
	fake := &directorytest.Fake{}
	open := merge(t, directory.Source{Name: "a", Directory: fake})
	if err := open.Validate([]string{"corp"}); err != nil {
		t.Errorf("one issuer: %v", err)
	}
	if err := open.Validate([]string{"corp", "partner"}); err == nil || !strings.Contains(err.Error(), `directory "a": issuers is required`) {
		t.Errorf("two issuers: %v", err)
	}
	bound := merge(t, directory.Source{Name: "a", Directory: fake, Issuers: []string{"crop"}})
	if err := bound.Validate([]string{"corp", "partner"}); err == nil || !strings.Contains(err.Error(), `no issuer is named "crop" (did you mean "corp"?)`) {
		t.Errorf("a misspelt issuer: %v", err)
	}
}

func TestMergeRefusesWhatIsWrongInItself(t *testing.T) {
	fake := &directorytest.Fake{}
	for name, members := range map[string][]directory.Source{
		"no name":        {{Directory: fake}},
		"the same name":  {{Name: "a", Directory: fake}, {Name: "a", Directory: fake}},
		"no directory":   {{Name: "a"}},
		"empty match":    {{Name: "a", Directory: fake, Match: []string{" "}}},
		"negative time":  {{Name: "a", Directory: fake, Timeout: -1}},
		"negative count": {{Name: "a", Directory: fake, Concurrency: -1}},
		"too many":       make([]directory.Source, directory.MaxSources+1),
	} {
		if _, err := directory.NewComposite(members, directory.CompositeOptions{}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestSubjectsThatAreNobodyAreNotAsked(t *testing.T) {
	fake := holding(person("a", nil))
	m := merge(t, directory.Source{Name: "a", Directory: fake})
	for name, q := range map[string]directory.Query{
		"no principal": {}, "empty": directorytest.Query(""), "NUL": directorytest.Query("a\x00"),
		"delete": directorytest.Query("a\x7f"), "not UTF-8": directorytest.Query("\xff"),
		"long":    directorytest.Query(strings.Repeat("a", directory.MaxSubject+1)),
		"machine": {Principal: &identity.Principal{Subject: "ada", Client: "ada", ServiceAccount: true}},
	} {
		if _, err := m.Person(context.Background(), q); !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
			t.Errorf("%s: %v, want not found", name, err)
		}
	}
	if fake.Persons.Load() != 0 {
		t.Error("the directory was asked")
	}
}

func TestMembersAreAskedAtOnceUnderOneDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(d time.Duration, p *identity.Person) *directorytest.Fake {
			return &directorytest.Fake{PersonFunc: func(ctx context.Context, _ directory.Query) (*identity.Person, error) {
				select {
				case <-time.After(d):
					return p, nil
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}}
		}
		m := merge(t,
			directory.Source{Name: "a", Directory: slow(2*time.Second, person("a", nil)), Timeout: 3 * time.Second},
			directory.Source{Name: "b", Directory: slow(2*time.Second, person("b", nil)), Timeout: time.Second},
			directory.Source{Name: "c", Directory: slow(time.Hour, person("c", nil))})
		begin := time.Now()
		p, err := m.Person(context.Background(), directorytest.Query("ada"))
		if err != nil || !slices.Equal(p.LeftOut, []string{"b", "c"}) {
			t.Errorf("person %+v, %v", p, err)
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("it took %v, want 3s", took)
		}
	})
}

func TestStatusNamesSourcesInOrder(t *testing.T) {
	m := merge(t,
		directory.Source{Name: "a", Directory: holding(person("a", nil)), Required: true, Issuers: []string{"corp"}},
		directory.Source{Name: "b", Directory: directorytest.Failing(directory.ErrRefused)})
	if _, err := m.Person(context.Background(), directorytest.Query("ada")); err != nil {
		t.Fatal(err)
	}
	s := m.Status()
	if len(s) != 2 || s[0].Name != "a" || s[1].Name != "b" || !s[0].Required || !slices.Equal(s[0].Issuers, []string{"corp"}) || s[0].LastAnswerAt.IsZero() ||
		s[1].LastError != "refused" || s[1].Failures != 1 || !s[1].Ready || s[1].State != "closed" {
		t.Errorf("status %+v", s)
	}
}

func TestClassesAreAClosedSet(t *testing.T) {
	words := directory.Classes()
	for _, err := range []error{
		nil, directory.ErrNotFound, directory.ErrAmbiguous, directory.ErrNoDirectory, directory.ErrUnavailable, directory.ErrTimeout,
		directory.ErrThrottled, directory.ErrOpen, directory.ErrRefused, directory.ErrRejected, directory.ErrTooLarge, directory.ErrForeign,
		directory.ErrMalformed, directory.ErrPanicked, directory.ErrClosed, directory.ErrFailed, context.Canceled,
		context.DeadlineExceeded, errors.New("anything"), fmt.Errorf("wrapped: %w", directory.ErrTooLarge),
	} {
		if !slices.Contains(words, directory.Class(err)) {
			t.Errorf("%v has class %q, which Classes does not list", err, directory.Class(err))
		}
		answer := err == nil || errors.Is(err, directory.ErrNotFound) || errors.Is(err, directory.ErrAmbiguous) || errors.Is(err, directory.ErrNoDirectory)
		if directory.Failed(err) == answer {
			t.Errorf("Failed(%v) = %v", err, !answer)
		}
	}
	slices.Sort(words)
	if len(slices.Compact(words)) != len(directory.Classes()) {
		t.Error("a class is listed twice")
	}
}

func BenchmarkMergeThree(b *testing.B) {
	make50 := func(name string) *directorytest.Fake {
		p := person(name, object{})
		for i := range 20 {
			p.User.Profile[fmt.Sprintf("attribute%02d", i)] = name
		}
		for i := range 50 {
			p.Groups = append(p.Groups, identity.Group{ID: fmt.Sprintf("%s-%02d", name, i), Name: "group"})
		}
		return holding(p)
	}
	m := merge(b, directory.Source{Name: "a", Directory: make50("a")}, directory.Source{Name: "b", Directory: make50("b")}, directory.Source{Name: "c", Directory: make50("c")})
	q := directorytest.Query("ada")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Person(context.Background(), q); err != nil {
			b.Fatal(err)
		}
	}
}

func TestAMergeIsUsedNoLongerThanEachPartMayBe(t *testing.T) {
	during := func(keep time.Duration) *directorytest.Fake {
		p := *person("ada", nil)
		p.Keep = &keep
		return holding(&p)
	}
	for name, c := range map[string]struct {
		members []directory.Source
		want    time.Duration // negative: as the configuration says
	}{
		"nobody says":           {[]directory.Source{{Name: "a", Directory: holding(person("ada", nil))}}, -1},
		"one says":              {[]directory.Source{{Name: "a", Directory: holding(person("ada", nil))}, {Name: "b", Directory: during(time.Minute)}}, time.Minute},
		"the shortest":          {[]directory.Source{{Name: "a", Directory: during(time.Hour)}, {Name: "b", Directory: during(0)}, {Name: "c", Directory: during(time.Minute)}}, 0},
		"one is left out":       {[]directory.Source{{Name: "a", Directory: during(time.Hour)}, {Name: "b", Directory: directorytest.Failing(directory.ErrUnavailable)}}, 30 * time.Second},
		"left out, and shorter": {[]directory.Source{{Name: "a", Directory: during(time.Second)}, {Name: "b", Directory: directorytest.Failing(directory.ErrUnavailable)}}, time.Second},
	} {
		p, err := merge(t, c.members...).Person(t.Context(), directorytest.Query("ada"))
		switch {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case p.Keep == nil && c.want >= 0, p.Keep != nil && *p.Keep != c.want:
			t.Errorf("%s: %v, want %v", name, p.Keep, c.want)
		}
	}
}

// TestAnAnswerInPlaceOfAFailedDirectorysIsUsedBriefly: the optional directory
// before it would have had the word, and may have it again in a moment.
func TestAnAnswerInPlaceOfAFailedDirectorysIsUsedBriefly(t *testing.T) {
	down := &directorytest.Fake{
		AppFunc: func(context.Context, string) (*identity.App, error) { return nil, errors.New("down") },
		AppUserFunc: func(context.Context, directory.Query, string) (*identity.AppUser, error) {
			return nil, errors.New("down")
		},
	}
	second := time.Second
	for name, c := range map[string]struct{ keep, want *time.Duration }{
		"without a bound of its own": {nil, new(30 * time.Second)},
		"with a shorter one":         {&second, &second},
		"with a longer one":          {new(time.Hour), new(30 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			well := &directorytest.Fake{
				AppFunc: func(context.Context, string) (*identity.App, error) { return &identity.App{ID: "x", Keep: c.keep}, nil },
				AppUserFunc: func(context.Context, directory.Query, string) (*identity.AppUser, error) {
					return &identity.AppUser{ID: "ada", App: "x", Keep: c.keep}, nil
				},
			}
			for order, want := range map[string]*time.Duration{"before": c.want, "behind": c.keep} {
				members := []directory.Source{{Name: "down", Directory: down}, {Name: "well", Directory: well}}
				if order == "behind" {
					slices.Reverse(members)
				}
				m := merge(t, members...)
				app, err := m.App(t.Context(), "x")
				if err != nil {
					t.Fatal(err)
				}
				user, err := m.AppUser(t.Context(), directorytest.Query("ada"), "x")
				if err != nil {
					t.Fatal(err)
				}
				if !reflect.DeepEqual(app.Keep, want) || !reflect.DeepEqual(user.Keep, want) {
					t.Errorf("failed %s: the app is kept %v, the app user %v, want %v", order, app.Keep, user.Keep, want)
				}
			}
		})
	}
}

// teller is a directory that declares what it cannot say.
type teller struct {
	*directorytest.Fake
	unavailable identity.Facts
}

func (t teller) Unsupported() identity.Facts { return t.unavailable }

// TestAMergeKnowsWhatNoneOfItsMembersCanSay holds C35 over several directories.
func TestAMergeKnowsWhatNoneOfItsMembersCanSay(t *testing.T) {
	const status, login, linked, apps = identity.FactStatus, identity.FactLastLogin, identity.FactLinked, identity.FactAppUsers
	typed := person("ada", nil, "a")
	typed.Groups[0].Type = identity.GroupTypeOkta
	asked := person("ada", nil)
	asked.LinkedNames = []string{"manager"}
	for name, c := range map[string]struct {
		members     []directory.Directory
		unavailable identity.Facts
		names       []string
	}{
		"one says all":                        {[]directory.Directory{teller{holding(person("ada", nil)), 0}}, 0, nil},
		"one that declares nothing":           {[]directory.Directory{holding(person("ada", nil))}, linked | apps, nil},
		"what both lack":                      {[]directory.Directory{teller{holding(person("ada", nil)), status | login}, teller{holding(person("ada", nil)), status | linked}}, status, nil},
		"groups without a type":               {[]directory.Directory{teller{holding(person("ada", nil, "a")), 0}}, identity.GroupFacts, nil},
		"groups with a type beside such":      {[]directory.Directory{teller{holding(typed), 0}, teller{holding(person("ada", nil, "b")), 0}}, identity.GroupFacts, nil},
		"groups with a type beside no groups": {[]directory.Directory{teller{holding(typed), 0}, teller{holding(person("ada", nil)), 0}}, identity.FactGroupClass | identity.FactGroupTimes, nil},
		"linked objects by name":              {[]directory.Directory{teller{holding(asked), 0}}, 0, []string{"manager"}},
		"by name, beside one that knows none": {[]directory.Directory{teller{holding(person("ada", nil)), linked}, teller{holding(asked), 0}}, 0, []string{"manager"}},
		"by name, beside one that knows all":  {[]directory.Directory{teller{holding(person("ada", nil)), 0}, teller{holding(asked), 0}}, 0, nil},
		"by name, before one that knows all":  {[]directory.Directory{teller{holding(asked), 0}, teller{holding(person("ada", nil)), 0}}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var members []directory.Source
			for i, d := range c.members {
				members = append(members, directory.Source{Name: fmt.Sprint(i), Directory: d, Required: true})
			}
			p, err := merge(t, members...).Person(t.Context(), directorytest.Query("ada"))
			if err != nil {
				t.Fatal(err)
			}
			if p.Unavailable != c.unavailable || !slices.Equal(p.LinkedNames, c.names) {
				t.Errorf("unavailable %v, names %v; want %v, %v", p.Unavailable.Names(), p.LinkedNames, c.unavailable.Names(), c.names)
			}
		})
	}
	m := merge(t, directory.Source{Name: "corp's", Issuers: []string{"corp"}, Directory: teller{holding(person("ada", nil)), status}})
	if got := m.Unsupported("corp"); got != status {
		t.Errorf("unavailable of corp's: %v", got.Names())
	}
	if got := m.Unsupported("other"); got != identity.AllFacts&^identity.FactApp {
		t.Errorf("unavailable of another issuer's: %v", got.Names())
	}
}

// TestGroupsThatOneMemberTellsInPartAreUnknown holds C32 over several directories.
func TestGroupsThatOneMemberTellsInPartAreUnknown(t *testing.T) {
	whole, part, silent := person("ada", nil, "a"), person("ada", nil), person("ada", nil)
	part.GroupsKnown, part.GroupsUnknown = false, "the answer says that there is more"
	silent.GroupsKnown = false
	for name, c := range map[string]struct {
		second *identity.Person
		known  bool
		why    string
	}{
		"in part":    {part, false, `directory "second": the answer says that there is more`},
		"not at all": {silent, true, ""},
	} {
		p, err := merge(t, directory.Source{Name: "first", Directory: holding(whole)}, directory.Source{Name: "second", Directory: holding(c.second)}).
			Person(t.Context(), directorytest.Query("ada"))
		if err != nil || p.GroupsKnown != c.known || p.GroupsUnknown != c.why || (p.Groups != nil) != c.known {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}
