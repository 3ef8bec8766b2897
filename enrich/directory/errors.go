package directory

import (
	"context"
	"errors"
)

// Sentinels. Those that say why a directory failed wrap ErrFailed, so that
// one errors.Is tells a failure from an answer; ErrNotFound, ErrAmbiguous
// and ErrNoDirectory do not.
var (
	// ErrNotFound: the directory says with authority that there is no such
	// user, app or assignment. It is the only error that may be cached.
	ErrNotFound = errors.New("not found")

	// ErrAmbiguous: the subject names more than one user. That is nobody.
	ErrAmbiguous = errors.New("more than one match")

	// ErrNoDirectory: no directory answers for the principal's issuer; the
	// token's own claims are all there is.
	ErrNoDirectory = errors.New("no directory answers for this issuer")

	// ErrFailed stands behind every failure to answer.
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
	ErrRejected = failure("directory rejected the question")

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

// failureError is a sentinel that is also an ErrFailed.
type failureError string

func failure(text string) error { f := failureError(text); return &f }

func (f *failureError) Error() string { return string(*f) }

// Is makes every failure an ErrFailed.
func (f *failureError) Is(target error) bool { return target == ErrFailed }

// Class gives the outcome of a look-up as one word of a closed set, for
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

// Classes lists the words that Class gives, in a fixed order.
func Classes() []string {
	words := []string{"found"}
	for _, c := range classes {
		if !errors.Is(c.err, context.DeadlineExceeded) {
			words = append(words, c.word)
		}
	}
	return append(words, "failed")
}

// classCanceled: the caller went away, which says nothing of the directory.
const classCanceled = "canceled"

// classes is in order of precedence: what is more telling comes first, and
// the errors that stand behind others last.
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

// Failed reports whether err means that the directory could not answer, as
// against having answered that there is none, or two.
func Failed(err error) bool {
	return err != nil && !errors.Is(err, ErrAmbiguous) && !errors.Is(err, ErrNoDirectory) &&
		(!errors.Is(err, ErrNotFound) || errors.Is(err, ErrFailed))
}

// Transient marks a failure that is worth asking about again at once: a
// pooled connection that had been closed, a reset. Nothing else is retried.
func Transient(err error) error {
	if err == nil {
		return nil
	}
	return &transientError{err}
}

type transientError struct{ error }

func (e *transientError) Unwrap() error { return e.error }

// isTransient reports whether a kind marked err with Transient.
func isTransient(err error) bool {
	var t *transientError
	return errors.As(err, &t)
}
