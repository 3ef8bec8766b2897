package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// rehearse gives a gateway that decides for a command. Directories and key
// servers are asked as a server would ask them, but what they say stays in
// this process: nothing is written to Redis or to Caddy's storage.
func (a *App) rehearse() (*enrich.Gateway, error) {
	a.issuers.Start(context.Background())
	if a.directories != nil {
		if err := a.directories.Start(); err != nil {
			return nil, fmt.Errorf("starting directories: %w", err)
		}
	}
	key, err := seal.NewKey(nil)
	if err != nil {
		return nil, err
	}
	store, err := (&storeFuture{metrics: a.metrics, logger: a.logs.logger()}).open([][]byte{key})
	if err != nil {
		return nil, err
	}
	store.Start()
	return a.newGateway(store), nil
}

// tested is what became of one test of a policy.
type tested struct {
	Policy string   `json:"policy"`
	Test   string   `json:"test"`
	Passed bool     `json:"passed"`
	Failed []string `json:"failed,omitempty"`
}

// tryTests tries the tests of all policies. It touches nothing where there
// are none.
func (a *App) tryTests(ctx context.Context) ([]tested, error) {
	list := []tested{}
	var g *enrich.Gateway
	for _, p := range a.policies {
		for _, t := range p.handler.Tests {
			if g == nil {
				var err error
				if g, err = a.rehearse(); err != nil { //nolint:contextcheck // issuers end with the process, not with a test
					return nil, err
				}
			}
			failed, err := a.try(ctx, g, p, t)
			if err != nil {
				return nil, fmt.Errorf("policy %q: test %q: %w", p.name, t.Name, err)
			}
			list = append(list, tested{Policy: p.name, Test: t.Name, Passed: len(failed) == 0, Failed: failed})
		}
	}
	return list, nil
}

// try decides for the made-up caller of a test and says what is not as
// expected.
func (a *App) try(ctx context.Context, g *enrich.Gateway, p *policy, t Test) ([]string, error) {
	subject := t.Subject
	if subject == "" {
		subject = t.Client // on its own behalf
	}
	e, err := g.Explain(ctx, p.compiled, enrich.Asked{
		Issuer: t.Issuer, Subject: subject, Client: t.Client, Scopes: t.Scopes, Values: true,
	})
	if err != nil {
		return nil, err
	}
	var failed []string
	for _, expected := range t.Expect {
		if text := a.differs(e, expected); text != "" {
			failed = append(failed, text)
		}
	}
	return failed, nil
}

// differs says in what an explanation is not as expected; nothing where it is.
func (a *App) differs(e *enrich.Explanation, expected Expectation) string {
	if expected.Kind == "denied" {
		switch {
		case e.Allowed:
			return "it is allowed"
		case e.Undecided():
			return "it is not denied, it cannot be decided: " + e.Outcome + ": " + e.Cause
		}
		return ""
	}
	what := expected.Kind + " " + expected.Name
	if !e.Allowed {
		return what + ": it is not allowed: " + e.Outcome + ": " + e.Cause
	}
	var got any = headerOf(e, expected.Name)
	if expected.Kind == "claim" {
		got = claimOf(e, expected.Name)
	}
	switch {
	case equals(got, expected.Value):
		return ""
	case a.Explain == "values":
		return what + ": it is " + jsontree.Text(got)
	}
	return what + ": it is another value (explain values shows it)"
}

// claimOf gives the value of a claim: the rule's where one computes it, also
// where it gave nothing, else the token's.
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

// equals compares a text as it stands, and anything else as JSON.
func equals(got any, want string) bool {
	if s, ok := got.(string); ok {
		return s == want
	}
	var w, g any
	return json.Unmarshal([]byte(want), &w) == nil && json.Unmarshal([]byte(jsontree.Text(got)), &g) == nil && reflect.DeepEqual(w, g)
}

// headerOf gives a header's lines as one (RFC 9110, section 5.3).
func headerOf(e *enrich.Explanation, name string) string {
	var lines []string
	for _, h := range e.Headers {
		if strings.EqualFold(h.Name, name) {
			lines = append(lines, h.Values...)
		}
	}
	return strings.Join(lines, ", ")
}
