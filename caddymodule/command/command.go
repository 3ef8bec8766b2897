// Package command is the gateway's command line: caddy token-enrich and the
// commands below it.
//
// Caddy has one command line for all plugins, so the gateway registers the single
// command token-enrich with Caddy and adds its own commands below it.
//
// Some commands work on a configuration file, which they load without serving
// it; others call the admin API of a running gateway. One file holds one
// command. What all of them share is in cobra.go, client.go and offline.go.
package command

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// init registers token-enrich. Called without a command it prints its help, and
// with an unknown one the name that is nearest; both are misuse.
func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:  "token-enrich",
		Usage: "<command>",
		Short: "Tests, checks and operates the token enrichment gateway",
		Long: `
Evaluates expressions, checks configurations and explains decisions. Purges
cached data, denies tokens and rotates keys in a running gateway.

Results are written to stdout, diagnostics to stderr. The exit status is 0 for
success, 1 for a failure or a denial, and 2 for incorrect usage.
`,
		CobraFunc: func(cmd *cobra.Command) {
			cmd.AddCommand(evalCommand(), checkCommand(), explainCommand(), purgeCommand(), denyCommand(), undenyCommand(), keysCommand(), selftestCommand())
			// Inherited by all commands, so that each has both forms of output.
			cmd.PersistentFlags().Bool("json", false, "Write results as JSON")
			// An unknown or malformed flag is incorrect usage; cobra would exit with 1.
			cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return finish(cmd, misuse("%w", err)) })
			cmd.Args = cobra.ArbitraryArgs
			cmd.RunE = run(func(cmd *cobra.Command, args []string) error {
				if len(args) == 0 {
					_ = cmd.Help()
					return misuse("a command is required")
				}
				// Cobra comes here with an unknown command too, because the command
				// takes any arguments.
				var names []string
				for _, c := range cmd.Commands() {
					names = append(names, c.Name())
				}
				return misuse("unknown command %q%s", args[0], suggest.DidYouMean(args[0], names))
			})
		},
	})
}
