package directories

import (
	"regexp"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/sql"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

func init() {
	caddy.RegisterModule(new(SQL))
}

// SQL is a directory that lives in a database: each question is a query of
// one's own, with the subject or the app's id as a bound parameter. Columns
// become attributes.
type SQL struct {
	caddymodule.DirectorySettings

	// The kind of database: postgres.
	Driver string `json:"driver"`

	// How to reach it, such as
	// postgres://user:{env.DB_PASSWORD}@host/people?sslmode=verify-full.
	DSN string `json:"dsn"`

	// The query that gives one row for the subject in $1, or none. The columns
	// id, login, status, created, lastUpdated, passwordChanged and lastLogin
	// are the user's own; all others are attributes. The row must hold the
	// subject: byte for byte in id or login, or as match says.
	UserQuery string `json:"user_query"`

	// The query that gives a row for each group of the subject in $1: id, name,
	// type, source, profile; or one column, which is id and name at once.
	// Default: a column groups of user_query; without that too, the groups are
	// unknown.
	GroupsQuery string `json:"groups_query,omitempty"`

	// The query that gives the row of the app whose id or client id is $1. The
	// row must hold it in id or client_id, byte for byte.
	AppQuery string `json:"app_query,omitempty"`

	// The query that gives the row of the assignment of the subject in $1 to
	// the app in $2.
	AppUserQuery string `json:"app_user_query,omitempty"`

	// How long the database works on one query. Default: the timeout.
	StatementTimeout caddy.Duration `json:"statement_timeout,omitempty"`

	// How many connections may be open. Default: 16.
	Connections int `json:"connections,omitempty"`

	// Take the rows of user_query and app_query whether or not they hold what
	// was asked for. Whatever the database takes for one name is then one user:
	// 7 and 007 in a column of numbers. Cannot be combined with match.
	// Default: false.
	InsecureSkipMatch bool `json:"insecure_skip_match,omitempty"`

	// Allow a connection to another host without verified TLS. Anybody on the
	// way can then read the password.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*SQL) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich.directories.sql",
		New: func() caddy.Module { return new(SQL) },
	}
}

// Provision expands the placeholders of the address. Queries never meet them.
func (s *SQL) Provision(caddy.Context) error {
	return block.Expand(&s.DSN)
}

// Open makes the directory. Connections are made when the first question comes.
func (s *SQL) Open(caddymodule.DirectoryContext) (directory.Directory, error) {
	return sql.New(s.config())
}

func (s *SQL) config() sql.Config {
	statement := s.StatementTimeout
	if statement == 0 {
		statement = s.Timeout
	}
	return sql.Config{
		Driver: s.Driver, DSN: s.DSN, Plaintext: s.InsecurePlaintext,
		UserQuery: s.UserQuery, GroupsQuery: s.GroupsQuery, AppQuery: s.AppQuery, AppUserQuery: s.AppUserQuery,
		Match: s.Match, SkipMatch: s.InsecureSkipMatch, StatementTimeout: time.Duration(statement), Connections: s.Connections,
	}
}

// namesFile is what of a DSN makes the driver read a file.
var namesFile = regexp.MustCompile(`(sslrootcert|sslcert|sslkey|passfile|servicefile|service)\s*=`)

// Check implements caddymodule.DirectoryChecker. It leaves files for the load.
func (s *SQL) Check([]string) error {
	c := s.config()
	if block.HasPlaceholder(c.DSN) || namesFile.MatchString(c.DSN) {
		c.DSN = "postgres://localhost"
	}
	return sql.Check(c)
}

// UnmarshalCaddyfile reads the directory option. Syntax:
//
//	directory sql postgres <dsn> {
//		user_query         <query>
//		groups_query       <query>
//		app_query          <query>
//		app_user_query     <query>
//		statement_timeout  <duration>
//		connections        <number>
//		insecure_skip_match
//		insecure_plaintext
//		<options of every directory>
//	}
func (s *SQL) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the kind
	if !d.AllArgs(&s.Driver, &s.DSN) {
		return d.ArgErr()
	}
	if s.Driver != "postgres" {
		return d.Errf("directory sql: %q is no kind of database%s; there is postgres", s.Driver, nearest.Hint(s.Driver, []string{"postgres"}))
	}
	return caddymodule.ParseDirectory(d, &s.DirectorySettings, "sql", []block.Option{
		block.Text("user_query", &s.UserQuery),
		block.Text("groups_query", &s.GroupsQuery),
		block.Text("app_query", &s.AppQuery),
		block.Text("app_user_query", &s.AppUserQuery),
		block.Duration("statement_timeout", &s.StatementTimeout),
		block.Count("connections", &s.Connections),
		block.Flag("insecure_skip_match", &s.InsecureSkipMatch),
		block.Flag("insecure_plaintext", &s.InsecurePlaintext),
	})
}

// Interface guards
var (
	_ caddy.Provisioner            = (*SQL)(nil)
	_ caddyfile.Unmarshaler        = (*SQL)(nil)
	_ caddymodule.DirectoryModule  = (*SQL)(nil)
	_ caddymodule.DirectoryChecker = (*SQL)(nil)
)
