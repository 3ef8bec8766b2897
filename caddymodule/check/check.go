// Package check finds suspicious entries of a configuration, which are allowed but
// probably mistakes: attributes that no directory has, routes that read identity headers of
// the client, secrets that are written out, logs without a filter. It only reads
// the loaded app, and needs no network.
package check

import (
	"encoding/json"
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// Warnings returns the suspicious entries of a loaded configuration. It takes the configuration as JSON too, because provisioning
// takes modules out of it. The list is never nil.
func Warnings(app *caddymodule.App, config []byte) []caddymodule.Warning {
	c := &checker{app: app, owned: app.OwnedNames(), list: []caddymodule.Warning{}, seen: map[caddymodule.Warning]bool{}}
	c.list = append(c.list, app.DirectoryWarnings()...)
	// What the app knows by itself.
	for _, p := range app.Policies() {
		c.policy(p)
		c.logins(p)
	}
	c.attributes()
	// What only the whole configuration shows.
	var root any
	if json.Unmarshal(config, &root) != nil {
		return c.list // Caddy itself has refused it
	}
	c.forwarded(root)
	return c.list
}

// checker gathers warnings about one configuration. One file of this package holds
// the checks of one concern, as methods that append to list.
type checker struct {
	app   *caddymodule.App
	owned *forward.ReservedNames // the names that policies write
	list  []caddymodule.Warning
	seen  map[caddymodule.Warning]bool // what add has taken
}

// add adds a warning that is not in the list yet.
func (c *checker) add(policy, where, format string, args ...any) {
	w := caddymodule.Warning{Policy: policy, Where: where, Text: fmt.Sprintf(format, args...)}
	if !c.seen[w] {
		c.seen[w] = true
		c.list = append(c.list, w)
	}
}

// policy adds the warnings of a policy's own rules, requirements and settings. They
// were found when it was compiled.
func (c *checker) policy(p *caddymodule.Handler) {
	for _, w := range p.Policy().Rules().Warnings() {
		c.list = append(c.list, caddymodule.Warning{Policy: p.Name, Where: "claim " + w.Rule, Text: w.Warning.String()})
	}
	for _, w := range p.Policy().RequirementWarnings() {
		c.list = append(c.list, caddymodule.Warning{Policy: p.Name, Where: "require", Text: w.String()})
	}
	c.list = append(c.list, p.Warnings()...)
}

// forwarded adds what may keep the forwarded identity from arriving intact, or
// disclose it: handlers that receive requests before they are scrubbed, names that
// do not survive, secrets and tokens where others can read them, and more bytes
// than the budget has.
func (c *checker) forwarded(root any) {
	c.list = append(c.list, c.app.RouteWarnings()...)
	// The load has walked through the routes too, but without the names that all
	// policies own, which it did not know yet.
	for name, server := range jsontree.Ordered(jsontree.Object(root, "apps", "http", "servers")) {
		c.server(name, jsontree.Object(server))
	}
	for _, p := range c.app.Policies() {
		c.policyNames(p)
		c.budget(p)
	}
	c.spellingConflicts()
	c.secrets("global option token_enrich", jsontree.Object(root, "apps", "token_enrich"))
	c.logs(root)
}
