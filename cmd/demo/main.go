// Command demo shows the gateway at work on a machine that has nothing but Go:
//
//	go run ./cmd/demo
//
// It starts a small OpenID provider, a legacy application that shows the
// headers it receives, and between them a Caddy with this module and the
// configuration of Caddyfile.example, all on loopback. Then it prints the
// address of a page to log in to, requests to try, and what to expect of each.
// With --once it makes the requests and walks through the login itself, says how
// each step turned out, and ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole command. It returns the exit code: 0 for success, 1 for a
// failure, 2 for incorrect usage.
func run(ctx context.Context, args []string, out, stderr io.Writer) int {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	once := flags.Bool("once", false, "make the requests, report each result and exit")
	anyPort := flags.Bool("any-port", false, "take free ports instead of 8080, 2019, 9000 and 9001")
	verbose := flags.Bool("verbose", false, "write Caddy's log to standard error instead of a file")
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: go run ./cmd/demo [--once] [--any-port] [--verbose]")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		flags.Usage()
		return 2
	}

	s, err := open(ctx, options{anyPort: *anyPort, verbose: *verbose})
	if err != nil {
		fmt.Fprintln(stderr, "demo:", err)
		return 1
	}
	defer s.close()

	s.introduce(out)
	if *once {
		if !s.play(ctx, out) {
			return 1
		}
		return 0
	}
	s.explain(out)
	<-ctx.Done()
	fmt.Fprintln(out, "\nStopping.")
	return 0
}
