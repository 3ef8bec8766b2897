package file

import (
	"errors"
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file holds the tree of values that both languages, YAML and JSON, are
// parsed into, and the errors about a file as a whole.

// maxSize bounds the file, in bytes: two hundred thousand users of common size
// fit.
const maxSize = 64 << 20

// maxAliased bounds the nodes that all YAML aliases together expand to. Without
// it a few lines of aliases to aliases fill the memory.
const maxAliased = 100_000

// maxNesting bounds the depth of the tree: that of the file's own shape (users,
// a user, its profile, …) and of a profile that is nested as deep as a
// canonical value may be.
const maxNesting = identity.MaxDepth + 8

// kind is the kind of a node. Its zero value is null.
type kind uint8

const (
	null kind = iota
	scalar
	list
	object
)

// A node is one value of the file, in either language, with the line that an
// error about it names.
type node struct {
	line  int
	kind  kind
	text  string // a scalar as written
	value any    // a scalar's canonical value
	items []*node
	keys  []key // of an object, one for each item
}

// A key is the name of a member, and the line that it is in.
type key struct {
	name string
	line int
}

// what returns the name of a node's kind for errors. It shows nothing of the
// content.
func (n *node) what() string {
	switch n.kind {
	case list:
		return "a list"
	case object:
		return "an object"
	case null:
		return "nothing"
	default: // a scalar
	}
	// Text or not, but never the value.
	if _, ok := n.value.(string); ok {
		return "a string"
	}
	return "a number or boolean"
}

// canonical returns the value of the whole tree below n, in the types of
// package identity.
func (n *node) canonical() any {
	switch n.kind {
	case scalar:
		return n.value
	case list:
		out := make([]any, len(n.items))
		for i, item := range n.items {
			out[i] = item.canonical()
		}
		return out
	case object:
		out := make(map[string]any, len(n.items))
		for i, item := range n.items {
			out[n.keys[i].name] = item.canonical()
		}
		return out
	default:
		return nil
	}
}

// Errors about the file as a whole.
var (
	// errEmpty: the file holds no users, groups or apps, as one that is just
	// being rewritten.
	errEmpty = errors.New("the file is empty")

	// errTruncated: the file is truncated.
	errTruncated = errors.New("the file is truncated")

	// errSize: the file is over maxSize, or its aliases over their bound.
	errSize = errors.New("the file is too large")
)

// at returns an error that names a line.
func at(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...))
}

// A keyset finds duplicate keys: it holds the line of each key.
type keyset map[string]int

// add notes a key. A key that is there already is an error that names both
// lines.
func (s keyset) add(name string, line int) error {
	if before, dup := s[name]; dup {
		return at(line, "duplicate key %q, first in line %d", name, before)
	}
	s[name] = line
	return nil
}
