package file

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// snapshot is the content of a file at one moment. It never changes, and holds
// no index: see Directory.
type Snapshot struct {
	users  []user
	groups []identity.Group
	apps   []app
}

// A user is a user with its references as indices into the snapshot. Its groups
// are copied at each look-up: copies held for each user would fill the memory.
type user struct {
	identity.User
	groups []int32
	linked []link
	apps   []int32
}

// A link is a linked object: its name, and the index of the user that it leads
// to.
type link struct {
	name string
	user int32
}

// An app is an app with its assignments, by the index of their user.
type app struct {
	identity.App
	users map[int32]*identity.AppUser
}

// Load returns the snapshot of a file's text, YAML or JSON. Its errors name
// lines, and keys of the file's own shape, but quote nothing about users. They
// wrap errEmpty, errTruncated or errSize where one of these is the cause.
func Load(text []byte) (*Snapshot, error) {
	if len(text) > maxSize {
		return nil, fmt.Errorf("reading the directory file: over %d bytes: %w", maxSize, errSize)
	}
	// Editors on Windows write a byte order mark, which JSON does not allow.
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	if !utf8.Valid(text) {
		return nil, fmt.Errorf("reading the directory file: not UTF-8 text")
	}
	root, err := parse(text)
	if err != nil {
		return nil, fmt.Errorf("reading the directory file: %w", err)
	}
	r := reader{snapshot: &Snapshot{}, groupIndex: map[string]int32{}, userIndex: map[string]int32{}}
	if err := r.file(root); err != nil {
		return nil, fmt.Errorf("reading the directory file: %w", err)
	}
	return r.snapshot, nil
}

// parse chooses between the two languages. A text that starts with a brace or
// bracket is JSON, unless only YAML can parse it.
func parse(text []byte) (*node, error) {
	trimmed := bytes.TrimSpace(text)
	switch {
	case len(trimmed) == 0:
		return nil, errEmpty
	case trimmed[0] != '{' && trimmed[0] != '[':
		return parseYAML(text)
	case json.Valid(trimmed):
		return parseJSON(text)
	}
	if n, err := parseYAML(text); err == nil {
		return n, nil
	}
	return parseJSON(text)
}

// String returns how many users, groups and apps there are, and nothing of the
// content.
func (s *Snapshot) String() string {
	return fmt.Sprintf("%d users, %d groups, %d apps", len(s.users), len(s.groups), len(s.apps))
}

// Attributes returns the names of attributes that at least one object has.
func (s *Snapshot) Attributes() directory.Attributes {
	user, app, appUser := make(map[string]struct{}), make(map[string]struct{}), make(map[string]struct{})
	for i := range s.users {
		addNames(user, "", s.users[i].Profile)
	}
	for i := range s.apps {
		addNames(app, "", s.apps[i].Attributes)
		addNames(app, "profile.", s.apps[i].Profile)
		for _, u := range s.apps[i].users {
			addNames(appUser, "", u.Profile)
		}
	}
	sorted := func(names map[string]struct{}) []string { return slices.Sorted(maps.Keys(names)) }
	return directory.Attributes{User: sorted(user), App: sorted(app), AppUser: sorted(appUser)}
}

// addNames adds the names of an object's members to a set.
func addNames(names map[string]struct{}, prefix string, object map[string]any) {
	for name := range object {
		names[prefix+name] = struct{}{}
	}
}

// Directory returns the snapshot as a directory in which a subject is looked up
// by the named properties (see directory.Source.Match). Default: id and login.
func (s *Snapshot) Directory(match ...string) *Static {
	if len(match) == 0 {
		match = directory.DefaultMatch()
	}
	d := &Static{
		snapshot: s,
		match:    match,
		// One index for each way to compare, filled once, so that a look-up
		// does not depend on the number of users.
		exact:  make(map[string]int32, len(s.users)),
		folded: make(map[string]int32, len(s.users)),
		apps:   make(map[string]int32, 2*len(s.apps)),
	}
	for i := range s.users {
		for _, name := range match {
			for _, value := range directory.MatchValues(&s.users[i].User, name) {
				insert(d.index(name), value, int32(i))
			}
		}
	}
	for i := range s.apps {
		insert(d.apps, s.apps[i].ID, int32(i))
		if id := s.apps[i].ClientID; id != "" {
			insert(d.apps, id, int32(i))
		}
	}
	return d
}

// Static is the directory of one snapshot: its objects with indices by subject
// and by app id.
type Static struct {
	snapshot *Snapshot
	match    []string

	// By subject, as the properties compare: exactly, or without regard to
	// case. A subject that names two is kept as ambiguous.
	exact  map[string]int32
	folded map[string]int32

	apps map[string]int32
}

// ambiguous is the index of a name that two objects share.
const ambiguous int32 = -1

// insert adds a name to an index. A name that is there for another object
// becomes ambiguous.
func insert(index map[string]int32, name string, i int32) {
	if before, has := index[name]; has && before != i {
		i = ambiguous
	}
	index[name] = i
}

// index returns the index that holds a property's values.
func (d *Static) index(property string) map[string]int32 {
	if property == "login" || property == "email" {
		return d.folded
	}
	return d.exact
}

// find returns the index of the one user whom the query's subject names. Two
// users are ErrAmbiguous, also where one is found exactly and one without
// regard to case.
func (d *Static) find(q directory.Query) (int32, error) {
	subject, err := q.Subject()
	if err != nil {
		return 0, err
	}
	// Both indices are asked: a subject that is one user's id and another's
	// login is ambiguous.
	i, byExact := d.exact[subject]
	j, byFolded := d.folded[directory.MatchKey("login", subject)]
	switch {
	case !byExact && !byFolded:
		return 0, fmt.Errorf("searching the directory file: %w", directory.ErrNotFound)
	case byExact && byFolded && i != j, byExact && i == ambiguous, byFolded && j == ambiguous:
		return 0, fmt.Errorf("searching the directory file: %w", directory.ErrAmbiguous)
	case byExact:
		return i, nil
	}
	return j, nil
}

// Person implements directory.Directory. A user's groups are always known.
func (d *Static) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	i, err := d.find(q)
	if err != nil {
		return nil, err
	}
	s, u := d.snapshot, &d.snapshot.users[i]
	// The snapshot never changes, so that the answer can share its values.
	p := &identity.Person{User: &u.User, GroupsKnown: true}
	if len(u.groups) > 0 {
		p.Groups = make([]identity.Group, len(u.groups))
		for n, g := range u.groups {
			p.Groups[n] = s.groups[g]
		}
	}
	if len(u.linked) > 0 {
		p.Linked = make(map[string]*identity.User, len(u.linked))
		for _, l := range u.linked {
			p.Linked[l.name] = &s.users[l.user].User
		}
	}
	if len(u.apps) > 0 {
		p.AppUsers = make([]identity.AppUser, len(u.apps))
		for n, a := range u.apps {
			p.AppUsers[n] = *s.apps[a].users[i]
		}
	}
	return p, nil
}

// App implements directory.Directory. The id is the app's id or client id.
func (d *Static) App(ctx context.Context, id string) (*identity.App, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	i, err := d.findApp(id)
	if err != nil {
		return nil, err
	}
	return &d.snapshot.apps[i].App, nil
}

// AppUser implements directory.Directory.
func (d *Static) AppUser(ctx context.Context, q directory.Query, appID string) (*identity.AppUser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	i, err := d.find(q)
	if err != nil {
		return nil, err
	}
	a, err := d.findApp(appID)
	if err != nil {
		return nil, err
	}
	if assignment := d.snapshot.apps[a].users[i]; assignment != nil {
		return assignment, nil
	}
	return nil, fmt.Errorf("searching the directory file: the user has no such app: %w", directory.ErrNotFound)
}

// findApp returns the index of the app with this id or client id.
func (d *Static) findApp(id string) (int32, error) {
	i, ok := d.apps[id]
	switch {
	case !ok:
		return 0, fmt.Errorf("searching the directory file: no such app: %w", directory.ErrNotFound)
	case i == ambiguous:
		return 0, fmt.Errorf("searching the directory file: two apps: %w", directory.ErrAmbiguous)
	}
	return i, nil
}

// Warnings returns what is allowed and suspicious: names that two objects
// share, so that they lead to none, and properties to match that no user has.
// It quotes nothing about users but their number.
func (d *Static) Warnings() []string {
	var out []string
	// Names that lead to two users, in one index or across both.
	shared := 0
	for name, i := range d.folded {
		j, has := d.exact[name]
		if i == ambiguous || (has && j != i) {
			shared++
		}
	}
	for name, i := range d.exact {
		if _, counted := d.folded[name]; i == ambiguous && !counted {
			shared++
		}
	}
	if shared > 0 {
		out = append(out, fmt.Sprintf("names shared by two users, which match neither: %d", shared))
	}
	shared = 0
	for _, i := range d.apps {
		if i == ambiguous {
			shared++
		}
	}
	if shared > 0 {
		out = append(out, fmt.Sprintf("ids or client ids shared by two apps, which match neither: %d", shared))
	}
	for _, name := range d.match {
		if users := d.snapshot.users; len(users) > 0 && !slices.ContainsFunc(users, func(u user) bool { return len(directory.MatchValues(&u.User, name)) > 0 }) {
			out = append(out, fmt.Sprintf("match names %s, which no user has", shorten(name)))
		}
	}
	return out
}
