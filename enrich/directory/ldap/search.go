package ldap

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// This file runs searches: for one entry, for groups page by page, and for the
// rest of an attribute with many values.

// request returns a search that follows no alias and no referral, and that the
// server ends at the context's deadline.
func request(ctx context.Context, base string, scope, size int, filter string, attributes []string) *ldap.SearchRequest {
	seconds := 0
	if deadline, ok := ctx.Deadline(); ok {
		seconds = max(1, int(math.Ceil(time.Until(deadline).Seconds())))
	}
	return ldap.NewSearchRequest(base, scope, ldap.NeverDerefAliases, size, seconds, false, filter, attributes, nil)
}

// one searches for a single entry. No entry is ErrNotFound, two are
// ErrAmbiguous.
func (c *conn) one(ctx context.Context, base string, filter string, attributes []string) (*ldap.Entry, error) {
	result, err := c.ldap.Search(request(ctx, base, ldap.ScopeWholeSubtree, 2, filter, attributes))
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil, fmt.Errorf("searching the user: %w", directory.ErrAmbiguous)
	case err != nil:
		return nil, c.explain(ctx, "searching the user", err)
	case len(result.Entries) == 0:
		// Referrals to other servers are no entries, and are not followed.
		return nil, fmt.Errorf("searching the user: %w", directory.ErrNotFound)
	// Servers may return more entries than the limit of the request.
	case len(result.Entries) > 1:
		return nil, fmt.Errorf("searching the user: %w", directory.ErrAmbiguous)
	}
	return result.Entries[0], c.complete(ctx, result.Entries[0])
}

// all searches for groups, page by page. It has a loop of its own, because the
// library's keeps every page that a server sends.
func (c *conn) all(ctx context.Context, base, filter string, attributes []string) ([]*ldap.Entry, error) {
	var entries []*ldap.Entry
	paging := ldap.NewControlPaging(pageSize)
	for range maxPages {
		q := request(ctx, base, ldap.ScopeWholeSubtree, 0, filter, attributes)
		q.Controls = []ldap.Control{paging}
		result, err := c.ldap.Search(q)
		if err != nil {
			return nil, c.explain(ctx, "searching groups", err)
		}
		c.referred = c.referred || slices.ContainsFunc(result.Referrals, mayHoldGroups)
		if entries = append(entries, result.Entries...); len(entries) > directory.MaxGroups {
			// The server holds the next page for this connection, which is not
			// used again.
			c.broken = true
			return nil, fmt.Errorf("searching groups: over %d: %w", directory.MaxGroups, directory.ErrTooLarge)
		}
		next, ok := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(next.Cookie) == 0 {
			return entries, nil
		}
		paging.SetCookie(next.Cookie)
	}
	c.broken = true
	return nil, fmt.Errorf("searching groups: over %d pages: %w", maxPages, directory.ErrTooLarge)
}

// mayHoldGroups reports whether a referral leads to a place that may hold
// groups. Each domain of an Active Directory refers from its root to partitions
// of its own that hold none (MS-ADTS, section 3.1.1.1.2).
func mayHoldGroups(reference string) bool {
	u, err := url.Parse(reference)
	if err != nil {
		return true
	}
	name := strings.ToLower(strings.TrimPrefix(u.Path, "/"))
	return !slices.ContainsFunc([]string{"cn=configuration,", "dc=domaindnszones,", "dc=forestdnszones,"}, func(partition string) bool {
		return strings.HasPrefix(name, partition)
	})
}

// complete reads the rest of attributes with many values. Active Directory
// returns them in parts, each under a name such as memberOf;range=0-1499; the
// last one ends in -*.
func (c *conn) complete(ctx context.Context, e *ldap.Entry) error {
	for i, a := range e.Attributes {
		name, last, parted := parseRange(a.Name)
		if !parted {
			continue
		}
		// The parts are joined under the plain name.
		whole := &ldap.EntryAttribute{Name: name, Values: a.Values, ByteValues: a.ByteValues}
		for pages := 0; last >= 0; pages++ {
			if len(whole.Values) > directory.MaxGroups || pages > maxPages {
				return fmt.Errorf("searching the user: an attribute has over %d values: %w", directory.MaxGroups, directory.ErrTooLarge)
			}
			result, err := c.ldap.Search(request(ctx, e.DN, ldap.ScopeBaseObject, 1, "(objectClass=*)",
				[]string{name + ";range=" + strconv.Itoa(last+1) + "-*"}))
			if err != nil {
				return c.explain(ctx, "searching the user", err)
			}
			part, next := findRange(result, name)
			if part == nil || len(part.Values) == 0 || (next >= 0 && next <= last) {
				return fmt.Errorf("searching the user: an attribute is truncated: %w", directory.ErrMalformed)
			}
			whole.Values = append(whole.Values, part.Values...)
			whole.ByteValues = append(whole.ByteValues, part.ByteValues...)
			last = next
		}
		e.Attributes[i] = whole
	}
	return nil
}

// findRange returns the part of an attribute in a result, and the number of its
// last value, or -1 where no more follow.
func findRange(result *ldap.SearchResult, attribute string) (*ldap.EntryAttribute, int) {
	for _, e := range result.Entries {
		for _, a := range e.Attributes {
			if name, last, parted := parseRange(a.Name); parted && strings.EqualFold(name, attribute) {
				return a, last
			}
		}
	}
	return nil, -1
}

// parseRange parses a name such as memberOf;range=0-1499. last is the number of
// the last value in the part, or -1 where no more follow.
func parseRange(text string) (name string, last int, parted bool) {
	options := strings.Split(text, ";")
	i := slices.IndexFunc(options, func(o string) bool { return len(o) > 6 && strings.EqualFold(o[:6], "range=") })
	if i < 1 {
		return text, -1, false
	}
	_, end, ok := strings.Cut(options[i][6:], "-")
	name = strings.Join(slices.Delete(options, i, i+1), ";")
	if n, err := strconv.Atoi(end); ok && err == nil && n >= 0 {
		return name, n, true
	}
	return name, -1, true
}

// capable reports whether the server's own entry calls it an Active Directory,
// which has the in-chain rule.
func (c *conn) capable(ctx context.Context) (bool, error) {
	result, err := c.ldap.Search(request(ctx, "", ldap.ScopeBaseObject, 1, "(objectClass=*)", []string{"supportedCapabilities"}))
	if err != nil {
		err = c.explain(ctx, "reading the server's capabilities", err)
		if c.broken || errors.Is(err, directory.ErrTimeout) {
			return false, err
		}
		return false, nil // the account may not read them
	}
	for _, e := range result.Entries {
		if slices.Contains(e.GetEqualFoldAttributeValues("supportedCapabilities"), capActiveDirectory) {
			return true, nil
		}
	}
	return false, nil
}

// Object identifiers of Active Directory: its capability, and the matching
// rule that follows a chain of groups
// (https://learn.microsoft.com/openspecs/windows_protocols/ms-adts/).
const (
	capActiveDirectory = "1.2.840.113556.1.4.800"
	inChainRule        = "1.2.840.113556.1.4.1941"
)
