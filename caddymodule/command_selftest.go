package caddymodule

import (
	"github.com/spf13/cobra"
)

func selftestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "selftest --config FILE [--site HOST --path P] --token FILE",
		Short: "Runs a configuration in private and tries to smuggle identity past it",
		Args:  exactly(0, "flags only"),
		RunE:  run(selftest),
	}
	return cmd
}

func selftest(cmd *cobra.Command, _ []string) error { return misuse("not yet") }
