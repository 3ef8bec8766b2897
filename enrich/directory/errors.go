package directory

import (
	"context"
	"errors"
)

// Sentinels, each wrapped by the errors of look-ups. Those that say why a
// directory failed wrap ErrFailed, so that one errors.Is separates a failure
// from an answer. ErrNotFound, ErrAmbiguous and ErrNoDirectory do not.
var (
	// ErrNotFound: the directory says with authority that there is no such
	// user, app or assignment. It is the only error that may be cached.
	ErrNotFound = errors.New("not found")

	// ErrAmbiguous: the subject names more than one user, so that none can be
	// chosen.
	ErrAmbiguous = errors.New("more than one match")

	// ErrNoDirectory: no directory answers for the principal's issuer; the
	// token's own claims are all there is.
	ErrNoDirectory = errors.New("no directory answers for this issuer")

	// ErrFailed is wrapped by every failure to answer.
	ErrFailed = errors.New("directory failed")

	// ErrUnavailable: not reached, refused the connection, or answered that
	// it cannot answer.
	ErrUnavailable = failure("directory unavailable")

	// ErrTimeout: no answer in time.
	ErrTimeout = failure("directory timed out")

	// ErrThrottled: the directory asks for fewer requests.
	ErrThrottled = failure("directory asks for fewer requests")

	// ErrOpen: the circuit breaker keeps look-ups away from a directory
	// that kept failing.
	ErrOpen = failure("directory circuit is open")

	// ErrRefused: the directory does not accept the gateway's credentials,
	// or does not let it read what it asked for.
	ErrRefused = failure("directory refused the credentials")

	// ErrRejected: the directory does not accept the question itself, such
	// as a filter that it cannot read.
	ErrRejected = failure("directory rejected the request")

	// ErrTooLarge: the answer is over a bound (MaxResponse, MaxGroups, …).
	// It is never cut short: half the groups are the wrong groups.
	ErrTooLarge = failure("directory answer too large")

	// ErrForeign: the answer is about another subject than was asked for.
	ErrForeign = failure("directory answered for another subject")

	// ErrMalformed: the answer cannot be understood.
	ErrMalformed = failure("directory answer malformed")

	// ErrPanicked: the kind panicked; a defect.
	ErrPanicked = failure("directory kind panicked")

	// ErrClosed: the directory was closed; requests that outlive a
	// configuration meet it.
	ErrClosed = failure("directory closed")
)

// A failureError is a sentinel that also is an ErrFailed.
type failureError string

// failure returns a sentinel that is an ErrFailed. A pointer makes it unlike any
// other with the same text.
func failure(text string) error { f := failureError(text); return &f }

func (f *failureError) Error() string { return string(*f) }

// Is reports whether target is ErrFailed, as which each failure counts.
func (f *failureError) Is(target error) bool { return target == ErrFailed }

// Class returns the outcome of a look-up as one word of a closed set, for
// metrics, logs and status: found, not_found, ambiguous, no_directory,
// timeout, throttled, open, refused, rejected, too_large, foreign, malformed, panicked,
// closed, unavailable, canceled, and failed for what no sentinel names.
func Class(err error) string {
	if err == nil {
		return "found"
	}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return c.word
		}
	}
	return "failed"
}

// Classes returns the results that Class can have, in a fixed order.
func Classes() []string {
	words := []string{"found"}
	for _, c := range classes {
		if !errors.Is(c.err, context.DeadlineExceeded) {
			words = append(words, c.word)
		}
	}
	return append(words, "failed")
}

// classCanceled: the caller went away, which says nothing about the directory.
const classCanceled = "canceled"

// classes is in order of precedence: the more specific come first, and errors
// that others wrap come last.
var classes = [...]struct {
	err  error
	word string
}{
	{ErrAmbiguous, "ambiguous"},
	{ErrForeign, "foreign"},
	{ErrTooLarge, "too_large"},
	{ErrRefused, "refused"},
	{ErrRejected, "rejected"},
	{ErrThrottled, "throttled"},
	{ErrOpen, "open"},
	{ErrTimeout, "timeout"},
	{ErrMalformed, "malformed"},
	{ErrPanicked, "panicked"},
	{ErrClosed, "closed"},
	{ErrUnavailable, "unavailable"},
	{ErrNoDirectory, "no_directory"},
	{context.Canceled, classCanceled},
	{context.DeadlineExceeded, classCanceled},
	{ErrNotFound, "not_found"},
}

// Failed reports whether err means that the directory could not answer. That
// there is no such user, or that there are two, is an answer.
func Failed(err error) bool {
	return err != nil && !errors.Is(err, ErrAmbiguous) && !errors.Is(err, ErrNoDirectory) &&
		(!errors.Is(err, ErrNotFound) || errors.Is(err, ErrFailed))
}

// Transient returns err marked as worth another attempt at once, such as a
// pooled connection that the server had closed; nil where err is nil. Resilient
// retries nothing else.
func Transient(err error) error {
	if err == nil {
		return nil
	}
	return &transientError{err}
}

// A transientError is an error that Transient marked.
type transientError struct{ error }

func (e *transientError) Unwrap() error { return e.error }

// isTransient reports whether a kind marked err with Transient.
func isTransient(err error) bool {
	var t *transientError
	return errors.As(err, &t)
}
