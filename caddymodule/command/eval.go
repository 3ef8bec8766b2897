package command

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/file"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// evalCommand returns the command eval, with which an author tries an expression
// before it goes into a claim rule or a requirement. It works on the expression
// alone: no configuration is loaded and no gateway is called.
func evalCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "eval [--context FILE] [--dialect classic|identity_engine] EXPRESSION",
		Short: "Evaluates one expression and prints its value as JSON",
		Long: `
Evaluates an expression in Okta's language and prints the value as JSON. false
and null are values and exit with status 0. An error is printed with a caret
under its position and exits with status 1.

The input of the expression is a JSON file (- is stdin):

  {"user": {…}, "groups": […], "app": {…}, "appuser": {…},
   "access": {"scope": […]}, "org": {…}, "session": {…},
   "linked": {"manager": {…}}, "appusers": […], "vars": {…}, "now": "RFC 3339"}

or from a directory file: --directory FILE --user X --app Y --scope "a b".
`,
		Example: `  caddy token-enrich eval 'String.toUpperCase("abc")'
  caddy token-enrich eval --directory examples/directory.yaml --user 00u1ada 'user.firstName'`,
		Args: exactly(1, "one expression (put quotes around it)"),
		RunE: run(eval),
	}
	cmd.Flags().String("context", "", "A JSON file with the input of the expression")
	cmd.Flags().String("dialect", "", "classic or identity_engine (default: both)")
	cmd.Flags().String("directory", "", "A directory file with the user and the app")
	cmd.Flags().String("user", "", "The user's id or login, with --directory")
	cmd.Flags().String("app", "", "The app's id, with --directory")
	cmd.Flags().String("scope", "", "The granted scopes, separated by spaces")
	return cmd
}

// eval compiles the expression, evaluates it and prints its value. The expression
// may read every input, including those that only a claim rule or only a
// requirement may read. Without --dialect, both dialects are accepted.
func eval(cmd *cobra.Command, args []string) error {
	flags := cmd.Flags()
	name, _ := flags.GetString("dialect")
	dialect, err := oktael.ParseDialect(name)
	if err != nil {
		return misuse("--dialect: %w", err)
	}
	c, err := evalContext(cmd)
	if err != nil {
		return err
	}
	program, err := oktael.Compile(args[0], oktael.Options{Dialect: dialect, Inputs: oktael.AllInputs})
	if err != nil {
		return expressionError(cmd, err)
	}
	value, err := program.Eval(c)
	if err != nil {
		return expressionError(cmd, err)
	}
	return newEncoder(cmd.OutOrStdout()).Encode(value)
}

// expressionError prints an error of an expression with a caret under its
// position, or with --json as an object. It returns errDenied, because the error
// has been printed. An error that is neither of compilation nor of evaluation has
// no position: line and column are 0.
func expressionError(cmd *cobra.Command, err error) error {
	// Both kinds know where in the expression they occurred.
	var compile *oktael.Error
	var run *oktael.EvalError
	line, column, message, caret := 0, 0, err.Error(), ""
	switch {
	case errors.As(err, &compile):
		line, column, message, caret = compile.Line, compile.Column, compile.Msg, compile.Caret()
	case errors.As(err, &run):
		line, column, message, caret = run.Line, run.Column, run.Msg, run.Caret()
	}
	if wantsJSON(cmd) {
		_ = newEncoder(cmd.ErrOrStderr()).Encode(map[string]any{"error": message, "line": line, "column": column})
		return errDenied
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Error: %v\n%s\n", err, caret)
	return errDenied
}

// evalContext returns what the expression may read, from --context or from
// --directory. With neither, the user is empty and in no group. The time is now
// unless the context has one, so that an expression over dates can be tried
// with a fixed result.
func evalContext(cmd *cobra.Command) (*oktael.Context, error) {
	// A flag that is not set is empty. All flags of this command are optional.
	flags := cmd.Flags()
	contextFile, _ := flags.GetString("context")
	directoryFile, _ := flags.GetString("directory")
	user, _ := flags.GetString("user")
	app, _ := flags.GetString("app")
	scope, _ := flags.GetString("scope")
	c := &oktael.Context{GroupsKnown: true}
	switch {
	case contextFile != "" && directoryFile != "":
		return nil, misuse("--context and --directory cannot be combined")
	// The file sets the whole context, so that an expression can be tried with
	// data that no directory has.
	case contextFile != "":
		text, err := readFile(cmd, contextFile)
		if err != nil {
			return nil, fmt.Errorf("--context: %w", err)
		}
		if c, err = oktael.DecodeContext(text); err != nil {
			return nil, fmt.Errorf("--context: %w", err)
		}
	// The directory is that of the file kind, with its default properties to match
	// a user by.
	case directoryFile != "":
		text, err := readFile(cmd, directoryFile)
		if err != nil {
			return nil, fmt.Errorf("--directory: %w", err)
		}
		snapshot, err := file.Load(text)
		if err != nil {
			return nil, fmt.Errorf("--directory: %w", err)
		}
		if err := fromDirectory(contextOf(cmd), c, snapshot.Directory("id", "login"), user, app); err != nil {
			return nil, err
		}
	case user != "" || app != "":
		return nil, misuse("--user and --app require --directory")
	}
	// The flag takes precedence over the scopes of a context file.
	if scope != "" {
		c.Scopes = strings.Fields(scope)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// fromDirectory fills a context with the records that a directory has of a user,
// an app and the user's account in the app. An empty user or app is not looked
// up. An unknown user or app is an error, because it is a mistake in a flag; a user
// without an account in the app is not: appuser is null then, as in a request.
func fromDirectory(ctx context.Context, c *oktael.Context, d directory.Directory, user, app string) error {
	q := directory.Query{Principal: &identity.Principal{Subject: user}}
	// The flag takes the place of the token's subject, and is matched like it.
	if user != "" {
		person, err := d.Person(ctx, q)
		switch {
		case errors.Is(err, directory.ErrNotFound):
			return fmt.Errorf("--user: the directory has no user with the id or login %q", user)
		case err != nil:
			return fmt.Errorf("--user: %w", err)
		}
		c.User, c.Groups, c.GroupsKnown, c.GroupsUnknown = person.User, person.Groups, person.GroupsKnown, person.GroupsUnknown
		c.Linked, c.LinkedNames, c.AppUsers, c.Unavailable = person.Linked, person.LinkedNames, person.AppUsers, person.Unavailable
	}
	if app == "" {
		return nil
	}
	var err error
	c.App, err = d.App(ctx, app)
	switch {
	case errors.Is(err, directory.ErrNotFound):
		return fmt.Errorf("--app: the directory has no app with the id or client id %q", app)
	case err != nil:
		return fmt.Errorf("--app: %w", err)
	}
	if user == "" {
		return nil
	}
	if c.AppUser, err = d.AppUser(ctx, q, app); err != nil && !errors.Is(err, directory.ErrNotFound) {
		return fmt.Errorf("--app: %w", err)
	}
	return nil
}
