package command

import (
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/check"
)

// checkCommand returns the command check. It combines three checks of a
// configuration file, so that one run in CI covers all of them: caddy validate,
// the warnings of package check, and the test blocks of the policies. Only the
// last one may use the network, for directories and key servers.
func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check --config FILE",
		Short: "Checks a configuration offline, runs its tests and lists warnings",
		Long: `
Checks a configuration without starting it and without the network: compiles
every expression and warns of suspicious entries. Then runs the test blocks of
the policies, which looks up their callers in the directories. Warnings do not
change the exit status; an error or a failed test is status 1.
`,
		Args: exactly(0, "flags only"),
		RunE: run(runCheck),
	}
	// Named as the flags of caddy validate.
	cmd.Flags().StringP("config", "c", "", "Configuration file")
	cmd.Flags().StringP("adapter", "a", "", "Name of the config adapter")
	return cmd
}

// runCheck loads the configuration, and prints its warnings and the results of its
// tests. A configuration that does not load is an error. A failed test makes the
// exit status 1; a warning does not, because what it reports may be intended.
func runCheck(cmd *cobra.Command, _ []string) error {
	config, _ := cmd.Flags().GetString("config")
	adapter, _ := cmd.Flags().GetString("adapter")
	if config == "" {
		return misuse("--config is required: the configuration file to check")
	}
	// The JSON is needed besides the app: provisioning takes modules out of it, and
	// some warnings are about modules of others.
	text, _, _, err := caddycmd.LoadConfig(config, adapter)
	if err != nil {
		return err
	}
	app, err := caddymodule.LoadOffline(text)
	if err != nil {
		return err
	}
	// The warnings come before the tests: they are there even if a directory that a
	// test needs is down.
	warnings := check.Warnings(app, text)
	tests, err := runTests(contextOf(cmd), app)
	if err != nil {
		return err
	}
	// Counted for the text only: the JSON has the result of each test.
	passed := 0
	for _, t := range tests {
		if t.Passed {
			passed++
		}
	}
	// Both forms have the same content, and both are complete even if a test failed.
	if wantsJSON(cmd) {
		if err := printJSON(cmd, map[string]any{"policies": len(app.Policies()), "warnings": warnings, "tests": tests}); err != nil {
			return err
		}
	} else {
		printCheck(cmd, warnings, tests)
		result := "valid"
		if passed < len(tests) {
			result = "invalid"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s is %s: %s, %s, %d of %s passed\n", config, result,
			quantity(len(app.Policies()), "policy", "policies"), quantity(len(warnings), "warning", "warnings"), passed, quantity(len(tests), "test", "tests"))
	}
	if passed < len(tests) {
		return errDenied
	}
	return nil
}

// quantity returns a number with its noun in the singular or plural.
func quantity(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// printCheck prints warnings and failed tests as text, one a line, so that a script
// can filter them by their prefix. Tests that passed are only counted.
func printCheck(cmd *cobra.Command, warnings []caddymodule.Warning, tests []testResult) {
	for _, w := range warnings {
		fmt.Fprintf(cmd.OutOrStdout(), "warning: %s\n", w)
	}
	for _, t := range tests {
		for _, text := range t.Failed {
			fmt.Fprintf(cmd.OutOrStdout(), "failed: policy %s: test %q: %s\n", t.Policy, t.Test, text)
		}
	}
}
