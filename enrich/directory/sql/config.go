// Package sql is the directory in a PostgreSQL database: each look-up is a query
// of the operator's own, with the subject or the app's id as a bound parameter.
// Columns become attributes; arrays and JSON become lists and objects.
//
// Each look-up is a read-only transaction with a time limit on each statement,
// also behind a pooler. The database role should have no other rights either.
package sql

import (
	"crypto/tls"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
)

// Config says which database to ask, and what. Driver, DSN and UserQuery are
// required.
type Config struct {
	// Driver is the kind of database: postgres.
	Driver string

	// DSN is how to reach it: postgres://user:password@host/database?sslmode=verify-full
	// or the same in key=value form. To another machine the server's
	// certificate must be verified (sslmode verify-ca or verify-full).
	DSN string

	// Plaintext allows a DSN without that. Without it such a one is an error
	// at load.
	Plaintext bool

	// UserQuery gives one row for the subject in $1, or none. Two rows mean
	// that the subject is ambiguous, so it has no limit 1. The columns id,
	// login, status, created, lastUpdated, passwordChanged and lastLogin
	// (also as last_updated, …) are the user's own; profile, a JSON object,
	// and every other column are attributes. A row without an id has the
	// subject as its id. status is a word of Okta's (ACTIVE, SUSPENDED, …),
	// in any case; another word is an error. Null is the lack of a value.
	UserQuery string

	// GroupsQuery gives a row for each group of the subject in $1: id, name,
	// type, source, profile, and further attributes; or one column alone,
	// which is both id and name. Without it a column groups of UserQuery
	// counts: an array of texts or integers, or of JSON objects with id and name.
	// Without that too the groups are unknown.
	GroupsQuery string

	// AppQuery gives the row of the app whose id or client id is $1: id,
	// clientId, name, label, status, profile, and further attributes.
	AppQuery string

	// AppUserQuery gives the row of the assignment of the subject in $1 to
	// the app in $2: userName, status, profile, and further attributes.
	AppUserQuery string

	// Match names columns of UserQuery (id, login, or an attribute) of which
	// one must hold the subject, as directory.Answers compares; a row in which
	// none does is directory.ErrForeign. Default: id or login, byte for byte,
	// so that no comparison of the database's (of numbers, UUIDs, char(n),
	// citext, by a collation) makes one user of two subjects.
	Match []string

	// SkipMatch takes the rows of UserQuery and AppQuery for what was asked
	// for, whatever they hold. It cannot be combined with Match. Default: the
	// row of a user is held to the subject, by Match, and the row of an app
	// must have the app's id as its id or client id.
	SkipMatch bool

	// StatementTimeout is how long the database works on one query.
	// Default: 3 s.
	StatementTimeout time.Duration

	// Connections bounds the open connections. Default: 16.
	Connections int
}

// Limits of this kind.
const (
	// defaultConnections is a share of the hundred connections that PostgreSQL
	// allows all its clients by default. maxConnections bounds the setting.
	defaultConnections = 16
	maxConnections     = 1024

	// maxQuery bounds a query, in bytes.
	maxQuery = 64 << 10

	// idleLife and maxLife bound how long a connection is open without a
	// look-up and in all, so that a changed password, role or balancer takes
	// effect.
	idleLife = 5 * time.Minute
	maxLife  = 30 * time.Minute

	// maxArrayDepth is the most dimensions that PostgreSQL allows an array.
	maxArrayDepth = 6
)

// Check returns what is wrong in the settings themselves. It reads the files
// that the DSN names.
func Check(c Config) error {
	_, _, err := resolve(c)
	return err
}

// resolve checks the settings and returns them with their defaults, beside
// those of the driver.
func resolve(c Config) (Config, *pgx.ConnConfig, error) {
	switch {
	case c.Driver != "postgres":
		return c, nil, errors.New("reading SQL settings: the driver must be postgres")
	case c.SkipMatch && len(c.Match) > 0:
		return c, nil, directory.Setting("insecure_skip_match", errors.New("reading SQL settings: insecure_skip_match and match cannot be combined"))
	case c.StatementTimeout < 0:
		return c, nil, directory.Setting("statement_timeout", errors.New("reading SQL settings: statement_timeout is negative"))
	case c.Connections < 0 || c.Connections > maxConnections:
		return c, nil, directory.Setting("connections", fmt.Errorf("reading SQL settings: connections must be 1 to %d", maxConnections))
	}
	for _, q := range []struct {
		option, query string
		required      bool
		parameters    []string
	}{
		{"user_query", c.UserQuery, true, []string{"$1"}},
		{"groups_query", c.GroupsQuery, false, []string{"$1"}},
		{"app_query", c.AppQuery, false, []string{"$1"}},
		{"app_user_query", c.AppUserQuery, false, []string{"$1", "$2"}},
	} {
		switch {
		case q.query == "" && q.required:
			return c, nil, fmt.Errorf("reading SQL settings: %s is required", q.option)
		case q.query == "":
			continue
		case len(q.query) > maxQuery:
			return c, nil, directory.Setting(q.option, fmt.Errorf("reading SQL settings: %s is over %d bytes", q.option, maxQuery))
		}
		for _, p := range q.parameters {
			if !strings.Contains(q.query, p) {
				return c, nil, directory.Setting(q.option, fmt.Errorf("reading SQL settings: %s does not use %s, so everybody would have the same answer", q.option, p))
			}
		}
	}
	if c.StatementTimeout == 0 {
		c.StatementTimeout = directory.DefaultTimeout
	}
	if c.Connections == 0 {
		c.Connections = defaultConnections
	}
	config, err := pgx.ParseConfig(c.DSN)
	if err != nil || c.DSN == "" {
		// The driver's error repeats parts of the DSN.
		return c, nil, errors.New("reading SQL settings: the DSN is not a PostgreSQL connection string, or names a file that cannot be read")
	}
	if !c.Plaintext {
		// A connection string may name several hosts, and a fallback without
		// TLS.
		verified := secure(config.Host, config.TLSConfig)
		for _, f := range config.Fallbacks {
			verified = verified && secure(f.Host, f.TLSConfig)
		}
		if !verified {
			return c, nil, errors.New("reading SQL settings: the DSN would reach another machine without verified TLS; add sslmode=verify-full")
		}
	}
	config.MaxProtocolMessageBodyLen = directory.MaxResponse
	// Poolers accept these two for a connection, and refuse or drop others. The
	// rest is set in each transaction.
	config.RuntimeParams["application_name"] = "token-enrich"
	config.RuntimeParams["client_encoding"] = "UTF8"
	return c, config, nil
}

// limit matches a LIMIT or FETCH at the end of a query.
var limit = regexp.MustCompile(`(?is)\b(limit\s+[^\s()]+|fetch\s+(first|next)\b[^()]*)(\s+offset\s+\S+)?[\s;]*$`)

// Warnings implements directory.Warner. A limit hides rows: a second user of
// one name (D64), or the rest of the groups (C32).
func (d *Directory) Warnings() []string {
	var out []string
	for _, q := range []struct{ option, query string }{
		{"user_query", d.config.UserQuery},
		{"groups_query", d.config.GroupsQuery},
		{"app_query", d.config.AppQuery},
		{"app_user_query", d.config.AppUserQuery},
	} {
		if limit.MatchString(q.query) {
			out = append(out, q.option+" ends in a limit, so that rows beyond it go unseen: a second user of one name, or the rest of the groups; "+
				"without the limit they are an error")
		}
	}
	return out
}

// secure reports whether the traffic to a host is safe from others: it stays on
// this machine, or uses TLS to a server that is verified.
func secure(host string, t *tls.Config) bool {
	if strings.HasPrefix(host, "/") || loopback.Host(host) {
		return true
	}
	return t != nil && (!t.InsecureSkipVerify || t.VerifyPeerCertificate != nil || t.VerifyConnection != nil)
}
