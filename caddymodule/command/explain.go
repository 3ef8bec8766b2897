package command

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/admin"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain (--token FILE|- | --issuer NAME --subject S --client C --scope \"…\") [--policy NAME | --site HOST --path P]",
		Short: "Tells how a request would be decided, and why",
		Long: `
Tells how a request would be decided: what the token says, what the directory
says, each rule with its value or why it was omitted, each requirement, the
headers with their bytes. A running gateway is asked through its admin
endpoint; with --offline, the configuration file is loaded and decides here:
key servers and directories are asked, Redis and its deny list are not.

Values are shown where the configuration says explain values; else names,
types and counts. The token is never shown, and nothing is signed. The exit
status is 1 where the decision is a denial.
`,
		Args: exactly(0, "flags only"),
		RunE: run(explain),
	}
	adminFlags(cmd)
	cmd.Flags().Bool("offline", false, "Load --config and decide here, instead of asking a running gateway")
	cmd.Flags().String("token", "", "A file with a token; - is stdin")
	cmd.Flags().String("issuer", "", "The configured name of an issuer, for a made-up caller")
	cmd.Flags().String("subject", "", "The made-up caller's subject")
	cmd.Flags().String("client", "", "The made-up caller's client id")
	cmd.Flags().String("scope", "", "The made-up caller's scopes, separated by spaces")
	cmd.Flags().String("policy", "", "The policy's name")
	cmd.Flags().String("site", "", "The host of a request, with its port where several servers have it")
	cmd.Flags().String("path", "", "The path of a request")
	return cmd
}

func explain(cmd *cobra.Command, _ []string) error {
	f := cmd.Flags()
	var q admin.ExplainRequest
	q.Issuer, _ = f.GetString("issuer")
	q.Subject, _ = f.GetString("subject")
	q.Client, _ = f.GetString("client")
	q.Policy, _ = f.GetString("policy")
	q.Site, _ = f.GetString("site")
	q.Path, _ = f.GetString("path")
	scope, _ := f.GetString("scope")
	q.Scope = strings.Fields(scope)
	file, _ := f.GetString("token")
	offline, _ := f.GetBool("offline")
	q.Token = file // whether there is one is all that is asked
	if err := q.Validate(); err != nil {
		return misuse("%w", err)
	}
	if file != "" {
		text, err := readFile(cmd, file)
		if err != nil {
			return fmt.Errorf("--token: %w", err)
		}
		q.Token = strings.TrimSpace(string(text))
	}
	var e enrich.Explanation
	if offline {
		answer, err := explainOffline(cmd, q)
		if err != nil {
			return err
		}
		e = *answer
	} else {
		body, err := request(cmd, http.MethodPost, "explain", q)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, &e); err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
	}
	if wantsJSON(cmd) {
		if err := printJSON(cmd, e); err != nil {
			return err
		}
	} else {
		printExplanation(cmd, &e)
	}
	if !e.Allowed {
		return errDenied
	}
	return nil
}

// explainOffline decides by a configuration file.
func explainOffline(cmd *cobra.Command, q admin.ExplainRequest) (*enrich.Explanation, error) {
	config, _ := cmd.Flags().GetString("config")
	adapter, _ := cmd.Flags().GetString("adapter")
	if config == "" {
		return nil, misuse("--offline needs --config")
	}
	app, _, err := loadOffline(config, adapter)
	if err != nil {
		return nil, err
	}
	g, err := app.OfflineGateway()
	if err != nil {
		return nil, err
	}
	return admin.Explain(contextOf(cmd), app, g, q)
}

// from names the directory that a value came from.
func from(directory string) string {
	if directory == "" {
		return ""
	}
	return " from " + directory
}

// named puts a name behind the state of what it names.
func named(id string) string {
	if id == "" {
		return ""
	}
	return " " + id
}

// old says how long ago something was fetched.
func old(age *int64) string {
	if age == nil {
		return ""
	}
	return fmt.Sprintf(" (%d s old)", *age)
}

func printExplanation(cmd *cobra.Command, e *enrich.Explanation) {
	out := cmd.OutOrStdout()
	line := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	line("policy %s: %s", e.Policy, e.Outcome)
	if e.Cause != "" {
		line("  because %s", e.Cause)
	}
	if p := e.Principal; p != nil {
		line("token: issuer %s, client %s, scopes %s", p.Issuer, orNone(p.Client), orNone(strings.Join(p.Scopes, " ")))
		if p.Bound {
			line("  bound: good only with its DPoP proof or client certificate, which is not looked at here")
		}
	}
	if r := e.Record; r != nil {
		line("directory: person %s%s, groups %s, app %s%s%s%s, app user %s%s%s", r.Person, old(r.PersonAge), countOf(r.Groups),
			r.App, named(r.AppID), from(r.AppOrigin), old(r.AppAge), r.AppUser, from(r.AppUserOrigin), old(r.AppUserAge))
		if u := r.UserOrigin; u != nil {
			line("  user: id%s, login%s, status%s", from(u.ID), from(u.Login), from(u.Status))
		}
		if r.GroupsUnknown != "" {
			line("  groups: unknown, %s", r.GroupsUnknown)
		}
		for _, g := range r.GroupOrigins {
			line("  groups: %d from %s", g.Groups, g.Directory)
		}
		for _, a := range r.Attributes {
			line("  %-24s %s from %s%s%s", a.Name, a.Type, orNone(a.Origin), old(a.Age), shown(a.Value))
		}
	}
	for _, r := range e.Rules {
		text := r.Result
		if r.Error != "" {
			text += ": " + r.Error
		}
		if r.Type != "" {
			text += ", " + r.Type
		}
		if r.Considered > 0 {
			text += fmt.Sprintf(", %d of %d groups", r.Kept, r.Considered)
		}
		line("claim %s: %s%s", r.Claim, text, shown(r.Value))
	}
	for _, r := range e.Requirements {
		line("require %s: %s", r.Expression, r.Result)
	}
	for _, h := range e.Headers {
		line("header %s from %s: %d bytes%s", h.Name, h.Claim, h.Bytes, shownList(h.Values))
	}
	for _, t := range e.Tokens {
		line("signed token in %s", t)
	}
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

func countOf(n int) string {
	if n < 0 {
		return "unknown"
	}
	return fmt.Sprint(n)
}

func shown(v any) string {
	if v == nil {
		return ""
	}
	return " = " + jsonText(v)
}

func shownList(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return shown(values)
}
