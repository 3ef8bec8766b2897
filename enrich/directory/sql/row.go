package sql

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file takes fields out of a row. Each column is removed as it is read, so
// that what remains are the attributes.

// A row is one row of an answer, by the names of its columns.
type row map[string]any

// take removes a column that has one of these names and returns its value, nil
// where there is none.
func (r row) take(names ...string) any {
	var v any
	for _, name := range names {
		if found, has := r[name]; has {
			delete(r, name)
			if v == nil {
				v = found
			}
		}
	}
	return v
}

// userColumns are the columns of a user's own fields, by the fact that they
// hold.
var userColumns = map[identity.Facts][]string{
	identity.FactStatus:          {"status"},
	identity.FactCreated:         {"created"},
	identity.FactLastUpdated:     {"lastUpdated", "last_updated"},
	identity.FactPasswordChanged: {"passwordChanged", "password_changed"},
	identity.FactLastLogin:       {"lastLogin", "last_login"},
}

// unsupported returns the facts that the row has no column for. A null in a
// column means that the user has no such value.
func (r row) unsupported() identity.Facts {
	var missing identity.Facts
	for fact, names := range userColumns {
		if !slices.ContainsFunc(names, func(name string) bool { _, has := r[name]; return has }) {
			missing |= fact
		}
	}
	return missing
}

// text removes a column and returns it as text. It is empty for a null, a truth
// value, a list and an object.
func (r row) text(names ...string) string {
	switch v := r.take(names...).(type) {
	case nil:
		return ""
	case string:
		return v
	case bool, []any, map[string]any:
		return ""
	default:
		return fmt.Sprint(v) // a number, digit by digit
	}
}

// status removes the column status and returns the account's status. A value
// that is none of the known ones, such as true or false, is an error: it might
// mean that the user may not be let in.
func (r row) status() (string, error) {
	v := r.take("status")
	word, isText := v.(string)
	if word = strings.ToUpper(word); v == nil || isText && (word == "" || slices.Contains(directory.AccountStates(), word)) {
		return word, nil
	}
	return "", fmt.Errorf("reading the answer: unknown status: %w", directory.ErrMalformed)
}

// time removes a column and returns it as a time, the zero time where it is
// none.
func (r row) time(names ...string) time.Time {
	s, _ := r.take(names...).(string)
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// attributes returns the remaining columns, with the members of the JSON object in
// the column profile, where there is one. A column wins over a member of the same
// name unless it is null.
func (r row) attributes() (map[string]any, error) {
	profile := r.take("profile")
	out := make(map[string]any, len(r))
	if profile != nil {
		object, ok := profile.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("reading the answer: column profile is not a JSON object: %w", directory.ErrMalformed)
		}
		maps.Copy(out, object)
	}
	for name, v := range r {
		if _, has := out[name]; v != nil || !has {
			out[name] = v
		}
	}
	return out, nil
}
