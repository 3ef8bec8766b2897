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
)

// This file has what all commands share: exit status, input and output.
//
// The exit status is part of the interface, because scripts and CI jobs test it: 0
// for success, 1 for a failure or a denial, 2 for incorrect usage. Results go to
// stdout and diagnostics to stderr, so that the output of --json can be piped.

// misuseError is an error in how a command was called, such as a missing flag. It
// ends the process with status 2, so that a script can distinguish its own mistake
// from a denial or a failed check. It is printed with a pointer to the help.
type misuseError struct{ error }

// Unwrap returns the error without its kind.
func (e misuseError) Unwrap() error { return e.error }

// misuse returns a misuseError of this text.
func misuse(format string, args ...any) error { return misuseError{fmt.Errorf(format, args...)} }

// errDenied ends the process with status 1 and no message, after a command that
// has printed its result. It is each negative result: a denial, a failed
// test, an expression with an error, a bypass.
var errDenied = errors.New("denied")

// run returns the cobra function of a command. An error is printed to stderr
// once and becomes the exit status.
func run(f func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error { return finish(cmd, f(cmd, args)) }
}

// finish prints the error of a command and returns the one that sets the exit
// status: 1 as for every error, or 2 for misuse. Caddy and cobra print nothing
// more.
func finish(cmd *cobra.Command, err error) error {
	// Cobra would print the error a second time, with the whole usage behind it.
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	var wrong misuseError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errDenied):
		return err
	case errors.As(err, &wrong):
		fmt.Fprintf(cmd.ErrOrStderr(), "Error: %v\nSee: %s --help\n", err, cmd.CommandPath())
		// Only Caddy's wrapper can set a status other than 1. Its own error has no
		// text, and nothing is printed for it.
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return 2, nil })(cmd, nil)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Error: %v\n", err)
	return err
}

// exactly returns a check that a command has n arguments. what describes them for
// the error. Cobra's own check would end with status 1.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return finish(cmd, misuse("%s takes %s", cmd.Name(), what))
		}
		return nil
	}
}

// contextOf returns the command's context. Caddy runs commands without one, while a
// test may set one to bound a command.
func contextOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.Background()
}

// newEncoder returns a JSON encoder that leaves <, > and & as they are: the output
// is for a terminal or a script, not for a page.
func newEncoder(out io.Writer) *json.Encoder {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e
}

// printJSON writes a value to stdout as indented JSON, for the commands that make
// their result themselves. An answer of the gateway is printed unchanged by call.
func printJSON(cmd *cobra.Command, v any) error {
	e := newEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// wantsJSON reports whether --json was given. The flag belongs to token-enrich
// itself and is inherited by each command.
func wantsJSON(cmd *cobra.Command) bool {
	v, err := cmd.Flags().GetBool("json")
	return err == nil && v
}

// readFile reads a file of at most maxInput bytes, or stdin for "-". Tokens are read
// this way and never from an argument, which other users of the machine could see
// in the list of processes.
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
	// One byte more than the limit tells a file that is too large from one that fits.
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxInput {
		return nil, fmt.Errorf("%s: larger than %d bytes", name, maxInput)
	}
	return text, nil
}

// maxInput bounds what a command reads, in bytes. The largest is the file of a
// directory.
const maxInput = 64 << 20
