package command

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/admin"
)

// denyCommand returns the command deny, which lists the denials too. It validates
// the request before it sends it, by the functions that the gateway uses: the error
// then names the flag instead of the JSON member, and the exit status is 2.
func denyCommand() *cobra.Command {
	var q admin.DenyRequest
	var list bool
	cmd := &cobra.Command{
		Use:   "deny --jti J | --sid S | --user S, --issuer NAME [--for DURATION] [--reason TEXT] | --list",
		Short: "Denies a token, a session or a user's tokens on all nodes, or lists the denials",
		Long: fmt.Sprintf(`
Denies a token, a session or a user's tokens on all nodes. The denial lasts for
the duration of --for; the default of %s is longer than access tokens live. The
output shows when it ends. undeny removes it. A new denial replaces an earlier
one that it covers, and is added to any other.

--list shows the current denials: the entry's id for undeny, its kind (jti, sid
or user), when it ends, and the reason. The gateway stores hashes, so the list
contains no names.
`, admin.FormatDuration(caddymodule.DefaultDenyFor)),
		Args: exactly(0, "flags only"),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			// The list takes no filter. A target beside it is a mistake, not a filter.
			if list {
				if q != (admin.DenyRequest{}) {
					return misuse("--list cannot be combined with a denial")
				}
				return call(cmd, http.MethodGet, "deny", nil, printDenials)
			}
			// Here issuer is always required, even if one is configured, because the
			// command does not know the configuration.
			switch _, _, ok := q.Claim(); {
			case !ok:
				return misuse("name exactly one of --jti, --sid and --user")
			case q.Issuer == "":
				return misuse("--issuer is required: the issuer whose tokens are denied")
			}
			if _, err := admin.ParseDenyFor(q.For); err != nil {
				return misuse("--%w", err)
			}
			if err := purgelog.CheckReason(q.Reason); err != nil {
				return misuse("--reason: %w", err)
			}
			return call(cmd, http.MethodPost, "deny", q, func(out io.Writer, d admin.DenyResult) error {
				_, err := fmt.Fprintf(out, "denied until %s, entry %s; nodes: %s\n", d.Until.Format(time.RFC3339), d.ID, d.Nodes)
				return err
			})
		}),
	}
	addAdminFlags(cmd)
	addTargetFlags(cmd, &q.DenialTarget)
	// The help shows the bounds that the endpoint enforces.
	cmd.Flags().StringVar(&q.For, "for", "", fmt.Sprintf("Duration such as 2h or 1d, from %s to %s (default %s)", admin.FormatDuration(admin.MinDenyFor), admin.FormatDuration(admin.MaxDenyFor), admin.FormatDuration(caddymodule.DefaultDenyFor)))
	cmd.Flags().StringVar(&q.Reason, "reason", "", fmt.Sprintf("Reason for the list: printable text of at most %d bytes", purgelog.MaxReason))
	cmd.Flags().BoolVar(&list, "list", false, "List the current denials")
	return cmd
}

// undenyCommand returns the command undeny. Its argument, if there is one, is the
// id of an entry of the list. The list holds hashes, so an operator who knows only
// the entry removes it by its id, and one who knows the subject by the flags.
func undenyCommand() *cobra.Command {
	var q admin.UndenyRequest
	cmd := &cobra.Command{
		Use:   "undeny --jti J | --sid S | --user S [--issuer NAME] | ENTRY",
		Short: "Removes the denials of a token, session or user, or one entry of the list, on all nodes",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return finish(cmd, misuse("undeny takes one entry"))
			}
			return nil
		},
		RunE: run(func(cmd *cobra.Command, args []string) error {
			// An id or a target, never both: the id alone already names the entry.
			q.ID = strings.Join(args, "") // there is one at most
			if !q.NamesOne() {
				return misuse("name exactly one of --jti, --sid, --user and an entry of deny --list")
			}
			if q.ID != "" && q.Issuer != "" {
				return misuse("--issuer requires --jti, --sid or --user")
			}
			return call(cmd, http.MethodDelete, "deny", q, func(out io.Writer, u admin.UndenyResult) error {
				ids := make([]string, len(u.Entries))
				for i, e := range u.Entries {
					ids[i] = e.ID
				}
				_, err := fmt.Fprintf(out, "removed: %s; nodes: %s\n", strings.Join(ids, ", "), u.Nodes)
				return err
			})
		}),
	}
	addAdminFlags(cmd)
	addTargetFlags(cmd, &q.DenialTarget)
	return cmd
}

// addTargetFlags adds the flags that name what is denied, for deny and undeny
// alike. Parsing them sets t.
func addTargetFlags(cmd *cobra.Command, t *admin.DenialTarget) {
	// The issuer qualifies the others: two issuers may use the same ids.
	cmd.Flags().StringVar(&t.JTI, "jti", "", "A token's id")
	cmd.Flags().StringVar(&t.SID, "sid", "", "A session's id")
	cmd.Flags().StringVar(&t.User, "user", "", "A subject: all its tokens")
	cmd.Flags().StringVar(&t.Issuer, "issuer", "", "The configured name of the issuer")
}

// printDenials prints the deny list as a table, in the order of the answer: the
// denial that ends first comes first. An empty list is a header alone.
func printDenials(out io.Writer, list admin.DenialList) error {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ENTRY\tKIND\tUNTIL\tREASON")
	// Times are in UTC, as the gateway answers them.
	for _, e := range list.Entries {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.ID, e.Kind, e.Until.Format(time.RFC3339), e.Reason)
	}
	return w.Flush()
}
