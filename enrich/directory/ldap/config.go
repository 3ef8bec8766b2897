// Package ldap is the directory over LDAP version 3 (RFC 4511): OpenLDAP, 389
// Directory Server, FreeIPA, Active Directory, Samba and similar servers. It
// searches the one entry that the subject names, and the groups of that entry. It
// has no apps.
//
// Values stay text, as LDAP has it. An attribute with several values is a list; so
// is one that is named in Config.Lists, whatever it has. Binary object identifiers
// (objectGUID, objectSid) get their usual text form. Passwords and keys that the
// account may read are dropped.
package ldap

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/internal/trust"
	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Config says where to ask and what for. URL and Base are required.
type Config struct {
	// ldaps://host[:port], or ldap://host[:port] with start_tls. Required.
	URL string `json:"url,omitempty"`

	// The account that searches. Default: an anonymous search. It and
	// bind_password are set together: an empty password would bind anonymously
	// and succeed (RFC 4513, section 5.1.2).
	BindDN string `json:"bind_dn,omitempty"`

	// The account's password. Give it as {env.…} or {file.…}.
	BindPassword string `json:"bind_password,omitempty"`

	// The entry below which users are searched. Required.
	Base string `json:"base,omitempty"`

	// The filter that finds the user. It compares at least one attribute with
	// {subject} by equality, and the entry found must show that value. Default:
	// (uid={subject}).
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

	// Whether groups are read. Without, they are unknown, not empty. Default:
	// true.
	Groups *bool `json:"groups,omitempty"`

	// The entry below which groups are searched. Default: base.
	GroupBase string `json:"group_base,omitempty"`

	// The filter that finds the groups of a user, by {dn} or {subject}.
	// Default: (member={dn}).
	//
	// Active Directory lists an account neither among the members of its
	// primary group, most often Domain Users, nor that group in memberOf, but
	// has its number in primaryGroupID
	// (https://learn.microsoft.com/windows/win32/adschema/a-primarygroupid). Where
	// an entry shows that attribute and objectSid, the primary group is
	// searched as well: under group_base, with the filter's further conditions,
	// the group's own objectSid taking the place of the comparison with {dn}.
	GroupFilter string `json:"group_filter,omitempty"`

	// The attribute that is a group's id: dn, entryUUID, cn. Default: dn.
	GroupID string `json:"group_id,omitempty"`

	// The attribute that is a group's name. Default: cn.
	GroupName string `json:"group_name,omitempty"`

	// Take the groups from the user's memberOf instead of searching them, all
	// but the primary group (see group_filter). Their ids are distinguished
	// names, and nested is not possible. An entry without memberOf has no
	// groups. Default: false.
	MemberOf bool `json:"member_of,omitempty"`

	// Add the groups that hold the groups, to any depth: by the server's own
	// rule where it has one that works, as Active Directory does, else by
	// searching level after level within bounds. Default: false.
	Nested bool `json:"nested,omitempty"`

	// Upgrade an ldap:// connection to TLS before anything is said on it (RFC
	// 4511, section 4.14). A server that cannot is an error. Default: false.
	StartTLS bool `json:"start_tls,omitempty"`

	// A PEM file with the certificates to trust instead of the system's. It is
	// read once, by New.
	CAFile string `json:"ca,omitempty"`

	// The name that the server's certificate must carry. Default: the host.
	ServerName string `json:"server_name,omitempty"`

	// How many connections may be open. Default: 32; at most 1024.
	Connections int `json:"connections,omitempty"`

	// Allow ldap:// without TLS to another host. Anybody on the way can then
	// read the password. Default: false.
	Plaintext bool `json:"insecure_plaintext,omitempty"`

	// Attributes are asked for; default: all user attributes. What is not
	// text comes along only where it is named here, in base64.
	Attributes []string `json:"-"`

	// Timeout bounds connecting, with TLS and bind. Default: 3 s.
	Timeout time.Duration `json:"-"`

	// Dial replaces the network's. Default: a TCP dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error) `json:"-"`

	// Clock is what expiry dates are compared with. Default: time.Now.
	Clock func() time.Time `json:"-"`

	// Logger receives one line on how nested groups are found.
	Logger *slog.Logger `json:"-"`
}

// readsGroups reports whether groups are read.
func (c *Config) readsGroups() bool { return c.Groups == nil || *c.Groups }

// Limits of this kind.
const (
	// defaultConnections serve as many look-ups at once. Servers commonly allow
	// thousands.
	defaultConnections = 32

	// maxConnections bounds what may be configured.
	maxConnections = 1024

	// pageSize is the number of entries that is requested for each page: under
	// the default limits of Active Directory, 1,000, and of OpenLDAP, 500.
	pageSize = 500

	// maxPages stops at a server that always has a next page.
	maxPages = 1000

	// maxDepth bounds how deep nested groups are followed, and walkBatch how
	// many of them one search is for.
	maxDepth  = 32
	walkBatch = 50

	// idleLife is shorter than the idle time-outs of servers and firewalls.
	// maxLife lets a changed balancer or password take effect.
	idleLife = time.Minute
	maxLife  = 30 * time.Minute
)

// settings is a Config that has been checked, with what was derived from it.
type settings struct {
	Config
	network string
	address string
	tls     *tls.Config // nil: plaintext
	ldaps   bool

	user    *filter
	group   *filter
	inChain *filter // the group filter with the in-chain rule, or nil
	primary *filter // the group filter for the primary group, with its SID in place of {dn}; or nil
}

// Check returns what is wrong in the settings themselves. It reads no file.
func Check(c Config) error {
	// resolve reads the file.
	c.CAFile = ""
	_, err := resolve(c)
	return err
}

// resolve checks the settings and fills in the defaults. It reads CAFile.
func resolve(c Config) (*settings, error) {
	s := &settings{Config: c, network: "tcp"}
	if err := s.checkAddress(); err != nil {
		return nil, err
	}
	switch {
	case (c.BindDN == "") != (c.BindPassword == ""):
		option := "bind_dn"
		if c.BindDN == "" {
			option = "bind_password"
		}
		return nil, directory.Setting(option, errors.New("reading LDAP settings: bind_dn and bind_password must be set together; an empty password is not allowed"))
	case c.Base == "":
		return nil, errors.New("reading LDAP settings: base is required")
	case c.Connections < 0 || c.Connections > maxConnections:
		return nil, directory.Setting("connections", fmt.Errorf("reading LDAP settings: connections must be 1 to %d", maxConnections))
	case c.Timeout < 0:
		return nil, errors.New("reading LDAP settings: timeout is negative")
	}
	for _, o := range []struct{ option, dn string }{{"base", c.Base}, {"group_base", c.GroupBase}} {
		if _, err := ldap.ParseDN(o.dn); err != nil {
			return nil, directory.Setting(o.option, fmt.Errorf("reading LDAP settings: %s: %q is not a distinguished name", o.option, o.dn))
		}
	}
	s.Connections = cmp.Or(s.Connections, defaultConnections)
	s.Timeout = cmp.Or(s.Timeout, directory.DefaultTimeout)
	if s.Dial == nil {
		s.Dial = (&net.Dialer{KeepAlive: 30 * time.Second}).DialContext
	}
	if s.Clock == nil {
		s.Clock = time.Now
	}
	s.Logger = cmp.Or(s.Logger, slog.New(slog.DiscardHandler))
	if s.Lists == nil {
		s.Lists = []string{"memberOf", "objectClass"}
	}
	if err := s.checkAttributes(); err != nil {
		return nil, err
	}
	return s, s.checkFilters()
}

// attribute matches an attribute description (RFC 4512, section 2.5): a name or
// an object identifier, and options.
var attribute = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9-]*|[0-9]+(\.[0-9]+)+)(;[A-Za-z0-9-]+)*$`)

// ids returns the attributes that commonly identify groups.
func ids() []string {
	return []string{"dn", "entryUUID", "cn", "objectGUID", "objectSid", "nsUniqueId", "ipaUniqueID", "gidNumber", "sAMAccountName"}
}

// checkAttributes refuses what cannot be an attribute and, for a group's id, a
// misspelling of a known one: a group without an id is a failed look-up. An
// attribute that does have such a name can be configured by its object
// identifier.
func (s *settings) checkAttributes() error {
	for _, o := range []struct{ option, name string }{
		{"user_id", s.UserID}, {"login", s.Login}, {"group_id", s.GroupID}, {"group_name", s.GroupName},
	} {
		if o.name != "" && !attribute.MatchString(o.name) {
			return directory.Setting(o.option, fmt.Errorf("reading LDAP settings: %s: %q cannot be an attribute", o.option, o.name))
		}
	}
	// The most common mistake is a letter too few or too many.
	if near, ok := suggest.Closest(s.GroupID, ids()); ok && len(near) > len("dn") && !strings.EqualFold(near, s.GroupID) {
		return directory.Setting("group_id", fmt.Errorf("reading LDAP settings: group_id: unknown attribute %q%s", s.GroupID, suggest.DidYouMean(s.GroupID, ids())))
	}
	return nil
}

// checkAddress parses the URL and derives address and TLS settings. Without TLS
// only this machine may be reached, unless Plaintext is set.
func (s *settings) checkAddress() error {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Hostname() == "":
		return errors.New("reading LDAP settings: want ldaps://host")
	case u.User != nil || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "":
		return errors.New("reading LDAP settings: the URL names scheme, host and port only; base and filter have options of their own")
	}
	port := u.Port()
	switch u.Scheme {
	case "ldaps":
		if s.StartTLS {
			return directory.Setting("start_tls", errors.New("reading LDAP settings: start_tls needs ldap://, not ldaps://"))
		}
		s.ldaps = true
		port = cmp.Or(port, ldap.DefaultLdapsPort)
	case "ldap":
		if !s.StartTLS && !s.Plaintext && !loopback.Host(u.Hostname()) {
			return errors.New("reading LDAP settings: ldap:// would send passwords and profiles in the clear; use ldaps:// or start_tls")
		}
		port = cmp.Or(port, ldap.DefaultLdapPort)
	default:
		return fmt.Errorf("reading LDAP settings: want ldaps://host or ldap://host, not %q%s", u.Scheme, suggest.DidYouMean(u.Scheme, []string{"ldaps", "ldap"}))
	}
	s.address = net.JoinHostPort(u.Hostname(), port)
	if !s.ldaps && !s.StartTLS {
		if s.CAFile != "" || s.ServerName != "" {
			return errors.New("reading LDAP settings: ca and server_name have no effect without TLS")
		}
		return nil
	}
	s.tls = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: s.ServerName}
	if s.ServerName == "" {
		s.tls.ServerName = u.Hostname()
	}
	if s.CAFile == "" {
		return nil
	}
	s.tls.RootCAs, err = trust.Authorities(s.CAFile)
	return err
}

// checkFilters parses the filters, and derives those for the primary group and
// the in-chain rule.
func (s *settings) checkFilters() error {
	if s.UserFilter == "" {
		s.UserFilter = "(uid={subject})"
	}
	if s.GroupBase == "" {
		s.GroupBase = s.Base
	}
	if s.GroupFilter == "" {
		s.GroupFilter = "(member={dn})"
	}
	if s.GroupID == "" {
		s.GroupID = "dn"
	}
	s.GroupName = cmp.Or(s.GroupName, "cn")
	var err error
	if s.user, err = parseFilter(s.UserFilter, "subject"); err != nil {
		return directory.Setting("user_filter", fmt.Errorf("reading LDAP settings: user_filter: %w", err))
	}
	// The check of the entry against the subject needs one equality.
	if len(s.user.checks) == 0 {
		return directory.Setting("user_filter", errors.New("reading LDAP settings: user_filter must compare an attribute with {subject} by equality, as in (uid={subject})"))
	}
	if s.group, err = parseFilter(s.GroupFilter, "dn", "subject"); err != nil {
		return directory.Setting("group_filter", fmt.Errorf("reading LDAP settings: group_filter: %w", err))
	}
	if !s.group.uses {
		return directory.Setting("group_filter", errors.New("reading LDAP settings: group_filter must use {dn} or {subject}, or every user would have every group"))
	}
	if s.MemberOf {
		s.primary, err = parseFilter("(objectSid={dn})", "dn")
	} else {
		s.primary, err = s.group.withSID()
	}
	if err != nil {
		return directory.Setting("group_filter", fmt.Errorf("reading LDAP settings: group_filter: %w", err))
	}
	if s.MemberOf && !strings.EqualFold(s.GroupID, "dn") {
		return directory.Setting("group_id", errors.New("reading LDAP settings: groups from memberOf have their distinguished name as id; group_id must be dn"))
	}
	if !s.Nested {
		return nil
	}
	if s.MemberOf || !s.readsGroups() {
		return directory.Setting("nested", errors.New("reading LDAP settings: nested needs a group search, not memberOf"))
	}
	if s.inChain, err = s.group.withRule(inChainRule); err != nil {
		return directory.Setting("group_filter", fmt.Errorf("reading LDAP settings: nested: group_filter: %w", err))
	}
	return nil
}
