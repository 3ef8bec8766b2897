package forward

import (
	"fmt"
	"iter"
	"slices"
)

// This file compares the policies of a configuration with each other while they
// are loaded.

// Reservations collects, policy by policy while a configuration loads, the
// names that are written and those that tokens are read from. It compares each
// policy with all that came before it in a time that does not grow with their
// number. The zero value is empty. It is not safe for concurrent use.
type Reservations struct {
	names   []ReservedName // each once, in the order of the policies
	sources Sources        // likewise

	known   map[ReservedName]bool // the members of names
	listed  map[source]bool       // the members of sources
	written nameIndex             // of names
	read    nameIndex             // of the keys that would cover one of sources.Headers
}

// Sources are the places that tokens are read from.
type Sources struct {
	// Headers and Cookies are their names as they are configured.
	Headers []string
	Cookies []string
}

// source is one of Sources.
type source struct {
	cookie bool
	name   string
}

// nameKey is which headers or cookies a reserved name matches, whatever its
// spelling.
type nameKey struct {
	kind      NameKind
	canonical string
}

func (n ReservedName) key() nameKey { return nameKey{kind: n.Kind, canonical: n.Canonical} }

// coveredBy returns the key of every reserved name that would cover a header of
// that name. A few look-ups answer whether one does, however many names are
// reserved.
func coveredBy(header string) iter.Seq[nameKey] {
	return func(yield func(nameKey) bool) {
		canonical := Canonicalize(header)
		if !yield(nameKey{ReservedHeader, canonical}) {
			return
		}
		if base, isPart := partOf(canonical); isPart && !yield(nameKey{ReservedParts, base}) {
			return
		}
		for n := 1; n <= len(canonical); n++ {
			if !yield(nameKey{ReservedPrefix, canonical[:n]}) {
				return
			}
		}
	}
}

// nameIndex holds names that claims are written to: by its key, where the first
// of them is in a list.
type nameIndex map[nameKey]int

// writtenNames returns the index of a list of names.
func writtenNames(names []ReservedName) nameIndex {
	x := make(nameIndex, len(names))
	for i, n := range names {
		if !n.Token {
			x.add(n.key(), i)
		}
	}
	return x
}

// add notes the place of a key, where it is new.
func (x nameIndex) add(key nameKey, i int) {
	if _, known := x[key]; !known {
		x[key] = i
	}
}

// covering returns the position of the first name that covers the header.
func (x nameIndex) covering(header string) (first int, covered bool) {
	for key := range coveredBy(header) {
		if i, ok := x[key]; ok && (!covered || i < first) {
			first, covered = i, true
		}
	}
	return first, covered
}

// sourceError says that a header which tokens are read from is also written.
func sourceError(header string, n ReservedName) error {
	return fmt.Errorf("header %q: %w: tokens are read from it, and claims are written to %s %q", header, errHeaderName, n.Kind, n.Name)
}

// checkLengths returns an error where a name is longer than what can be canonicalized.
func (s Sources) checkLengths() error {
	for _, name := range slices.Concat(s.Headers, s.Cookies) {
		if len(name) > maxNameBytes {
			return fmt.Errorf("name of %d bytes: %w: names of token sources have at most %d", len(name), errHeaderName, maxNameBytes)
		}
	}
	return nil
}

// Add reserves what a policy writes and what it reads tokens from. It returns an
// error, and leaves the reservations as they were, where a claim would be
// written to a header that a token is read from: the client's token would be
// deleted before it is read.
func (r *Reservations) Add(plan *HeaderPlan, read Sources) error {
	if err := read.checkLengths(); err != nil {
		return err
	}
	if r.known == nil {
		r.known, r.written, r.read, r.listed = make(map[ReservedName]bool), make(nameIndex), make(nameIndex), make(map[source]bool)
	}
	var names []ReservedName
	for _, n := range plan.reserved {
		if !r.known[n] {
			names = append(names, n)
		}
	}
	if err := r.check(names, read.Headers); err != nil {
		return err
	}
	for _, n := range names {
		r.known[n] = true
		if !n.Token {
			r.written.add(n.key(), len(r.names))
		}
		r.names = append(r.names, n)
	}
	for _, name := range read.Headers {
		if s := (source{name: name}); !r.listed[s] {
			r.listed[s] = true
			for key := range coveredBy(name) {
				r.read.add(key, len(r.sources.Headers))
			}
			r.sources.Headers = append(r.sources.Headers, name)
		}
	}
	for _, name := range read.Cookies {
		if s := (source{cookie: true, name: name}); !r.listed[s] {
			r.listed[s] = true
			r.sources.Cookies = append(r.sources.Cookies, name)
		}
	}
	return nil
}

// check compares new names with all headers that tokens are read from, and new
// headers of that kind with all names. Of several errors it returns that of the
// source, and then the name, which came first.
func (r *Reservations) check(names []ReservedName, headers []string) error {
	first, clash := len(r.sources.Headers), ReservedName{}
	for _, n := range names {
		if i, read := r.read[n.key()]; read && !n.Token && i < first {
			first, clash = i, n
		}
	}
	if first < len(r.sources.Headers) {
		return sourceError(r.sources.Headers[first], clash)
	}
	added := writtenNames(names)
	for _, header := range headers {
		if i, covered := r.written.covering(header); covered {
			return sourceError(header, r.names[i])
		}
		if i, covered := added.covering(header); covered {
			return sourceError(header, names[i])
		}
	}
	return nil
}

// Union returns the names that are reserved now.
func (r *Reservations) Union() *ReservedNames {
	return newReservedNames(slices.Clone(r.names)).except(r.sources)
}
