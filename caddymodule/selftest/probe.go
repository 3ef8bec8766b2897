package selftest

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/fcgi"
	"sync"
	"time"
)

// This file has the servers that replace the applications.

// probes replace the applications of a configuration. Each upstream has one,
// which records what it receives.
type probes struct {
	mu       sync.Mutex
	received []observation     // since the last call of take
	open     []io.Closer       // the servers
	byLabel  map[string]string // kind and label → address
	failed   error             // of the last probe that could not be started
}

// observation is a request as a probe received it.
type observation struct {
	upstream string // the label of the probe
	path     string // as in the request line
	header   http.Header
	trailer  http.Header
}

// Bounds of a probe, far above what one request leads to.
const (
	maxProbes     = 256
	maxProbedBody = 1 << 20
	maxProbed     = 256
	probeTimeout  = 10 * time.Second
)

// newProbes returns probes none of which is started. Each is started when the
// rewritten configuration first needs it.
func newProbes() *probes { return &probes{byLabel: map[string]string{}} }

// http returns the address of a probe that speaks HTTP/1.1, for reverse_proxy with
// each of its transports but FastCGI.
func (p *probes) http(label string) string {
	return p.start("http", label, func(l net.Listener, h http.Handler) io.Closer {
		s := &http.Server{Handler: h, ReadHeaderTimeout: probeTimeout, ErrorLog: log.New(io.Discard, "", 0)}
		go func() { _ = s.Serve(l) }()
		return s
	})
}

// fastCGI returns the address of a probe that speaks FastCGI.
func (p *probes) fastCGI(label string) string {
	return p.start("fastcgi", label, func(l net.Listener, h http.Handler) io.Closer {
		go func() { _ = fcgi.Serve(l, h) }()
		return l
	})
}

// start returns the address of the probe of a kind and label, and starts it where
// there is none. Its error is left in failed.
func (p *probes) start(kind, label string, serve func(net.Listener, http.Handler) io.Closer) string {
	// Upstreams of one label are one application.
	if addr, ok := p.byLabel[kind+" "+label]; ok {
		return addr
	}
	if len(p.byLabel) >= maxProbes {
		p.failed = fmt.Errorf("the configuration has over %d upstreams", maxProbes)
		return "127.0.0.1:1" // where nothing listens; the error ends the selftest
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.failed = fmt.Errorf("starting a probe: %w", err)
		return "127.0.0.1:1"
	}
	p.open = append(p.open, serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.record(label, w, r) })))
	addr := l.Addr().String()
	p.byLabel[kind+" "+label] = addr
	return addr
}

// record records a request with its trailers, and answers it. The answer is the same
// for all requests: it must not depend on what a client sent.
func (p *probes) record(label string, w http.ResponseWriter, r *http.Request) {
	// The trailer is complete when the body has ended.
	_, _ = io.Copy(io.Discard, io.LimitReader(r.Body, maxProbedBody))
	p.mu.Lock()
	if len(p.received) < maxProbed {
		p.received = append(p.received, observation{upstream: label, path: r.RequestURI, header: r.Header.Clone(), trailer: r.Trailer.Clone()})
	}
	p.mu.Unlock()
	w.Header().Set("Content-Type", "text/plain")
	_, _ = io.WriteString(w, "ok")
}

// take returns what the probes received since the last call. Requests are sent one
// after the other, so this is what the last one led to.
func (p *probes) take() []observation {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := p.received
	p.received = nil
	return list
}

// Close stops the probes. A FastCGI probe closes its listener only: its connections
// end with the Caddy that opened them.
func (p *probes) Close() {
	for _, c := range p.open {
		_ = c.Close()
	}
}
