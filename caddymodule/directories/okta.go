package directories

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/okta"
)

func init() {
	caddy.RegisterModule(new(Okta))
}

// Okta is the directory of an Okta organization, read by its management API: users,
// groups, apps with their profiles, and assignments.
type Okta struct {
	caddymodule.DirectorySettings
	okta.Config
}

// CaddyModule returns the Caddy module information.
func (*Okta) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich.directories.okta",
		New: func() caddy.Module { return new(Okta) },
	}
}

// Provision expands the placeholders of address, client id, secrets and paths,
// and reads the file of the private key.
func (o *Okta) Provision(caddy.Context) error {
	if err := block.Expand(&o.URL, &o.Token, &o.ClientID, &o.KeyID, &o.CAFile); err != nil {
		return err
	}
	return expandKey(&o.PrivateKey)
}

// maxKeyFile bounds the file of a private key, in bytes. The largest real ones
// have 13 KB.
const maxKeyFile = 64 << 10

// expandKey replaces a setting by the text of the private key. A key itself stays
// as it is, because the braces of a JSON Web Key are no placeholder. Anything else,
// once its placeholders are expanded, is a key or the path of a file with one.
func expandKey(key *string) error {
	if *key == "" || isKey(*key) {
		return nil
	}
	if err := block.Expand(key); err != nil {
		return err
	}
	if isKey(*key) {
		return nil
	}
	f, err := os.Open(*key)
	if err != nil {
		// The text of err repeats the name, which may be a key in another form.
		return errors.New("reading the private key: want PEM, a JSON Web Key or a readable file")
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return fmt.Errorf("reading the private key: %w", err)
	}
	*key = string(text)
	return nil
}

// isKey reports whether a text is a key and not the name of a file.
func isKey(text string) bool {
	return strings.Contains(text, "-----BEGIN") || strings.HasPrefix(strings.TrimSpace(text), "{") && strings.Contains(text, `"kty"`)
}

// Files implements caddymodule.DirectoryFiles: the file of certificates.
func (o *Okta) Files() []string { return []string{o.CAFile} }

// Open returns the directory. It does not touch the network.
func (o *Okta) Open(ctx caddymodule.DirectoryContext) (directory.Directory, error) {
	return okta.New(o.config(), okta.Options{Clock: ctx.Clock, Logger: ctx.Logger})
}

// config returns the settings of the kind, with those that every kind has.
func (o *Okta) config() okta.Config {
	c := o.Config
	c.Match = o.DirectorySettings.Match
	return c
}

// Check implements caddymodule.DirectoryChecker.
func (o *Okta) Check([]string) error {
	c := o.config()
	c.URL, c.Token = knownOr(c.URL, "https://host"), knownOr(c.Token, "x")
	return okta.Check(c)
}

// UnmarshalCaddyfile reads the options of this kind of directory. Syntax:
//
//	directory okta <url> {
//		token       <secret>
//		client_id   <id>
//		private_key <file or key>
//		key_id      <id>
//		scopes      <scope>...
//		app_users   on|off
//		linked      <name>...
//		ca          <file>
//		<options of every directory>
//	}
func (o *Okta) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := address(d, &o.URL); err != nil {
		return err
	}
	return caddymodule.ParseDirectory(d, &o.DirectorySettings, "okta", []block.Option{
		block.Text("token", &o.Token),
		block.Text("client_id", &o.ClientID),
		block.Text("private_key", &o.PrivateKey),
		block.Text("key_id", &o.KeyID),
		block.Texts("scopes", &o.Scopes),
		block.OnOff("app_users", &o.AppUsers),
		block.Texts("linked", &o.Linked),
		block.Text("ca", &o.CAFile),
	})
}

// Interface guards
var (
	_ caddy.Provisioner            = (*Okta)(nil)
	_ caddyfile.Unmarshaler        = (*Okta)(nil)
	_ caddymodule.DirectoryModule  = (*Okta)(nil)
	_ caddymodule.DirectoryFiles   = (*Okta)(nil)
	_ caddymodule.DirectoryChecker = (*Okta)(nil)
)
