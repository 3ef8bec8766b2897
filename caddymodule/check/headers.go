package check

import (
	"net/http"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// This file warns of header names, spellings and sizes: of what the gateway writes
// correctly but servers behind it drop, fold or refuse.

// policyNames warns of header names that common servers drop or fold.
func (c *checker) policyNames(p *caddymodule.Handler) {
	var odd []string
	for _, n := range p.Policy().HeaderPlan().Reserved() {
		if (n.Kind == forward.ReservedHeader || n.Kind == forward.ReservedPrefix) && hyphenated(n.Name) != n.Name {
			odd = append(odd, n.Name)
		}
	}
	if len(odd) == 0 {
		return
	}
	// CGI and WSGI servers make one variable of X_User and X-User.
	plain := hyphenated(odd[0])
	c.add(p.Name, "header "+strings.Join(odd, ", "), "nginx, Apache, gunicorn and other Caddy servers drop headers whose names contain anything but letters, digits and hyphens; use such a name only if the application receives requests directly from this gateway: the variable HTTP_%s is also set by %s",
		strings.ToUpper(strings.ReplaceAll(plain, "-", "_")), plain)
}

// hyphenated returns a name with hyphens as its only separators, which is how CGI and
// WSGI servers expect it.
func hyphenated(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '-'
	}, name)
}

// spellingConflicts warns of a name that two policies spell differently: the
// transport cannot know which spelling a request needs.
func (c *checker) spellingConflicts() {
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
			c.add("", "", "%s and %s are two exact spellings of one header: `transport token_enrich` always writes the first; choose one", before, n.Name)
		}
	}
}

// budget warns of headers that may be larger than the policy's budget, alone or
// together. Together only limits that are configured count: the default of one header
// is half of the default budget, and few headers come near it.
// Limits are compared, not values, which are known only when a request comes.
func (c *checker) budget(p *caddymodule.Handler) {
	def := p.Definition
	budget := def.Budget
	if budget == 0 {
		budget = forward.DefaultBudget
	}
	// A limit that is not configured is 0 in the sum.
	sum := 0
	for _, h := range def.Headers {
		sum += h.MaxBytes
		most := h.MaxBytes
		if most == 0 {
			most = forward.DefaultMaxBytes
		}
		if most > budget {
			c.add(p.Name, "header "+h.Name, "max_bytes is %d, but header_budget is only %d: lower max_bytes or raise header_budget", most, budget)
		}
	}
	if sum > budget {
		c.add(p.Name, "header_budget", "the max_bytes of all headers add up to %d, but header_budget is %d: a user with many groups would get status 500; lower max_bytes, raise header_budget up to the limit of the application, or set on_overflow", sum, budget)
	}
}
