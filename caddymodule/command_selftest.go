package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func selftestCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "selftest --config FILE [--site HOST --path P] --token FILE",
		Short: "Runs a configuration in private and tries to get identity headers and guarded paths past it",
		Long: `
Runs a configuration in a Caddy of its own, on loopback, with a probe in the
place of every application. To each site and path it sends every spelling of
every header and cookie that the gateway writes or reads a token from, over
HTTP/1.1, 2 and 3, in header and trailer sections, repeated, named in
Connection, with the token and without, by GET and by OPTIONS and whatever
other methods matchers name. Of each path that a matcher or a requirement names
and that is refused, with the token or without, it sends over HTTP/1.1 and 2 the
spellings that applications may read as that path. It reports what got through:
exit status 0 if nothing did, 1 with a table if something did.

Issuers and directories are asked as usual. Redis, signing keys and apps other
than http and token_enrich are left out, nothing is logged, and what has to be
stored goes to a temporary folder.
`,
		Example: "  caddy token-enrich selftest --config Caddyfile --site app.example.com --token token.txt",
		Args:    exactly(0, "flags only"),
		RunE:    run(selftest),
	}
	cmd.Flags().StringP("config", "c", "", "Configuration file")
	cmd.Flags().StringP("adapter", "a", "", "Name of the config adapter")
	cmd.Flags().String("site", "", "Try this host only")
	cmd.Flags().String("path", "", "Try this path, and one that nobody has, only")
	cmd.Flags().String("token", "", "A file with a token that the configuration accepts; - is stdin")
	return cmd
}

func selftest(cmd *cobra.Command, _ []string) error {
	flags := cmd.Flags()
	config, _ := flags.GetString("config")
	adapter, _ := flags.GetString("adapter")
	host, _ := flags.GetString("site")
	path, _ := flags.GetString("path")
	file, _ := flags.GetString("token")
	switch {
	case config == "":
		return misuse("--config names the file to try")
	case file == "":
		return misuse("--token names a file with a token that the configuration accepts")
	case path != "" && !strings.HasPrefix(path, "/"):
		return misuse("--path begins with a slash")
	}
	text, err := readFile(cmd, file)
	if err != nil {
		return fmt.Errorf("--token: %w", err)
	}
	adapted, _, _, err := caddycmd.LoadConfig(config, adapter)
	if err != nil {
		return err
	}
	v, err := runSelftest(contextOf(cmd), adapted, host, path, strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return v.print(cmd)
}

// runSelftest runs a configuration in private and tries it. It takes the
// place of whatever configuration this process runs.
func runSelftest(ctx context.Context, adapted []byte, host, path, text string) (_ *verdict, err error) {
	ctx, cancel := context.WithTimeout(ctx, maxSelftest)
	defer cancel()
	folder, err := os.MkdirTemp("", "token-enrich-selftest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	p := newProbes()
	defer p.Close()
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	private := &privateConfig{folder: folder, host: host, path: path, probes: p}
	if err := private.rewriteAll(adapted); err != nil {
		return nil, err
	}
	config, err := private.text()
	if err != nil {
		return nil, err
	}
	if err := caddy.Load(config, true); err != nil {
		return nil, fmt.Errorf("running the configuration in private: %w%s", err, private.leftOut())
	}
	defer func() { err = errors.Join(err, caddy.Stop()) }()
	app, err := ActiveApp()
	if err != nil {
		return nil, err
	}
	if len(app.policies) == 0 {
		return nil, errors.New("the configuration has no token_enrich directive")
	}
	s := newSelftester(app, text, p)
	s.Notes = private.notes
	if missing := s.judged.Missing(); len(missing) > 0 {
		s.Notes = append(s.Notes, "spellings of guarded paths were not tried that need path_readings "+strings.Join(missing, " "))
	}
	for _, server := range private.servers {
		w := newWire(server.addr, private.pem.pool())
		defer w.close()
		s.methods = server.methods
		for _, site := range server.sites {
			if err := s.try(ctx, w, site); err != nil {
				return nil, err
			}
		}
	}
	return &s.verdict, nil
}

func (c *privateConfig) leftOut() string {
	if len(c.notes) == 0 {
		return ""
	}
	return " (" + strings.Join(c.notes, "; ") + ")"
}

// maxTable is how many lines a table has; --json gives more.
const maxTable = 40

// print writes the verdict. Its error makes the exit status.
func (v *verdict) print(cmd *cobra.Command) error {
	out := cmd.OutOrStdout()
	passed := len(v.Passed) + v.More
	if wantsJSON(cmd) {
		if err := printJSON(cmd, v); err != nil {
			return err
		}
	} else {
		for _, n := range v.Notes {
			fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", n)
		}
		if passed > 0 {
			v.table(cmd)
		}
		fmt.Fprintf(out, "sent %d requests to %d paths: %d spellings of %s; %d of them reached an application%s\n",
			v.Requests, v.Targets, v.Spellings, plural(len(v.Names), "name"), v.Reached, tally("; refused where an honest request is not: ", v.Refused))
		if v.Guarded.Paths > 0 {
			fmt.Fprintf(out, "of them %d spellings of %s%s\n", v.Guarded.Spellings, plural(v.Guarded.Paths, "guarded path"), tally("; refused: ", v.Guarded.Refused))
		}
	}
	switch {
	case passed > 0:
		if !wantsJSON(cmd) {
			fmt.Fprintf(out, "%s got through\n", plural(passed, "forgery"))
		}
		return errDenied
	case !v.Accepted:
		return fmt.Errorf("the token proves nothing: with it, no header of the gateway reached an application (first answer: %s)", v.Answer)
	}
	if !wantsJSON(cmd) {
		fmt.Fprintln(out, "nothing got through")
	}
	return nil
}

func (v *verdict) table(cmd *cobra.Command) {
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tPROTOCOL\tWHERE\tTOKEN\tSECTION\tSENT AS\tARRIVED AS\tAT")
	for i, p := range v.Passed {
		if i == maxTable {
			break
		}
		with := "without"
		if p.Token {
			with = "with"
		}
		fmt.Fprintf(w, "%s\t%s\t%s%s\t%s\t%s\t%s\t%s\t%s\n", p.Kind, p.Protocol, p.Site, p.Path, with, p.Section, strings.Trim(strconv.QuoteToASCII(p.Sent), `"`), p.Arrived, p.Upstream)
	}
	_ = w.Flush()
	if more := len(v.Passed) + v.More - maxTable; more > 0 {
		fmt.Fprintf(cmd.OutOrStdout(), "… and %d more\n", more)
	}
}

// tally writes how often each answer came, or nothing where there is none.
func tally(introduction string, answers map[string]int) string {
	parts := make([]string, 0, len(answers))
	for what, n := range answers {
		parts = append(parts, fmt.Sprintf("%d × %s", n, what))
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return introduction + strings.Join(parts, ", ")
}

func plural(n int, word string) string {
	switch {
	case n == 1:
		return "1 " + word
	case strings.HasSuffix(word, "y"):
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(word, "y"))
	}
	return fmt.Sprintf("%d %ss", n, word)
}
