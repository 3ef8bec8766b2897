// Package directory is where users, groups and apps are looked up. It holds
// the interface that every kind of directory meets, the merge of several
// into one (Composite), and what stands around each of them: time-out, pace and
// circuit breaker (Guarded). One package per kind lies below it.
//
// What a directory says decides who gets in, so three things are kept apart
// throughout: "there is no such user", said with authority (ErrNotFound);
// "could not ask" (any other error); and "asked, and the groups are not
// known" (identity.Person.GroupsKnown).
package directory

import (
	"context"
	"fmt"
	"log/slog"
	"unicode/utf8"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// Directory answers questions about users and apps. Its methods are safe for
// concurrent use, end when the context does, and hand out values that nobody
// changes afterwards: they are shared between requests.
//
// An error is one of this package's sentinels, wrapped with what helps the
// operator and never with a subject, a name, a token or a secret.
type Directory interface {
	// Person gives the user that the principal's subject names, with the
	// groups. ErrNotFound says with authority that there is none;
	// ErrAmbiguous that the subject names two, which is nobody.
	Person(ctx context.Context, q Query) (*identity.Person, error)

	// App gives the app with this id or client id. ErrNotFound says that
	// the directory knows no such app, or no apps at all.
	App(ctx context.Context, id string) (*identity.App, error)

	// AppUser gives the user's assignment to the app. ErrNotFound says that
	// there is none, or that the directory knows no assignments.
	AppUser(ctx context.Context, q Query, appID string) (*identity.AppUser, error)
}

// Partial is met by a kind that cannot know every object, as LDAP knows no
// apps. What it does not know is not found without asking it: an answer that
// never left this machine must not pass for a sign of the directory's health,
// and a directory that is down is not missed where it has nothing to say.
type Partial interface {
	// Knows tells whether there is any use in asking for apps, and for
	// assignments to apps.
	Supports() (apps, appUsers bool)
}

// Starter is met by a kind that works in the background, as the file kind
// does to watch its file. A constructor starts nothing.
type Starter interface {
	Start() error
}

// Query says about whom a directory is asked.
type Query struct {
	// Principal is the verified token; its Subject names the user.
	Principal *identity.Principal

	// Token is the token as it arrived. Only the userinfo kind reads it, to
	// ask with the caller's own rights; it is never logged.
	Token string
}

// LogValue keeps the token and the subject out of logs.
func (q Query) LogValue() slog.Value {
	if q.Principal == nil {
		return slog.GroupValue()
	}
	return slog.GroupValue(slog.String("issuer", q.Principal.IssuerName))
}

// Subject gives the subject to look up. It refuses, with ErrNotFound, what
// can be nobody's name, so that no kind has to send it anywhere: a missing
// subject, one over MaxSubject, control characters, and text that is not
// UTF-8. A client on its own behalf has no user whatever its subject reads,
// so that it cannot collide with one (RFC 9068, section 5).
func (q Query) Subject() (string, error) {
	switch {
	case q.Principal == nil:
		return "", fmt.Errorf("query has no principal: %w", ErrNotFound)
	case q.Principal.Machine:
		return "", fmt.Errorf("principal is a client, not a user: %w", ErrNotFound)
	}
	if err := CheckName(q.Principal.Subject); err != nil {
		return "", fmt.Errorf("reading the subject: %w", err)
	}
	return q.Principal.Subject, nil
}

// CheckName refuses with ErrNotFound what can be no id, subject or client id.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("empty: %w", ErrNotFound)
	case len(name) > MaxSubject:
		return fmt.Errorf("over %d bytes: %w", MaxSubject, ErrNotFound)
	case !utf8.ValidString(name):
		return fmt.Errorf("not UTF-8: %w", ErrNotFound)
	}
	for i := 0; i < len(name); i++ {
		if name[i] < 0x20 || name[i] == 0x7f {
			return fmt.Errorf("holds a control character: %w", ErrNotFound)
		}
	}
	return nil
}
