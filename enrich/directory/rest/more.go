package rest

// This file finds the signs by which an answer says that its list of groups
// continues elsewhere (C32). Services have no common way to say so, hence the
// tables of names below.

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"
)

// nextMembers are the members that mean more by having a value. Case, _ and -
// do not matter.
var nextMembers = set(
	"next", "nextLink", "nextPage", "nextPageToken", "nextPageUrl", "nextPageUri", "nextPageLink", "nextPageStart", "nextPageCursor", "nextUrl", "nextUri", "nextHref",
	"nextCursor", "nextToken", "nextMarker", "nextOffset", "nextStart", "nextStartIndex", "nextRecordsUrl", "nextResults", "odata.nextLink",
	"continuationToken", "continuationUri", "continuation", "continue", "paginationToken", "lastEvaluatedKey",
	"more", "hasMore", "hasNext", "hasNextPage", "hasMorePages", "hasMoreResults", "hasMoreItems", "moreResults", "moreItems", "moreAvailable",
	"isTruncated", "truncated", "incompleteResults",
)

// lastMembers are the members that mean more by being false.
var lastMembers = set("isLast", "isLastPage", "lastPage", "last", "complete", "isComplete")

// totals are the members that show how many groups there are in all, pagesInAll how
// many pages.
var (
	totals     = set("total", "totalCount", "totalResults", "totalItems", "totalElements", "totalRecords", "totalSize", "totalHits", "count", "numFound", "odata.count")
	pagesInAll = set("totalPages", "pageCount", "numberOfPages", "lastPage")
)

// containers are the members that hold information about pages, and
// maxContainers bounds how deep they are nested.
var containers = set("meta", "metadata", "paging", "pagination", "page", "pageInfo", "pager", "links", "link", "cursor", "cursors", "responseMetadata", "listInfo")

const maxContainers = 3

// set returns a table of names by their folded form.
func set(names ...string) map[string]string {
	out := make(map[string]string, len(names))
	for _, name := range names {
		out[fold(name)] = name
	}
	return out
}

// dropped removes what does not count in a name.
var dropped = strings.NewReplacer("_", "", "-", "")

// fold returns the form of a member's name that is compared. The prefix of
// OData's nextLink and count, which names the list that they belong to, is
// dropped.
func fold(name string) string {
	name = strings.ToLower(name)
	for _, odata := range [...]string{"odata.nextlink", "odata.count"} {
		if strings.HasSuffix(name, odata) {
			name = odata
		}
	}
	return dropped.Replace(name)
}

// A listing knows where in an answer the list of groups is.
type listing struct {
	around   []*jsonpath.Path // the objects on the way to the list, outermost first
	holder   *jsonpath.Path   // the one that holds it; nil where there may be several
	list     *jsonpath.Path   // nil where there may be several
	anywhere bool             // the list may be at any depth
}

// newListing returns the listing for what a path selects. A nil path means
// the shape of an evaluation's context, where the list is the member groups.
func newListing(p *path) *listing {
	segments := []*spec.Segment{spec.Child(spec.Name("groups"))}
	if p != nil {
		segments = p.query.Query().Segments()
	}
	end := len(segments) // of the way to the list
	for i, s := range segments {
		if !isSingular(s) {
			end = i
		}
	}
	l := &listing{}
	singular := true
	for i := range end {
		l.around = append(l.around, jsonpath.New(spec.Query(true, segments[:i]...)))
		l.anywhere = l.anywhere || segments[i].IsDescendant()
		singular = singular && isSingular(segments[i])
	}
	l.anywhere = l.anywhere || end < len(segments) && segments[end].IsDescendant()
	if singular && !l.anywhere {
		l.list = jsonpath.New(spec.Query(true, segments[:end]...))
		if end > 0 {
			l.holder = l.around[end-1]
		}
	}
	return l
}

// length returns how many elements the list has in an answer. It is known only
// where there is exactly one list.
func (l *listing) length(answer any) (n int, known bool) {
	if l.list == nil {
		return 0, false
	}
	for _, node := range l.list.Select(answer) {
		list, ok := node.([]any)
		return len(list), ok
	}
	return 0, false
}

// progress is how much of the list has been read.
type progress struct {
	pages     int
	listed    int
	counted   bool // listed is the number of elements
	outermost bool // the list is all that the answer is about
}

// sign returns the sign in an answer that there are more groups than have been
// read, empty where there is none. It is one of a closed set of texts, fit for
// logs.
func (l *listing) sign(answer *reply, so progress) string {
	so.outermost = len(l.around) <= 1 && !l.anywhere
	// Headers first: they are standards, and names of members are conventions.
	if sign := headerSign(answer, so); sign != "" {
		return sign
	}
	for _, p := range l.around {
		for _, node := range p.Select(answer.value) {
			if m, ok := node.(map[string]any); ok {
				if sign := memberSign(m, 0); sign != "" {
					return sign
				}
			}
		}
	}
	// The list may be at any depth, so any object may describe it.
	if l.anywhere {
		return signBelow(answer.value)
	}
	// A total can be compared only where all elements were counted.
	if l.holder != nil && so.counted {
		for _, node := range l.holder.Select(answer.value) {
			if m, ok := node.(map[string]any); ok {
				return totalSign(m, so, 0)
			}
		}
	}
	return ""
}

// headerSign finds a sign in the status and the header: links of RFC 8288,
// ranges of RFC 9110, and headers that are in common use.
func headerSign(answer *reply, so progress) string {
	next, err := answer.Next()
	switch {
	case err != nil || next != "":
		return "Link: rel=next"
	case answer.Status == http.StatusPartialContent:
		return "status 206"
	case hasValue(answer.Header.Get("X-Next-Page")):
		return "X-Next-Page"
	// The headers below count the whole answer, so they can be compared only
	// where the list is all of it.
	case !so.outermost || !so.counted:
		return ""
	}
	_, total, _ := strings.Cut(answer.Header.Get("Content-Range"), "/")
	switch {
	case over(total, so.listed):
		return "Content-Range"
	case over(answer.Header.Get("X-Total-Count"), so.listed):
		return "X-Total-Count"
	}
	return ""
}

// memberSign finds a sign in an object around the list, or in its containers.
func memberSign(m map[string]any, depth int) string {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v, folded := m[name], fold(name)
		if shown, ok := nextMembers[folded]; ok && hasValue(v) {
			return shown
		}
		// As a truth value or, in some services, as a text.
		if shown, ok := lastMembers[folded]; ok && (v == false || v == "false") {
			return shown + ": false"
		}
		shown, ok := containers[folded]
		// Other members are content and not information about pages.
		if !ok || depth == maxContainers {
			continue
		}
		switch inner := v.(type) {
		case map[string]any:
			if sign := memberSign(inner, depth+1); sign != "" {
				return shown + "." + sign
			}
		case []any:
			if slices.ContainsFunc(inner, isNextLink) {
				return shown + ": rel=next"
			}
		}
	}
	return ""
}

// isNextLink reports whether an element of a list of links leads to a next
// page.
func isNextLink(v any) bool {
	link, _ := v.(map[string]any)
	for _, name := range [...]string{"rel", "relation"} {
		if rel, _ := link[name].(string); strings.EqualFold(rel, "next") {
			return true
		}
	}
	return false
}

// signBelow finds a sign in any object of a value.
func signBelow(v any) string {
	switch x := v.(type) {
	case map[string]any:
		if sign := memberSign(x, 0); sign != "" {
			return sign
		}
		for _, name := range slices.Sorted(maps.Keys(x)) {
			if sign := signBelow(x[name]); sign != "" {
				return sign
			}
		}
	case []any:
		for _, e := range x {
			if sign := signBelow(e); sign != "" {
				return sign
			}
		}
	}
	return ""
}

// totalSign finds a number larger than what has been read in the object that
// holds the list, or in its containers.
func totalSign(m map[string]any, so progress, depth int) string {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v, folded := m[name], fold(name)
		if shown, ok := totals[folded]; ok && over(v, so.listed) {
			return shown
		}
		if shown, ok := pagesInAll[folded]; ok && over(v, so.pages) {
			return shown
		}
		shown, ok := containers[folded]
		if inner, isObject := v.(map[string]any); ok && isObject && depth < maxContainers {
			if sign := totalSign(inner, so, depth+1); sign != "" {
				return shown + "." + sign
			}
		}
	}
	return ""
}

// over reports whether a value is a number above n, also one in a text.
func over(v any, n int) bool {
	switch x := v.(type) {
	case int64:
		return x > int64(n)
	case float64:
		return x > float64(n)
	case string:
		i, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64)
		return err == nil && i > int64(n)
	}
	return false
}

// hasValue reports whether a member has a value: not null, false, zero or
// empty.
func hasValue(v any) bool {
	switch x := v.(type) {
	case nil:
		return false
	case bool:
		return x
	case string:
		return x != "" && x != "0" && !strings.EqualFold(x, "false") && !strings.EqualFold(x, "null")
	case int64:
		return x != 0
	case float64:
		return x != 0
	case []any:
		return slices.ContainsFunc(x, hasValue)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(x)), hasValue)
	}
	return true
}
