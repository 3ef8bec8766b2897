package command

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/admin"
)

// The commands in this file talk to a running gateway, through the admin
// endpoint.

// adminFlags are those of Caddy's own commands that do so.
func adminFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("config", "c", "", "Configuration file (for the admin address)")
	cmd.Flags().StringP("adapter", "a", "", "Name of the config adapter")
	cmd.Flags().String("address", "", "Address of the admin endpoint, if not the default")
}

func purgeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "purge --user S [--issuer NAME] | --group ID | --app ID | --all",
		Short: "Makes a running gateway forget what it holds of a user, group or app, on all nodes",
		Args:  exactly(0, "flags only"),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			var q admin.PurgeRequest
			f := cmd.Flags()
			q.User, _ = f.GetString("user")
			q.Issuer, _ = f.GetString("issuer")
			q.Group, _ = f.GetString("group")
			q.App, _ = f.GetString("app")
			q.All, _ = f.GetBool("all")
			if q.NamesOne() {
				return tell(cmd, http.MethodPost, "purge", q, func(admin.Change) string { return "purged" })
			}
			return misuse("name exactly one of --user, --group, --app and --all")
		}),
	}
	adminFlags(cmd)
	cmd.Flags().String("user", "", "A subject, user id, login or e-mail address")
	cmd.Flags().String("issuer", "", "The configured name of the user's issuer")
	cmd.Flags().String("group", "", "A group's id: everybody who is in it")
	cmd.Flags().String("app", "", "An app's id")
	cmd.Flags().Bool("all", false, "Everything")
	return cmd
}

func keysCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keys list|rotate",
		Short: "Lists or rotates the signing keys of a running gateway",
		Args: func(cmd *cobra.Command, args []string) error {
			return finish(cmd, misuse("keys takes list or rotate"))
		},
		RunE: run(func(*cobra.Command, []string) error { return misuse("keys takes list or rotate") }),
	}
	show := &cobra.Command{
		Use:   "list",
		Short: "Lists the keys that are published",
		Args:  exactly(0, "flags only"),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			body, err := request(cmd, http.MethodGet, "keys", nil)
			if err != nil {
				return err
			}
			return printKeys(cmd, body)
		}),
	}
	rotate := &cobra.Command{
		Use:   "rotate [--now]",
		Short: "Makes a new key; it signs after the overlap, or at once with --now",
		Args:  exactly(0, "flags only"),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			now, _ := cmd.Flags().GetBool("now")
			body, err := request(cmd, http.MethodPost, "keys", admin.RotateRequest{Rotate: true, Now: now})
			if err != nil {
				return err
			}
			return printKeys(cmd, body)
		}),
	}
	rotate.Flags().Bool("now", false, "Sign with the new key at once: for a key that is no longer secret")
	for _, c := range []*cobra.Command{show, rotate} {
		adminFlags(c)
		cmd.AddCommand(c)
	}
	return cmd
}

func printKeys(cmd *cobra.Command, body []byte) error {
	if wantsJSON(cmd) {
		_, err := cmd.OutOrStdout().Write(body)
		return err
	}
	var keys []struct {
		ID    string `json:"kid"`
		Alg   string `json:"alg"`
		State string `json:"state"`
		From  string `json:"signs_from"`
	}
	if err := json.Unmarshal(body, &keys); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	for _, k := range keys {
		fmt.Fprintf(cmd.OutOrStdout(), "%-44s %-6s %-8s %s\n", k.ID, k.Alg, k.State, k.From)
	}
	return nil
}

// tell asks a running gateway to change something and prints what was done, in
// the words of done, and how far it got.
func tell[A any](cmd *cobra.Command, method, endpoint string, q any, done func(A) string) error {
	body, err := request(cmd, method, endpoint, q)
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		_, err := cmd.OutOrStdout().Write(body)
		return err
	}
	var answer A
	var nodes admin.Change
	if err := errors.Join(json.Unmarshal(body, &answer), json.Unmarshal(body, &nodes)); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s; nodes: %s\n", done(answer), nodes.Nodes)
	return nil
}

// request asks the admin endpoint of a running gateway.
func request(cmd *cobra.Command, method, endpoint string, q any) ([]byte, error) {
	f := cmd.Flags()
	config, _ := f.GetString("config")
	adapter, _ := f.GetString("adapter")
	address, _ := f.GetString("address")
	address, err := caddycmd.DetermineAdminAPIAddress(address, nil, config, adapter)
	if err != nil {
		return nil, fmt.Errorf("finding the admin address: %w", err)
	}
	var body io.Reader
	header := http.Header{}
	if q != nil {
		text, err := json.Marshal(q)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(text)
		header.Set("Content-Type", "application/json")
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, admin.PathPrefix+endpoint, header, body)
	if err != nil {
		return nil, fmt.Errorf("asking the gateway at %s: %w", address, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxInput))
	if err != nil {
		return nil, fmt.Errorf("reading the gateway's answer: %w", err)
	}
	return text, nil
}
