// Package selftest runs a configuration in private, with a probe in the place of
// each application, and tries to get identity headers and guarded paths past the
// gateway. It reports what got through.
//
// A selftest has four parts. config.go and sites.go rewrite the configuration and
// choose the hosts and paths. probe.go has the servers in the place of applications.
// attempts.go and paths.go list the dishonest requests, which client.go sends as they
// are. tester.go compares what arrives with what an honest request leads to.
package selftest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

// Bounds of a selftest. Beyond the first two it ends with an error, because a report
// of half the attempts would look like a proof.
const (
	// A configuration with many sites takes minutes; Options narrow the test.
	maxSelftest = 10 * time.Minute
	maxAttempts = 50_000
	maxBypasses = 1000 // listed in a report

	// The size of the names and values of one request: headers below what servers
	// commonly allow, trailers below the 4 KiB that Go's server reads over
	// HTTP/1.1.
	headerBytes  = 12 << 10
	trailerBytes = 3 << 10
)

// Options choose what a selftest sends.
type Options struct {
	Site  string // the only host to send requests for; empty: those of the configuration
	Path  string // the only path to send requests for, besides one that no matcher names; empty: those of the configuration
	Token string // a token that the configuration accepts
}

// Run runs a configuration, given as JSON, in private and sends it requests that
// try to get past the gateway. It replaces the configuration that this process
// runs, and stops it at the end. Where no site is for the chosen host, the error is
// an *UnknownSiteError.
func Run(ctx context.Context, config []byte, o Options) (_ *Report, err error) {
	ctx, cancel := context.WithTimeout(ctx, maxSelftest)
	defer cancel()
	// Signing keys and certificates of the private configuration are stored here.
	folder, err := os.MkdirTemp("", "token-enrich-selftest-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	p := newProbes()
	defer p.Close()
	if host, _, err := net.SplitHostPort(o.Site); err == nil {
		o.Site = host
	}
	private := &privateConfig{folder: folder, host: o.Site, path: o.Path, probes: p}
	if err := private.rewriteAll(config); err != nil {
		return nil, err
	}
	text, err := private.text()
	if err != nil {
		return nil, err
	}
	// Everything below this needs the configuration to run.
	if err := caddy.Load(text, true); err != nil {
		return nil, fmt.Errorf("running the configuration in private: %w%s", err, private.leftOut())
	}
	defer func() { err = errors.Join(err, caddy.Stop()) }()
	app, err := caddymodule.ActiveApp()
	if err != nil {
		return nil, err
	}
	if len(app.Policies()) == 0 {
		return nil, errors.New("the configuration has no token_enrich directive")
	}
	// The names and places come from the app, so that they are those that requests
	// are decided with.
	s := newTester(app, o.Token, p)
	s.Notes = private.notes
	if missing := s.readings.Missing(); len(missing) > 0 {
		s.Notes = append(s.Notes, "not tested: spellings of guarded paths that need path_readings "+strings.Join(missing, " "))
	}
	for _, server := range private.servers {
		c := newClient(server.addr, private.pem.pool())
		defer c.close()
		for _, site := range server.sites {
			if err := s.testSite(ctx, c, site); err != nil {
				return nil, err
			}
		}
	}
	return &s.Report, nil
}

// leftOut returns the notes as part of an error: the private configuration may fail to
// run because of what was omitted from it.
func (c *privateConfig) leftOut() string {
	if len(c.notes) == 0 {
		return ""
	}
	return " (" + strings.Join(c.notes, "; ") + ")"
}
