package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/admin"
)

// This file calls the admin API of a running gateway. The requests go through
// Caddy's own client, which finds the address as caddy reload does and speaks to a
// Unix socket too. The types of the bodies are those of package admin, so that
// client and server cannot disagree.

// addAdminFlags adds the flags for the address of the admin API, named as those of
// caddy reload and caddy stop. All are optional: without them it is the default
// address of Caddy. The configuration file is read only for its admin option.
func addAdminFlags(cmd *cobra.Command) {
	cmd.Flags().StringP("config", "c", "", "Configuration file (for the admin address)")
	cmd.Flags().StringP("adapter", "a", "", "Name of the config adapter")
	cmd.Flags().String("address", "", "Address of the admin endpoint, if not the default")
}

// call sends a request to an endpoint and prints the answer: unchanged with --json,
// otherwise by show. q is the body, nil for none. --json does not decode the
// answer, so that members which a newer gateway adds are printed too.
func call[A any](cmd *cobra.Command, method, endpoint string, q any, show func(out io.Writer, answer A) error) error {
	body, err := request(cmd, method, endpoint, q)
	if err != nil {
		return err
	}
	if wantsJSON(cmd) {
		_, err := cmd.OutOrStdout().Write(body)
		return err
	}
	// Unknown members are ignored: the gateway may be newer than this command.
	var answer A
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("decoding the response: %w", err)
	}
	return show(cmd.OutOrStdout(), answer)
}

// request sends a request to an endpoint and returns the body of the answer. The
// address is that of --address, else that of the configuration file, else
// Caddy's default. Any status but success is an error with the answer's text, which
// is safe to print: endpoints repeat nothing of a request that may be secret. The
// answer is bounded by maxInput.
func request(cmd *cobra.Command, method, endpoint string, q any) ([]byte, error) {
	f := cmd.Flags()
	config, _ := f.GetString("config")
	adapter, _ := f.GetString("adapter")
	address, _ := f.GetString("address")
	address, err := caddycmd.DetermineAdminAPIAddress(address, nil, config, adapter)
	if err != nil {
		return nil, fmt.Errorf("determining the admin address: %w", err)
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
		return nil, fmt.Errorf("calling the gateway at %s: %w", address, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxInput))
	if err != nil {
		return nil, fmt.Errorf("reading the gateway's response: %w", err)
	}
	return text, nil
}
