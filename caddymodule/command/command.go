package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

func init() {
	caddymodule.RegisterSubcommand(checkCommand)
	caddymodule.RegisterSubcommand(selftestCommand)
}

type testResult = caddymodule.TestResult

func runTests(ctx context.Context, app *caddymodule.App) ([]testResult, error) {
	return app.TryTests(ctx)
}

// misuseError is an error of whoever typed the command: exit status 2.
type misuseError struct{ error }

func (e misuseError) Unwrap() error { return e.error }

func misuse(format string, args ...any) error { return misuseError{fmt.Errorf(format, args...)} }

// errDenied makes a command end with status 1 without a word: what it printed
// says everything.
var errDenied = errors.New("denied")

// run makes a cobra function of one that returns an error: it is printed to
// stderr once, in full, and becomes the exit status.
func run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error { return finish(cmd, f(cmd, args)) }
}

func finish(cmd *cobra.Command, err error) error {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var wrong misuseError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errDenied):
		return err
	case errors.As(err, &wrong):
		fmt.Fprintf(cmd.ErrOrStderr(), "Error: %v\nSee: %s --help\n", err, cmd.CommandPath())
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return 2, nil })(cmd, nil)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Error: %v\n", err)
	return err
}

// exactly makes an argument check whose failure is misuse.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return finish(cmd, misuse("%s takes %s", cmd.Name(), what))
		}
		return nil
	}
}

// contextOf gives the command's context; Caddy runs commands without one.
func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// printJSON writes a value to stdout, indented, with a line end.
func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// wantsJSON reports whether --json was given.
func wantsJSON(cmd *cobra.Command) bool {
	v, err := cmd.Flags().GetBool("json")
	return err == nil && v
}

// readFile reads a file, or stdin for "-". What it reads is bounded.
func readFile(cmd *cobra.Command, name string) ([]byte, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxInput {
		return nil, fmt.Errorf("%s: over %d bytes", name, maxInput)
	}
	return text, nil
}

// maxInput bounds what a command reads: a directory's file is the largest.
const maxInput = 64 << 20
