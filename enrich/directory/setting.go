package directory

// SettingError is what is wrong in the settings of a directory, with the option
// that it is about, so that whoever read them can name the line.
type SettingError struct {
	// Option is the option's name, such as user_filter.
	Option string

	err error
}

// Setting marks err as being about an option; nil stays nil.
func Setting(option string, err error) error {
	if err == nil {
		return nil
	}
	return &SettingError{Option: option, err: err}
}

// Error gives the words of what it marks.
func (e *SettingError) Error() string { return e.err.Error() }

// Unwrap gives what it marks.
func (e *SettingError) Unwrap() error { return e.err }
