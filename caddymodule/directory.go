package caddymodule

import (
	"log/slog"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// This file is the interface between the gateway and the directory modules, its
// own and those of other authors.

// DirectoryModule is a Caddy module in the namespace token_enrich.directories: one
// kind of directory with its settings. It expands its placeholders in Provision
// (see block.Expand) and touches neither network nor storage there. The directory
// itself is opened once and shared by all configurations with equal settings.
type DirectoryModule interface {
	caddy.Module

	// Settings returns the options that every kind has; never nil.
	Settings() *DirectorySettings

	// Open returns a directory with the module's settings. It must not touch the
	// network: connections are made at the first look-up. Its error fails the
	// load of the configuration.
	Open(DirectoryContext) (directory.Directory, error)
}

// DirectoryFiles is implemented by a directory module whose Open reads files that
// its settings name. A reload after one of them has changed opens the directory
// anew.
type DirectoryFiles interface {
	// Files returns their names, placeholders expanded. An empty name is skipped.
	Files() []string
}

// DirectoryChecker is implemented by a directory module that can check its settings
// while a Caddyfile is read, before placeholders are expanded (see
// block.HasPlaceholder). An error of directory.Setting is reported with the line
// of the option that it names, any other with that of the directory.
type DirectoryChecker interface {
	// Check returns what is wrong in the settings. It touches no file and no
	// network. issuers are the names of the configured issuers, none where they
	// depend on placeholders. It may change the settings, which have been encoded
	// before.
	Check(issuers []string) error
}

// DirectoryWithToken is implemented by a directory module that may ask with the
// caller's own token. It cannot answer for people whose session keeps no token.
type DirectoryWithToken interface {
	// SendsToken reports whether the directory sends the token.
	SendsToken() bool
}

// DirectoryContext is what the gateway offers to a directory that it opens.
type DirectoryContext struct {
	// Logger writes to Caddy's log, with the directory's name, for as long as the
	// process runs.
	Logger *slog.Logger

	// Clock returns the current time.
	Clock func() time.Time

	// Issuer returns the issuer with that configured name, nil where there is
	// none. A kind that asks the issuer itself uses it.
	Issuer func(name string) *issuer.Issuer

	// Changed purges every cached answer, for a kind that knows when its answers
	// have changed. It may be called at any time.
	Changed func()
}

// DirectorySettings are the options of every kind of directory. A directory module
// embeds them.
type DirectorySettings struct {
	// The name in logs, metrics and explain. Default: the kind.
	Name string `json:"name,omitempty"`

	// How long one look-up may take, waiting and retries included.
	// Default, and what 0 means: 3s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How many look-ups may be under way at once. Default, and what 0 means:
	// 64.
	Concurrency int `json:"concurrency,omitempty"`

	// When true, a failure of this directory does not fail the look-up: the
	// answer then lacks its part and says so. Default: false.
	Optional bool `json:"optional,omitempty"`

	// Keep only these attributes of the profile. Default: all.
	Attributes []string `json:"attributes,omitempty"`

	// The names of the issuers whose subjects this directory knows. Required as
	// soon as two issuers are configured, so that no issuer can name another's
	// users. Default: the only issuer.
	Issuers []string `json:"issuers,omitempty"`

	// The properties of a user of which one must equal the token's subject: id,
	// login, email, or any attribute. Default: id, login.
	Match []string `json:"match,omitempty"`

	at *block.Positions // of the options in a Caddyfile
}

// Settings returns the settings themselves, so that a module that embeds them has
// the method of DirectoryModule.
func (s *DirectorySettings) Settings() *DirectorySettings { return s }

// ParseDirectory reads the block of a directory, d standing before it: the options
// that every kind has and those of the kind, own. A module's UnmarshalCaddyfile
// calls it after the kind's arguments.
func ParseDirectory(d *caddyfile.Dispenser, s *DirectorySettings, kind string, own []block.Option) error {
	var required bool
	options := append(slices.Clone(own),
		block.Text("name", &s.Name),
		block.Duration("timeout", &s.Timeout),
		block.Count("concurrency", &s.Concurrency),
		block.Flag("required", &required),
		block.Flag("optional", &s.Optional),
		block.Texts("attributes", &s.Attributes),
		block.Texts("issuers", &s.Issuers),
		block.Texts("match", &s.Match),
	)
	s.at = block.NewPositions(d.Token())
	if err := block.Parse(d, "directory "+kind, s.at.Record(options)); err != nil {
		return err
	}
	if required && s.Optional {
		return d.Errf("directory %s: required and optional cannot be combined", kind)
	}
	return nil
}
