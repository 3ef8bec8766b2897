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
// Active Directory. It knows users and their groups, and no apps.
type LDAP struct {
	caddymodule.DirectorySettings

	// ldaps://host[:port], or ldap://host[:port] with start_tls.
	URL string `json:"url"`

	// The account that searches. Default: an anonymous search.
	BindDN string `json:"bind_dn,omitempty"`

	// Its password. Give it as {env.…} or {file.…}.
	BindPassword string `json:"bind_password,omitempty"`

	// The entry below which users are searched.
	Base string `json:"base"`

	// The filter that finds the user; it compares an attribute with {subject}
	// by equality. Default: (uid={subject}).
	UserFilter string `json:"user_filter,omitempty"`

	// The attribute that is the user's id. Default: the first that the entry
	// has of entryUUID, objectGUID, nsUniqueId and ipaUniqueID, else its
	// distinguished name.
	UserID string `json:"user_id,omitempty"`

	// The attribute that is the user's login. Default: the first that the
	// entry has of uid, sAMAccountName and userPrincipalName.
	Login string `json:"login,omitempty"`

	// The attributes that are lists also where they have one value. Default:
	// memberOf, objectClass.
	Lists []string `json:"lists,omitempty"`

	// Whether groups are read. Without, they are unknown. Default: true.
	Groups *bool `json:"groups,omitempty"`

	// The entry below which groups are searched. Default: base.
	GroupBase string `json:"group_base,omitempty"`

	// The filter that finds the groups, by {dn} or {subject}. Default:
	// (member={dn}).
	GroupFilter string `json:"group_filter,omitempty"`

	// The attribute that is a group's id: dn, entryUUID, cn. Default: dn.
	GroupID string `json:"group_id,omitempty"`

	// The attribute that is a group's name. Default: cn.
	GroupName string `json:"group_name,omitempty"`

	// Take the groups from the user's memberOf instead of searching them.
	MemberOf bool `json:"member_of,omitempty"`

	// Add the groups that hold the groups, to any depth. Default: false.
	Nested *bool `json:"nested,omitempty"`

	// Upgrade an ldap:// connection to TLS before anything is said on it.
	StartTLS bool `json:"start_tls,omitempty"`

	// A PEM file with the certificates to trust instead of the system's.
	CA string `json:"ca,omitempty"`

	// The name that the server's certificate must carry. Default: the host.
	ServerName string `json:"server_name,omitempty"`

	// How many connections may be open. Default: 32.
	Connections int `json:"connections,omitempty"`

	// Allow ldap:// without TLS to another host. Anybody on the way can then
	// read the password.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*LDAP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich.directories.ldap",
		New: func() caddy.Module { return new(LDAP) },
	}
}

// Provision expands the placeholders of address, account and password. Filters
// and base never meet them.
func (l *LDAP) Provision(caddy.Context) error {
	return block.Expand(&l.URL, &l.BindDN, &l.BindPassword, &l.CA, &l.ServerName)
}

// Files implements caddymodule.DirectoryFiles.
func (l *LDAP) Files() []string { return []string{l.CA} }

// Open makes the directory.
func (l *LDAP) Open(ctx caddymodule.DirectoryContext) (directory.Directory, error) {
	c := l.config()
	c.Clock, c.Logger = ctx.Clock, ctx.Logger
	return ldap.New(c)
}

func (l *LDAP) config() ldap.Config {
	return ldap.Config{
		URL: l.URL, StartTLS: l.StartTLS, Plaintext: l.InsecurePlaintext, CAFile: l.CA, ServerName: l.ServerName,
		BindDN: l.BindDN, BindPassword: l.BindPassword, Base: l.Base, UserFilter: l.UserFilter, UserID: l.UserID, Login: l.Login,
		Attributes: l.asked(), Lists: l.Lists, NoGroups: l.Groups != nil && !*l.Groups, MemberOf: l.MemberOf,
		GroupBase: l.GroupBase, GroupFilter: l.GroupFilter, GroupID: l.GroupID, GroupName: l.GroupName,
		Nested: l.Nested != nil && *l.Nested, Connections: l.Connections, Timeout: time.Duration(l.Timeout),
	}
}

// Check implements caddymodule.DirectoryChecker.
func (l *LDAP) Check([]string) error {
	c := l.config()
	if block.HasPlaceholder(c.URL) {
		c.URL, c.StartTLS, c.ServerName = "ldaps://host", false, ""
	}
	return ldap.Check(c)
}

// asked are the attributes to ask for, where not all are: those that are kept,
// and those that the subject is compared with.
func (l *LDAP) asked() []string {
	if len(l.Attributes) == 0 {
		return nil
	}
	names := slices.Clone(l.Attributes)
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

// UnmarshalCaddyfile reads the directory option. Syntax:
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
	return caddymodule.ParseDirectory(d, &l.DirectorySettings, "ldap", []block.Option{
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
		block.OnOff("nested", &l.Nested),
		block.Flag("start_tls", &l.StartTLS),
		block.Text("ca", &l.CA),
		block.Text("server_name", &l.ServerName),
		block.Count("connections", &l.Connections),
		block.Flag("insecure_plaintext", &l.InsecurePlaintext),
	})
}

// Interface guards
var (
	_ caddy.Provisioner            = (*LDAP)(nil)
	_ caddyfile.Unmarshaler        = (*LDAP)(nil)
	_ caddymodule.DirectoryModule  = (*LDAP)(nil)
	_ caddymodule.DirectoryFiles   = (*LDAP)(nil)
	_ caddymodule.DirectoryChecker = (*LDAP)(nil)
)
