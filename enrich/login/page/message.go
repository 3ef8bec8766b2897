package page

import "strconv"

// The closed list of what a page may say. What it says in each language is in
// texts.go.

// A Message is what a page tells a person. It decides the template, the words and
// the status.
type Message int

// The messages. The comment names template and status.
const (
	// Choose offers several providers to sign in with (choose.html, 200).
	Choose Message = iota
	// SessionEnded answers a form that was sent without a session: what was sent
	// was neither saved nor passed on (session-ended.html, 401).
	SessionEnded
	// AskSignOut asks before the session is ended (sign-out.html, 200).
	AskSignOut
	// SignedOut says that the session is over (signed-out.html, 200).
	SignedOut
	// SignedOutHere is SignedOut where the provider could not be told, so that the
	// person may still be signed in there (signed-out.html, 200).
	SignedOutHere
	// AccessDenied says that the provider refused the person (error.html, 403).
	AccessDenied
	// Cancelled says that the person did not complete the sign-in (error.html, 403).
	Cancelled
	// Expired says that the sign-in took too long, or that the browser keeps no
	// cookies (error.html, 400).
	Expired
	// SignInFailed says that the provider's answer cannot be used (error.html, 502).
	SignInFailed
	// ProviderUnreachable says that the provider does not answer (error.html, 503).
	ProviderUnreachable
	// StoreUnreachable says that the session cannot be read or written at the
	// moment (error.html, 503).
	StoreUnreachable
	// NotStrongEnough says that the provider's sign-in is weaker than what is
	// required, such as one without a second factor (error.html, 403).
	NotStrongEnough
	// OtherProvider says that the session is of a provider that this application
	// does not accept (error.html, 403).
	OtherProvider
	// Malformed says that the request cannot be understood (error.html, 400).
	Malformed
	// TooLarge says that what is known of the account does not fit into a session
	// (error.html, 500).
	TooLarge
	// Blocked says that the account or its session was blocked (error.html, 403).
	Blocked
	// Internal says that the fault is the gateway's (error.html, 500).
	Internal

	messageCount int = iota
)

// facts are what a message is apart from its words.
var facts = [messageCount]struct {
	name, file string
	status     int
}{
	Choose:              {"choose", "choose.html", 200},
	SessionEnded:        {"session-ended", "session-ended.html", 401},
	AskSignOut:          {"sign-out", "sign-out.html", 200},
	SignedOut:           {"signed-out", "signed-out.html", 200},
	SignedOutHere:       {"signed-out-here", "signed-out.html", 200},
	AccessDenied:        {"access-denied", "error.html", 403},
	Cancelled:           {"cancelled", "error.html", 403},
	Expired:             {"expired", "error.html", 400},
	SignInFailed:        {"sign-in-failed", "error.html", 502},
	ProviderUnreachable: {"provider-unreachable", "error.html", 503},
	StoreUnreachable:    {"store-unreachable", "error.html", 503},
	NotStrongEnough:     {"not-strong-enough", "error.html", 403},
	OtherProvider:       {"other-provider", "error.html", 403},
	Malformed:           {"malformed", "error.html", 400},
	TooLarge:            {"too-large", "error.html", 500},
	Blocked:             {"blocked", "error.html", 403},
	Internal:            {"internal", "error.html", 500},
}

// String returns the message's name, such as access-denied. Templates and logs
// know it by that.
func (m Message) String() string {
	if !m.known() {
		return "message " + strconv.Itoa(int(m))
	}
	return facts[m].name
}

// Status returns the HTTP status of a page with the message, or 500 if there is no
// such message.
func (m Message) Status() int {
	if !m.known() {
		return 500
	}
	return facts[m].status
}

func (m Message) known() bool { return m >= 0 && int(m) < messageCount }

// A Label is what a link says.
type Label int

// The labels.
const (
	// SignInWith names the link's provider.
	SignInWith Label = iota
	// SignInAgain is for who had a session.
	SignInAgain
	// TryAgain is for a sign-in that did not work.
	TryAgain
	// OtherAccount leads to the provider's choice of an account.
	OtherAccount
	// Back leads to the application.
	Back

	labelCount int = iota
)
