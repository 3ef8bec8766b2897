package caddymodule

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
)

// This file is the configuration of a policy's tests. The command check runs
// them; a server that loads the configuration only validates them.

// Test is an example decision: what a policy decides for an example caller.
type Test struct {
	// What the test shows, for the check command's answer. Required, and
	// different from the policy's other tests.
	Name string `json:"name"`

	// The caller's subject. Default: the client, acting on its own behalf.
	Subject string `json:"subject,omitempty"`

	// The configured name of the issuer of the caller's token. Default: the one
	// that the policy accepts; required where it accepts several.
	Issuer string `json:"issuer,omitempty"`

	// The id of the client that the token was issued to. Required without
	// subject.
	Client string `json:"client,omitempty"`

	// The scopes that were granted. Default: none.
	Scopes []string `json:"scopes,omitempty"`

	// What is expected, all of it. At least one; a denial excludes all others.
	Expect []Expectation `json:"expect,omitempty"`
}

// Expectation is one line that a test expects.
type Expectation struct {
	// What is compared: claim, header or denied.
	Kind string `json:"kind"`

	// The name of the claim or header.
	Name string `json:"name,omitempty"`

	// The expected value. A claim that is not text is compared as JSON, and is
	// null where it is absent. The lines of a header are joined by ", "; a header
	// that is not written is empty.
	Value string `json:"value,omitempty"`
}

// unmarshalTest parses one test. Syntax:
//
//	test <name> {
//	    subject <subject>
//	    issuer  <name>
//	    client  <id>
//	    scope   <scopes...>
//	    expect  claim <name> <value> | header <name> <value> | denied
//	}
func unmarshalTest(d *caddyfile.Dispenser, tests *[]Test) error {
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
	*tests = append(*tests, t)
	if err := checkTests(*tests); err != nil {
		return d.Err(err.Error())
	}
	return nil
}

// checkTests returns an error for a test that is incomplete or contradicts
// itself.
func checkTests(tests []Test) error {
	for i, t := range tests {
		switch {
		case t.Name == "":
			return errors.New("a test has no name")
		case slices.ContainsFunc(tests[:i], func(other Test) bool { return other.Name == t.Name }):
			return fmt.Errorf("two tests are named %q", t.Name)
		case t.Subject == "" && t.Client == "":
			return fmt.Errorf("test %q has no caller: set subject or client", t.Name)
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
			return fmt.Errorf("test %q: denied cannot be combined with other expectations", t.Name)
		}
	}
	return nil
}
