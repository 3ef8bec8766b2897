package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// This file reads the directory options of a Caddyfile and checks them while
// their source positions are known.

// directoryNamespace is the namespace of the directory modules.
const directoryNamespace = "token_enrich.directories"

// parsedDirectory is a directory option of a Caddyfile.
type parsedDirectory struct {
	at   caddyfile.Token
	kind string
	mod  DirectoryModule
}

// name returns the directory's name. Default: its kind.
func (p *parsedDirectory) name() string {
	if name := p.mod.Settings().Name; name != "" {
		return name
	}
	return p.kind
}

// parsedDirectories are the directory options of a Caddyfile, in order.
type parsedDirectories []parsedDirectory

// unmarshal reads a directory option; d is at the word directory. The kind
// that follows is a directory module, which reads the rest.
func (p *parsedDirectories) unmarshal(d *caddyfile.Dispenser) error {
	at := d.Token()
	if !d.NextArg() {
		return d.ArgErr()
	}
	kind := d.Val()
	if _, err := caddy.GetModule(directoryNamespace + "." + kind); err != nil {
		var kinds []string
		for _, m := range caddy.GetModules(directoryNamespace) {
			kinds = append(kinds, m.ID.Name())
		}
		return d.Errf("unknown directory kind %q%s; want %s", kind, suggest.DidYouMean(kind, kinds), block.JoinOr(kinds))
	}
	module, err := caddyfile.UnmarshalModule(d, directoryNamespace+"."+kind)
	if err != nil {
		return err
	}
	mod, ok := module.(DirectoryModule)
	if !ok {
		return d.Errf("module %s.%s is not a directory module", directoryNamespace, kind)
	}
	one := parsedDirectory{at: at, kind: kind, mod: mod}
	for i := range *p {
		if (*p)[i].name() == one.name() {
			return d.Errf("two directories are named %q; set the option name of one of them", one.name())
		}
	}
	*p = append(*p, one)
	return nil
}

// raw returns the directories in the form of the configuration's JSON.
func (p parsedDirectories) raw() []json.RawMessage {
	out := make([]json.RawMessage, len(p))
	for i := range p {
		out[i] = caddyconfig.JSONModuleObject(p[i].mod, "kind", p[i].kind, nil)
	}
	return out
}

// check returns what is wrong in the directories' settings, with file and line,
// as far as it can be known before placeholders are expanded.
func (p parsedDirectories) check(issuers []*Issuer) error {
	configs, err := parsedIssuers(issuers)
	if err != nil {
		return err
	}
	var errs []error
	for i := range p {
		if err := p[i].check(configs); err != nil {
			errs = append(errs, p[i].locate(err))
		}
	}
	return errors.Join(errs...)
}

// check checks one directory. configs are the settings of the issuers, none where
// their names are not known yet.
func (p *parsedDirectory) check(configs []*issuer.Config) error {
	issuers := issuerNames(configs)
	if c, ok := p.mod.(DirectoryChecker); ok {
		if err := c.Check(issuers); err != nil {
			return fmt.Errorf("directory %q: %w", p.name(), err)
		}
	}
	s := p.mod.Settings()
	member := directory.Source{Name: p.name(), Issuers: s.Issuers, Match: s.Match}
	if err := member.CheckMatch(); err != nil || len(issuers) == 0 {
		return err
	}
	if err := member.Validate(issuers); err != nil {
		return err
	}
	if err := checkSendsToken(p.mod, configs); err != nil {
		return fmt.Errorf("directory %q: %w", p.name(), err)
	}
	return nil
}

// checkSendsToken returns an error where a directory that asks with the caller's
// token is to answer for people who log in: their session, in the cookie, holds
// none.
func checkSendsToken(mod DirectoryModule, issuers []*issuer.Config) error {
	if m, ok := mod.(DirectoryWithToken); !ok || !m.SendsToken() {
		return nil
	}
	for _, c := range issuers {
		if served := mod.Settings().Issuers; c.LoginOnly && (len(served) == 0 || slices.Contains(served, c.Name)) {
			return directory.Setting("issuer", fmt.Errorf("it asks with the caller's own token, but people log in at issuer %q and their session cookie keeps none", c.Name))
		}
	}
	return nil
}

// locate adds to an error the file and line of the option that it is about, or
// of the directory.
func (p *parsedDirectory) locate(err error) error {
	at := p.mod.Settings().at
	if at == nil {
		at = block.NewPositions(p.at)
	}
	return at.Locate(err)
}

// issuerNames returns the names of the issuers, in their order.
func issuerNames(issuers []*issuer.Config) []string {
	names := make([]string, len(issuers))
	for i, c := range issuers {
		names[i] = c.Name
	}
	return names
}

// parsedIssuers returns copies of the issuers' settings with their names, none
// where one depends on a placeholder.
func parsedIssuers(issuers []*Issuer) ([]*issuer.Config, error) {
	configs := make([]*issuer.Config, len(issuers))
	for i, is := range issuers {
		if is.Name == "" && block.HasPlaceholder(is.Issuer) {
			return nil, nil
		}
		config := is.settings()
		configs[i] = &config
	}
	return configs, issuer.ResolveNames(configs)
}
