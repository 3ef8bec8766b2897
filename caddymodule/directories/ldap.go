package directories

import (
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/ldap"
)

func init() {
	caddy.RegisterModule(new(LDAP))
}

// LDAP is a directory that speaks LDAP: OpenLDAP, 389 Directory Server, FreeIPA,
// Active Directory. It has users and their groups, but no apps.
type LDAP struct {
	caddymodule.DirectorySettings
	ldap.Config
}

// CaddyModule returns the Caddy module information.
func (*LDAP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich.directories.ldap",
		New: func() caddy.Module { return new(LDAP) },
	}
}

// Provision expands the placeholders of address, account, password and CA file.
// Filters and base hold none.
func (l *LDAP) Provision(caddy.Context) error {
	return block.Expand(&l.URL, &l.BindDN, &l.BindPassword, &l.CAFile, &l.ServerName)
}

// Files implements caddymodule.DirectoryFiles: the file of certificates.
func (l *LDAP) Files() []string { return []string{l.CAFile} }

// Open returns the directory. It does not touch the network.
func (l *LDAP) Open(ctx caddymodule.DirectoryContext) (directory.Directory, error) {
	c := l.config()
	c.Clock, c.Logger = ctx.Clock, ctx.Logger
	return ldap.New(c)
}

// config returns the settings of the kind, with those that every kind has.
func (l *LDAP) config() ldap.Config {
	c := l.Config
	c.Attributes, c.Timeout = l.attributes(), time.Duration(l.DirectorySettings.Timeout)
	return c
}

// Check implements caddymodule.DirectoryChecker.
func (l *LDAP) Check([]string) error {
	c := l.config()
	if block.HasPlaceholder(c.URL) {
		c.URL, c.StartTLS, c.ServerName = "ldaps://host", false, ""
	}
	return ldap.Check(c)
}

// attributes returns those to ask for, nil for all: those that are kept, and
// those that the subject is compared with.
func (l *LDAP) attributes() []string {
	if len(l.DirectorySettings.Attributes) == 0 {
		return nil
	}
	names := slices.Clone(l.DirectorySettings.Attributes)
	for _, m := range l.Match {
		if m == "email" && !slices.Contains(names, "mail") {
			names = append(names, "mail") // LDAP's word for it
		}
		if m != "id" && m != "login" && !slices.Contains(names, m) {
			names = append(names, m)
		}
	}
	return names
}

// UnmarshalCaddyfile reads the options of this kind of directory. Syntax:
//
//	directory ldap <url> {
//		bind_dn            <dn>
//		bind_password      <secret>
//		base               <dn>
//		user_filter        <filter>
//		user_id            <attribute>
//		login              <attribute>
//		lists              <attribute>...
//		groups             on|off
//		group_base         <dn>
//		group_filter       <filter>
//		group_id           <attribute>
//		group_name         <attribute>
//		member_of
//		nested             on|off
//		start_tls
//		ca                 <file>
//		server_name        <name>
//		connections        <number>
//		insecure_plaintext
//		<options of every directory>
//	}
func (l *LDAP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := address(d, &l.URL); err != nil {
		return err
	}
	var nested *bool
	err := caddymodule.ParseDirectory(d, &l.DirectorySettings, "ldap", []block.Option{
		block.Text("bind_dn", &l.BindDN),
		block.Text("bind_password", &l.BindPassword),
		block.Text("base", &l.Base),
		block.Text("user_filter", &l.UserFilter),
		block.Text("user_id", &l.UserID),
		block.Text("login", &l.Login),
		block.Texts("lists", &l.Lists),
		block.OnOff("groups", &l.Groups),
		block.Text("group_base", &l.GroupBase),
		block.Text("group_filter", &l.GroupFilter),
		block.Text("group_id", &l.GroupID),
		block.Text("group_name", &l.GroupName),
		block.Flag("member_of", &l.MemberOf),
		block.OnOff("nested", &nested),
		block.Flag("start_tls", &l.StartTLS),
		block.Text("ca", &l.CAFile),
		block.Text("server_name", &l.ServerName),
		block.Count("connections", &l.Connections),
		block.Flag("insecure_plaintext", &l.Plaintext),
	})
	l.Nested = nested != nil && *nested
	return err
}

// Interface guards
var (
	_ caddy.Provisioner            = (*LDAP)(nil)
	_ caddyfile.Unmarshaler        = (*LDAP)(nil)
	_ caddymodule.DirectoryModule  = (*LDAP)(nil)
	_ caddymodule.DirectoryFiles   = (*LDAP)(nil)
	_ caddymodule.DirectoryChecker = (*LDAP)(nil)
)
