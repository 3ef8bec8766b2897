package command

import (
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/admin"
)

// keysCommand returns the command keys, with list and rotate below it. Both print
// the published keys, rotate those after the rotation. Without list or rotate it is
// incorrect usage: cobra would print the help and exit with status 0.
func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys list|rotate",
		Short: "Lists or rotates the signing keys of a running gateway",
		Args: func(cmd *cobra.Command, args []string) error {
			return finish(cmd, misuse("keys takes list or rotate"))
		},
		RunE: run(func(*cobra.Command, []string) error { return misuse("keys takes list or rotate") }),
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "Lists the published keys",
		Args:  exactly(0, "flags only"),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			return call(cmd, http.MethodGet, "keys", nil, printKeys)
		}),
	}
	// The endpoint requires rotate to be true, so that an empty body does nothing.
	q := admin.RotateRequest{Rotate: true}
	rotate := &cobra.Command{
		Use:   "rotate [--now]",
		Short: "Creates a new key, which signs after the overlap or, with --now, at once",
		Args:  exactly(0, "flags only"),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			return call(cmd, http.MethodPost, "keys", q, printKeys)
		}),
	}
	// Applications cache the key set. During the overlap they learn the new key before
	// it signs; --now gives that up, and tokens may be refused until they fetch it.
	rotate.Flags().BoolVar(&q.Now, "now", false, "Sign with the new key at once, when the old one is compromised")
	for _, c := range []*cobra.Command{list, rotate} {
		addAdminFlags(c)
		cmd.AddCommand(c)
	}
	return cmd
}

// signingKey is what the command prints of a key in the gateway's answer. It holds
// public values only; a private key never leaves the gateway.
type signingKey struct {
	ID    string `json:"kid"`
	Alg   string `json:"alg"`
	State string `json:"state"`
	From  string `json:"signs_from"` // as it was written
}

// printKeys prints one line for each key: its id, algorithm, state, and when it
// begins to sign.
func printKeys(out io.Writer, keys []signingKey) error {
	for _, k := range keys {
		if _, err := fmt.Fprintf(out, "%-44s %-6s %-8s %s\n", k.ID, k.Alg, k.State, k.From); err != nil {
			return err
		}
	}
	return nil
}
