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

// DirectoryModule is what a guest in the namespace token_enrich.directories
// implements: one kind of directory with its settings. A guest expands its
// placeholders in Provision and touches neither network nor storage there;
// the directory itself is opened once and shared by every configuration with
// the same settings.
type DirectoryModule interface {
	caddy.Module

	// Settings gives the options that every kind has.
	Settings() *DirectorySettings

	// Open makes the directory. It must not touch the network: connections
	// are made when the first question comes.
	Open(DirectoryContext) (directory.Directory, error)
}

// DirectoryFiles is what a guest implements besides whose settings name files
// that Open reads. A reload after one of them was exchanged opens the directory
// anew.
type DirectoryFiles interface {
	// Files gives their names, placeholders expanded; an empty one is none.
	Files() []string
}

// DirectoryChecker is what a guest implements besides that can tell what is
// wrong in its settings as a Caddyfile has them, before their placeholders are
// expanded (see Unexpanded). The error is told with the line of the option that
// an error of directory.Setting in it names.
type DirectoryChecker interface {
	// Check touches no file and no network. The guest is not used afterwards.
	// issuers are the configured issuers' names; none where they are not
	// known yet.
	Check(issuers []string) error
}

// DirectoryContext is what a directory may use of its surroundings.
type DirectoryContext struct {
	// Logger is Caddy's, for the life of the process; it names the directory.
	Logger *slog.Logger
	// Clock tells the time.
	Clock func() time.Time
	// Issuer gives the issuer of that name, for the kind that asks the
	// issuer itself; nil where there is none.
	Issuer func(name string) *issuer.Issuer
	// Changed makes the gateway forget what it holds, for a kind that knows
	// when its answers have changed. It may be called at any time.
	Changed func()
}

// DirectorySettings are the options of every kind of directory. A guest
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

	// When true, a failure of this directory leaves it out of the answer,
	// which then says so. Default: a failure fails the look-up.
	Optional bool `json:"optional,omitempty"`

	// Keep only these attributes of the profile. Default: all.
	Attributes []string `json:"attributes,omitempty"`

	// The names of the issuers whose subjects this directory answers for.
	// Required as soon as two issuers are configured, so that no issuer can
	// name another's users.
	Issuers []string `json:"issuers,omitempty"`

	// What of a user may be equal to the token's subject: id, login, email.
	// Default: id, login.
	Match []string `json:"match,omitempty"`

	at *block.Positions // of the options in a Caddyfile
}

// Settings gives the settings themselves; with it, a guest that embeds them
// implements that part of DirectoryModule.
func (s *DirectorySettings) Settings() *DirectorySettings { return s }

// ParseDirectory reads the block of a directory: the options that every kind
// has and those of the kind. It is for guests' UnmarshalCaddyfile.
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
		return d.Errf("directory %s: required and optional exclude each other", kind)
	}
	return nil
}
