package directories

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/rest"
)

func init() {
	caddy.RegisterModule(new(HTTP))
}

// HTTP is a directory behind an HTTP service of the operator's own: one request
// for a user, answered in JSON. Of a caller, only what URL and body declare
// reaches the service.
type HTTP struct {
	caddymodule.DirectorySettings
	rest.Config
}

// CaddyModule returns the Caddy module information.
func (*HTTP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich.directories.http",
		New: func() caddy.Module { return new(HTTP) },
	}
}

// Provision expands the placeholders of URLs, headers and the CA file.
func (h *HTTP) Provision(caddy.Context) error {
	if err := expandTemplate(&h.URL); err != nil {
		return err
	}
	if err := expandHeaders(&h.Header); err != nil {
		return err
	}
	return block.Expand(&h.AppURL, &h.CAFile)
}

// Files implements caddymodule.DirectoryFiles: the file of certificates.
func (h *HTTP) Files() []string { return []string{h.CAFile} }

// Open returns the directory. It does not touch the network.
func (h *HTTP) Open(ctx caddymodule.DirectoryContext) (directory.Directory, error) {
	return rest.New(h.config(), rest.Options{Clock: ctx.Clock})
}

// config returns the settings of the kind, with those that every kind has.
func (h *HTTP) config() rest.Config {
	c := h.Config
	c.Match = h.DirectorySettings.Match
	return c
}

// Check implements caddymodule.DirectoryChecker.
func (h *HTTP) Check([]string) error {
	c := h.config()
	if block.HasPlaceholder(c.URL + c.AppURL) {
		// Both must be at one host, which is unknown until placeholders are
		// expanded.
		c.URL, c.AppURL = "https://host/{subject}", ""
	} else if err := expandTemplate(&c.URL); err != nil {
		return err
	}
	return rest.Check(c)
}

// UnmarshalCaddyfile reads the options of this kind of directory. Syntax:
//
//	directory http <url> {
//		method             GET|POST
//		header             <name> <value>
//		body               <template>
//		profile_path       <jsonpath>
//		groups_path        <jsonpath>
//		groups_delimiter   <text>|json|none
//		next               <jsonpath>|link|none
//		app_path           <jsonpath>
//		app_url            <url>
//		ca                 <file>
//		insecure_plaintext
//		<options of every directory>
//	}
func (h *HTTP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := address(d, &h.URL); err != nil {
		return err
	}
	return caddymodule.ParseDirectory(d, &h.DirectorySettings, "http", []block.Option{
		block.Enum("method", &h.Method, http.MethodGet, http.MethodPost),
		{Name: "header", List: "headers", Parse: h.unmarshalHeader},
		block.Text("body", &h.Body),
		block.Text("profile_path", &h.ProfilePath),
		block.Text("groups_path", &h.GroupsPath),
		block.Text("groups_delimiter", &h.GroupsDelimiter),
		block.Text("next", &h.Next),
		block.Text("app_path", &h.AppPath),
		block.Text("app_url", &h.AppURL),
		block.Text("ca", &h.CAFile),
		block.Flag("insecure_plaintext", &h.Plaintext),
	})
}

// unmarshalHeader reads the name and the value of a header.
func (h *HTTP) unmarshalHeader(d *caddyfile.Dispenser) error {
	var name, value string
	if !d.AllArgs(&name, &value) {
		return d.ArgErr()
	}
	if err := rest.CheckHeader(http.Header{name: {value}}); err != nil {
		return d.WrapErr(err)
	}
	if h.Header == nil {
		h.Header = make(http.Header)
	}
	h.Header.Add(name, value)
	return nil
}

// Interface guards
var (
	_ caddymodule.DirectoryChecker = (*HTTP)(nil)
	_ caddy.Provisioner            = (*HTTP)(nil)
	_ caddyfile.Unmarshaler        = (*HTTP)(nil)
	_ caddymodule.DirectoryModule  = (*HTTP)(nil)
	_ caddymodule.DirectoryFiles   = (*HTTP)(nil)
)
