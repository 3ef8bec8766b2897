package command

import (
	"errors"
	"fmt"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/selftest"
)

// selftestCommand returns the command selftest, which tests a configuration from
// outside, by requests. check reads a configuration and can miss what a module of
// another author does; selftest sends requests and can miss what it does not send.
// Package selftest describes the requests.
func selftestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "selftest --config FILE [--site HOST --path P] --token FILE",
		Short: "Tests whether forged identity headers or guarded paths get past a configuration",
		Long: `
Runs a configuration in a separate Caddy on loopback, with a probe in place of
each application. To each site and path it sends every spelling of every header
and cookie that the gateway writes or reads a token from: over HTTP/1.1 and 2,
in header and trailer sections, repeated, named in Connection, with and without
the token. For each refused path that a matcher or a requirement names, it sends
the spellings that applications may read as that path. It reports what got
through: the exit status is 0 if nothing did, and 1 with a table otherwise.

Issuers and directories are called as usual. Redis, signing keys and apps other
than http and token_enrich are omitted, nothing is logged, and storage is a
temporary folder.
`,
		Example: "  caddy token-enrich selftest --config Caddyfile --site app.example.com --token token.txt",
		Args:    exactly(0, "flags only"),
		RunE:    run(runSelftest),
	}
	// --site and --path narrow a test that would take too long, or repeat one attempt
	// after a fix.
	cmd.Flags().StringP("config", "c", "", "Configuration file")
	cmd.Flags().StringP("adapter", "a", "", "Name of the config adapter")
	cmd.Flags().String("site", "", "Test only this host")
	cmd.Flags().String("path", "", "Test only this path and one that no matcher names")
	cmd.Flags().String("token", "", "A file with a token that the configuration accepts; - is stdin")
	return cmd
}

// runSelftest reads the flags and the token, and runs the selftest. It needs a token
// that the configuration accepts, because only a request that reaches an
// application shows which headers arrive there.
func runSelftest(cmd *cobra.Command, _ []string) error {
	flags := cmd.Flags()
	config, _ := flags.GetString("config")
	adapter, _ := flags.GetString("adapter")
	host, _ := flags.GetString("site")
	path, _ := flags.GetString("path")
	file, _ := flags.GetString("token")
	switch {
	case config == "":
		return misuse("--config is required: the configuration file to test")
	case file == "":
		return misuse("--token is required: a file with a token that the configuration accepts")
	case path != "" && !strings.HasPrefix(path, "/"):
		return misuse("--path must begin with a slash")
	}
	text, err := readFile(cmd, file)
	if err != nil {
		return fmt.Errorf("--token: %w", err)
	}
	adapted, _, _, err := caddycmd.LoadConfig(config, adapter)
	if err != nil {
		return err
	}
	// The selftest stops whatever configuration this process runs, which is none.
	report, err := selftest.Run(contextOf(cmd), adapted, selftest.Options{Site: host, Path: path, Token: strings.TrimSpace(string(text))})
	// The host of --site is known to be wrong only once the configuration is read.
	if unknown, ok := errors.AsType[*selftest.UnknownSiteError](err); ok {
		return misuse("--site: %w", unknown)
	}
	if err != nil {
		return err
	}
	return printReport(cmd, report)
}

// printReport prints the report. Its error sets the exit status: errDenied if
// something got through, and an error if the token was not accepted, since a
// selftest in which every request is refused proves nothing.
func printReport(cmd *cobra.Command, report *selftest.Report) error {
	if wantsJSON(cmd) {
		if err := printJSON(cmd, report); err != nil {
			return err
		}
	} else if err := report.Write(cmd.OutOrStdout(), cmd.ErrOrStderr()); err != nil {
		return err
	}
	switch {
	case report.Bypassed() > 0:
		return errDenied
	case !report.Accepted:
		return fmt.Errorf("the result is inconclusive: no header of the gateway reached an application with this token (first response: %s)", report.Answer)
	}
	return nil
}
