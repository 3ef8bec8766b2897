package directorytest

import (
	"context"
	"embed"
	"errors"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file holds the suite: what each kind must answer with a healthy source,
// and how it must fail with a faulty one.

// patience bounds a look-up in the suite. It only ends what hangs.
const patience = 30 * time.Second

// slowness is how long the suite waits for a source that never answers.
const slowness = 200 * time.Millisecond

// Run tests a kind with the whole suite.
func Run(t *testing.T, h Harness) {
	s := suite{h: h, lacks: h.Lacks()}
	t.Run("what it lacks is declared with a reason", s.declarations)
	t.Run("with a healthy source", s.healthy)
	if p, ok := h.(PartialHarness); ok && p.CanBeIncomplete() {
		t.Run("with a source that tells a part of the groups", s.incomplete)
	}
	for _, f := range []struct {
		fault Fault
		needs Capability
		want  []error // any of them; directory.ErrFailed: any failure
	}{
		{Ambiguous, CanAmbiguous, []error{directory.ErrAmbiguous}},
		{Slow, CanSlow, []error{directory.ErrTimeout, context.DeadlineExceeded}},
		{Down, CanDown, []error{directory.ErrUnavailable}},
		{Broken, CanBroken, []error{directory.ErrFailed}},
		{Cut, CanCut, []error{directory.ErrFailed}},
		{Refusing, CanRefuse, []error{directory.ErrRefused}},
		{Huge, CanHuge, []error{directory.ErrTooLarge}},
		{Foreign, CanForeign, []error{directory.ErrForeign}},
	} {
		if !s.has(f.needs) {
			continue
		}
		t.Run("with a source that is "+f.fault.String(), func(t *testing.T) {
			s.faulty(t, f.fault, f.want)
		})
	}
}

// incomplete expects that a part of a user's groups is never taken for all of
// them (C32): the look-up fails, or the groups are unknown and the answer says
// why.
func (s *suite) incomplete(t *testing.T) {
	w := NewWorld()
	d := s.h.Open(t, w, Incomplete)
	q := s.h.Query(w.User(Ada).User)
	p, err := d.Person(ctx(t), q)
	switch {
	case err != nil:
		if !directory.Failed(err) {
			t.Errorf("%v: a part of the groups must not make a user unknown", err)
		}
		s.discreet(t, err, q)
	case p.GroupsKnown || p.Groups != nil:
		t.Errorf("%d groups are known of which others are missing", len(p.Groups))
	case p.GroupsUnknown == "":
		t.Error("nothing says why the groups are unknown")
	default:
		s.discreet(t, errors.New(p.GroupsUnknown), q)
	}
}

// suite is one run of the tests.
type suite struct {
	h     Harness
	lacks map[Capability]string
}

// has reports whether the kind has a capability.
func (s *suite) has(c Capability) bool { _, lacks := s.lacks[c]; return !lacks }

// declarations expects that each lack is a known capability and has a reason.
func (s *suite) declarations(t *testing.T) {
	for c, reason := range s.lacks {
		if !slices.Contains(capabilities, c) {
			t.Errorf("declares to lack %q, which is no capability", c)
		}
		if len(strings.Fields(reason)) < 3 {
			t.Errorf("declares to lack %q without a reason", c)
		}
		t.Logf("lacks %s: %s", c, reason)
	}
}

// ctx returns a context that ends with the test.
func ctx(t *testing.T) context.Context {
	c, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return c
}

// healthy makes many look-ups in one source, because starting one may be slow.
func (s *suite) healthy(t *testing.T) {
	w := NewWorld()
	d := s.h.Open(t, w, Healthy)

	for _, c := range []struct{ name, id string }{
		{"finds a user with attributes and groups", Ada},
		{"finds every group of a user who has more than a page", Busy},
		{"keeps text outside ASCII", Lukasz},
		{"finds a name full of what needs escaping", Awkward},
		{"says that a user has no groups", Lonely},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := w.User(c.id)
			p, err := d.Person(ctx(t), s.h.Query(u.User))
			if err != nil {
				t.Fatalf("looking up: %v", err)
			}
			s.compare(t, w, u, p)
		})
	}
	if s.has(Status) {
		t.Run("says that an account is barred", func(t *testing.T) {
			p, err := d.Person(ctx(t), s.h.Query(w.User(Eve).User))
			if err != nil {
				t.Fatalf("looking up: %v", err)
			}
			if !p.User.Disabled() {
				t.Errorf("a suspended user has status %q, which lets in", p.User.Status)
			}
		})
	}
	if s.has(Absence) {
		t.Run("says with authority that there is nobody", func(t *testing.T) {
			s.notFound(t, d, s.absent("00u9nobody"))
		})
		t.Run("finds nobody by a hostile subject", func(t *testing.T) {
			for name, subject := range Hostile() {
				t.Run(name, func(t *testing.T) { s.notFound(t, d, s.absent(subject)) })
			}
		})
	}
	t.Run("looks up no user for a client on its own behalf", func(t *testing.T) {
		q := s.h.Query(w.User(Ada).User)
		principal := *q.Principal
		principal.ServiceAccount = true
		s.notFound(t, d, directory.Query{Principal: &principal, Token: q.Token})
		s.notFound(t, d, directory.Query{})
	})
	t.Run("does not answer a caller that has gone", func(t *testing.T) {
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := d.Person(gone, s.h.Query(w.User(Ada).User)); !directory.Failed(err) {
			t.Errorf("Person with a cancelled context: %v", err)
		}
	})
	t.Run("answers many callers at once, each with its own", func(t *testing.T) { s.concurrent(t, w, d) })
	t.Run("answers the same twice", func(t *testing.T) {
		q := s.h.Query(w.User(Ada).User)
		a, errA := d.Person(ctx(t), q)
		b, errB := d.Person(ctx(t), q)
		if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
			t.Errorf("two look-ups differ (%v, %v)", errA, errB)
		}
	})
	t.Run("apps", func(t *testing.T) { s.apps(t, w, d) })
	t.Run("app users", func(t *testing.T) { s.appUsers(t, w, d) })
	if c, ok := d.(io.Closer); ok {
		t.Run("closes twice without harm", func(t *testing.T) {
			if err := errors.Join(c.Close(), c.Close()); err != nil {
				t.Errorf("closing: %v", err)
			}
		})
	}
}

// absent returns a query for a subject that the world does not have.
func (s *suite) absent(subject string) directory.Query {
	q := s.h.Query(identity.User{ID: subject, Login: subject, Profile: map[string]any{"email": subject}})
	principal := *q.Principal
	principal.Subject = subject
	return directory.Query{Principal: &principal, Token: q.Token}
}

// compare compares a person with the world.
func (s *suite) compare(t *testing.T, w World, u User, p *identity.Person) {
	t.Helper()
	if p.User == nil {
		t.Fatal("no user in the answer")
	}
	if p.User.ID == "" {
		t.Error("the user has no id")
	}
	for name, want := range u.Profile {
		if got := p.User.Profile[name]; !reflect.DeepEqual(got, want) {
			t.Errorf("attribute %s = %#v, want %#v", name, got, want)
		}
	}
	if p.User.Disabled() {
		t.Errorf("status %q bars a user who is active", p.User.Status)
	}
	canonical(t, p.User.Profile)
	if !s.has(Groups) {
		if p.GroupsKnown {
			t.Error("groups are known to a kind that knows none")
		}
		return
	}
	if !p.GroupsKnown {
		t.Error("groups are not known")
	}
	got := make([]string, len(p.Groups))
	ids := make(map[string]bool, len(p.Groups))
	for i, g := range p.Groups {
		got[i] = g.Name
		if g.ID == "" || ids[g.ID] {
			t.Errorf("group %d has no id of its own", i)
		}
		ids[g.ID] = true
		canonical(t, g.Profile)
	}
	want := w.GroupNames(u)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d groups, want %d; the first: %q, want %q", len(got), len(want), head(got), head(want))
	}
	if s.has(GroupIDs) {
		for _, id := range u.Groups {
			if !ids[id] {
				t.Errorf("no group has the id %s", id)
				break
			}
		}
	}
}

// head returns the first elements, for messages.
func head(s []string) []string { return s[:min(len(s), 3)] }

// canonical expects values of the types that the gateway knows.
func canonical(t *testing.T, profile map[string]any) {
	t.Helper()
	if profile == nil {
		return
	}
	same, err := identity.Canonical(profile)
	if err != nil || !reflect.DeepEqual(same, any(profile)) {
		t.Errorf("profile is not canonical (%v)", err)
	}
}

// notFound expects an authoritative "there is none".
func (s *suite) notFound(t *testing.T, d directory.Directory, q directory.Query) {
	t.Helper()
	p, err := d.Person(ctx(t), q)
	if p != nil || !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
		t.Errorf("Person = %v, %v; want not found", p != nil, err)
	}
	s.discreet(t, err, q)
	u, err := d.AppUser(ctx(t), q, "0oa1payroll")
	if u != nil || !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
		t.Errorf("AppUser = %v, %v; want not found", u != nil, err)
	}
	s.discreet(t, err, q)
}

// discreet expects that an error names neither the subject nor a secret.
func (s *suite) discreet(t *testing.T, err error, q directory.Query) {
	t.Helper()
	if err == nil {
		return
	}
	if q.Principal != nil && len(q.Principal.Subject) > 2 && strings.Contains(err.Error(), q.Principal.Subject) {
		t.Error("the error names the subject")
	}
	for _, secret := range []string{s.h.Secret(), q.Token} {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Error("the error holds a secret")
		}
	}
}

// concurrent expects that look-ups at the same time get their own answers.
func (s *suite) concurrent(t *testing.T, w World, d directory.Directory) {
	c := ctx(t)
	var wg sync.WaitGroup
	for i := range 24 {
		u := w.User([]string{Ada, Lukasz, Lonely, Stranger}[i%4])
		wg.Go(func() {
			p, err := d.Person(c, s.h.Query(u.User))
			if err != nil {
				t.Errorf("looking up: %v", err)
				return
			}
			if p.User.Profile["email"] != u.Profile["email"] {
				t.Error("one caller was given another's answer")
			}
		})
	}
	wg.Wait()
}

// apps expects the app of the world, by id and by client id, and no other.
func (s *suite) apps(t *testing.T, w World, d directory.Directory) {
	for _, id := range []string{"0oa9none", "", "../0oa1payroll", "*", "0oa1payroll\x00", strings.Repeat("x", 10<<10)} {
		if a, err := d.App(ctx(t), id); a != nil || !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("an unknown app: %v, %v", a != nil, err)
		}
	}
	want := w.Apps[0]
	if !s.has(Apps) {
		if _, err := d.App(ctx(t), want.ID); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("an app in a kind without apps: %v", err)
		}
		return
	}
	for _, id := range []string{want.ID, want.ClientID} {
		a, err := d.App(ctx(t), id)
		if err != nil {
			t.Errorf("looking up the app: %v", err)
			continue
		}
		canonical(t, a.Profile)
		for name, v := range want.Profile {
			if got := a.Profile[name]; !reflect.DeepEqual(got, v) {
				t.Errorf("app profile %s = %#v, want %#v", name, got, v)
			}
		}
		if a.ID != want.ID {
			t.Errorf("app id %q, want %q", a.ID, want.ID)
		}
	}
}

// appUsers expects the assignment of the world, and no other.
func (s *suite) appUsers(t *testing.T, w World, d directory.Directory) {
	ada, lonely := s.h.Query(w.User(Ada).User), s.h.Query(w.User(Lonely).User)
	app := w.Apps[0]
	u, err := d.AppUser(ctx(t), ada, app.ID)
	if !s.has(AppUsers) {
		if !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("an assignment in a kind without any: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatalf("looking up the assignment: %v", err)
	}
	canonical(t, u.Profile)
	if u.UserName != "ada" || u.Profile["role"] != "admin" {
		t.Errorf("assignment %+v", u)
	}
	if _, err := d.AppUser(ctx(t), lonely, app.ID); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("a user without an assignment: %v", err)
	}
	if _, err := d.AppUser(ctx(t), ada, "0oa9none"); !errors.Is(err, directory.ErrNotFound) {
		t.Errorf("an assignment to an unknown app: %v", err)
	}
}

// faulty expects one of these errors from a source with a fault.
func (s *suite) faulty(t *testing.T, f Fault, want []error) {
	w := NewWorld()
	d := s.h.Open(t, w, f)
	q := s.h.Query(w.User(Ada).User)
	c := ctx(t)
	if f == Slow {
		var cancel context.CancelFunc
		c, cancel = context.WithTimeout(c, slowness)
		defer cancel()
	}
	p, err := d.Person(c, q)
	if p != nil || err == nil {
		t.Fatal("it answered")
	}
	if errors.Is(err, directory.ErrNotFound) {
		t.Errorf("%v: a source that is %s must not make a user unknown", err, f)
	}
	if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
		t.Errorf("error %v, want one of %v", err, want)
	}
	s.discreet(t, err, q)
	if name, ok := w.User(Ada).Profile["email"].(string); ok && strings.Contains(err.Error(), name) {
		t.Error("the error names a person")
	}
	if c, ok := d.(io.Closer); ok {
		if err := c.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	}
}

// lists are attempts at filters, one a line; see testdata/README.
//
//go:embed testdata/*.txt
var lists embed.FS

// Hostile returns subjects that must find no user, by what they try.
func Hostile() map[string]string {
	subjects := map[string]string{
		"LDAP filter":       `*)(uid=*`,
		"LDAP wildcard":     `*`,
		"LDAP or":           `ada@example.com)(|(objectClass=*`,
		"SQL":               `' or 1=1 --`,
		"SQL stacked":       `'; drop table users; --`,
		"SCIM filter":       `" or userName pr or userName eq "`,
		"path up":           `../admin`,
		"path up, escaped":  `%2e%2e%2fadmin`,
		"path dot":          `..`,
		"path backslash":    `..\..\admin`,
		"path and query":    `00u1ada?x=1`,
		"path and fragment": `00u1ada#x`,
		"second segment":    `00u1ada/groups`,
		"template":          `{subject}`,
		"single quote":      `'`,
		"double quote":      `"`,
		"backslash":         `\`,
		"NUL":               "00u1ada\x00",
		"newline":           "00u1ada\r\nHost: evil.example",
		"not UTF-8":         "00u1ada\xff",
		"fullwidth":         "００ｕ１ａｄａ",
		"10 KB":             strings.Repeat("a", 10<<10),
		"1 KB":              strings.Repeat("a", 1<<10),
		"blank":             " ",
		"trailing blank":    "00u1ada ",
		"empty":             "",
	}
	for _, list := range []string{"ldap", "scim"} {
		text, err := lists.ReadFile("testdata/" + list + ".txt")
		if err != nil {
			panic(err) // it is part of the program
		}
		for line := range strings.Lines(string(text)) {
			subject := strings.TrimSuffix(line, "\n")
			subjects[list+" list: "+subject] = subject
		}
	}
	return subjects
}
