// Package transport is Caddy's HTTP transport for applications that compare header
// names byte by byte.
package transport

import (
	"maps"
	"net/http"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

func init() {
	caddy.RegisterModule(new(Transport))
}

// Transport is Caddy's HTTP transport, with all its options, for applications
// that compare header names byte by byte. It restores the spelling of the headers
// that a policy writes with `exact`, just before the request leaves: reverse_proxy
// puts every name into the canonical form (Sm_user for SM_USER) as soon as it
// edits headers, which it does for header_up and for every upstream with TLS.
//
// Over HTTP/2 and HTTP/3 names are always in lower case.
type Transport struct {
	reverseproxy.HTTPTransport

	app       *caddymodule.App
	spellings atomic.Pointer[spellings]
}

// CaddyModule returns the Caddy module information.
func (*Transport) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.reverse_proxy.transport.token_enrich",
		New: func() caddy.Module { return new(Transport) },
	}
}

// Provision finds the app and sets up the HTTP transport.
func (t *Transport) Provision(ctx caddy.Context) (err error) {
	if t.app, err = caddymodule.LoadApp(ctx); err != nil {
		return err
	}
	return t.HTTPTransport.Provision(ctx)
}

// UnmarshalCaddyfile reads the transport's block. Its options are those of
// `transport http`:
//
//	transport token_enrich {
//		tls
//		dial_timeout <duration>
//		...
//	}
func (t *Transport) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume transport name
	if d.NextArg() {
		return d.ArgErr()
	}
	d.Reset()
	return t.HTTPTransport.UnmarshalCaddyfile(d)
}

// RoundTrip sends the request, its exact names spelled as configured.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	return t.HTTPTransport.RoundTrip(t.spelled().respell(r))
}

// spelled returns the spellings that the policies of the configuration ask for.
// Policies register while the configuration is provisioned, some of them after
// this transport, so the spellings are collected when a request needs them.
func (t *Transport) spelled() *spellings {
	owned := t.app.OwnedNames()
	if s := t.spellings.Load(); s != nil && s.owned == owned {
		return s
	}
	s := newSpellings(owned)
	t.spellings.Store(s)
	return s
}

// spellings are the exact names of a configuration, by the canonical form
// that they would have without `exact`.
type spellings struct {
	owned *forward.ReservedNames
	names map[string]string
	parts map[string]string // those of headers that are split into Name-1 … Name-n
}

// newSpellings returns the spellings of the exact names. Where two policies spell
// one name differently, the policy that was loaded first decides.
func newSpellings(owned *forward.ReservedNames) *spellings {
	s := &spellings{owned: owned, names: map[string]string{}, parts: map[string]string{}}
	for _, n := range owned.Names() {
		canonical := http.CanonicalHeaderKey(n.Name)
		if !n.Exact || canonical == n.Name {
			continue
		}
		names := s.names
		switch n.Kind {
		case forward.ReservedHeader:
		case forward.ReservedParts:
			names = s.parts
		default:
			continue
		}
		if _, taken := names[canonical]; !taken {
			names[canonical] = n.Name
		}
	}
	return s
}

// respell returns the request with its exact names spelled as configured. It is a
// copy where a name changes, because a transport must not change the request and
// a retry sends it again.
func (s *spellings) respell(r *http.Request) *http.Request {
	var changed http.Header
	for key, values := range r.Header {
		exact, ok := s.of(key)
		if !ok {
			continue
		}
		if _, there := r.Header[exact]; there {
			// The name was written in both spellings, and it is unknown which
			// of the two is right.
			continue
		}
		if changed == nil {
			changed = maps.Clone(r.Header)
		}
		delete(changed, key)
		changed[exact] = values
	}
	if changed == nil {
		return r
	}
	r = r.WithContext(r.Context())
	r.Header = changed
	return r
}

// of returns the exact spelling of a canonical name, also of a numbered part.
func (s *spellings) of(key string) (string, bool) {
	if exact, ok := s.names[key]; ok {
		return exact, true
	}
	if len(s.parts) == 0 {
		return "", false
	}
	i := len(key)
	for i > 0 && '0' <= key[i-1] && key[i-1] <= '9' {
		i--
	}
	if i == len(key) || i < 2 || key[i-1] != '-' {
		return "", false
	}
	exact, ok := s.parts[key[:i-1]]
	return exact + key[i-1:], ok
}

// What reverse_proxy expects of a transport beyond the round trip. Without one of
// these interfaces, the options that it serves would silently do nothing.
var (
	_ caddy.Provisioner                                = (*Transport)(nil)
	_ caddy.CleanerUpper                               = (*Transport)(nil)
	_ caddyfile.Unmarshaler                            = (*Transport)(nil)
	_ http.RoundTripper                                = (*Transport)(nil)
	_ reverseproxy.TLSTransport                        = (*Transport)(nil)
	_ reverseproxy.H2CTransport                        = (*Transport)(nil)
	_ reverseproxy.HealthCheckSchemeOverriderTransport = (*Transport)(nil)
	_ reverseproxy.ProxyProtocolTransport              = (*Transport)(nil)
	_ reverseproxy.RequestHeaderOpsTransport           = (*Transport)(nil)
)
