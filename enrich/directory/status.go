package directory

import (
	"log/slog"
	"time"
)

// State is that of a circuit breaker.
type State uint8

const (
	// StateClosed: look-ups go through. It is the zero value.
	StateClosed State = iota
	// StateHalfOpen: a few look-ups go through, to try.
	StateHalfOpen
	// StateOpen: no look-up goes through.
	StateOpen
)

// String gives the word that status, logs and metrics show.
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

// Observer is told of every look-up and every change of state. Its methods
// are called on the path of requests and must not block. A nil Observer is
// allowed everywhere.
type Observer interface {
	// DirectoryRequest tells of one look-up, retries included; outcome is a
	// word of Class.
	DirectoryRequest(directory, outcome string, took time.Duration)

	// DirectoryState tells that a circuit breaker changed.
	DirectoryState(directory string, state State)
}

// Status is what the status endpoint shows of one directory. It names nobody.
type Status struct {
	// Name is the member's.
	Name string `json:"name"`

	// Ready is false while look-ups are kept away, and where the kind says
	// that it has nothing to answer from.
	Ready bool `json:"ready"`

	// State is the circuit breaker's, Since when it took it.
	State string    `json:"state"`
	Since time.Time `json:"since,omitzero"`

	// Required and Issuers repeat the member's settings.
	Required bool     `json:"required"`
	Issuers  []string `json:"issuers,omitempty"`

	// LastError is the class of the last failure, LastErrorAt its time.
	LastError   string    `json:"last_error,omitempty"`
	LastErrorAt time.Time `json:"last_error_at,omitzero"`

	// LastAnswerAt is when it last answered, be it that there is nobody.
	LastAnswerAt time.Time `json:"last_answer_at,omitzero"`

	// Requests counts look-ups since the directory was set up, Failures
	// those that failed, Retries what was asked again.
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

// Reporter is met by a kind that knows more of its health than its answers
// show.
type Reporter interface {
	// Report gives whether there is anything to answer from, and what is
	// wrong in words that name nobody and no secret.
	Report() (ready bool, problem string)
}

// Lister is met by a kind that can tell without asking anyone which attributes
// its objects have.
type Lister interface {
	// Attributes gives the names that at least one object has now.
	Attributes() Attributes
}

// Attributes are the names of what users, apps and app users have besides what
// every one has, in order; none of a sort where that is not known. In an app,
// those of the profile begin with "profile.".
type Attributes struct {
	User, App, AppUser []string
}

// Warner is met by a kind whose content may be well formed and hardly meant.
type Warner interface {
	// Warnings gives a sentence for each such thing, which names nobody.
	Warnings() []string
}

// discard is used where no logger is given.
var discard = slog.New(slog.DiscardHandler)
