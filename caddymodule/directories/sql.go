package directories

import (
	"cmp"
	"regexp"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/sql"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

func init() {
	caddy.RegisterModule(new(SQL))
}

// SQL is a directory in a database: each look-up is a query of the operator's own,
// with the subject or the app's id as a bound parameter. Columns become attributes.
type SQL struct {
	caddymodule.DirectorySettings
	sql.Config

	// How long the database works on one query. Default, and what 0 means: the
	// timeout of the directory.
	StatementTimeout caddy.Duration `json:"statement_timeout,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*SQL) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich.directories.sql",
		New: func() caddy.Module { return new(SQL) },
	}
}

// Provision expands the placeholders of the address. Queries hold none.
func (s *SQL) Provision(caddy.Context) error {
	return block.Expand(&s.DSN)
}

// Open returns the directory. It connects at the first look-up.
func (s *SQL) Open(caddymodule.DirectoryContext) (directory.Directory, error) {
	return sql.New(s.config())
}

// config returns the settings of the kind, with those that every kind has.
func (s *SQL) config() sql.Config {
	c := s.Config
	c.Match = s.DirectorySettings.Match
	c.StatementTimeout = time.Duration(cmp.Or(s.StatementTimeout, s.Timeout))
	return c
}

// namesFile matches the parts of a DSN that make the driver read a file.
var namesFile = regexp.MustCompile(`(sslrootcert|sslcert|sslkey|passfile|servicefile|service)\s*=`)

// Check implements caddymodule.DirectoryChecker. It leaves files for the load.
func (s *SQL) Check([]string) error {
	c := s.config()
	if block.HasPlaceholder(c.DSN) || namesFile.MatchString(c.DSN) {
		c.DSN = "postgres://localhost"
	}
	return sql.Check(c)
}

// UnmarshalCaddyfile reads the options of this kind of directory. Syntax:
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
		return d.Errf("directory sql: unknown database %q%s; want postgres", s.Driver, suggest.DidYouMean(s.Driver, []string{"postgres"}))
	}
	return caddymodule.ParseDirectory(d, &s.DirectorySettings, "sql", []block.Option{
		block.Text("user_query", &s.UserQuery),
		block.Text("groups_query", &s.GroupsQuery),
		block.Text("app_query", &s.AppQuery),
		block.Text("app_user_query", &s.AppUserQuery),
		block.Duration("statement_timeout", &s.StatementTimeout),
		block.Count("connections", &s.Connections),
		block.Flag("insecure_skip_match", &s.SkipMatch),
		block.Flag("insecure_plaintext", &s.Plaintext),
	})
}

// Interface guards
var (
	_ caddy.Provisioner            = (*SQL)(nil)
	_ caddyfile.Unmarshaler        = (*SQL)(nil)
	_ caddymodule.DirectoryModule  = (*SQL)(nil)
	_ caddymodule.DirectoryChecker = (*SQL)(nil)
)
