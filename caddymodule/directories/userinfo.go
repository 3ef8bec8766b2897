package directories

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/userinfo"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

func init() {
	caddy.RegisterModule(new(Userinfo))
}

// Userinfo is the userinfo endpoint of an issuer as a directory, asked with the
// caller's own token. It has the caller only, and no apps. The endpoint comes from
// the issuer's metadata, also where its keys come from elsewhere.
type Userinfo struct {
	caddymodule.DirectorySettings
	userinfo.Config
}

// CaddyModule returns the Caddy module information.
func (*Userinfo) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich.directories.userinfo",
		New: func() caddy.Module { return new(Userinfo) },
	}
}

// Provision binds the directory to its issuer: a token must never be sent to
// the endpoint of another.
func (u *Userinfo) Provision(caddy.Context) error {
	if err := u.bind(); err != nil {
		return err
	}
	return block.Expand(&u.CAFile)
}

// bind makes the directory answer for its issuer only.
func (u *Userinfo) bind() error {
	switch {
	case u.Issuer == "":
		return errors.New("issuer is required: the name of the issuer whose endpoint is called")
	case len(u.Issuers) == 0:
		u.Issuers = []string{u.Issuer}
	case len(u.Issuers) > 1 || u.Issuers[0] != u.Issuer:
		return directory.Setting("issuers", fmt.Errorf("the directory serves issuer %q only; omit issuers", u.Issuer))
	}
	return nil
}

// Check implements caddymodule.DirectoryChecker.
func (u *Userinfo) Check(issuers []string) error {
	if err := u.bind(); err != nil {
		return err
	}
	if len(issuers) == 0 || slices.Contains(issuers, u.Issuer) {
		return nil
	}
	return directory.Setting("issuer", fmt.Errorf("no issuer is named %q%s", u.Issuer, suggest.DidYouMean(u.Issuer, issuers)))
}

// Files implements caddymodule.DirectoryFiles: the file of certificates.
func (u *Userinfo) Files() []string { return []string{u.CAFile} }

// SendsToken implements caddymodule.DirectoryWithToken.
func (*Userinfo) SendsToken() bool { return true }

// Open returns the directory. It fetches the issuer's metadata at the first look-up.
func (u *Userinfo) Open(ctx caddymodule.DirectoryContext) (directory.Directory, error) {
	is := ctx.Issuer(u.Issuer)
	if is == nil {
		return nil, fmt.Errorf("no issuer is named %q", u.Issuer)
	}
	c := u.Config
	c.Identifier, c.GroupsDelimiter = is.Identifier(), is.GroupsDelimiter()
	c.Endpoint = func(ctx context.Context) (string, error) {
		m, err := is.Metadata(ctx)
		if err != nil {
			return "", err
		}
		return m.UserinfoEndpoint, nil
	}
	c.Verify = is.VerifyUserinfo
	return userinfo.New(c, userinfo.Options{Clock: ctx.Clock})
}

// UnmarshalCaddyfile reads the options of this kind of directory. Syntax:
//
//	directory userinfo {
//		issuer       <name>
//		groups_claim <name>
//		ca           <file>
//		<options of every directory>
//	}
func (u *Userinfo) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the kind
	if d.NextArg() {
		return d.ArgErr()
	}
	return caddymodule.ParseDirectory(d, &u.DirectorySettings, "userinfo", []block.Option{
		block.Text("issuer", &u.Issuer),
		block.Text("groups_claim", &u.GroupsClaim),
		block.Text("ca", &u.CAFile),
	})
}

// Interface guards
var (
	_ caddy.Provisioner              = (*Userinfo)(nil)
	_ caddyfile.Unmarshaler          = (*Userinfo)(nil)
	_ caddymodule.DirectoryModule    = (*Userinfo)(nil)
	_ caddymodule.DirectoryFiles     = (*Userinfo)(nil)
	_ caddymodule.DirectoryChecker   = (*Userinfo)(nil)
	_ caddymodule.DirectoryWithToken = (*Userinfo)(nil)
)
