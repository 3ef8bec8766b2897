// Package directory looks up users, groups and apps. It holds the interface
// that each kind of directory implements (Directory), a wrapper with time-out,
// concurrency limit, retries and circuit breaker (Resilient), and the merge of
// several sources into one (Composite). Each kind is a package below this one.
//
// A directory's answer decides who gets in, so three outcomes are kept apart
// throughout: "there is no such user", with authority (ErrNotFound); "could not
// ask" (any other error); and "asked, and the groups are unknown"
// (identity.Person.GroupsKnown).
package directory

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// Directory answers questions about users and apps. Its methods are safe for
// concurrent use and end when the context does. The values that they return are
// shared between requests, so neither side changes them afterwards.
//
// An error is one of this package's sentinels, wrapped with what helps the
// operator and never with a subject, a name, a token or a secret.
type Directory interface {
	// Person returns the user that the principal's subject names, with the
	// groups. ErrNotFound says with authority that there is none. ErrAmbiguous
	// says that the subject names more than one, so that none can be chosen.
	Person(ctx context.Context, q Query) (*identity.Person, error)

	// App returns the app with this id or client id. ErrNotFound says that
	// the directory knows no such app, or no apps at all.
	App(ctx context.Context, id string) (*identity.App, error)

	// AppUser returns the user's assignment to the app. ErrNotFound says that
	// there is none, or that the directory knows no assignments.
	AppUser(ctx context.Context, q Query, appID string) (*identity.AppUser, error)
}

// Partial is implemented by a kind that lacks some sorts of objects, as LDAP has
// no apps. What it lacks is not found without a request: an answer that never
// left this machine not counted by the circuit breaker, and a directory that
// is down fails no look-up that it has no answer for.
type Partial interface {
	// Supports reports whether the directory can have apps, and whether it can
	// have assignments to apps.
	Supports() (apps, appUsers bool)
}

// Starter is implemented by a kind that works in the background, as the file
// kind does to watch its file. A constructor starts nothing.
type Starter interface {
	// Start begins the background work. It is called once at most; Close ends
	// the work.
	Start() error
}

// Query names the user of a look-up.
type Query struct {
	// Principal is the verified token; its Subject names the user.
	Principal *identity.Principal

	// Token is the token as it arrived. Only the userinfo kind reads it, to
	// ask with the caller's own rights; it is never logged.
	Token string
}

// LogValue returns the issuer's name alone, which keeps the token and the
// subject out of logs.
func (q Query) LogValue() slog.Value {
	if q.Principal == nil {
		return slog.GroupValue()
	}
	return slog.GroupValue(slog.String("issuer", q.Principal.IssuerName))
}

// Subject returns the subject to look up. It refuses with ErrNotFound what no
// user can be named, so that no kind sends it anywhere: a missing subject, one
// over MaxSubject, control characters, and text that is not UTF-8. A client that
// acts on its own behalf has no user, whatever its subject reads, so that it
// cannot collide with one (RFC 9068, section 5).
func (q Query) Subject() (string, error) {
	switch {
	case q.Principal == nil:
		return "", fmt.Errorf("query has no principal: %w", ErrNotFound)
	case q.Principal.ServiceAccount:
		return "", fmt.Errorf("principal is a client, not a user: %w", ErrNotFound)
	}
	if err := CheckName(q.Principal.Subject); err != nil {
		return "", fmt.Errorf("reading the subject: %w", err)
	}
	return q.Principal.Subject, nil
}

// CheckName returns ErrNotFound for a text that cannot be an id, subject or
// client id; see Query.Subject.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("empty: %w", ErrNotFound)
	case len(name) > MaxSubject:
		return fmt.Errorf("over %d bytes: %w", MaxSubject, ErrNotFound)
	case !utf8.ValidString(name):
		return fmt.Errorf("not UTF-8: %w", ErrNotFound)
	case strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }):
		return fmt.Errorf("holds a control character: %w", ErrNotFound)
	}
	return nil
}
