package directory

import (
	"fmt"
	"slices"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file merges what several sources answer about one user.

// mergePersons merges the persons among answers. leftOut names the sources that
// failed and are missing from the result.
func (c *Composite) mergePersons(answers []answer[identity.Person], leftOut []string) (*identity.Person, error) {
	// Not found is no contribution, and failures of required sources have ended
	// the look-up.
	found := make([]answer[identity.Person], 0, len(answers))
	for _, a := range answers {
		if a.err == nil {
			found = append(found, a)
		}
	}
	if len(found) == 0 {
		for _, a := range answers {
			if Failed(a.err) {
				// Those that answered have no such user, but one could not be
				// asked: "not found" would be a guess.
				return nil, fmt.Errorf("looking up a person: directory %q: %w", c.sources[a.source].Name, a.err)
			}
		}
		return nil, fmt.Errorf("looking up a person: %w", ErrNotFound)
	}

	out := &identity.Person{User: &identity.User{}, LeftOut: leftOut}
	// Facts are taken away below as sources supply them. Those about apps are
	// merged with the apps.
	out.Unavailable = identity.AllFacts &^ (identity.FactApp | identity.FactAppUser)
	// The largest profile is about the size of the merged one.
	attributes := 0
	for _, f := range found {
		attributes = max(attributes, len(f.value.User.Profile))
	}
	out.User.Profile = make(map[string]any, attributes)
	out.Origin = make(map[string]string, attributes)
	for _, f := range found {
		src := &c.sources[f.source]
		mergeUser(out, f.value.User, src.Name)
		c.mergeUnsupported(out, f)
		mergeProfile(out.User.Profile, out.Origin, f.value.User.Profile, src)
		mergeLinked(out, f.value.Linked, src)
		mergeAppUsers(out, f.value.AppUsers, src.Name)
		// One source with groups is enough, unless another could not supply its
		// own.
		out.GroupsKnown = out.GroupsKnown || f.value.GroupsKnown
		// The first reason is kept, with the source that it is about.
		if reason := f.value.GroupsUnknown; reason != "" && out.GroupsUnknown == "" {
			out.GroupsUnknown = fmt.Sprintf("directory %q: %s", src.Name, reason)
		}
		if keep := f.value.Keep; keep != nil && (out.Keep == nil || *keep < *out.Keep) {
			out.Keep = keep // the whole is used no longer than each part may be
		}
	}
	if len(leftOut) > 0 {
		out.Keep = shortTTL(out.Keep)
	}
	if out.GroupsUnknown != "" {
		// A source whose groups are unknown makes the whole unknown: the others'
		// groups are only a part of it (C32).
		out.GroupsKnown = false
		return out, nil
	}
	c.mergeGroups(out, found)
	if len(out.Groups) > MaxGroups {
		return nil, fmt.Errorf("looking up a person: merging over %d groups: %w", MaxGroups, ErrTooLarge)
	}
	return out, nil
}

// mergeUnsupported keeps the facts about the user that all sources lack, and those
// about groups that a source with groups lacks for all of them.
func (c *Composite) mergeUnsupported(out *identity.Person, f answer[identity.Person]) {
	p := f.value
	unsupported := c.resilient[f.source].unsupportedFor(p)
	// A nil list of names means that all names are known, which wins.
	if unsupported&identity.FactLinked == 0 {
		if p.LinkedNames == nil {
			out.LinkedNames = nil
		} else if out.LinkedNames != nil || out.Unavailable&identity.FactLinked != 0 {
			out.LinkedNames = append(out.LinkedNames, p.LinkedNames...)
		}
	}
	out.Unavailable = out.Unavailable&identity.GroupFacts | out.Unavailable&unsupported | p.UnavailableGroupFacts()
	out.Unavailable &^= identity.FactUser
}

// shortTTL returns the shorter of keep and the TTL of an answer that lacks an
// optional directory.
func shortTTL(keep *time.Duration) *time.Duration {
	brief := partialTTL
	if keep != nil {
		brief = min(brief, *keep)
	}
	return &brief
}

// mergeUser fills in the fields that the user still lacks, with their origin.
func mergeUser(p *identity.Person, u *identity.User, from string) {
	out := p.User
	first := func(to *string, value string, origin *string) {
		if *to == "" && value != "" {
			*to, *origin = value, from
		}
	}
	first(&out.ID, u.ID, &p.UserOrigin.ID)
	first(&out.Login, u.Login, &p.UserOrigin.Login)
	first(&out.Status, u.Status, &p.UserOrigin.Status)
	if out.Created.IsZero() {
		out.Created = u.Created
	}
	if out.LastUpdated.IsZero() {
		out.LastUpdated = u.LastUpdated
	}
	if out.PasswordChanged.IsZero() {
		out.PasswordChanged = u.PasswordChanged
	}
	if out.LastLogin.IsZero() {
		out.LastLogin = u.LastLogin
	}
}

// mergeProfile adds the attributes that the source may contribute and that no
// source before it had. A null attribute counts as absent.
func mergeProfile(out map[string]any, origin map[string]string, profile map[string]any, src *Source) {
	if len(src.Attributes) > 0 {
		for _, name := range src.Attributes {
			if v := profile[name]; v != nil && out[name] == nil {
				out[name], origin[name] = v, src.Name
			}
		}
		return
	}
	for name, v := range profile {
		if v != nil && out[name] == nil {
			out[name], origin[name] = v, src.Name
		}
	}
}

// mergeLinked adds linked objects by name. Their profiles hold only the attributes
// that the source may contribute.
func mergeLinked(out *identity.Person, linked map[string]*identity.User, src *Source) {
	for name, u := range linked {
		if out.Linked[name] != nil {
			continue
		}
		if out.Linked == nil {
			out.Linked = make(map[string]*identity.User, len(linked))
		}
		if len(src.Attributes) > 0 {
			// A copy: the answer is shared with other requests.
			narrowed := *u
			narrowed.Profile = make(map[string]any, len(src.Attributes))
			for _, a := range src.Attributes {
				if v := u.Profile[a]; v != nil {
					narrowed.Profile[a] = v
				}
			}
			u = &narrowed
		}
		out.Linked[name] = u
	}
}

// mergeAppUsers adds the assignments to apps for which no source before had one.
func mergeAppUsers(out *identity.Person, users []identity.AppUser, from string) {
	known := len(out.AppUsers)
	for _, u := range users {
		if !slices.ContainsFunc(out.AppUsers[:known], func(k identity.AppUser) bool { return k.App == u.App }) {
			u.Origin = from
			out.AppUsers = append(out.AppUsers, u)
		}
	}
}

// mergeGroups unites the groups by id, in the order of the directories and of
// each directory's own list.
func (c *Composite) mergeGroups(p *identity.Person, found []answer[identity.Person]) {
	total := 0
	for _, f := range found {
		total += len(f.value.Groups)
	}
	if total == 0 {
		return
	}
	out := make([]identity.Group, 0, total)
	seen := make(map[string]struct{}, total)
	for _, f := range found {
		before := len(out)
		for i := range f.value.Groups {
			g := &f.value.Groups[i]
			if _, dup := seen[g.ID]; dup {
				continue
			}
			seen[g.ID] = struct{}{}
			out = append(out, *g)
		}
		if n := len(out) - before; n > 0 {
			p.GroupOrigins = append(p.GroupOrigins, identity.GroupOrigin{Directory: c.sources[f.source].Name, Groups: n})
		}
	}
	p.Groups = out
}
