package directories

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/scim"
)

func init() {
	caddy.RegisterModule(new(SCIM))
}

// SCIM is the directory of a SCIM 2.0 service (RFC 7643, 7644): users with their
// groups. It has no apps.
type SCIM struct {
	caddymodule.DirectorySettings
	scim.Config
}

// CaddyModule returns the Caddy module information.
func (*SCIM) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich.directories.scim",
		New: func() caddy.Module { return new(SCIM) },
	}
}

// Provision expands the placeholders of address, user name, secrets and path.
func (s *SCIM) Provision(caddy.Context) error {
	return block.Expand(&s.URL, &s.Bearer, &s.Username, &s.Password, &s.CAFile)
}

// Files implements caddymodule.DirectoryFiles: the file of certificates.
func (s *SCIM) Files() []string { return []string{s.CAFile} }

// Open returns the directory. It does not touch the network.
func (s *SCIM) Open(ctx caddymodule.DirectoryContext) (directory.Directory, error) {
	return scim.New(s.Config, scim.Options{Clock: ctx.Clock})
}

// Check implements caddymodule.DirectoryChecker.
func (s *SCIM) Check([]string) error {
	c := s.Config
	c.URL = knownOr(c.URL, "https://host")
	c.Bearer, c.Username, c.Password = knownOr(c.Bearer, "x"), knownOr(c.Username, "x"), knownOr(c.Password, "x")
	return scim.Check(c)
}

// UnmarshalCaddyfile reads the options of this kind of directory. Syntax:
//
//	directory scim <url> {
//		bearer      <secret>
//		basic       <username> <password>
//		user_filter userName|externalId|emails.value|id
//		groups      auto|user|member|unknown
//		ca          <file>
//		<options of every directory>
//	}
func (s *SCIM) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := address(d, &s.URL); err != nil {
		return err
	}
	return caddymodule.ParseDirectory(d, &s.DirectorySettings, "scim", []block.Option{
		block.Text("bearer", &s.Bearer),
		{Name: "basic", Parse: func(d *caddyfile.Dispenser) error {
			if !d.AllArgs(&s.Username, &s.Password) {
				return d.ArgErr()
			}
			return nil
		}},
		block.Enum("user_filter", &s.UserFilter, scim.ByUserName, scim.ByExternalID, scim.ByEmail, scim.ByID),
		block.Enum("groups", &s.Groups, scim.GroupsAuto, scim.GroupsOfUser, scim.GroupsByMember, scim.GroupsUnknown),
		block.Text("ca", &s.CAFile),
	})
}

// Interface guards
var (
	_ caddy.Provisioner            = (*SCIM)(nil)
	_ caddyfile.Unmarshaler        = (*SCIM)(nil)
	_ caddymodule.DirectoryModule  = (*SCIM)(nil)
	_ caddymodule.DirectoryFiles   = (*SCIM)(nil)
	_ caddymodule.DirectoryChecker = (*SCIM)(nil)
)
