package enrichtest

import (
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Endpoint is one of the addresses that a provider answers.
type Endpoint string

// The endpoints of a [Provider], by their path behind the issuer.
const (
	Discovery     Endpoint = "/.well-known/openid-configuration"
	OAuthMetadata Endpoint = "/.well-known/oauth-authorization-server"
	KeySet        Endpoint = "/keys"
	Introspection Endpoint = "/introspect"
	Userinfo      Endpoint = "/userinfo"
	Authorize     Endpoint = "/authorize"
	Token         Endpoint = "/token"
	PAR           Endpoint = "/par"
	EndSession    Endpoint = "/end-session"
)

// maxSeen bounds how many requests a provider remembers for one endpoint;
// the count goes on.
const maxSeen = 256

// maxRequestBody bounds what a provider reads of one request.
const maxRequestBody = 1 << 20

// Seen is one request that a provider was asked.
type Seen struct {
	Method string
	Header http.Header
	Form   url.Values
}

// Provider is a scriptable OpenID provider. Its zero value is not usable; see
// [NewProvider]. It is safe for concurrent use.
type Provider struct {
	tb     testing.TB
	server *httptest.Server
	base   string
	path   string
	tls    bool
	now    func() time.Time

	mu         sync.Mutex
	keys       []*Key
	entries    []json.RawMessage
	documents  map[Endpoint][]byte
	metadata   func(map[string]any)
	faults     map[Endpoint]*standing
	hits       map[Endpoint]int
	seen       map[Endpoint][]Seen
	minted     int
	defaults   Claims
	clients    map[string]string
	opaque     map[string]Claims
	people     map[string]Claims
	introspect func(token string, r *http.Request) (status int, answer any)
	userinfo   func(token string, r *http.Request) (status int, answer any)
	flow       codeFlow
}

// ProviderOption shapes a provider before it starts.
type ProviderOption func(*Provider)

// WithTLS makes the provider speak HTTPS; [Provider.Client] and
// [Provider.CAFile] tell how to trust it.
func WithTLS() ProviderOption { return func(p *Provider) { p.tls = true } }

// WithPath puts the issuer below a path, such as /oauth2/default, or ends it
// in a slash.
func WithPath(path string) ProviderOption { return func(p *Provider) { p.path = path } }

// WithClock dates tokens by now; the default is the wall clock.
func WithClock(now func() time.Time) ProviderOption { return func(p *Provider) { p.now = now } }

// WithDefaults overlays what every token says unless its own claims differ; a
// nil member takes a claim away from all of them.
func WithDefaults(claims Claims) ProviderOption {
	return func(p *Provider) { maps.Copy(p.defaults, claims) }
}

// WithAlgorithms starts the provider with one key for each algorithm instead
// of a single RS256 key; the first signs.
func WithAlgorithms(algorithms ...string) ProviderOption {
	return func(p *Provider) {
		for _, alg := range algorithms {
			p.keys = append(p.keys, p.newKey(alg))
		}
	}
}

// NewProvider starts a provider on loopback; it stops with the test.
func NewProvider(tb testing.TB, options ...ProviderOption) *Provider {
	tb.Helper()
	p := &Provider{
		tb:        tb,
		now:       time.Now,
		documents: map[Endpoint][]byte{},
		faults:    map[Endpoint]*standing{},
		hits:      map[Endpoint]int{},
		seen:      map[Endpoint][]Seen{},
		defaults:  Claims{},
		clients:   map[string]string{},
		opaque:    map[string]Claims{},
		people:    map[string]Claims{},
		flow:      newCodeFlow(),
	}
	for _, o := range options {
		o(p)
	}
	if len(p.keys) == 0 {
		p.keys = []*Key{p.newKey("RS256")}
	}
	p.server = httptest.NewUnstartedServer(http.HandlerFunc(p.serve))
	p.server.Config.ErrorLog = quietLog()
	if p.tls {
		p.server.StartTLS()
	} else {
		p.server.Start()
	}
	p.base = p.server.URL
	tb.Cleanup(p.Close)
	return p
}

// Close stops the provider; connections that a fault holds open are cut. A
// second call does nothing.
func (p *Provider) Close() {
	p.server.CloseClientConnections()
	p.server.Close()
}

// Issuer is the provider's issuer identifier.
func (p *Provider) Issuer() string { return p.base + p.path }

// URL is the address of an endpoint.
func (p *Provider) URL(e Endpoint) string {
	return p.base + strings.TrimSuffix(p.path, "/") + string(e)
}

// Client is an HTTP client that trusts the provider's certificate.
func (p *Provider) Client() *http.Client { return p.server.Client() }

// TLSConfig trusts the provider's certificate; nil without [WithTLS].
func (p *Provider) TLSConfig() *tls.Config {
	if !p.tls {
		return nil
	}
	transport, ok := p.server.Client().Transport.(*http.Transport)
	if !ok {
		return nil
	}
	return transport.TLSClientConfig.Clone()
}

// CAFile writes the provider's certificate to a file of the test and gives
// its path.
func (p *Provider) CAFile() string {
	p.tb.Helper()
	certificate := p.server.Certificate()
	if certificate == nil {
		p.tb.Fatal("a provider without TLS has no certificate")
	}
	file := filepath.Join(p.tb.TempDir(), "provider-ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		p.tb.Fatalf("writing the provider's certificate: %v", err)
	}
	return file
}

// AddKey makes a key, publishes it behind the others and returns it.
func (p *Provider) AddKey(algorithm string) *Key {
	p.tb.Helper()
	k := p.newKey(algorithm)
	p.Publish(k)
	return k
}

// UnpublishedKey makes a key that is in no key set.
func (p *Provider) UnpublishedKey(algorithm string) *Key {
	p.tb.Helper()
	return p.newKey(algorithm)
}

// Publish puts keys behind those that are published.
func (p *Provider) Publish(keys ...*Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = append(p.keys, keys...)
}

// Rotate makes a key of the first one's algorithm and puts it in front: it
// signs from here on, and the older ones stay published.
func (p *Provider) Rotate() *Key {
	p.tb.Helper()
	k := p.newKey(p.Key().Algorithm)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keys = slices.Insert(p.keys, 0, k)
	return k
}

// Retire takes the keys given out of the key set, or without any all but the
// first.
func (p *Provider) Retire(keys ...*Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(keys) == 0 {
		p.keys = slices.Clone(p.keys[:1])
		return
	}
	p.keys = slices.DeleteFunc(slices.Clone(p.keys), func(k *Key) bool { return slices.Contains(keys, k) })
}

// Key is the key that signs.
func (p *Provider) Key() *Key {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.keys[0]
}

// KeyFor is the first published key of an algorithm; the test fails where
// there is none.
func (p *Provider) KeyFor(algorithm string) *Key {
	p.tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.keys {
		if k.Algorithm == algorithm {
			return k
		}
	}
	p.tb.Fatalf("the provider publishes no %s key", algorithm)
	return nil
}

// Mint makes a token: typ at+jwt, signed by the first key, with the claims
// that RFC 9068 requires, overlaid by claims.
func (p *Provider) Mint(claims Claims, options ...MintOption) string {
	p.tb.Helper()
	p.mu.Lock()
	p.minted++
	base := merge(standardClaims(p.Issuer(), p.now(), fmt.Sprintf("token-%d", p.minted)), p.defaults)
	k := p.keys[0]
	p.mu.Unlock()
	token, err := MintWith(k, merge(base, claims), options...)
	if err != nil {
		p.tb.Fatalf("minting: %v", err)
	}
	return token
}

// Hits is how often an endpoint was asked, faults included.
func (p *Provider) Hits(e Endpoint) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hits[e]
}

// Requests are the requests that an endpoint was asked, oldest first, at most
// the first 256.
func (p *Provider) Requests(e Endpoint) []Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen[e])
}

// EditMetadata alters the discovery documents: edit gets the members of each
// answer and may change or delete them. It may be called at any time.
func (p *Provider) EditMetadata(edit func(metadata map[string]any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.metadata = edit
}

// AddEntries puts raw entries in front of the keys in the key set: decoys,
// say.
func (p *Provider) AddEntries(entries ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range entries {
		p.entries = append(p.entries, json.RawMessage(e))
	}
}

// SetDocument answers an endpoint with body, byte for byte, as
// application/json; a nil body gives the endpoint back.
func (p *Provider) SetDocument(e Endpoint, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if body == nil {
		delete(p.documents, e)
		return
	}
	p.documents[e] = body
}

func (p *Provider) newKey(algorithm string) *Key {
	p.tb.Helper()
	p.mu.Lock()
	p.minted++
	id := fmt.Sprintf("%s-%d", algorithm, p.minted)
	p.mu.Unlock()
	k, err := NewKey(algorithm, id)
	if err != nil {
		p.tb.Fatal(err)
	}
	return k
}

// read takes the body in before anything answers: only then does net/http
// notice that a client which is kept waiting has gone.
func read(r *http.Request) url.Values {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBody))
	if err != nil {
		return nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil
	}
	return form
}
