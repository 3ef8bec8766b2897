package file

import (
	"errors"
	"slices"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// This file reads the tree of nodes into a Snapshot: it knows the members of
// users, groups and apps, and collects the errors of the whole file with their
// lines. resolve then connects the objects by their ids.

// maxProblems bounds how many errors of one file are reported at once.
const maxProblems = 10

// groupTypes are the values of a group's type.
var groupTypes = [...]string{identity.GroupTypeOkta, identity.GroupTypeApp, identity.GroupTypeBuiltIn}

// A reader turns nodes into a snapshot and collects the errors on the way.
type reader struct {
	// snapshot is what has been read so far. It is used only where there are no
	// problems.
	snapshot *Snapshot
	problems []error

	// What resolve needs: the lines and references of each user by its index,
	// the assignments of all apps, and the indices of users and groups by id.
	userLines  []int
	groupRefs  [][]*node // of each user: the ids to be found among groups
	linkedRefs []*node   // of each user: the object of linked, or nil
	appUsers   []appUserRef
	groupIndex map[string]int32
	userIndex  map[string]int32
}

// An appUserRef is an assignment whose user has not been looked up by id yet.
type appUserRef struct {
	app  int
	user *node
	read identity.AppUser
}

// problem notes an error about a line. Those beyond maxProblems are dropped.
func (r *reader) problem(line int, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, at(line, format, args...))
	}
}

// A field is one member of an object and the function that reads it. The
// function is not called for a null: it counts as absent.
type field struct {
	name string
	read func(*node)
}

// object reads the members of n by fields. Any other key is an error that
// suggests the closest name. It reports whether n is an object.
func (r *reader) object(n *node, what string, fields ...field) bool {
	if n.kind != object {
		r.problem(n.line, "%s must be an object, not %s", what, n.what())
		return false
	}
	// The names of members are few, so a table would cost more.
next:
	for i, k := range n.keys {
		for _, f := range fields {
			if f.name == k.name {
				// A null counts as absent.
				if n.items[i].kind != null {
					f.read(n.items[i])
				}
				continue next
			}
		}
		names := make([]string, len(fields))
		for j, f := range fields {
			names[j] = f.name
		}
		r.problem(k.line, "unknown key %s in %s%s", shorten(k.name), what, suggest.DidYouMean(k.name, names))
	}
	return true
}

// each calls read for the items of a list. A node that is no list is an error.
func (r *reader) each(n *node, what string, read func(*node)) {
	if n.kind != list {
		r.problem(n.line, "%s must be a list, not %s", what, n.what())
		return
	}
	for _, item := range n.items {
		read(item)
	}
}

// text returns a function that reads a scalar as text, numbers as they are
// written. A truth value is an error: true is a text only in quotes.
func (r *reader) text(out *string, what string) func(*node) {
	return func(n *node) {
		if n.kind != scalar {
			r.problem(n.line, "%s must be a string, not %s", what, n.what())
			return
		}
		// A text that reads true must be in quotes, so that both languages agree.
		if _, ok := n.value.(bool); ok {
			r.problem(n.line, "%s must be a string: put it in quotes", what)
			return
		}
		*out = n.text
	}
}

// id returns a function that reads a scalar as an id.
func (r *reader) id(out *string, what string) func(*node) {
	read := r.text(out, what)
	return func(n *node) {
		read(n)
		// An id that no look-up may ask for would never be found.
		if err := directory.CheckName(*out); err != nil && n.kind == scalar {
			r.problem(n.line, "%s is empty, too long or holds control characters", what)
		}
	}
}

// enum returns a function that reads one of a closed set of values. An empty
// text is allowed and counts as absent.
func (r *reader) enum(out *string, what string, words []string) func(*node) {
	read := r.text(out, what)
	return func(n *node) {
		read(n)
		if *out != "" && !slices.Contains(words, *out) {
			r.problem(n.line, "%s has an unknown value%s", what, suggest.DidYouMean(*out, words))
		}
	}
}

// time returns a function that reads a date, or a date with a time. One without
// a zone is UTC.
func (r *reader) time(out *time.Time, what string) func(*node) {
	return func(n *node) {
		for _, layout := range [...]string{time.RFC3339, time.DateTime, time.DateOnly} {
			if t, err := time.Parse(layout, n.text); err == nil {
				*out = t
				return
			}
		}
		r.problem(n.line, "%s must be a time such as 2026-03-01T12:00:00Z", what)
	}
}

// attributes returns a function that reads a free-form object.
func (r *reader) attributes(out *map[string]any, what string) func(*node) {
	return func(n *node) {
		if n.kind != object {
			r.problem(n.line, "%s must be an object, not %s", what, n.what())
			return
		}
		// The values become part of claims, so they must be canonical.
		v, err := identity.Canonical(n.canonical())
		if err != nil {
			r.problem(n.line, "%s is nested too deep", what)
			return
		}
		*out = v.(map[string]any)
	}
}

// texts returns a function that reads a list of texts.
func (r *reader) texts(out *[]string, what string) func(*node) {
	return func(n *node) {
		r.each(n, what, func(item *node) {
			var s string
			r.text(&s, what)(item)
			*out = append(*out, s)
		})
	}
}

// file reads the whole file. A file without users, groups and apps is errEmpty.
func (r *reader) file(root *node) error {
	if root.kind == null {
		return errEmpty
	}
	some := false
	collection := func(name, what string, read func(*node)) field {
		return field{name, func(n *node) {
			some = true
			r.each(n, name, read)
		}}
	}
	// Each collection may be missing, but not all of them.
	r.object(root, "the file",
		collection("users", "a user", r.user),
		collection("groups", "a group", r.group),
		collection("apps", "an app", r.app))
	// A file that is being rewritten is empty for a moment.
	if len(r.problems) == 0 && !some {
		return errEmpty
	}
	r.resolve()
	return errors.Join(r.problems...)
}

// user reads one user. Its groups and linked objects are noted by id, for
// resolve.
func (r *reader) user(n *node) {
	var u user
	var refs []*node
	var linked *node
	if !r.object(n, "a user",
		field{"id", r.id(&u.ID, "id")},
		field{"login", r.text(&u.Login, "login")},
		field{"status", r.enum(&u.Status, "status", directory.AccountStates())},
		field{"created", r.time(&u.Created, "created")},
		field{"lastUpdated", r.time(&u.LastUpdated, "lastUpdated")},
		field{"passwordChanged", r.time(&u.PasswordChanged, "passwordChanged")},
		field{"lastLogin", r.time(&u.LastLogin, "lastLogin")},
		field{"profile", r.attributes(&u.Profile, "profile")},
		field{"groups", func(g *node) { r.each(g, "groups", func(item *node) { refs = append(refs, item) }) }},
		field{"linked", func(l *node) { linked = l }},
	) {
		return
	}
	if u.ID == "" {
		r.problem(n.line, "a user has no id")
		return
	}
	if before, dup := r.userIndex[u.ID]; dup {
		r.problem(n.line, "duplicate user id, first in line %d", r.userLines[before])
		return
	}
	// The same limit as in each answer of a directory; here it fails the load
	// and not a request.
	if len(refs) > directory.MaxGroups {
		r.problem(n.line, "a user has over %d groups", directory.MaxGroups)
		return
	}
	r.userIndex[u.ID] = int32(len(r.snapshot.users))
	r.snapshot.users = append(r.snapshot.users, u)
	r.userLines = append(r.userLines, n.line)
	r.groupRefs = append(r.groupRefs, refs)
	r.linkedRefs = append(r.linkedRefs, linked)
}

// group reads one group. Its name is that of its profile, where it has one.
func (r *reader) group(n *node) {
	var g identity.Group
	if !r.object(n, "a group",
		field{"id", r.id(&g.ID, "id")},
		field{"name", r.text(&g.Name, "name")},
		field{"type", r.enum(&g.Type, "type", groupTypes[:])},
		field{"source", r.text(&g.Source, "source")},
		field{"objectClass", r.texts(&g.ObjectClass, "objectClass")},
		field{"created", r.time(&g.Created, "created")},
		field{"lastUpdated", r.time(&g.LastUpdated, "lastUpdated")},
		field{"lastMembershipUpdated", r.time(&g.LastMembershipUpdated, "lastMembershipUpdated")},
		field{"profile", r.attributes(&g.Profile, "profile")},
	) {
		return
	}
	if g.ID == "" {
		r.problem(n.line, "a group has no id")
		return
	}
	if _, dup := r.groupIndex[g.ID]; dup {
		r.problem(n.line, "duplicate group %s", shorten(g.ID))
		return
	}
	// Expressions read group.name and group.profile.name, which must not
	// differ.
	if name, ok := g.Profile["name"].(string); ok {
		if g.Name != "" && g.Name != name {
			r.problem(n.line, "group %s has a different name in its profile", shorten(g.ID))
		}
		g.Name = name
	}
	r.groupIndex[g.ID] = int32(len(r.snapshot.groups))
	r.snapshot.groups = append(r.snapshot.groups, g)
}

// app reads one app with its assignments, which are noted for resolve.
func (r *reader) app(n *node) {
	var a identity.App
	var users []*node
	if !r.object(n, "an app",
		field{"id", r.id(&a.ID, "id")},
		field{"clientId", r.id(&a.ClientID, "clientId")},
		field{"name", r.text(&a.Name, "name")},
		field{"label", r.text(&a.Label, "label")},
		field{"status", r.text(&a.Status, "status")},
		field{"profile", r.attributes(&a.Profile, "profile")},
		field{"attributes", r.attributes(&a.Attributes, "attributes")},
		field{"users", func(u *node) { r.each(u, "users", func(item *node) { users = append(users, item) }) }},
	) {
		return
	}
	if a.ID == "" {
		r.problem(n.line, "an app has no id")
		return
	}
	// Apps are few, so a search costs nothing.
	for i := range r.snapshot.apps {
		if r.snapshot.apps[i].ID == a.ID {
			r.problem(n.line, "duplicate app %s", shorten(a.ID))
			return
		}
	}
	// Users of the app are looked up by resolve: they may come later in the
	// file.
	index := len(r.snapshot.apps)
	r.snapshot.apps = append(r.snapshot.apps, app{App: a})
	for _, u := range users {
		ref := appUserRef{app: index, user: u, read: identity.AppUser{App: a.ID}}
		if r.object(u, "a user of an app",
			field{"id", r.id(&ref.read.ID, "id")},
			field{"userName", r.text(&ref.read.UserName, "userName")},
			field{"status", r.text(&ref.read.Status, "status")},
			field{"profile", r.attributes(&ref.read.Profile, "profile")},
		) {
			r.appUsers = append(r.appUsers, ref)
		}
	}
}

// resolve connects users with their groups, linked users and apps. An id that
// leads nowhere is an error, which also finds a file that was cut off between
// two lines.
func (r *reader) resolve() {
	ids := make([]string, 0, len(r.snapshot.groups))
	for i := range r.snapshot.groups {
		ids = append(ids, r.snapshot.groups[i].ID)
	}
	// Groups of users.
	for i, refs := range r.groupRefs {
		seen := make(map[int32]bool, len(refs))
		groups := make([]int32, 0, len(refs))
		for _, ref := range refs {
			var id string
			r.text(&id, "a group's id")(ref)
			if id == "" {
				continue
			}
			g, ok := r.groupIndex[id]
			if !ok {
				r.problem(ref.line, "no group has the id %s%s", shorten(id), suggest.DidYouMean(id, ids))
				continue
			}
			// A group that is listed twice counts once.
			if !seen[g] {
				seen[g], groups = true, append(groups, g)
			}
		}
		r.snapshot.users[i].groups = groups
	}
	// Linked objects of users.
	for i, linked := range r.linkedRefs {
		if linked == nil {
			continue
		}
		if linked.kind != object {
			r.problem(linked.line, "linked must be an object, not %s", linked.what())
			continue
		}
		for j, k := range linked.keys {
			var id string
			r.text(&id, "a linked user's id")(linked.items[j])
			other, ok := r.userIndex[id]
			if !ok {
				r.problem(linked.items[j].line, "linked: no user has this id")
				continue
			}
			r.snapshot.users[i].linked = append(r.snapshot.users[i].linked, link{k.name, other})
		}
	}
	// Assignments of users to apps.
	for _, ref := range r.appUsers {
		i, ok := r.userIndex[ref.read.ID]
		a := &r.snapshot.apps[ref.app]
		switch _, dup := a.users[i]; {
		case !ok:
			r.problem(ref.user.line, "a user of an app is not a user of this file")
		case dup:
			r.problem(ref.user.line, "duplicate user of an app")
		default:
			if a.users == nil {
				a.users = map[int32]*identity.AppUser{}
			}
			assignment := ref.read
			a.users[i] = &assignment
			r.snapshot.users[i].apps = append(r.snapshot.users[i].apps, int32(ref.app))
		}
	}
}
