package caddymodule

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// ActiveApp returns the app of the configuration that runs now. It is an error
// that this configuration has none.
func ActiveApp() (*App, error) { return activeApp() }

// Policies returns the handlers of the policies, in the order in which they
// were provisioned. Of a policy that stands on several listeners it returns the
// first handler only.
func (a *App) Policies() []*Handler {
	a.mu.Lock()
	defer a.mu.Unlock()
	handlers := make([]*Handler, len(a.policies))
	for i, p := range a.policies {
		handlers[i] = p.handler
	}
	return handlers
}

// Policy returns what the handler's configuration was compiled to. It is nil
// before Provision.
func (h *Handler) Policy() *enrich.Policy {
	if h.policy == nil {
		return nil
	}
	return h.policy.compiled
}

// What follows only connects package command until all commands are there.

var subcommands []func() *cobra.Command

// RegisterSubcommand adds a command below token-enrich.
func RegisterSubcommand(f func() *cobra.Command) { subcommands = append(subcommands, f) }

func addSubcommands(cmd *cobra.Command) {
	for _, f := range subcommands {
		cmd.AddCommand(f())
	}
}

// TestResult is what became of one test of a policy.
type TestResult = tested

// TryTests tries the tests of all policies.
func (a *App) TryTests(ctx context.Context) ([]TestResult, error) { return a.tryTests(ctx) }
