// Package sql is the directory in a PostgreSQL database: each look-up is a query
// of the operator's own, with the subject or the app's id as a bound parameter.
// Columns become attributes; arrays and JSON become lists and objects.
//
// Each look-up is a read-only transaction with a time limit on each statement,
// also behind a pooler. The database role should have no other rights either.
package sql

import (
	"cmp"
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
	// The kind of database: postgres. Required.
	Driver string `json:"driver,omitempty"`

	// How to reach it, such as
	// postgres://user:{env.DB_PASSWORD}@host/people?sslmode=verify-full, or the
	// same in key=value form. To another machine the server's certificate must
	// be verified (sslmode verify-ca or verify-full). Required.
	DSN string `json:"dsn,omitempty"`

	// The query that returns one row for the subject in $1, or none. Required.
	// Two rows mean that the subject is ambiguous, so it has no limit 1. The
	// columns id, login, status, created, lastUpdated, passwordChanged and
	// lastLogin (also as last_updated, …) are the user's own; profile, a JSON
	// object, and every other column are attributes. The row must hold the
	// subject: byte for byte in id or login, or as match says; one without an id
	// has the subject as its id. status is a word of Okta's (ACTIVE, SUSPENDED,
	// …), in any case; another word is an error. A null attribute counts as
	// absent.
	UserQuery string `json:"user_query,omitempty"`

	// The query that returns a row for each group of the subject in $1: id, name,
	// type, source, profile, and further attributes; or one column alone, which
	// is id and name at once. Default: a column groups of user_query, an array of
	// texts or integers, or of JSON objects with id and name; without that too,
	// the groups are unknown.
	GroupsQuery string `json:"groups_query,omitempty"`

	// The query that returns the row of the app whose id or client id is $1: id,
	// clientId, name, label, status, profile, and further attributes. The row
	// must hold it in id or client_id, byte for byte.
	AppQuery string `json:"app_query,omitempty"`

	// The query that returns the row of the assignment of the subject in $1 to
	// the app in $2: userName, status, profile, and further attributes.
	AppUserQuery string `json:"app_user_query,omitempty"`

	// How many connections may be open. Default: 16; at most 1024.
	Connections int `json:"connections,omitempty"`

	// Take the rows of user_query and app_query whether or not they hold what
	// was asked for. Whatever the database takes for one name is then one user:
	// 7 and 007 in a column of numbers. Cannot be combined with match.
	// Default: false.
	SkipMatch bool `json:"insecure_skip_match,omitempty"`

	// Allow a connection to another host without verified TLS. Anybody on the
	// way can then read the password. Default: false.
	Plaintext bool `json:"insecure_plaintext,omitempty"`

	// Match names columns of user_query (id, login, or an attribute) of which
	// one must hold the subject, as directory.Answers compares; a row in which
	// none does is directory.ErrForeign. Default: id or login, byte for byte,
	// so that no comparison of the database's (of numbers, UUIDs, char(n),
	// citext, by a collation) makes one user of two subjects. It is an option of
	// every kind of directory, which the caller passes on.
	Match []string `json:"-"`

	// StatementTimeout is how long the database works on one query. Default:
	// 3 s. The caller reads it, as a duration of its own configuration.
	StatementTimeout time.Duration `json:"-"`
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
				return c, nil, directory.Setting(q.option, fmt.Errorf("reading SQL settings: %s does not use %s: every user would get the same answer", q.option, p))
			}
		}
	}
	c.StatementTimeout = cmp.Or(c.StatementTimeout, directory.DefaultTimeout)
	c.Connections = cmp.Or(c.Connections, defaultConnections)
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
			out = append(out, q.option+" ends in a limit, which hides further rows: a second user of one name, or the rest of the groups; "+
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
