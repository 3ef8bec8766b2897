package rest

// This file reads the groups of a user, out of one answer or out of its pages.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/grouplist"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// The values of Config.Next that are no JSONPath query.
const (
	nextLink = "link"
	nextNone = "none"
)

// maxPages bounds the pages of one user's groups. All of them together are also
// bounded by directory.MaxResponse and directory.MaxGroups.
const maxPages = 50

// A nextPage finds the URL of the next page in an answer. Its listing finds
// other signs of more groups.
type nextPage struct {
	path   *path // nil: none is configured
	link   bool
	ignore bool // whatever an answer says, it is the whole
	list   *listing
}

// compileGroups checks the settings about groups.
func (d *Directory) compileGroups(c Config) error {
	d.groupsDelimiter, d.next = c.GroupsDelimiter, &nextPage{}
	if err := grouplist.Check(c.GroupsDelimiter); err != nil {
		return directory.Setting("groups_delimiter", fmt.Errorf("groups_delimiter: %w", err))
	}
	if !d.readsGroups() {
		for option, value := range map[string]string{"groups_delimiter": c.GroupsDelimiter, "next": c.Next} {
			if value != "" {
				return directory.Setting(option, fmt.Errorf("%s: no groups are read: paths are set, but groups_path is not", option))
			}
		}
		return nil
	}
	d.next.list = newListing(d.groupsPath)
	switch {
	case c.Next == "":
	case c.Next == nextLink:
		d.next.link = true
	case c.Next == nextNone:
		d.next.ignore = true
	case !strings.HasPrefix(c.Next, "$"):
		return directory.Setting("next", fmt.Errorf("next: unknown value %q (want a JSONPath query such as $.next, link or none)%s",
			c.Next, suggest.DidYouMean(c.Next, []string{nextLink, nextNone})))
	default:
		var err error
		if d.next.path, err = parsePath(c.Next); err != nil {
			return directory.Setting("next", fmt.Errorf("next: %w", err))
		}
	}
	return nil
}

// readsGroups reports whether answers are read for groups.
func (d *Directory) readsGroups() bool { return d.shaped() || d.groupsPath != nil }

// Why groups are unknown although an answer was expected to have them, besides what package
// grouplist says.
const (
	unknownMissing = "groups_path selects nothing"
	unknownForeign = "the next page is at another host than the first"
	unknownMore    = "the answer has more pages (%s); set next to follow them, or to none to ignore the sign"
)

// addGroups adds the groups of all pages to a person. A part of the groups is
// never taken for all of them (C32): where an answer says that there is more
// and that cannot be followed, the groups are unknown. A page that cannot be
// read fails the look-up.
func (d *Directory) addGroups(ctx context.Context, p *identity.Person, answer *reply, subject string) error {
	if !d.readsGroups() {
		return nil
	}
	// What has been read: all groups, the URLs of the pages, and their size.
	r := &reader{}
	var nodes []any
	seen := map[string]bool{}
	size, so := 0, progress{counted: true}
	for page := 1; ; page++ {
		// Each page must list groups; one without them on a later page is a
		// failure, because the first page has promised it.
		list, unknown, err := d.groupsOf(r, answer.value)
		switch {
		case err != nil:
			return err
		case r.err != nil:
			return r.err
		case list == nil && page > 1 && unknown == "":
			return fmt.Errorf("reading an answer: page %d has no groups: %w", page, directory.ErrMalformed)
		case list == nil:
			p.GroupsUnknown = unknown
			return nil
		}
		if nodes = append(nodes, list...); len(nodes) > directory.MaxGroups {
			return fmt.Errorf("reading an answer: over %d groups: %w", directory.MaxGroups, directory.ErrTooLarge)
		}
		so.pages = page
		if n, known := d.next.list.length(answer.value); known {
			so.listed += n
		} else {
			so.counted = false
		}
		next, err := d.next.of(answer)
		if err != nil {
			return err
		}
		// Without a next page the answer must not say in any other way that
		// there is more.
		if next == "" && !d.next.ignore {
			if sign := d.next.list.sign(answer, so); sign != "" {
				p.GroupsUnknown = fmt.Sprintf(unknownMore, sign)
				return nil
			}
		}
		if next == "" {
			break
		}
		// The headers of the configuration must not go to another host.
		address, err := url.Parse(next)
		if err != nil || !d.client.SameOrigin(address) {
			p.GroupsUnknown = unknownForeign
			return nil
		}
		size += len(answer.Body)
		switch {
		// Bounds on the number and the size of pages, and on going in circles.
		case seen[next]:
			return fmt.Errorf("reading an answer: its pages form a loop: %w", directory.ErrMalformed)
		case page == maxPages:
			return fmt.Errorf("reading an answer: over %d pages: %w", maxPages, directory.ErrTooLarge)
		case size > directory.MaxResponse:
			return fmt.Errorf("reading an answer: its pages are over %d bytes: %w", directory.MaxResponse, directory.ErrTooLarge)
		}
		seen[next] = true
		if answer, err = d.nextPage(ctx, next, subject); err != nil {
			return fmt.Errorf("following to page %d: %w", page+1, err)
		}
	}
	groups := r.groups(nodes)
	if r.err != nil {
		return r.err
	}
	p.Groups, p.GroupsKnown = groups, true
	return nil
}

// nextPage requests a further page. Where it holds a user, that must be the
// same one. A 404 is a failure here and not "no such user".
func (d *Directory) nextPage(ctx context.Context, address, subject string) (*reply, error) {
	answer, err := d.send(ctx, fetch.Request{Method: http.MethodGet, URL: address})
	if err != nil {
		return nil, err
	}
	if _, err := d.person(answer.value, subject); errors.Is(err, directory.ErrForeign) || errors.Is(err, directory.ErrAmbiguous) {
		return nil, err
	}
	return answer, nil // it need not say anything of the user
}

// groupsOf returns the groups that an answer lists. A nil list is unknown;
// unknown then holds the reason, where the answer was expected to have groups.
func (d *Directory) groupsOf(r *reader, answer any) (list []any, unknown string, err error) {
	if d.shaped() {
		groups := r.object(answer, "the answer")["groups"]
		if _, isText := groups.(string); !isText || d.groupsDelimiter == "" {
			groups = listOrNil(r.list(groups, "groups")) // the shape wants a list
		}
		list, unknown = grouplist.Read(groups, d.groupsDelimiter)
		return list, unknown, nil
	}
	nodes, known, err := d.groupsPath.all(answer)
	if err != nil {
		return nil, "", err
	}
	if !known {
		return nil, unknownMissing, nil
	}
	if len(nodes) == 1 {
		// A path to the list itself.
		if inner, ok := nodes[0].([]any); ok {
			nodes = inner
		} else if text, ok := nodes[0].(string); ok && d.groupsPath.fixed == nil {
			list, unknown = grouplist.Read(text, d.groupsDelimiter)
			return list, unknown, nil
		}
	}
	if d.groupsPath.filtered && d.groupsDelimiter == "" {
		for _, n := range nodes {
			if text, ok := n.(string); ok {
				if _, unknown = grouplist.Read(text, ""); unknown != "" {
					return nil, unknown, nil
				}
			}
		}
	}
	list, unknown = grouplist.Read(nodes, d.groupsDelimiter)
	return list, unknown, nil
}

// listOrNil keeps a missing list distinct from an empty one, which an interface
// value of a nil slice would not.
func listOrNil(list []any) any {
	if list == nil {
		return nil
	}
	return list
}

// of returns the absolute URL of the page after an answer, empty where the
// answer names none in the configured way.
func (n *nextPage) of(answer *reply) (string, error) {
	switch {
	case n.link:
		return answer.Next()
	case n.path == nil:
		return "", nil
	}
	nodes := n.path.query.Select(answer.value)
	if len(nodes) > 1 {
		return "", fmt.Errorf("reading an answer: next selects more than one value: %w", directory.ErrMalformed)
	}
	if len(nodes) == 0 || !hasValue(nodes[0]) {
		return "", nil
	}
	text, _ := nodes[0].(string)
	for _, begin := range []string{"https://", "http://", "/", "?"} {
		if strings.HasPrefix(text, begin) {
			return answer.Resolve(text), nil
		}
	}
	return "", fmt.Errorf("reading an answer: next selects no URL (https://…, /… or ?…): %w", directory.ErrMalformed)
}
