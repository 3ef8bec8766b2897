package file

import (
	"errors"
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// MaxSize bounds the file: two hundred thousand users with what is usual fit.
const MaxSize = 64 << 20

// maxAliased bounds the nodes that YAML aliases stand for, all together: a few
// lines of aliases to aliases would otherwise fill the memory.
const maxAliased = 100_000

// maxNesting is what the shape itself takes (users, a user, its profile, …)
// and a profile as deep as a canonical value may be.
const maxNesting = identity.MaxDepth + 8

// kind of a node.
type kind uint8

const (
	null kind = iota
	scalar
	list
	object
)

// node is one value of the file, whichever language it is written in, with
// the line that an error about it names.
type node struct {
	line  int
	kind  kind
	text  string // a scalar as written
	value any    // a scalar's canonical value
	items []*node
	keys  []key // of an object, one for each item
}

type key struct {
	name string
	line int
}

// what names a node's kind in errors.
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
	if _, ok := n.value.(string); ok {
		return "text"
	}
	return "a number or truth value"
}

// canonical returns the value of the whole tree below n.
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
	// ErrEmpty: the file holds no users, groups or apps, as one that is just
	// being rewritten.
	ErrEmpty = errors.New("the file is empty")

	// ErrTruncated: the file breaks off.
	ErrTruncated = errors.New("the file breaks off")

	// ErrSize: the file is over MaxSize, or its aliases over their bound.
	ErrSize = errors.New("the file is too large")
)

// at makes an error that names a line.
func at(line int, format string, args ...any) error {
	return fmt.Errorf("line %d: %w", line, fmt.Errorf(format, args...))
}

// keyset finds keys that stand twice.
type keyset map[string]int

func (s keyset) add(name string, line int) error {
	if before, dup := s[name]; dup {
		return at(line, "key %q stands twice, first in line %d", name, before)
	}
	s[name] = line
	return nil
}
