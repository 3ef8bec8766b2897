package pathmatch

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
)

func init() {
	caddy.RegisterModule(new(MatchPath))
}

// This file is the matcher module that applies the readings of a path outside of a
// policy, such as for the handle block around one.

// moduleName is the name of the matcher in a Caddyfile and in JSON.
const moduleName = "token_enrich_path"

// MatchPath is Caddy's path matcher for all readings of a path, as in a policy's own
// matcher: a path that applications read in several ways must match in all of them
// or in none. Else the request ends in an error with status 400. Use it for a handle
// block around a policy. In JSON it is the list of patterns.
type MatchPath struct {
	// Patterns as of Caddy's path matcher. A pattern that ends in /* does not
	// match the path without the slash: name both. Required.
	Patterns []string

	matcher Matchers
	logger  *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*MatchPath) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.matchers." + moduleName, New: func() caddy.Module { return new(MatchPath) }}
}

// MarshalJSON returns the patterns.
func (m *MatchPath) MarshalJSON() ([]byte, error) { return json.Marshal(m.Patterns) }

// UnmarshalJSON reads the patterns.
func (m *MatchPath) UnmarshalJSON(text []byte) error { return json.Unmarshal(text, &m.Patterns) }

// UnmarshalCaddyfile reads the matcher. Syntax:
//
//	@<name> token_enrich_path <pattern>...
func (m *MatchPath) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() { // several lines of one matcher are one list
		args := d.RemainingArgs()
		if len(args) == 0 {
			return d.ArgErr()
		}
		m.Patterns = append(m.Patterns, args...)
		if d.NextBlock(0) {
			return d.Errf("%s takes no block", moduleName)
		}
	}
	return nil
}

// Provision prepares the matcher. It is an error that there is no pattern. A pattern
// that misses the path without its slash is logged as a warning.
func (m *MatchPath) Provision(ctx caddy.Context) error {
	if len(m.Patterns) == 0 {
		return errors.New("no pattern: add a path such as /admin, and /admin/* for the paths below it")
	}
	m.logger = ctx.Logger()
	path := caddyhttp.MatchPath(append([]string{}, m.Patterns...)) // Provision folds the patterns in place
	if err := path.Provision(ctx); err != nil {
		return err
	}
	raw, err := json.Marshal(m.Patterns)
	if err != nil {
		return err
	}
	sets := caddyhttp.RawMatcherSets{{"path": raw}}
	m.matcher = New(caddyhttp.MatcherSets{{&path}}, sets, pathreading.All)
	for _, warning := range patternWarnings(sets) {
		m.logger.Warn(warning)
	}
	return nil
}

// MatchWithError reports whether a pattern matches the path in every reading.
// Its error has the status 400.
func (m *MatchPath) MatchWithError(r *http.Request) (bool, error) {
	match, err := m.matcher.Match(r)
	refusal, ok := errors.AsType[*enrich.Refusal](err)
	if !ok {
		return match, err
	}
	answer := caddyhttp.Error(refusal.Kind.Status(), refusal)
	m.logger.Debug("request refused", zap.String("reason", refusal.Kind.String()), zap.Int("status", answer.StatusCode),
		zap.String("error_id", answer.ID), zap.NamedError("cause", refusal.Cause))
	return false, answer
}

// Interface guards
var (
	_ caddy.Provisioner                 = (*MatchPath)(nil)
	_ caddyfile.Unmarshaler             = (*MatchPath)(nil)
	_ caddyhttp.RequestMatcherWithError = (*MatchPath)(nil)
)
