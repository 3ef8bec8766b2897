package directory_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// staff is a directory that holds its people in memory. Embedding nothing, it
// shows all that a source of users has to implement.
type staff map[string]*identity.Person

// Person returns the user whose login is the subject.
func (s staff) Person(_ context.Context, q directory.Query) (*identity.Person, error) {
	subject, err := q.Subject()
	if err != nil {
		return nil, err
	}
	p, ok := s[subject]
	if !ok {
		// With authority: there is no such user. Any other error says that the
		// directory could not be asked.
		return nil, fmt.Errorf("looking up a person: %w", directory.ErrNotFound)
	}
	return p, nil
}

// App reports that there are no apps here.
func (staff) App(context.Context, string) (*identity.App, error) {
	return nil, directory.ErrNotFound
}

// AppUser reports that there are no assignments here.
func (staff) AppUser(context.Context, directory.Query, string) (*identity.AppUser, error) {
	return nil, directory.ErrNotFound
}

// Supports says that asking for apps and assignments is of no use.
func (staff) Supports() (apps, appUsers bool) { return false, false }

func ada() *identity.Person {
	return &identity.Person{
		User:        &identity.User{ID: "7", Login: "ada@example.com", Profile: map[string]any{"department": "Engines"}},
		Groups:      []identity.Group{{ID: "g1", Name: "Mathematicians"}},
		GroupsKnown: true,
	}
}

func about(subject string) directory.Query {
	return directory.Query{Principal: &identity.Principal{Issuer: "https://idp.example.com", IssuerName: "corp", Subject: subject}}
}

// A source of users implements Directory, and Partial where it knows people
// alone.
func ExampleDirectory() {
	d := staff{"ada@example.com": ada()}

	p, err := d.Person(context.Background(), about("ada@example.com"))
	fmt.Println(p.User.ID, p.Groups[0].Name, err)
	_, err = d.Person(context.Background(), about("eve@example.com"))
	fmt.Println(errors.Is(err, directory.ErrNotFound), directory.Failed(err))
	// Output:
	// 7 Mathematicians <nil>
	// true false
}

// NewResilient bounds how long a look-up takes and how many run at once, and
// keeps look-ups away from a directory that is down.
func ExampleNewResilient() {
	d, err := directory.NewResilient(staff{"ada@example.com": ada()}, directory.ResilientOptions{
		Name: "staff", Timeout: 2 * time.Second, Concurrency: 16,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()

	p, err := d.Person(context.Background(), about("ada@example.com"))
	fmt.Println(p.User.Profile["department"], err)
	status := d.Status()
	fmt.Println(status.Name, status.Ready, status.State, status.Requests)
	// Output:
	// Engines <nil>
	// staff true closed 1
}

// NewComposite merges sources in their order: the first that has an attribute
// wins, and groups are united.
func ExampleNewComposite() {
	hr := ada()
	hr.User.Profile = map[string]any{"costCenter": "42", "department": "ignored"}
	hr.Groups = []identity.Group{{ID: "g2", Name: "Staff"}}
	d, err := directory.NewComposite([]directory.Source{
		{Name: "staff", Directory: staff{"ada@example.com": ada()}, Required: true},
		{Name: "hr", Directory: staff{"ada@example.com": hr}},
	}, directory.CompositeOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()

	p, err := d.Person(context.Background(), about("ada@example.com"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.User.Profile["department"], p.Origin["department"])
	fmt.Println(p.User.Profile["costCenter"], p.Origin["costCenter"])
	fmt.Println(p.Groups[0].Name, p.Groups[1].Name)
	// Output:
	// Engines staff
	// 42 hr
	// Mathematicians Staff
}
