package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// parseClaim reads one claim rule; d is at the word claim. Syntax:
//
//	claim <name> <expression> {
//		scopes   <scope>...
//		on_error deny|omit
//		on_empty omit|emit
//		dialect  classic|identity_engine
//		status   active|inactive
//		token    access|id|any
//	}
//	claim <name> groups starts_with|equals|contains|regex <value> {
//		limit    <number>
//		on_limit error|truncate
//		value    name|id
//		types    <type>...
//	}
//	claim <name> allow_list <id>... {
//		value    <group expression>
//		limit    <number>
//		on_limit error|truncate
//	}
//	claim <name> allow_list expression <expression> { ... }
//
// One argument after the name is an expression; of two or more, the first names
// the form.
func parseClaim(d *caddyfile.Dispenser) (claim.Definition, error) {
	var def claim.Definition
	args := d.RemainingArgs()
	if len(args) < 2 {
		return def, d.ArgErr()
	}
	def.Name = args[0]
	options := []block.Option{
		block.Texts("scopes", &def.Scopes),
		block.Enum("on_error", &def.OnError, claim.OnErrorDeny, claim.OnErrorOmit),
		block.Enum("on_empty", &def.OnEmpty, claim.OnEmptyOmit, claim.OnEmptyEmit),
		block.Enum("dialect", &def.Dialect, "classic", "identity_engine"),
		block.Enum("status", &def.Status, claim.StatusActive, claim.StatusInactive),
		block.Enum("token", &def.Token, claim.TokenAccess, claim.TokenID, claim.TokenAny),
	}
	switch {
	case len(args) == 2 && args[1] == "allow_list":
		return def, d.Errf("claim %s: allow_list takes group ids, or expression <expression>", def.Name)
	case len(args) == 2:
		def.Expression = args[1]
	case args[1] == "groups":
		if len(args) != 4 {
			return def, d.Errf("claim %s: groups takes an operator and a value", def.Name)
		}
		f := &claim.GroupFilter{Match: args[2], Pattern: args[3]}
		def.Groups = f
		options = append(options,
			block.Count("limit", &f.Limit),
			block.Enum("on_limit", &f.OnLimit, claim.OnLimitError, claim.OnLimitTruncate),
			block.Enum("value", &f.Value, claim.ValueName, claim.ValueID),
			block.Texts("types", &f.Types))
	case args[1] == "allow_list":
		l := &claim.AllowList{IDs: args[2:]}
		if word, near := suggest.Closest(args[2], []string{"expression"}); near && args[2] != word {
			return def, d.Errf("claim %s: allow_list: %q does not look like a group id (did you mean %q?)", def.Name, args[2], word)
		}
		if args[2] == "expression" {
			if len(args) != 4 {
				return def, d.Errf("claim %s: allow_list expression takes one expression; put backticks around it", def.Name)
			}
			l.IDs, l.Expression = nil, args[3]
		}
		def.AllowList = l
		options = append(options,
			block.Text("value", &l.Value),
			block.Count("limit", &l.Limit),
			block.Enum("on_limit", &l.OnLimit, claim.OnLimitError, claim.OnLimitTruncate))
	default:
		return def, d.Errf("claim %s: %q is neither groups nor allow_list%s; put backticks around an expression with spaces",
			def.Name, args[1], suggest.DidYouMean(args[1], []string{"groups", "allow_list"}))
	}
	return def, block.Parse(d, "claim "+def.Name, options)
}
