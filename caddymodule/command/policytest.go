package command

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// This file runs the test blocks of policies: offline, for example callers.

// testResult is the result of one test of a policy. It is also its JSON in the
// output of check --json, whose members are part of the interface.
type testResult struct {
	Policy string   `json:"policy"`
	Test   string   `json:"test"`
	Passed bool     `json:"passed"`
	Failed []string `json:"failed,omitempty"`
}

// runTests runs the tests of all policies of an app that LoadOffline returned, in
// the order of the configuration. Directories and key servers are called only where
// there is a test. A test that could not be run, such as one whose issuer is
// unknown, is an error; a test that fails is a result.
func runTests(ctx context.Context, app *caddymodule.App) ([]testResult, error) {
	list := []testResult{}
	var g *enrich.Gateway
	for _, p := range app.Policies() {
		for _, t := range p.Tests {
			// The gateway is started by the first test. A configuration without tests
			// is checked without the network.
			if g == nil {
				var err error
				if g, err = app.OfflineGateway(); err != nil { //nolint:contextcheck // issuers end with the process, not with a test
					return nil, err
				}
			}
			failed, err := runTest(ctx, app, g, p, t)
			if err != nil {
				return nil, fmt.Errorf("policy %q: test %q: %w", p.Name, t.Name, err)
			}
			list = append(list, testResult{Policy: p.Name, Test: t.Name, Passed: len(failed) == 0, Failed: failed})
		}
	}
	return list, nil
}

// runTest decides for the caller of a test and returns a text for each
// expectation that failed.
func runTest(ctx context.Context, app *caddymodule.App, g *enrich.Gateway, p *caddymodule.Handler, t caddymodule.Test) ([]string, error) {
	// A token of the client credentials grant has the client as its subject (RFC 9068,
	// section 2.2).
	subject := t.Subject
	if subject == "" {
		subject = t.Client // on its own behalf
	}
	// The explanation holds values even if the configuration hides them, because they
	// are compared here. Whether one is shown is decided by difference.
	e, err := g.Explain(ctx, p.Policy(), enrich.ExplainRequest{
		Issuer: t.Issuer, Subject: subject, Client: t.Client, Scopes: t.Scopes, Values: true,
	})
	if err != nil {
		return nil, err
	}
	var failed []string
	for _, expected := range t.Expect {
		if text := difference(app, e, expected); text != "" {
			failed = append(failed, text)
		}
	}
	return failed, nil
}

// difference returns how an explanation differs from what is expected, or
// nothing. It shows a value only where the configuration sets explain values,
// because the output of check often ends up in the log of a CI system.
func difference(app *caddymodule.App, e *enrich.Explanation, expected caddymodule.Expectation) string {
	// A directory that is down is no denial: the test would pass for the wrong reason.
	if expected.Kind == "denied" {
		switch {
		case e.Allowed:
			return "allowed, want denied"
		case e.Undecided():
			return "undecided, want denied: " + e.Outcome + ": " + e.Cause
		}
		return ""
	}
	what := expected.Kind + " " + expected.Name
	if !e.Allowed {
		return what + ": not allowed: " + e.Outcome + ": " + e.Cause
	}
	var got any = headerOf(e, expected.Name)
	if expected.Kind == "claim" {
		got = claimOf(e, expected.Name)
	}
	switch {
	case equals(got, expected.Value):
		return ""
	case app.Explain == "values":
		return what + ": got " + jsontree.Text(got)
	}
	return what + ": got another value (explain values shows it)"
}

// claimOf returns the value of a claim: that of the rule that computes it, even
// if the rule omitted it, and else the token's own.
func claimOf(e *enrich.Explanation, name string) any {
	for _, r := range e.Rules {
		if r.Claim == name {
			return r.Value
		}
	}
	if e.Principal == nil {
		return nil
	}
	return e.Principal.Claims[name]
}

// equals reports whether a value is the wanted one, which is read as JSON unless
// the value is text: a Caddyfile has no types, so a test writes 40 for the number
// and for the text alike. Numbers are compared by value, lists in their order.
func equals(got any, want string) bool {
	if s, ok := got.(string); ok {
		return s == want
	}
	var w, g any
	return json.Unmarshal([]byte(want), &w) == nil && json.Unmarshal([]byte(jsontree.Text(got)), &g) == nil && reflect.DeepEqual(w, g)
}

// headerOf returns the lines of a header as one, joined as RFC 9110, section 5.3,
// allows. It is empty where the header is not written.
func headerOf(e *enrich.Explanation, name string) string {
	var lines []string
	for _, h := range e.Headers {
		if strings.EqualFold(h.Name, name) {
			lines = append(lines, h.Values...)
		}
	}
	return strings.Join(lines, ", ")
}
