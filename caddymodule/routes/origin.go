package routes

import (
	"cmp"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// Origin returns the origin at which browsers reach the site that is being
// provisioned: its one host, the port at which its server listens, and https where
// that server speaks TLS. An error says why the site's own address names none.
//
// Caddy decides on TLS in the first phase of automatic HTTPS, before it provisions
// routes.
func Origin(ctx caddy.Context) (string, error) {
	app := HTTPApp(ctx)
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if app == nil || !ok {
		return "", errNoSite
	}
	host, err := hostOf(server)
	if err != nil {
		return "", err
	}
	port, err := portOf(server)
	if err != nil {
		return "", err
	}
	scheme, normal := "http", caddyhttp.DefaultHTTPPort
	if len(server.TLSConnPolicies) > 0 && port != cmp.Or(app.HTTPPort, caddyhttp.DefaultHTTPPort) {
		scheme, normal = "https", caddyhttp.DefaultHTTPSPort
	}
	switch {
	case port != normal:
		host = net.JoinHostPort(host, strconv.Itoa(port))
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return scheme + "://" + host, nil
}

// Reasons for which a site's own address names no origin.
var (
	errNoSite   = errors.New("the policy is in no site of its own")
	errNoHost   = errors.New("the site's address names no fixed host")
	errManyHost = errors.New("the site has several hosts")
	errPort     = errors.New("the site's server listens at no single port")
)

// hostOf returns the one host of the route of a server that is being provisioned.
func hostOf(server *caddyhttp.Server) (string, error) {
	var hosts []string
	found := false
	for _, list := range serverLists(server) {
		route := InProvision(list)
		if route == nil {
			continue
		}
		if !fixedHost(route.MatcherSets) {
			return "", errNoHost
		}
		found = true
		for _, set := range route.MatcherSets {
			for _, m := range set {
				hosts = append(hosts, hostsOf(m)...)
			}
		}
		break // the first list with a raw route is the one that Caddy is at
	}
	if !found {
		return "", errNoSite
	}
	slices.Sort(hosts)
	if hosts = slices.Compact(hosts); len(hosts) > 1 {
		return "", errManyHost
	}
	return hosts[0], nil
}

// portOf returns the one port at which a server listens.
func portOf(server *caddyhttp.Server) (int, error) {
	port := 0
	for _, listen := range server.Listen {
		a, err := caddy.ParseNetworkAddress(listen)
		if err != nil || a.IsUnixNetwork() || a.PortRangeSize() != 1 || port != 0 && int(a.StartPort) != port {
			return 0, errPort
		}
		port = int(a.StartPort)
	}
	if port == 0 {
		return 0, errPort
	}
	return port, nil
}
