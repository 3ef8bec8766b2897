package directory

import "time"

// Limits of what a directory may answer. Each is far above what a real
// organisation has and far below what hurts a gateway.
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

// Defaults of what stands around each directory.
const (
	// DefaultTimeout bounds one look-up, waiting and retries included.
	DefaultTimeout = 3 * time.Second

	// partialTTL is how long an answer is used that lacks an optional
	// directory: a moment's failure must not be remembered for minutes, and
	// one that lasts must not have the other directories asked for ever.
	partialTTL = 30 * time.Second

	// DefaultConcurrency bounds the look-ups under way at once.
	DefaultConcurrency = 64

	// DefaultRetries is how often a look-up that a kind marked with
	// Transient is asked again.
	DefaultRetries = 2

	// MaxRetries bounds what may be configured.
	MaxRetries = 5
)
