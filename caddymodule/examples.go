package caddymodule

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
)

// Test is an example decision: what a made-up caller gets under this policy.
type Test struct {
	// What the test shows; it stands in the check command's answer.
	Name string `json:"name"`

	// The caller's subject. Left out: the client on its own behalf.
	Subject string `json:"subject,omitempty"`

	// The configured name of the issuer of the caller's token. Default: the
	// policy's only one.
	Issuer string `json:"issuer,omitempty"`

	// The client that the token was issued to.
	Client string `json:"client,omitempty"`

	// The scopes that were granted.
	Scopes []string `json:"scopes,omitempty"`

	// What is expected. Each must hold.
	Expect []Expectation `json:"expect,omitempty"`
}

// Expectation is one line that a test expects.
type Expectation struct {
	// claim, header or denied.
	Kind string `json:"kind"`
	// The claim's or header's name.
	Name string `json:"name,omitempty"`
	// The value. A claim that is no text is compared as JSON, one that is
	// absent is null; a header's lines are joined by ", ", and one that is not
	// written is empty.
	Value string `json:"value,omitempty"`
}

func (h *Handler) unmarshalTest(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	t := Test{Name: d.Val()}
	if d.NextArg() {
		return d.ArgErr()
	}
	err := block.Parse(d, "test", []block.Option{
		block.Text("subject", &t.Subject),
		block.Text("issuer", &t.Issuer),
		block.Text("client", &t.Client),
		block.Texts("scope", &t.Scopes),
		{Name: "expect", List: "expect", Parse: func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			switch {
			case len(args) == 1 && args[0] == "denied":
				t.Expect = append(t.Expect, Expectation{Kind: "denied"})
			case len(args) == 3 && (args[0] == "claim" || args[0] == "header"):
				t.Expect = append(t.Expect, Expectation{Kind: args[0], Name: args[1], Value: args[2]})
			default:
				return d.Err("expect takes claim <name> <value>, header <name> <value> or denied")
			}
			return nil
		}},
	})
	if err != nil {
		return err
	}
	h.Tests = append(h.Tests, t)
	if err := checkTests(h.Tests); err != nil {
		return d.Err(err.Error())
	}
	return nil
}

// checkTests reports a test that says nothing, or says it wrongly.
func checkTests(tests []Test) error {
	for i, t := range tests {
		switch {
		case t.Name == "":
			return errors.New("a test has no name")
		case slices.ContainsFunc(tests[:i], func(other Test) bool { return other.Name == t.Name }):
			return fmt.Errorf("two tests are named %q", t.Name)
		case t.Subject == "" && t.Client == "":
			return fmt.Errorf("test %q names no caller: say subject, or client", t.Name)
		case len(t.Expect) == 0:
			return fmt.Errorf("test %q expects nothing", t.Name)
		}
		denied := false
		for _, e := range t.Expect {
			if err := block.CheckEnum("expect", e.Kind, []string{"claim", "header", "denied"}); err != nil {
				return fmt.Errorf("test %q: %w", t.Name, err)
			}
			denied = denied || e.Kind == "denied"
		}
		if denied && len(t.Expect) > 1 {
			return fmt.Errorf("test %q expects a denial and something else", t.Name)
		}
	}
	return nil
}
