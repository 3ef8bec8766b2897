package caddymodule

import (
	"fmt"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Loads a configuration offline, compiles every expression, tries its tests and lists warnings",
		Long: `
Loads a configuration without starting it and without the network, compiles
every expression, and lists what is allowed but probably not meant. Then it
decides for the made-up callers of the policies' test blocks, for which it asks
the directories. Warnings do not change the exit status; an error and a test
that fails are status 1.
`,
		Args: exactly(0, "flags only"),
		RunE: run(check),
	}
	cmd.Flags().StringP("config", "c", "", "Configuration file")
	cmd.Flags().StringP("adapter", "a", "", "Name of the config adapter")
	return cmd
}

// finding is one line of a check: where, and what.
type finding struct {
	Policy string `json:"policy,omitempty"`
	Where  string `json:"where,omitempty"`
	Text   string `json:"warning"`
}

func (f finding) String() string {
	var parts []string
	if f.Policy != "" {
		parts = append(parts, "policy "+f.Policy)
	}
	if f.Where != "" {
		parts = append(parts, f.Where)
	}
	return strings.Join(append(parts, f.Text), ": ")
}

func check(cmd *cobra.Command, _ []string) error {
	config, _ := cmd.Flags().GetString("config")
	adapter, _ := cmd.Flags().GetString("adapter")
	if config == "" {
		return misuse("--config names the file to check")
	}
	app, text, err := provision(config, adapter)
	if err != nil {
		return err
	}
	findings := append(app.findings(), app.forwardFindings(text)...)
	tests, err := app.tryTests(contextOf(cmd))
	if err != nil {
		return err
	}
	passed := 0
	for _, t := range tests {
		if t.Passed {
			passed++
		}
	}
	if wantsJSON(cmd) {
		if err := printJSON(cmd, map[string]any{"policies": len(app.policies), "warnings": findings, "tests": tests}); err != nil {
			return err
		}
	} else {
		printCheck(cmd, findings, tests)
		word := "good"
		if passed < len(tests) {
			word = "not good"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is %s: %s, %s, %d of %s passed\n", config, word,
			quantity(len(app.policies), "policy", "policies"), quantity(len(findings), "warning", "warnings"), passed, quantity(len(tests), "test", "tests"))
	}
	if passed < len(tests) {
		return errDenied
	}
	return nil
}

// quantity is a number with its word.
func quantity(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func printCheck(cmd *cobra.Command, findings []finding, tests []tested) {
	for _, f := range findings {
		fmt.Fprintf(cmd.OutOrStdout(), "warning: %s\n", f)
	}
	for _, t := range tests {
		for _, text := range t.Failed {
			fmt.Fprintf(cmd.OutOrStdout(), "failed: policy %s: test %q: %s\n", t.Policy, t.Test, text)
		}
	}
}

// provision loads a configuration as caddy validate does: everything is
// provisioned, nothing is started, no network is touched. It gives the app and
// the configuration as JSON.
func provision(file, adapter string) (*App, []byte, error) {
	text, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, nil, err
	}
	app, err := LoadOffline(text)
	if err != nil {
		return nil, nil, err
	}
	return app, text, nil
}

// findings lists what is allowed but probably not meant.
func (a *App) findings() []finding {
	list := append([]finding{}, a.doubts...)
	for _, p := range a.policies {
		for _, w := range p.compiled.Rules().Warnings() {
			list = append(list, finding{Policy: p.name, Where: "claim " + w.Rule, Text: w.Warning.String()})
		}
		for _, w := range p.compiled.RequirementWarnings() {
			list = append(list, finding{Policy: p.name, Where: "require", Text: w.String()})
		}
		list = append(list, p.remarks...)
		for _, n := range p.notes {
			list = append(list, finding{Policy: p.name, Where: strings.TrimSpace("okta_claims " + n.Claim), Text: n.Text})
		}
	}
	return append(list, a.attributeFindings()...)
}
