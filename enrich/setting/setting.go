// Package setting says which setting of a configuration an error is about, so
// that whoever read the configuration can name the file and line.
package setting

import "fmt"

// Error is an error about one or more settings. Its text is that of Err: the
// paths are for the reader of the configuration, who knows the position of each.
type Error struct {
	// Paths are the settings, by their names in JSON, such as header_budget,
	// headers[2] or claims[0].expression. Where two settings are wrong only
	// together, both are listed.
	Paths []string

	// Err is what is wrong.
	Err error
}

// Wrap returns an *Error about the settings with these paths, nil for nil.
func Wrap(err error, paths ...string) error {
	if err == nil {
		return nil
	}
	return &Error{Paths: paths, Err: err}
}

// Index returns the path of the element of a list: headers[2].
func Index(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// Error returns the text of what is wrong.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *Error) Unwrap() error { return e.Err }

// SettingPaths returns the paths. An error of another type that has this method
// is located in the same way.
func (e *Error) SettingPaths() []string { return e.Paths }
