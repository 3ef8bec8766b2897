package command

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/admin"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// explainCommand returns the command explain, which answers why a request is
// allowed or refused and what an application would receive. The decision is made by
// the same stages as for a request, either in a running gateway or, with --offline,
// in this process. The caller is that of a token, or is described by flags.
func explainCommand() *cobra.Command {
	var q admin.ExplainRequest
	var tokenFile, scope string
	var offline bool
	cmd := &cobra.Command{
		Use:   "explain (--token FILE|- | --issuer NAME --subject S --client C --scope \"…\") [--policy NAME | --site HOST --path P]",
		Short: "Explains a decision",
		Long: `
Explains how a request would be decided: the token, the directory records, each
claim with its value or the reason why it was omitted, each requirement, and the
size of each header. The decision is made by a running gateway through its admin
endpoint. With --offline it is made here, from the configuration file: key
servers and directories are called, Redis and its deny list are not.

Values are shown if the configuration sets explain values; otherwise only names,
types and counts. The token is never shown, and nothing is signed. The exit
status is 1 if the decision is a denial.
`,
		Args: exactly(0, "flags only"),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			// The flags are checked before the token is read, which may wait for stdin.
			q.Scope = strings.Fields(scope)
			q.Token = tokenFile // for Validate, which asks only whether there is one
			if err := q.Validate(); err != nil {
				return misuse("%w", err)
			}
			if tokenFile != "" {
				text, err := readFile(cmd, tokenFile)
				if err != nil {
					return fmt.Errorf("--token: %w", err)
				}
				q.Token = strings.TrimSpace(string(text))
			}
			explain := explainOnline
			if offline {
				explain = explainOffline
			}
			e, err := explain(cmd, q)
			if err != nil {
				return err
			}
			return printDecision(cmd, e)
		}),
	}
	addAdminFlags(cmd)
	// Where the decision is made; the caller, as a token or by its properties; and the
	// policy, by its name or as the one that decides a request.
	f := cmd.Flags()
	f.BoolVar(&offline, "offline", false, "Load --config and decide here instead of calling a running gateway")
	f.StringVar(&tokenFile, "token", "", "A file with a token; - is stdin")
	f.StringVar(&q.Issuer, "issuer", "", "The configured name of an issuer, for an example caller")
	f.StringVar(&q.Subject, "subject", "", "The example caller's subject")
	f.StringVar(&q.Client, "client", "", "The example caller's client id")
	f.StringVar(&scope, "scope", "", "The example caller's scopes, separated by spaces")
	f.StringVar(&q.Policy, "policy", "", "The policy's name")
	f.StringVar(&q.Site, "site", "", "The host of a request, with the port if several servers have the host")
	f.StringVar(&q.Path, "path", "", "The path of a request")
	return cmd
}

// explainOnline calls a running gateway, which decides by its own configuration and
// with its caches. The explanation is decoded even for --json, because the exit
// status depends on it.
func explainOnline(cmd *cobra.Command, q admin.ExplainRequest) (*enrich.Explanation, error) {
	body, err := request(cmd, http.MethodPost, "explain", q)
	if err != nil {
		return nil, err
	}
	e := new(enrich.Explanation)
	if err := json.Unmarshal(body, e); err != nil {
		return nil, fmt.Errorf("decoding the response: %w", err)
	}
	return e, nil
}

// explainOffline loads a configuration file and decides in this process. Nothing
// is cached from one run to the next, so directories are called each time. The
// deny list is not read: a token that is denied only there is explained as allowed.
func explainOffline(cmd *cobra.Command, q admin.ExplainRequest) (*enrich.Explanation, error) {
	config, _ := cmd.Flags().GetString("config")
	adapter, _ := cmd.Flags().GetString("adapter")
	if config == "" {
		return nil, misuse("--offline requires --config")
	}
	app, err := loadOffline(config, adapter)
	if err != nil {
		return nil, err
	}
	g, err := app.OfflineGateway()
	if err != nil {
		return nil, err
	}
	return admin.Explain(contextOf(cmd), app, g, q)
}

// printDecision prints an explanation. Its error sets the exit status: a denial
// is errDenied, so that a script can test a policy without reading the output.
func printDecision(cmd *cobra.Command, e *enrich.Explanation) error {
	if wantsJSON(cmd) {
		if err := printJSON(cmd, e); err != nil {
			return err
		}
	} else {
		printExplanation(cmd.OutOrStdout(), e)
	}
	if !e.Allowed {
		return errDenied
	}
	return nil
}

// printExplanation prints an explanation as lines of text, in the order of the
// stages: policy, token, directory, claims, requirements, headers. A stage that
// was not reached has no lines, so that the last line shows where a request was
// refused. The text is for people and may change; scripts use --json.
func printExplanation(out io.Writer, e *enrich.Explanation) {
	line := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) }
	line("policy %s: %s", e.Policy, e.Outcome)
	if e.Cause != "" {
		line("  because %s", e.Cause)
	}
	if p := e.Principal; p != nil {
		line("token: issuer %s, client %s, scopes %s", p.Issuer, orNone(p.Client), orNone(strings.Join(p.Scopes, " ")))
		if p.Bound {
			line("  bound: valid only with its DPoP proof or client certificate, which is not checked here")
		}
	}
	// A look-up may have found a user and no app, so each part has its own state.
	if r := e.Record; r != nil {
		line("directory: person %s%s, groups %s, app %s%s%s%s, app user %s%s%s", r.Person, old(r.PersonAge), countOf(r.Groups),
			r.App, behind(" ", r.AppID), from(r.AppOrigin), old(r.AppAge), r.AppUser, from(r.AppUserOrigin), old(r.AppUserAge))
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
			// A value is absent unless the configuration allows explain to show it.
			line("  %-24s %s from %s%s%s", a.Name, a.Type, orNone(a.Origin), old(a.Age), shown(a.Value))
		}
	}
	// A rule has a result even where it has no value: an error, or that its scopes
	// were not granted.
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
	// No token is signed for an explanation; only its header or cookie is known.
	for _, t := range e.Tokens {
		line("signed token in %s", t)
	}
}

// The functions below return a part of a line, which is empty where the explanation
// has nothing for it.

// from returns the name of the directory that a value came from.
func from(directory string) string { return behind(" from ", directory) }

// behind returns a text with a prefix, or nothing without a text.
func behind(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// old returns how long ago something was fetched, in seconds. It is nil for what
// was not fetched from a directory.
func old(age *int64) string {
	if age == nil {
		return ""
	}
	return fmt.Sprintf(" (%d s old)", *age)
}

// orNone returns a text, or a mark where it is empty.
func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// countOf returns a number of groups; -1 is one that is not known.
func countOf(n int) string {
	if n < 0 {
		return "unknown"
	}
	return fmt.Sprint(n)
}

// shown returns a value, which explains omit unless the configuration shows them.
func shown(v any) string {
	if v == nil {
		return ""
	}
	return " = " + jsontree.Text(v)
}

// shownList returns the values of a header.
func shownList(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return shown(values)
}
