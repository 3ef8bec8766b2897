package rest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/theory/jsonpath"
	"github.com/theory/jsonpath/registry"
	"github.com/theory/jsonpath/spec"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// This file selects values out of an answer by JSONPath.

// A path is a JSONPath query (RFC 9535) that has been checked.
type path struct {
	query *jsonpath.Path

	// fixed is the beginning of the query that selects one node at most. Where
	// it selects a node, the answer has the thing that the query selects from,
	// even where the query then selects nothing. Nil where the whole query
	// selects one node at most.
	fixed *jsonpath.Path

	// filtered says that the query selects one named member of what a filter
	// lets through. A text there may hold a list, as one in a place of its own
	// may.
	filtered bool
}

const (
	// maxPath bounds a query's text, in bytes.
	maxPath = 1024

	// maxDescents bounds its descendant segments (..): each one selects anew
	// from everything below what the one before it selected.
	maxDescents = 1

	// maxNodes bounds what a query may select. It is above directory.MaxGroups,
	// so that too many groups are reported as such.
	maxNodes = 4 * directory.MaxGroups
)

// parsePath parses and checks a query.
func parsePath(text string) (*path, error) {
	if len(text) > maxPath {
		return nil, fmt.Errorf("over %d bytes", maxPath)
	}
	query, err := jsonpath.NewParser(jsonpath.WithRegistry(functions())).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("not a JSONPath query (RFC 9535): %w", err)
	}
	p := &path{query: query}
	segments := query.Query().Segments()
	descents := 0
	for i, s := range segments {
		if s.IsDescendant() {
			descents++
		}
		// From this segment on, the query may select any number of nodes.
		if p.fixed == nil && !isSingular(s) {
			p.fixed = jsonpath.New(spec.Query(true, segments[:i]...))
		}
	}
	// A name or index after a filter selects a member of each element.
	if last := len(segments) - 1; last >= 0 && isSingular(segments[last]) {
		p.filtered = slices.ContainsFunc(segments, isFilter)
	}
	if descents > maxDescents {
		return nil, fmt.Errorf("over %d descendant segment (..)", maxDescents)
	}
	return p, nil
}

// functions returns the functions of RFC 9535. Its match and search return
// false for a missing argument (section 2.4.6), where the library's own panic.
func functions() *registry.Registry {
	r := registry.New()
	for _, name := range []string{"match", "search"} {
		f := r.Get(name)
		inner := *f
		*f = *spec.Extension(name, spec.FuncLogical, inner.Validate, func(args []spec.PathValue) spec.PathValue {
			if slices.Contains(args, nil) {
				return spec.LogicalFalse
			}
			return inner.Evaluate(args)
		})
	}
	return r
}

// isSingular reports whether a segment selects one node at most.
func isSingular(s *spec.Segment) bool {
	if s.IsDescendant() || len(s.Selectors()) != 1 {
		return false
	}
	switch s.Selectors()[0].(type) {
	case spec.Name, spec.Index:
		return true
	}
	return false
}

// isFilter reports whether a segment selects by a condition.
func isFilter(s *spec.Segment) bool {
	return slices.ContainsFunc(s.Selectors(), func(one spec.Selector) bool {
		_, ok := one.(*spec.FilterSelector)
		return ok
	})
}

// all returns the selected nodes, in the order of lists and, for members of an
// object, of their names. known is false where the answer lacks the thing that
// the query selects from: unknown is not empty.
func (p *path) all(answer any) (nodes []any, known bool, err error) {
	if p.fixed == nil {
		nodes = p.query.Select(answer)
		return nodes, len(nodes) == 1 && nodes[0] != nil, nil
	}
	from := p.fixed.Select(answer)
	if len(from) == 0 || from[0] == nil {
		return nil, false, nil
	}
	switch from[0].(type) {
	case []any, map[string]any:
	default:
		// Some services write a list of one element as that element. Nothing
		// can be selected from it, and it is not empty.
		return nil, false, fmt.Errorf("reading an answer: a path selects from a value that is neither a list nor an object: %w", directory.ErrMalformed)
	}
	// With their locations, because an object's members have no order.
	located := p.query.SelectLocated(answer)
	if len(located) > maxNodes {
		return nil, false, fmt.Errorf("reading an answer: a path selects over %d values: %w", maxNodes, directory.ErrTooLarge)
	}
	located.Sort()
	nodes = make([]any, len(located))
	for i, n := range located {
		nodes[i] = n.Node
	}
	return nodes, true, nil
}

// object returns the one object that the query selects, or errSeveral, errNone
// or errNothing.
func (p *path) object(answer any) (map[string]any, error) {
	nodes, _, err := p.all(answer)
	switch {
	case err != nil:
		return nil, err
	case len(nodes) == 0 && p.selectsFromList(answer):
		return nil, errNone
	case len(nodes) > 1:
		return nil, errSeveral
	case len(nodes) == 0 || nodes[0] == nil:
		return nil, errNothing
	}
	o, ok := nodes[0].(map[string]any)
	if !ok {
		return nil, fmt.Errorf("reading an answer: a path selects no object: %w", directory.ErrMalformed)
	}
	return o, nil
}

// selectsFromList reports whether the fixed beginning of the query selects a
// list. An answer about something else is unlikely to have one there.
func (p *path) selectsFromList(answer any) bool {
	if p.fixed == nil {
		return false
	}
	from := p.fixed.Select(answer)
	if len(from) != 1 {
		return false
	}
	_, isList := from[0].([]any)
	return isList
}

// The ways in which a query fails to select one object: it selects more, none of a
// list that is there, or nothing or null.
var (
	errSeveral = errors.New("a path selects more than one")
	errNone    = errors.New("a path selects no element of the list")
	errNothing = errors.New("a path selects nothing")
)
