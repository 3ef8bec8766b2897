package command

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/admin"
)

func denyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deny --jti J | --sid S | --user S, --issuer NAME [--for DURATION] [--reason TEXT] | --list",
		Short: "Makes all nodes refuse a token, a session or a user's tokens, or lists what is denied",
		Long: fmt.Sprintf(`
Makes all nodes refuse a token, a session or a user's tokens. The denial holds
for %s, longer than access tokens live, or for what --for says; the answer says
until when. undeny takes it back. A second denial replaces one that it covers,
and stands beside one that it does not.

--list shows the denials that hold: the entry's id for undeny, its kind (jti,
sid or user), until when it holds, and the reason. The gateway keeps hashes, so
that a list has no names.
`, admin.FormatDuration(caddymodule.DefaultDenyFor)),
		Args: exactly(0, "flags only"),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			q := admin.DenyRequest{DenialTarget: targetFlags(cmd)}
			f := cmd.Flags()
			q.For, _ = f.GetString("for")
			q.Reason, _ = f.GetString("reason")
			if list, _ := f.GetBool("list"); list {
				if q != (admin.DenyRequest{}) {
					return misuse("--list cannot be combined with what is to be denied")
				}
				return listDenials(cmd)
			}
			switch _, _, ok := q.Claim(); {
			case !ok:
				return misuse("name exactly one of --jti, --sid and --user")
			case q.Issuer == "":
				return misuse("--issuer names the issuer whose tokens are denied")
			}
			if _, err := admin.ParseDenyFor(q.For); err != nil {
				return misuse("--%w", err)
			}
			if err := purgelog.CheckReason(q.Reason); err != nil {
				return misuse("--reason: %w", err)
			}
			return tell(cmd, http.MethodPost, "deny", q, func(d admin.DenyResult) string {
				return fmt.Sprintf("denied until %s, entry %s", d.Until.Format(time.RFC3339), d.ID)
			})
		}),
	}
	adminFlags(cmd)
	addTargetFlags(cmd)
	cmd.Flags().String("for", "", fmt.Sprintf("How long, such as 2h or 1d: from %s to %s (default %s)", admin.FormatDuration(admin.MinDenyFor), admin.FormatDuration(admin.MaxDenyFor), admin.FormatDuration(caddymodule.DefaultDenyFor)))
	cmd.Flags().String("reason", "", fmt.Sprintf("Why, for the list: printable text of at most %d bytes", purgelog.MaxReason))
	cmd.Flags().Bool("list", false, "List the denials that hold")
	return cmd
}

func undenyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "undeny --jti J | --sid S | --user S [--issuer NAME] | ENTRY",
		Short: "Takes denials back on all nodes: those of a token, session or user, or one entry of the list",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return finish(cmd, misuse("undeny takes one entry"))
			}
			return nil
		},
		RunE: run(func(cmd *cobra.Command, args []string) error {
			q := admin.UndenyRequest{DenialTarget: targetFlags(cmd), ID: strings.Join(args, "")}
			if !q.NamesOne() {
				return misuse("name exactly one of --jti, --sid, --user and an entry of deny --list")
			}
			if q.ID != "" && q.Issuer != "" {
				return misuse("--issuer goes with --jti, --sid and --user")
			}
			return tell(cmd, http.MethodDelete, "deny", q, func(u admin.UndenyResult) string {
				ids := make([]string, len(u.Entries))
				for i, e := range u.Entries {
					ids[i] = e.ID
				}
				return "taken back: " + strings.Join(ids, ", ")
			})
		}),
	}
	adminFlags(cmd)
	addTargetFlags(cmd)
	return cmd
}

func addTargetFlags(cmd *cobra.Command) {
	cmd.Flags().String("jti", "", "A token's id")
	cmd.Flags().String("sid", "", "A session's id")
	cmd.Flags().String("user", "", "A subject: all its tokens")
	cmd.Flags().String("issuer", "", "The configured name of the issuer")
}

func targetFlags(cmd *cobra.Command) (t admin.DenialTarget) {
	f := cmd.Flags()
	t.JTI, _ = f.GetString("jti")
	t.SID, _ = f.GetString("sid")
	t.User, _ = f.GetString("user")
	t.Issuer, _ = f.GetString("issuer")
	return t
}

// listDenials prints the deny list as a table.
func listDenials(cmd *cobra.Command) error {
	body, err := request(cmd, http.MethodGet, "deny", nil)
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		_, err := cmd.OutOrStdout().Write(body)
		return err
	}
	var list admin.DenialList
	if err := json.Unmarshal(body, &list); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ENTRY\tKIND\tUNTIL\tREASON")
	for _, e := range list.Entries {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.ID, e.Kind, e.Until.Format(time.RFC3339), e.Reason)
	}
	return w.Flush()
}
