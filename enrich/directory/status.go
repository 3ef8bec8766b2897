package directory

import (
	"log/slog"
	"time"
)

// State is the state of a circuit breaker.
type State uint8

const (
	// StateClosed: look-ups go through. It is the zero value.
	StateClosed State = iota
	// StateHalfOpen: a few look-ups go through, to try.
	StateHalfOpen
	// StateOpen: no look-up goes through.
	StateOpen
)

// String returns the name that status, logs and metrics show: closed, half_open or
// open.
func (s State) String() string {
	switch s {
	case StateHalfOpen:
		return "half_open"
	case StateOpen:
		return "open"
	default:
		return "closed"
	}
}

// Observer receives each look-up and each change of state, for metrics. Its
// methods are called while a request waits and must not block. A nil Observer is
// allowed everywhere.
type Observer interface {
	// DirectoryRequest reports one look-up and how long it took, retries
	// included. The outcome is a result of Class.
	DirectoryRequest(directory, outcome string, took time.Duration)

	// DirectoryState reports the new state of a circuit breaker.
	DirectoryState(directory string, state State)
}

// Status is what the status endpoint shows of one directory. It names no user.
type Status struct {
	// Name is the source's.
	Name string `json:"name"`

	// Ready is false while the circuit breaker is open, after Close, and where
	// the kind reports that it has nothing to answer from.
	Ready bool `json:"ready"`

	// State is the circuit breaker's state, and Since the time of its last
	// change.
	State string    `json:"state"`
	Since time.Time `json:"since,omitzero"`

	// Required and Issuers repeat the source's settings.
	Required bool     `json:"required"`
	Issuers  []string `json:"issuers,omitempty"`

	// LastError is the class of the last failure, LastErrorAt its time.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`

	// LastAnswerAt is the time of the last answer. "No such user" is one.
	LastAnswerAt time.Time `json:"last_answer_at,omitzero"`

	// Requests counts look-ups since the directory was opened, Failures those
	// that failed, and Retries the repeated attempts.
	Requests uint64 `json:"requests"`
	Failures uint64 `json:"failures"`
	Retries  uint64 `json:"retries"`

	// InFlight are the look-ups under way, Waiting those that wait for one
	// of them to end.
	InFlight int `json:"in_flight"`
	Waiting  int `json:"waiting"`

	// Problem is what the kind itself reports, such as an edit of its file
	// that it does not use; empty where all is well.
	Problem string `json:"problem,omitempty"`
}

// Reporter is implemented by a kind that knows more of its health than its
// answers show.
type Reporter interface {
	// Report returns whether there is anything to answer from, and what is
	// wrong, as a text that holds no user and no secret; empty where all is
	// well.
	Report() (ready bool, problem string)
}

// Lister is implemented by a kind that knows without a request which attributes
// its objects have.
type Lister interface {
	// Attributes returns the names that at least one object has now.
	Attributes() Attributes
}

// Attributes are the names of the attributes of users, apps and app users,
// sorted, without those that all of them have. A list is nil where they are not
// known. The names of an app's profile begin with "profile.".
type Attributes struct {
	User, App, AppUser []string
}

// Warner is implemented by a kind whose settings or content may be well formed
// and suspicious.
type Warner interface {
	// Warnings returns one sentence for each finding. It names no user.
	Warnings() []string
}

// discard is the logger where none is given.
var discard = slog.New(slog.DiscardHandler)
