package rest

// This file finds the signs by which an answer says that its list of groups goes
// on elsewhere (C32).

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/spec"
)

// nextMembers are the members of an answer that tell of more by having a value,
// without regard to case, _ and -.
var nextMembers = set(
	"next", "nextLink", "nextPage", "nextPageToken", "nextPageUrl", "nextPageUri", "nextPageLink", "nextPageStart", "nextPageCursor", "nextUrl", "nextUri", "nextHref",
	"nextCursor", "nextToken", "nextMarker", "nextOffset", "nextStart", "nextStartIndex", "nextRecordsUrl", "nextResults", "odata.nextLink",
	"continuationToken", "continuationUri", "continuation", "continue", "paginationToken", "lastEvaluatedKey",
	"more", "hasMore", "hasNext", "hasNextPage", "hasMorePages", "hasMoreResults", "hasMoreItems", "moreResults", "moreItems", "moreAvailable",
	"isTruncated", "truncated", "incompleteResults",
)

// lastMembers tell of more by being false.
var lastMembers = set("isLast", "isLastPage", "lastPage", "last", "complete", "isComplete")

// totals are the members that tell how many groups there are in all, pagesInAll how
// many pages.
var (
	totals     = set("total", "totalCount", "totalResults", "totalItems", "totalElements", "totalRecords", "totalSize", "totalHits", "count", "numFound", "odata.count")
	pagesInAll = set("totalPages", "pageCount", "numberOfPages", "lastPage")
)

// containers are the members of an object that tell of its pages, and maxContainers
// is how deep one stands in another.
var containers = set("meta", "metadata", "paging", "pagination", "page", "pageInfo", "pager", "links", "link", "cursor", "cursors", "responseMetadata", "listInfo")

const maxContainers = 3

// set makes a table of names, by how they compare.
func set(names ...string) map[string]string {
	out := make(map[string]string, len(names))
	for _, name := range names {
		out[fold(name)] = name
	}
	return out
}

var dropped = strings.NewReplacer("_", "", "-", "")

// fold returns a member's name as it compares. What an OData service writes before
// odata.nextLink and odata.count is which list they belong to.
func fold(name string) string {
	name = strings.ToLower(name)
	for _, odata := range [...]string{"odata.nextlink", "odata.count"} {
		if strings.HasSuffix(name, odata) {
			name = odata
		}
	}
	return dropped.Replace(name)
}

// listing knows where in an answer the list of groups is.
type listing struct {
	around   []*jsonpath.Path // the objects on the way to the list, outermost first
	holder   *jsonpath.Path   // the one that holds it; nil where there may be several
	list     *jsonpath.Path   // nil where there may be several
	anywhere bool             // the list may be at any depth
}

// newListing finds the list in what a path selects; nil stands for the shape of an
// evaluation's context, where it is the member groups.
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

// length returns how many elements the list has in an answer, known only where there
// is one list.
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

// progress is what has been read of the list so far.
type progress struct {
	pages     int
	listed    int
	counted   bool // listed is the number of elements
	outermost bool // the list is all that the answer is about
}

// sign returns what in an answer says that there are more groups than have been
// read, or nothing. It is one of a closed set of texts.
func (l *listing) sign(answer *reply, so progress) string {
	so.outermost = len(l.around) <= 1 && !l.anywhere
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
	if l.anywhere {
		return signBelow(answer.value)
	}
	if l.holder != nil && so.counted {
		for _, node := range l.holder.Select(answer.value) {
			if m, ok := node.(map[string]any); ok {
				return totalSign(m, so, 0)
			}
		}
	}
	return ""
}

// headerSign finds a sign in the header: pages of RFC 8288 and of several services,
// ranges of RFC 9110.
func headerSign(answer *reply, so progress) string {
	next, err := answer.Next()
	switch {
	case err != nil || next != "":
		return "Link: rel=next"
	case answer.Status == http.StatusPartialContent:
		return "status 206"
	case says(answer.Header.Get("X-Next-Page")):
		return "X-Next-Page"
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

// memberSign finds a sign in an object that stands around the list, or in what that
// says of pages.
func memberSign(m map[string]any, depth int) string {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		v, folded := m[name], fold(name)
		if shown, ok := nextMembers[folded]; ok && says(v) {
			return shown
		}
		if shown, ok := lastMembers[folded]; ok && (v == false || v == "false") {
			return shown + ": false"
		}
		shown, ok := containers[folded]
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

// isNextLink reports whether an element of a list of links leads to a next page.
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

// totalSign finds a number above what has been read in the object that holds the
// list, or in what that says of pages.
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

// over reports whether a value is a number above n.
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

// says reports whether a member says something: not null, false, zero or empty.
func says(v any) bool {
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
		return slices.ContainsFunc(x, says)
	case map[string]any:
		return slices.ContainsFunc(slices.Collect(maps.Values(x)), says)
	}
	return true
}
