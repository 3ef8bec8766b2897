package command

import (
	"fmt"
	"io"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/admin"
)

// purgeCommand returns the command purge, for a change in a directory that must
// take effect before cached answers expire. What is purged is looked up again when
// it is next used. It does not end sessions and denies no token: that is deny.
func purgeCommand() *cobra.Command {
	var q admin.PurgeRequest
	cmd := &cobra.Command{
		Use:   "purge --user S [--issuer NAME] | --group ID | --app ID | --all",
		Short: "Purges the cached data of a user, group or app on all nodes",
		Args:  exactly(0, "flags only"),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			// Never more than one: --all beside --user would purge far more than intended.
			if !q.NamesOne() {
				return misuse("name exactly one of --user, --group, --app and --all")
			}
			return call(cmd, http.MethodPost, "purge", q, func(out io.Writer, c admin.Change) error {
				_, err := fmt.Fprintf(out, "purged; nodes: %s\n", c.Nodes)
				return err
			})
		}),
	}
	// --issuer only guards against a mistyped name: records are found by the user alone,
	// of whichever issuer.
	addAdminFlags(cmd)
	cmd.Flags().StringVar(&q.User, "user", "", "A subject, user id, login or e-mail address")
	cmd.Flags().StringVar(&q.Issuer, "issuer", "", "The configured name of the user's issuer")
	cmd.Flags().StringVar(&q.Group, "group", "", "A group's id: all its members")
	cmd.Flags().StringVar(&q.App, "app", "", "An app's id")
	cmd.Flags().BoolVar(&q.All, "all", false, "Everything")
	return cmd
}
