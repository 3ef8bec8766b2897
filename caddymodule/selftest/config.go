package selftest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
)

// This file rewrites the configuration for the private Caddy. What decides about
// requests stays as it is: routes, matchers, policies, issuers, directories. What
// reaches outside is replaced or deleted.

// privateConfig is a configuration, as JSON, rewritten to run beside the real one.
// It listens on loopback only, proxies to probes only, stores in a folder of its
// own and logs nothing. It shares nothing with other nodes: it has no Redis, no
// configured signing keys, and only the apps that answer requests.
type privateConfig struct {
	root    map[string]any
	folder  string
	host    string // the only host to test; empty: every site
	path    string // the only path to test there; empty: those that matchers name
	pem     certificatePEM
	probes  *probes
	servers []privateServer
	notes   []string
}

// privateServer is one server of the configuration, with the address where it
// listens and the sites to test.
type privateServer struct {
	addr  string
	sites []site
}

// UnknownSiteError says that no site of a configuration is for the host that was
// chosen.
type UnknownSiteError struct {
	Site  string   // the host that was chosen
	Known []string // those of the configuration, as it names them
}

// Error names the host and the sites that there are.
func (e *UnknownSiteError) Error() string {
	last := len(e.Known) - 1
	known := strings.Join(e.Known[:max(last, 0)], ", ")
	if last > 0 {
		known += " or "
	}
	if last >= 0 {
		known += e.Known[last]
	}
	return fmt.Sprintf("no site for %q (want %s)", e.Site, known)
}

// keptApps answer requests. Any other app might listen or act outside.
var keptApps = [...]string{"http", "token_enrich"}

// rewriteAll rewrites the real configuration, in place in c.root. It lists the
// servers to test, and notes what it had to omit, because an omitted app or matcher
// may hide a bypass.
func (c *privateConfig) rewriteAll(text []byte) error {
	if err := json.Unmarshal(text, &c.root); err != nil {
		return fmt.Errorf("decoding the configuration: %w", err)
	}
	// The rewritten maps are those of c.root itself.
	apps := jsontree.Object(c.root, "apps")
	// Without these there is nothing to test.
	switch {
	case apps["token_enrich"] == nil:
		return errors.New("the configuration has no global option token_enrich")
	case len(jsontree.Object(apps, "http", "servers")) == 0:
		return errors.New("the configuration has no server")
	}
	for name := range jsontree.Ordered(apps) {
		if !slices.Contains(keptApps[:], name) {
			delete(apps, name)
			// These three are replaced, or cannot change an answer.
			if name != "tls" && name != "pki" && name != "events" {
				c.note("the app %s was left out", name)
			}
		}
	}
	if err := c.rewriteHTTP(jsontree.Object(apps, "http")); err != nil {
		return err
	}
	c.rewriteGateway(jsontree.Object(apps, "token_enrich"))
	// Caddy's own certificate authority would ask to be trusted by this machine.
	apps["pki"] = map[string]any{"certificate_authorities": map[string]any{"local": map[string]any{"install_trust": false}}}
	apps["tls"] = map[string]any{
		"certificates":          map[string]any{"load_pem": []any{map[string]any{"certificate": c.pem.certificate, "key": c.pem.key}}},
		"disable_ocsp_stapling": true,
	}
	// What is left of the configuration is its apps. The admin endpoint would be
	// another listener.
	c.root = map[string]any{
		"admin":   map[string]any{"disabled": true, "config": map[string]any{"persist": false}},
		"storage": map[string]any{"module": "file_system", "root": c.folder},
		"logging": map[string]any{"logs": map[string]any{"default": map[string]any{"writer": map[string]any{"output": "discard"}}}},
		"apps":    apps,
	}
	return c.probes.failed
}

// note adds a note to the report, once. Notes tell an operator what a report without
// bypasses does not prove.
func (c *privateConfig) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(c.notes, text) {
		c.notes = append(c.notes, text)
	}
}

// text returns the rewritten configuration as JSON.
func (c *privateConfig) text() ([]byte, error) { return json.Marshal(c.root) }

// Options of a server and of the HTTP app that concern the outside, and are deleted:
// addresses, certificates, access logs.
var (
	outwardServer = [...]string{
		"listener_wrappers", "packet_conn_wrappers", "listen_protocols", "tls_connection_policies", "strict_sni_host", "logs", "protocols",
	}
	outwardHTTP = [...]string{"http_port", "https_port", "shutdown_delay", "metrics"}
)

// rewriteHTTP rewrites the HTTP app, and lists its servers with their sites. Each
// server gets a loopback address and TLS with one certificate, so that requests of
// both protocols can be sent for each host.
func (c *privateConfig) rewriteHTTP(http map[string]any) error {
	for _, name := range outwardHTTP {
		delete(http, name)
	}
	http["grace_period"] = "1s" // a proxied request may hang
	hosts, known := []string{exampleHost}, []string{}
	for _, v := range jsontree.Ordered(jsontree.Object(http["servers"])) {
		server := jsontree.Object(v)
		for _, o := range outwardServer {
			delete(server, o)
		}
		addr, err := c.freeLoopback()
		if err != nil {
			return err
		}
		s := privateServer{addr: addr}
		for _, site := range sitesOf(server, c.note) {
			known = append(known, site.pattern)
			if c.selects(&site) {
				s.sites, hosts = append(s.sites, site), append(hosts, site.host)
			}
		}
		if kinds := uncoveredMatchers(server); len(kinds) > 0 {
			c.note("routes with %s matchers were tested only by requests that happen to match", strings.Join(kinds, ", "))
		}
		server["listen"] = []any{addr}
		// Requests over TLS only, with one certificate for all hosts.
		server["protocols"] = []any{"h1", "h2"}
		server["automatic_https"] = map[string]any{"disable": true}
		server["tls_connection_policies"] = []any{map[string]any{"default_sni": exampleHost, "fallback_sni": exampleHost}}
		c.rewrite(server)
		c.servers = append(c.servers, s)
	}
	// The example host is always there.
	if len(hosts) == 1 {
		return &UnknownSiteError{Site: c.host, Known: known}
	}
	// One certificate is for all hosts, also where a site is chosen by its wildcard.
	var err error
	c.pem, err = selfSigned(hosts)
	return err
}

// rewriteGateway deletes what nodes share: test values must not reach the cache of
// a real node, and no real key may sign for them.
func (c *privateConfig) rewriteGateway(app map[string]any) {
	if cache := jsontree.Object(app["cache"]); cache["redis"] != nil {
		delete(cache, "redis")
	}
	if signing := jsontree.Object(app["signing"]); signing["key_files"] != nil {
		delete(signing, "key_files")
	}
}

// rewrite goes through everything below a server and points each proxy to a probe.
func (c *privateConfig) rewrite(v any) {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			c.rewrite(e)
		}
	case map[string]any:
		for name, e := range x {
			if list, ok := e.([]any); ok && name == "handle" {
				// Tracing would report these requests to a collector.
				x[name] = slices.DeleteFunc(list, func(h any) bool { return jsontree.Object(h)["handler"] == "tracing" })
			}
			c.rewrite(x[name])
		}
		if x["handler"] == "reverse_proxy" {
			c.rewriteProxy(x)
		}
	}
}

// Options of a proxy that choose among upstreams or reach them, and are deleted: a
// probe needs none of them.
var (
	outwardProxy     = [...]string{"dynamic_upstreams", "load_balancing", "health_checks", "circuit_breaker"}
	outwardTransport = [...]string{"tls", "resolver", "proxy_protocol", "forward_proxy_url", "network_proxy", "local_address", "versions"}
)

// rewriteProxy points a proxy to a probe that is named after its upstreams.
func (c *privateConfig) rewriteProxy(proxy map[string]any) {
	// Proxies to the same upstreams share a probe, as they share an application.
	label := strings.Join(routes.Dials(proxy), " ")
	if source := jsontree.Object(proxy["dynamic_upstreams"]); label == "" && source != nil {
		label = fmt.Sprintf("dynamic %v", source["source"])
	}
	for _, o := range outwardProxy {
		delete(proxy, o)
	}
	protocol := "http"
	transport := jsontree.Object(proxy["transport"])
	if transport != nil {
		protocol, _ = transport["protocol"].(string)
	}
	switch protocol {
	case "fastcgi":
		proxy["upstreams"] = []any{map[string]any{"dial": c.probes.fastCGI(label)}}
		return
	case "http", "token_enrich":
		for _, o := range outwardTransport {
			delete(transport, o)
		}
	default: // a transport of another module may reach anything
		c.note("the transport %s of %s was replaced by HTTP", protocol, label)
		delete(proxy, "transport")
	}
	proxy["upstreams"] = []any{map[string]any{"dial": c.probes.http(label)}}
}

// Servers listen on ports below those that systems assign by themselves, to
// connections and to the probes. So none of these takes a port before Caddy listens
// there.
const (
	firstPort  = 10_000
	portCount  = 20_000
	portsToTry = 1000
)

// freeLoopback returns a loopback address whose port is free, and which
// no other server of this configuration has.
func (c *privateConfig) freeLoopback() (string, error) {
	// Ports are picked at random, so that two selftests at once do not compete for the
	// same ones.
	last := errors.New("all are in use")
	for range portsToTry {
		addr := fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(portCount)) // #nosec G404 -- no secret
		if slices.ContainsFunc(c.servers, func(s privateServer) bool { return s.addr == addr }) {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			last = err
			continue
		}
		_ = l.Close()
		return addr, nil
	}
	return "", fmt.Errorf("looking for a free port: %w", last)
}
