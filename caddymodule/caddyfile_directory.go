package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// directoryNamespace is where the kinds of directory live.
const directoryNamespace = "token_enrich.directories"

// writtenDirectory is a directory as it stands in a Caddyfile.
type parsedDirectory struct {
	at   caddyfile.Token
	kind string
	mod  DirectoryModule
}

// name is the directory's name: its kind where it was given none.
func (w *parsedDirectory) name() string {
	if name := w.mod.Settings().Name; name != "" {
		return name
	}
	return w.kind
}

// writtenDirectories are those of a Caddyfile, in order.
type parsedDirectories []parsedDirectory

// unmarshal reads the directory option; d stands on the word directory, and the
// kind that follows is a guest module.
func (w *parsedDirectories) unmarshal(d *caddyfile.Dispenser) error {
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
		return d.Errf("there is no kind of directory %q%s; there are %s", kind, nearest.Hint(kind, kinds), block.JoinOr(kinds))
	}
	guest, err := caddyfile.UnmarshalModule(d, directoryNamespace+"."+kind)
	if err != nil {
		return err
	}
	mod, ok := guest.(DirectoryModule)
	if !ok {
		return d.Errf("module %s.%s is no kind of directory", directoryNamespace, kind)
	}
	one := parsedDirectory{at: at, kind: kind, mod: mod}
	for i := range *w {
		if (*w)[i].name() == one.name() {
			return d.Errf("two directories are named %q; tell them apart by the option name", one.name())
		}
	}
	*w = append(*w, one)
	return nil
}

// raw gives the directories as the configuration's JSON has them.
func (w parsedDirectories) raw() []json.RawMessage {
	out := make([]json.RawMessage, len(w))
	for i := range w {
		out[i] = caddyconfig.JSONModuleObject(w[i].mod, "kind", w[i].kind, nil)
	}
	return out
}

// check tells, with file and line, what is wrong in the directories' settings as
// far as that can be judged before placeholders are expanded.
func (w parsedDirectories) check(issuers []*Issuer) error {
	names, err := parsedIssuerNames(issuers)
	if err != nil {
		return err
	}
	var errs []error
	for i := range w {
		if err := w[i].check(names); err != nil {
			errs = append(errs, w[i].locate(err))
		}
	}
	return errors.Join(errs...)
}

func (w *parsedDirectory) check(issuers []string) error {
	if c, ok := w.mod.(DirectoryChecker); ok {
		if err := c.Check(issuers); err != nil {
			return fmt.Errorf("directory %q: %w", w.name(), err)
		}
	}
	s := w.mod.Settings()
	member := directory.Member{Name: w.name(), Issuers: s.Issuers, Match: s.Match}
	if err := member.CheckMatch(); err != nil || len(issuers) == 0 {
		return err
	}
	return member.Validate(issuers)
}

// locate gives an error the line of the option that it is about, or else of the
// directory.
func (w *parsedDirectory) locate(err error) error {
	at := w.mod.Settings().at
	if at == nil {
		at = block.NewPositions(w.at)
	}
	return at.Locate(err)
}

// writtenNames gives the names of the issuers as a Caddyfile has them, none
// where those are not known before placeholders are expanded.
func parsedIssuerNames(issuers []*Issuer) ([]string, error) {
	configs, err := parsedIssuers(issuers)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(configs))
	for i, c := range configs {
		names[i] = c.Name
	}
	return names, nil
}

// writtenIssuers gives the settings of the issuers with their names, none where
// those are not known before placeholders are expanded.
func parsedIssuers(issuers []*Issuer) ([]*issuer.Config, error) {
	configs := make([]*issuer.Config, len(issuers))
	for i, is := range issuers {
		if is.Name == "" && block.HasPlaceholder(is.Issuer) {
			return nil, nil
		}
		config := is.Config
		configs[i] = &config
	}
	return configs, issuer.ResolveNames(configs)
}
