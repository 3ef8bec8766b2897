// Package directories has the kinds of directory as Caddy modules: settings and
// Caddyfile syntax. Each embeds the configuration of its kind, and adds what every
// directory has; the look-ups are in the packages below enrich/directory.
package directories

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/file"
)

func init() {
	caddy.RegisterModule(new(File))
}

// File is a directory of users, groups and apps in a YAML or JSON file. The file
// is watched: an edit takes effect at once. A broken or empty file is logged, and
// the last valid state stays in use.
type File struct {
	caddymodule.DirectorySettings
	file.Config
}

// CaddyModule returns the Caddy module information.
func (*File) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich.directories.file",
		New: func() caddy.Module { return new(File) },
	}
}

// Provision expands the placeholders of the path.
func (f *File) Provision(caddy.Context) error {
	return block.Expand(&f.Path)
}

// Open reads the file; one that is missing or broken is an error.
func (f *File) Open(ctx caddymodule.DirectoryContext) (directory.Directory, error) {
	c := f.Config
	c.Match, c.Logger = f.DirectorySettings.Match, ctx.Logger
	c.OnEdit = func(err error) {
		if err == nil {
			ctx.Changed()
		}
	}
	return file.New(c)
}

// UnmarshalCaddyfile reads the options of this kind of directory. Syntax:
//
//	directory file <path> {
//		<options of every directory>
//	}
func (f *File) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the kind
	if !d.NextArg() {
		return d.ArgErr()
	}
	f.Path = d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	return caddymodule.ParseDirectory(d, &f.DirectorySettings, "file", nil)
}

// Interface guards
var (
	_ caddy.Provisioner           = (*File)(nil)
	_ caddyfile.Unmarshaler       = (*File)(nil)
	_ caddymodule.DirectoryModule = (*File)(nil)
)
