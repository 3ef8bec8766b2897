package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// forwardFindings lists what in a configuration may keep the forwarded
// identity from arriving as meant, or show it to somebody else: readers that
// stand before the scrub, names that do not survive, secrets and tokens in
// places where they can be read, more bytes than the budget has. It takes the
// configuration as JSON, because provisioning takes modules out of it.
func (a *App) forwardFindings(config []byte) []finding {
	var root any
	if json.Unmarshal(config, &root) != nil {
		return nil // Caddy itself has refused it
	}
	c := &forwardCheck{owned: a.owned.Load(), seen: map[finding]bool{}}
	if a.routes != nil {
		c.list = slices.Clone(a.routes.warnings)
	}
	for name, server := range ordered(object(root, "apps", "http", "servers")) {
		c.server(name, asObject(server))
	}
	for _, p := range a.policies {
		c.policyNames(p)
		c.budget(p)
	}
	c.spellingConflicts()
	c.secrets("global option token_enrich", object(root, "apps", "token_enrich"))
	c.logs(a, root)
	return c.list
}

// forwardCheck gathers findings, each once.
type forwardCheck struct {
	owned *forward.ReservedNames
	list  []finding
	seen  map[finding]bool
}

func (c *forwardCheck) add(policy, where, format string, args ...any) {
	f := finding{Policy: policy, Where: where, Text: fmt.Sprintf(format, args...)}
	if !c.seen[f] {
		c.seen[f] = true
		c.list = append(c.list, f)
	}
}

// policyNames looks for header names that common servers drop or fold.
func (c *forwardCheck) policyNames(p *policy) {
	var odd []string
	for _, n := range p.compiled.Contract().Reserved() {
		if (n.Kind == forward.ReservedHeader || n.Kind == forward.ReservedPrefix) && hyphens(n.Name) != n.Name {
			odd = append(odd, n.Name)
		}
	}
	if len(odd) == 0 {
		return
	}
	plain := hyphens(odd[0])
	c.add(p.name, "header "+strings.Join(odd, ", "), "nginx, Apache, gunicorn and another Caddy drop headers whose names hold anything but letters, digits and hyphens; keep such a name only where the application takes the header from this gateway itself: one that reads the variable HTTP_%s gets it from %s as well",
		strings.ToUpper(strings.ReplaceAll(plain, "-", "_")), plain)
}

// hyphens writes a name with hyphens as its only separators.
func hyphens(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, name)
}

// spellingConflicts looks for one name that two policies spell differently:
// the transport cannot know which one a request means.
func (c *forwardCheck) spellingConflicts() {
	first := map[string]string{}
	for _, n := range c.owned.Names() {
		if !n.Exact || n.Kind != forward.ReservedHeader {
			continue
		}
		key := http.CanonicalHeaderKey(n.Name)
		switch before, ok := first[key]; {
		case !ok:
			first[key] = n.Name
		case before != n.Name:
			c.add("", "", "%s and %s are one header in two exact spellings: `transport token_enrich` writes the first of them everywhere; choose one", before, n.Name)
		}
	}
}

// budget compares what headers may take with what all may take together.
// Only limits that were written down count: the default of one header is half
// of the default budget, and few headers ever come near it.
func (c *forwardCheck) budget(p *policy) {
	def := p.handler.Definition
	budget := def.Budget
	if budget == 0 {
		budget = forward.DefaultBudget
	}
	sum := 0
	for _, h := range def.Headers {
		sum += h.MaxBytes
		most := h.MaxBytes
		if most == 0 {
			most = forward.DefaultMaxBytes
		}
		if most > budget {
			c.add(p.name, "header "+h.Name, "its value may take %d bytes, but header_budget is %d, so the budget fails it first: lower max_bytes or raise header_budget", most, budget)
		}
	}
	if sum > budget {
		c.add(p.name, "header_budget", "the max_bytes of its headers add up to %d, but header_budget is %d: a user with many groups would be refused with status 500; lower max_bytes, raise header_budget as far as the application takes it, or give an on_overflow", sum, budget)
	}
}
