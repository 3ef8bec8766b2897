package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenenrich/caddy-token-enrich/cmd/demo/internal/legacy"
	"github.com/tokenenrich/caddy-token-enrich/cmd/demo/internal/provider"
)

// Ports that the demonstration takes where they are free.
const (
	gatewayPort  = 8080
	adminPort    = 2019
	providerPort = 9000
	legacyPort   = 9001
)

// readyTimeout is how long the gateway may take until it can decide: it
// fetches the provider's keys and makes a signing key.
const readyTimeout = time.Minute

// loadAttempts is how often the gateway is started anew where a port that was
// free has been taken before Caddy could bind it.
const loadAttempts = 3

// What the tokens of the demonstration say; Caddyfile.example and
// examples/directory.yaml hold the other half.
const (
	audience    = "api://legacy"
	client      = "0oa1payroll"
	loginClient = "0oa1gateway"
	loginSecret = "demo-secret-for-this-machine-only"
)

// people are the made-up people of examples/directory.yaml, and one whom the
// directory does not know.
func people() map[string]provider.Person {
	return map[string]provider.Person{
		"ada":    {Subject: "00u1ada", Name: "Ada Ampere", Email: "ada@example.com"},
		"grace":  {Subject: "00u2grace", Name: "Grace Gauss", Email: "grace@example.com"},
		"alan":   {Subject: "00u3alan", Name: "Alan Avogadro", Email: "alan@example.com"},
		"nobody": {Subject: "00u0nobody"},
	}
}

// known is the configuration of the provider.
func known(issuer string) provider.Config {
	return provider.Config{
		Issuer: issuer, Audience: audience, Client: client, People: people(),
		Login: provider.Client{ID: loginClient, Secret: loginSecret, Callback: "/.token-enrich/callback"},
	}
}

type options struct{ anyPort, verbose bool }

// stage is all that runs: provider, legacy application and gateway.
type stage struct {
	provider *provider.Provider
	issuer   string // URL
	legacy   string // host and port
	gateway  string // URL
	admin    string // host and port
	folder   string // what Caddy stores, and its log; gone afterwards
	log      string // empty: standard error
	servers  []*http.Server
	loaded   bool
}

// open starts everything and waits until the gateway can decide.
func open(ctx context.Context, o options) (*stage, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "token-enrich-demo-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	s := &stage{folder: folder}
	if !o.verbose {
		s.log = filepath.Join(folder, "caddy.log")
	}
	if err := s.start(ctx, root, o); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *stage) start(ctx context.Context, root string, o options) error {
	listener, err := listen(ctx, providerPort, o.anyPort)
	if err != nil {
		return err
	}
	s.issuer = fmt.Sprintf("http://localhost:%d", portOf(listener))
	s.provider, err = provider.New(known(s.issuer))
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	s.serve(listener, s.provider.Handler())

	listener, err = listen(ctx, legacyPort, o.anyPort)
	if err != nil {
		return err
	}
	s.legacy = fmt.Sprintf("localhost:%d", portOf(listener))
	s.serve(listener, legacy.Handler())

	for attempt := 1; ; attempt++ {
		err = s.load(ctx, root, o.anyPort || attempt > 1)
		if err == nil {
			break
		}
		if attempt == loadAttempts || ctx.Err() != nil {
			return err
		}
	}
	return s.waitUntilReady(ctx)
}

// load starts Caddy with Caddyfile.example, unchanged. It sets the environment
// variables for the addresses in it; DIRECTORY_FILE and REDIS_URL may be set from
// outside.
func (s *stage) load(ctx context.Context, root string, anyPort bool) error {
	ports, err := freePorts(ctx, anyPort, gatewayPort, adminPort)
	if err != nil {
		return err
	}
	s.gateway, s.admin = fmt.Sprintf("http://localhost:%d", ports[0]), fmt.Sprintf("localhost:%d", ports[1])
	redis := ""
	if url := os.Getenv("REDIS_URL"); url != "" {
		redis = "redis " + url
	}
	for name, value := range map[string]string{
		"GATEWAY_URL":    s.gateway,
		"ADMIN_ADDR":     s.admin,
		"ISSUER_URL":     s.issuer,
		"LEGACY_ADDR":    s.legacy,
		"DIRECTORY_FILE": cmp.Or(os.Getenv("DIRECTORY_FILE"), filepath.Join(root, "examples", "directory.yaml")),
		"DEV_DIR":        filepath.Join(root, "examples", "dev"),
		"REDIS_OPTION":   redis,
	} {
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("setting %s: %w", name, err)
		}
	}
	config, err := gatewayConfig(filepath.Join(root, "Caddyfile.example"), s.folder, s.log)
	if err != nil {
		return err
	}
	s.loaded = true
	if err := caddy.Load(config, true); err != nil {
		return fmt.Errorf("starting the gateway: %w", err)
	}
	return nil
}

// waitUntilReady asks the gateway whether it can decide until it says yes.
func (s *stage) waitUntilReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.gateway+"/ready", http.NoBody)
		if err != nil {
			return fmt.Errorf("waiting for the gateway: %w", err)
		}
		response, err := http.DefaultClient.Do(r)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.New("the gateway is not ready after " + readyTimeout.String())
		}
	}
}

func (s *stage) serve(listener net.Listener, handler http.Handler) {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, server)
	go func() { _ = server.Serve(listener) }()
}

// close stops everything and takes the folder away.
func (s *stage) close() {
	if s.loaded {
		_ = caddy.Stop()
	}
	for _, server := range s.servers {
		_ = server.Close()
	}
	_ = os.RemoveAll(s.folder)
}

// moduleRoot is the folder of the checkout: the nearest one above that holds
// the configuration which is to be shown.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for the checkout: %w", err)
	}
	for {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(text, []byte("module github.com/tokenenrich/caddy-token-enrich\n")) {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("run this inside a checkout of github.com/tokenenrich/caddy-token-enrich")
		}
		dir = parent
	}
}

// listen takes a port on loopback: the preferred one if it is free and wanted,
// else any.
func listen(ctx context.Context, preferred int, anyPort bool) (net.Listener, error) {
	var config net.ListenConfig
	if !anyPort {
		if listener, err := config.Listen(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", preferred)); err == nil {
			return listener, nil
		}
	}
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("taking a port: %w", err)
	}
	return listener, nil
}

// freePorts are ports that Caddy can bind. None is given back before all are
// taken: they are different ones.
func freePorts(ctx context.Context, anyPort bool, preferred ...int) ([]int, error) {
	ports := make([]int, 0, len(preferred))
	for _, p := range preferred {
		listener, err := listen(ctx, p, anyPort)
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		ports = append(ports, portOf(listener))
	}
	return ports, nil
}

func portOf(l net.Listener) int {
	if address, ok := l.Addr().(*net.TCPAddr); ok {
		return address.Port
	}
	return 0
}
