// Command load compares the gateway with bare Caddy: both stand before the
// same application and get the same requests at the same moments, and what is
// compared is the processor time that each process took for them, as the
// kernel counts it. Two vCPUs of a shared machine are never the same twice;
// what both meet at once cancels out in their ratio.
//
// It needs a caddy binary with the module in it; paired.sh builds one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"
)

// side is one of the two configurations of a case.
type side string

const (
	bare    side = "bare"    // reverse_proxy and nothing else
	headers side = "headers" // the same, writing five fixed headers
	keep    side = "keep"    // the gateway; the incoming token goes on
	drop    side = "drop"    // the gateway; the incoming token does not
	session side = "session" // the gateway; people log in, and the session's cookie does not go on
)

// comparison is one case: what is measured, against what, with how many
// different tokens or sessions. Fresh ones are new in each round.
type comparison struct {
	name             string
	subject, against side
	tokens           int
	fresh            bool
	requests         int // in one round, of each side
}

// cases are all comparisons. Minting a token costs twenty times what
// verifying it does, so a round of new ones is short.
func cases() []comparison {
	return []comparison{
		{"two alike (the noise)", headers, headers, 1, false, 8_000},
		{"one token, against five fixed headers", keep, headers, 1, false, 8_000},
		{"one session, against five fixed headers", session, headers, 1, false, 8_000},
		{"one session, against one token, dropped", session, drop, 1, false, 8_000},
		{"one token, dropped, against bare", drop, bare, 1, false, 8_000},
		{"10,000 tokens, against bare", keep, bare, 10_000, false, 10_000},
		{"each token new (RS256), against bare", keep, bare, 1_500, true, 1_500},
	}
}

func main() {
	caddy := flag.String("caddy", "caddy", "the caddy binary, with the module")
	rounds := flag.Int("rounds", 9, "rounds of each case; the first warms up and is not counted")
	connections := flag.Int("connections", 4, "connections to each side")
	budget := flag.Duration("budget", 150*time.Second, "stop beginning rounds after this time; at least three are counted")
	only := flag.String("only", "", "run only the cases whose name holds this text")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *caddy, *rounds, *connections, *budget, *only); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, caddy string, rounds, connections int, budget time.Duration, only string) error {
	var chosen []comparison
	for _, c := range cases() {
		if strings.Contains(c.name, only) {
			chosen = append(chosen, c)
		}
	}
	if len(chosen) == 0 {
		return fmt.Errorf("no case holds %q", only)
	}
	folder, err := os.MkdirTemp("", "token-enrich-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	idp := new(provider)
	address, err := serve(ctx, idp)
	if err != nil {
		return err
	}
	idp.issuer = "http://" + address
	m, err := newMinter(folder, idp.issuer)
	if err != nil {
		return err
	}
	idp.minter = m
	application, err := serve(ctx, http.HandlerFunc(answer))
	if err != nil {
		return err
	}
	fmt.Printf("%-40s %6s  %-22s %18s %18s\n", "processor time, subject / against", "ratio", "95 % interval", "µs a request", "RSS in MB")
	for i, c := range chosen {
		// Each case gets its share of what time is left.
		share := budget / time.Duration(len(chosen)-i)
		began := time.Now()
		if err := compare(ctx, c, plan{caddy, folder, application, idp.issuer, rounds, connections, share}, m); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		budget -= time.Since(began)
	}
	return nil
}

// plan is what all cases have in common.
type plan struct {
	caddy, folder, application, issuer string
	rounds, connections                int
	budget                             time.Duration
}

func compare(ctx context.Context, c comparison, p plan, m *minter) error {
	began := time.Now()
	subject, err := start(ctx, p, c.subject)
	if err != nil {
		return err
	}
	defer subject.stop()
	against, err := start(ctx, p, c.against)
	if err != nil {
		return err
	}
	defer against.stop()
	tokens, err := m.mint(c.tokens)
	if err != nil {
		return err
	}
	bearers := func(tokens []string) (requests []http.Header) {
		for _, token := range tokens {
			requests = append(requests, http.Header{"Authorization": {"Bearer " + token}})
		}
		return requests
	}
	toSubject, toAgainst := target{subject.url, bearers(tokens)}, target{against.url, bearers(tokens)}
	if c.subject == session {
		if toSubject.requests, err = logIns(ctx, subject, c.tokens); err != nil {
			return err
		}
		if c.against == headers {
			toAgainst.requests = toSubject.requests
		}
	}
	var ratios, ours, theirs []float64
	for round := 0; round <= p.rounds; round++ {
		if round > 3 && time.Since(began) > p.budget {
			break
		}
		if c.fresh && round > 0 {
			if tokens, err = m.mint(c.tokens); err != nil {
				return err
			}
			toSubject.requests, toAgainst.requests = bearers(tokens), bearers(tokens)
		}
		before, err := processorTimes(subject, against)
		if err != nil {
			return err
		}
		if err := drive(ctx, p.connections, c.requests, toSubject, toAgainst); err != nil {
			return err
		}
		after, err := processorTimes(subject, against)
		if err != nil {
			return err
		}
		if round == 0 {
			continue
		}
		a, b := after[0]-before[0], after[1]-before[1]
		ratios = append(ratios, math.Log(float64(a)/float64(b)))
		ours = append(ours, float64(a.Microseconds())/float64(c.requests))
		theirs = append(theirs, float64(b.Microseconds())/float64(c.requests))
	}
	mean, half := interval(ratios)
	fmt.Printf("%-40s %6.2f  [%.2f – %.2f], n = %-4d %8.0f / %-8.0f %8d / %-8d\n", c.name, math.Exp(mean),
		math.Exp(mean-half), math.Exp(mean+half), len(ratios), median(ours), median(theirs), subject.resident(), against.resident())
	return nil
}

// target is a server and the headers of the requests to it, which take turns.
type target struct {
	url      string
	requests []http.Header
}

// drive sends the requests to both sides by turns over a few connections, so
// that whatever else the machine does meets both alike.
func drive(ctx context.Context, connections, requests int, targets ...target) error {
	transport := &http.Transport{MaxIdleConnsPerHost: connections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	var failed error
	var once sync.Once
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for w := range connections {
		wg.Go(func() {
			for i := w; i < requests && ctx.Err() == nil; i += connections {
				for k := range targets {
					t := targets[(k+i/connections)%len(targets)]
					if err := get(ctx, client, t.url, t.requests[i%len(t.requests)]); err != nil {
						once.Do(func() { failed = err })
						cancel()
						return
					}
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(failed, context.Cause(ctx))
}

func get(ctx context.Context, client *http.Client, url string, header http.Header) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header = maps.Clone(header) // the transport may add to it
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}

// answer is the application that both sides stand before. Its time is not counted.
func answer(w http.ResponseWriter, r *http.Request) {
	// A gateway that writes nothing would be fast.
	if r.URL.Path != "/"+string(bare) && len(r.Header.Get("X-Groups")) < 400 {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	_, _ = io.WriteString(w, "ok")
}

// serve serves on a free port until the context ends.
func serve(ctx context.Context, handler http.Handler) (address string, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: handler}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return listener.Addr().String(), nil
}
