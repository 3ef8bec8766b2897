package directory

// SettingError is an error about one option of a directory's configuration. Who
// read the configuration can name the option's line.
type SettingError struct {
	// Option is the option's name, such as user_filter.
	Option string

	err error
}

// Setting returns err marked as being about an option, nil where err is nil.
func Setting(option string, err error) error {
	if err == nil {
		return nil
	}
	return &SettingError{Option: option, err: err}
}

// Error returns the text of the marked error.
func (e *SettingError) Error() string { return e.err.Error() }

// Unwrap returns the marked error.
func (e *SettingError) Unwrap() error { return e.err }
