package selftest

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The protocols that are tried, by what they are called.
const (
	protocol1 = "HTTP/1.1"
	protocol2 = "HTTP/2"
)

// line is one header or trailer line as it is sent.
type line struct{ name, value string }

// request is one request that tries to get something past the gateway.
type request struct {
	protocol   string
	host, path string
	raw        string // the path as it is sent, where it is not path escaped
	query      string
	lines      []line
	trailers   []line
	announced  bool     // whether a Trailer header announces the trailers
	connection []string // what Connection names; HTTP/1.1 only
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// Bounds of one request.
const (
	attemptTimeout = 15 * time.Second // over the default timeouts of issuer and directory
	maxReplyBody   = 256 << 10
)

// wire speaks to one server in two protocols.
type wire struct {
	addr   string
	tls    *tls.Config
	second *http.Client
	close  func()
}

// newWire makes clients that reach addr whatever host they ask for, and trust
// nobody but the certificate that was made for the test.
func newWire(addr string, pool *x509.CertPool) *wire {
	w := &wire{addr: addr, tls: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}
	var only http.Protocols
	only.SetHTTP2(true)
	second := &http.Transport{
		TLSClientConfig: w.tls.Clone(), Protocols: &only, DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	w.second = &http.Client{Transport: second, CheckRedirect: stay}
	w.close = second.CloseIdleConnections
	return w
}

// send sends a request and gives the answer. An error means that there was
// none, twice: a server may end a connection in use (HTTP/2 GOAWAY), and the
// clients do not send a body again by themselves.
func (w *wire) send(ctx context.Context, a request) (*reply, error) {
	r, err := w.once(ctx, a)
	if err != nil && ctx.Err() == nil {
		r, err = w.once(ctx, a)
	}
	return r, err
}

func (w *wire) once(ctx context.Context, a request) (*reply, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if a.protocol == protocol2 {
		return w.fields(ctx, a)
	}
	return w.text(ctx, a)
}

// text sends HTTP/1.1, line by line as it stands.
func (w *wire) text(ctx context.Context, a request) (*reply, error) {
	config := w.tls.Clone()
	config.ServerName, config.NextProtos = a.host, []string{"http/1.1"}
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", w.addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n", a.target(), a.host, strings.Join(append([]string{"close"}, a.connection...), ", "))
	for _, l := range a.lines {
		fmt.Fprintf(&b, "%s: %s\r\n", l.name, l.value)
	}
	if len(a.trailers) > 0 {
		fmt.Fprintf(&b, "Trailer: %s\r\n", strings.Join(a.announcedNames(), ", "))
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n")
		for _, l := range a.trailers {
			fmt.Fprintf(&b, "%s: %s\r\n", l.name, l.value)
		}
	}
	b.WriteString("\r\n")
	if _, err := io.WriteString(c, b.String()); err != nil {
		return nil, err
	}
	in := bufio.NewReader(io.LimitReader(c, 2*maxReplyBody))
	for {
		resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodGet})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= http.StatusOK || resp.StatusCode == http.StatusSwitchingProtocols {
			return readReply(resp)
		}
	}
}

// fields sends over HTTP/2.
func (w *wire) fields(ctx context.Context, a request) (*reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+bracketed(a.host), nil)
	if err != nil {
		return nil, err
	}
	r.URL.Opaque = "//" + r.URL.Host + a.target() // :path is what stands behind the host
	for _, l := range a.lines {
		r.Header[l.name] = append(r.Header[l.name], l.value)
	}
	if len(a.trailers) > 0 {
		r.Trailer = http.Header{}
		for _, name := range a.announcedNames() {
			r.Trailer[name] = nil
		}
		r.Body = io.NopCloser(&trailingBody{Reader: strings.NewReader("body"), to: r.Trailer, lines: a.trailers})
		r.ContentLength = -1
	}
	resp, err := w.second.Do(r)
	if err != nil {
		return nil, err
	}
	return readReply(resp)
}

// trailingBody fills in trailers when the body has been sent: the clients
// send what is there by then, announced or not.
type trailingBody struct {
	io.Reader
	to    http.Header
	lines []line
}

func (b *trailingBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		for _, l := range b.lines {
			b.to[l.name] = append(b.to[l.name], l.value)
		}
		b.lines = nil
	}
	return n, err
}

func readReply(resp *http.Response) (*reply, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReplyBody))
	if err != nil && len(body) == 0 {
		// The status is what matters; a body that was cut short says nothing
		// against it.
		body = nil
	}
	return &reply{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

func (a request) target() string {
	target := cmp.Or(a.raw, (&url.URL{Path: a.path}).EscapedPath())
	if a.query != "" {
		target += "?" + a.query
	}
	return target
}

// bracketed writes a host as it stands in a URL.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// announcedNames are what Trailer lists: the trailers, or else one that is
// not sent. It opens the way for those that nobody announced: Go's server
// makes one map of both, which handlers before the end of the body share.
func (a request) announcedNames() []string {
	if !a.announced {
		return []string{"X-Token-Enrich-Selftest"}
	}
	var names []string
	for _, l := range a.trailers {
		if !slices.Contains(names, l.name) {
			names = append(names, l.name)
		}
	}
	return names
}

// certificatePEM is a certificate with its key.
type certificatePEM struct{ certificate, key string }

// pool trusts the certificate.
func (c certificatePEM) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AppendCertsFromPEM([]byte(c.certificate))
	return p
}

// selfSigned makes a certificate for hosts that lives as long as the test
// may.
func selfSigned(hosts []string) (certificatePEM, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return certificatePEM{}, fmt.Errorf("making a certificate: %w", err)
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(2 * maxSelftest),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return certificatePEM{}, fmt.Errorf("making a certificate: %w", err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return certificatePEM{}, fmt.Errorf("making a certificate: %w", err)
	}
	return certificatePEM{
		certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		key:         string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
	}, nil
}
