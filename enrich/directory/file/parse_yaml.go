package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// This file parses YAML into nodes: aliases are expanded within a bound, merge
// keys applied, and application tags refused.

// parseYAML parses one YAML document into nodes. A text without a document is
// errEmpty, and a second document is an error.
func parseYAML(text []byte) (*node, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	switch err := d.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, errEmpty
	case err != nil:
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := d.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one YAML document")
	}
	if document.Kind != yaml.DocumentNode || len(document.Content) != 1 {
		return nil, errEmpty
	}
	c := yamlConverter{aliased: maxAliased}
	return c.convert(document.Content[0], 0, false)
}

// A yamlConverter turns YAML nodes into nodes of this package, with aliases
// expanded.
type yamlConverter struct {
	aliased int // nodes that aliases may still stand for
}

// convert returns the node for y and all below it. inAlias says that y is part
// of an alias, which counts against maxAliased.
func (c *yamlConverter) convert(y *yaml.Node, depth int, inAlias bool) (*node, error) {
	// Also ends an alias that contains itself.
	if depth > maxNesting {
		return nil, at(y.Line, "nested over %d levels", maxNesting)
	}
	if inAlias {
		// Each node counts every time that an alias repeats it.
		if c.aliased--; c.aliased < 0 {
			return nil, at(y.Line, "aliases expand to over %d values: %w", maxAliased, errSize)
		}
	}
	switch y.Kind {
	case yaml.AliasNode:
		return c.convert(y.Alias, depth+1, true)
	case yaml.ScalarNode:
		return yamlScalar(y)
	case yaml.SequenceNode:
		if err := plainTag(y, "!!seq"); err != nil {
			return nil, err
		}
		n := &node{line: y.Line, kind: list, items: make([]*node, len(y.Content))}
		for i, item := range y.Content {
			var err error
			if n.items[i], err = c.convert(item, depth+1, inAlias); err != nil {
				return nil, err
			}
		}
		return n, nil
	case yaml.MappingNode:
		return c.object(y, depth, inAlias)
	default:
		return nil, at(y.Line, "not a value")
	}
}

// object converts a mapping. Keys are scalars; merge keys (<<) add the members
// that the mapping itself lacks.
func (c *yamlConverter) object(y *yaml.Node, depth int, inAlias bool) (*node, error) {
	if err := plainTag(y, "!!map"); err != nil {
		return nil, err
	}
	n := &node{line: y.Line, kind: object, keys: make([]key, 0, len(y.Content)/2), items: make([]*node, 0, len(y.Content)/2)}
	seen := make(keyset, len(y.Content)/2)
	var merged []*node
	for i := 0; i+1 < len(y.Content); i += 2 {
		name := y.Content[i]
		if name.Kind == yaml.AliasNode {
			name = name.Alias
		}
		if name.Kind != yaml.ScalarNode || name.ShortTag() == "!!null" {
			return nil, at(y.Content[i].Line, "a key is not a string")
		}
		// A mapping may have several merge keys; every other key is there once.
		if name.ShortTag() != "!!merge" {
			if err := seen.add(name.Value, name.Line); err != nil {
				return nil, err
			}
		}
		value, err := c.convert(y.Content[i+1], depth+1, inAlias)
		if err != nil {
			return nil, err
		}
		if name.ShortTag() == "!!merge" {
			merged = append(merged, value)
			continue
		}
		n.keys = append(n.keys, key{name.Value, y.Content[i].Line})
		n.items = append(n.items, value)
	}
	// After all keys of the mapping itself, which win over merged ones.
	for _, m := range merged {
		if err := n.merge(m, seen); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// merge adds the members that m has and n lacks, as YAML's merge key demands. m
// is an object or a list of objects.
func (n *node) merge(m *node, seen keyset) error {
	switch m.kind {
	case object:
		for i, k := range m.keys {
			if _, has := seen[k.name]; !has {
				seen[k.name] = k.line
				n.keys, n.items = append(n.keys, k), append(n.items, m.items[i])
			}
		}
		return nil
	case list:
		for _, item := range m.items {
			if item.kind != object {
				break
			}
			if err := n.merge(item, seen); err != nil {
				return err
			}
		}
		return nil
	default:
		return at(m.line, "<< takes an object or a list of objects")
	}
}

// plainTag refuses a tag other than the plain one: application tags have no
// meaning here.
func plainTag(y *yaml.Node, plain string) error {
	if tag := y.ShortTag(); tag != plain {
		return at(y.Line, "unknown tag %s", shorten(tag))
	}
	return nil
}

// yamlScalar returns the node of a scalar, with its canonical value. A
// timestamp stays text. So does a whole number with a leading zero or
// underscores: the versions of YAML disagree on its value, and where it matters
// it is an identifier.
func yamlScalar(y *yaml.Node) (*node, error) {
	n := &node{line: y.Line, kind: scalar, text: y.Value}
	switch tag := y.ShortTag(); tag {
	case "!!null":
		n.kind = null
	// A date stays as it is written.
	case "!!str", "!!timestamp":
		n.value = y.Value
	case "!!bool":
		n.value = strings.EqualFold(y.Value, "true")
	case "!!int":
		n.value = yamlInteger(y.Value)
	case "!!float":
		f, err := strconv.ParseFloat(strings.ReplaceAll(y.Value, "_", ""), 64)
		if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
			return nil, at(y.Line, "a number is not finite or out of range")
		}
		n.value = f
		if isDigits(strings.TrimLeft(y.Value, "+-")) {
			// An integer too long for YAML's own reckoning.
			n.value = yamlInteger(y.Value)
		}
	default:
		return nil, at(y.Line, "unknown tag %s", shorten(tag))
	}
	return n, nil
}

// yamlInteger returns the value of a whole number: an int64, a json.Number
// where that is too small, or the text where it is an identifier.
func yamlInteger(text string) any {
	digits := strings.TrimLeft(text, "+-")
	switch {
	case isDigits(digits) && (digits == "0" || digits[0] != '0'):
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i
		}
		return json.Number(strings.TrimPrefix(text, "+"))
	// Hexadecimal and octal are numbers in every version.
	case strings.HasPrefix(digits, "0x"), strings.HasPrefix(digits, "0o"):
		if i, err := strconv.ParseInt(text, 0, 64); err == nil {
			return i
		}
	}
	return text
}

// isDigits reports whether s consists of ASCII digits and is not empty.
func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// shorten quotes a part of the file for an error, 64 bytes at most.
func shorten(s string) string {
	const longest = 64
	if len(s) > longest {
		return fmt.Sprintf("%q…", s[:longest])
	}
	return fmt.Sprintf("%q", s)
}
