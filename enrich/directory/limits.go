package directory

import "time"

// Limits of what a directory may answer. Each is far above what a real
// organisation has and far below what exhausts a gateway.
const (
	// MaxResponse bounds one answer of a remote directory, in bytes.
	MaxResponse = 8 << 20

	// MaxGroups bounds the groups held for one user.
	MaxGroups = 10_000

	// MaxRecord bounds what is held for one user, in bytes of its JSON form.
	MaxRecord = 1 << 20

	// MaxSubject bounds a subject or id, in bytes. OpenID Connect Core
	// (section 2) allows 255 characters; distinguished names run longer.
	MaxSubject = 1024

	// MaxSources bounds how many directories are merged into one.
	MaxSources = 32
)

// Defaults of the wrapper around each directory (Resilient).
const (
	// DefaultTimeout bounds one look-up, waiting and retries included.
	DefaultTimeout = 3 * time.Second

	// partialTTL is how long an answer is used that lacks an optional
	// directory. It is short, so that a moment's failure is not remembered for
	// minutes, and not zero, so that a lasting one does not multiply the look-ups
	// in the other directories.
	partialTTL = 30 * time.Second

	// DefaultConcurrency bounds the look-ups under way at once.
	DefaultConcurrency = 64

	// DefaultRetries is how often a look-up that a kind marked with
	// Transient is asked again.
	DefaultRetries = 2

	// MaxRetries bounds the retries of one look-up that may be configured.
	MaxRetries = 5
)
