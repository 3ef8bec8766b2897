// Package issuer verifies access tokens: it holds the issuers that are
// trusted, their keys, and every check between the text of a token and a
// Principal. It follows RFC 8725 (JWT best practices), RFC 9068 (JWT access
// tokens), RFC 7662 and 9701 (introspection), RFC 9449 (DPoP) and RFC 8705
// (mutual TLS).
package issuer

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// Options are what an Issuer gets from outside. Every field may be left out.
type Options struct {
	// Clock tells the time. Default: time.Now.
	Clock func() time.Time

	// Transport carries the requests to the issuer. Default: one of its own,
	// with the issuer's ca. With a ca, a Transport given must be an
	// *http.Transport, and a copy of it is used.
	Transport http.RoundTripper

	// Logger takes what an operator should know. Default: nothing is logged.
	Logger *slog.Logger

	// Observer takes what metrics count. Default: none.
	Observer Observer

	// Rand is the source of randomness. Default: crypto/rand.
	Rand io.Reader
}

func (o Options) settled() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return o
}

// Issuer verifies the tokens of one issuer. It is safe for concurrent use.
type Issuer struct {
	name, identifier string

	audience    []string
	anyAudience bool
	tokens      string
	types       map[string]bool
	only9068    bool // at+jwt is the only type
	allowed     map[*algorithm]bool
	leeway      time.Duration

	subjectClaim              string
	groupsClaim               string
	groupsDelimiter           string
	clientClaims, scopeClaims []string

	clock    func() time.Time
	log      *slog.Logger
	observer Observer

	life       *lifetime
	keys       *keySource
	fromFile   bool // the keys are those of jwks_file
	metadata   *metadataSource
	introspect *introspector // nil: JWTs only
	always     bool          // introspect JWTs as well
	sender     *senderCheck
}

// New makes an Issuer from its configuration. It never touches the network:
// what is wrong in the configuration itself is an error here (a file of keys
// or authorities that cannot be read included), a server that is down is
// not. Configuration errors wrap ErrConfig.
func New(c Config, o Options) (*Issuer, error) {
	c, err := settle(c)
	if err != nil {
		return nil, err
	}
	o = o.settled()
	client, err := oauthclient.New(o.Transport, oauthclient.TransportOptions{CAFile: c.CA})
	if err != nil {
		return nil, fmt.Errorf("configuring issuer %q: %w: %w", c.Issuer, err, ErrConfig)
	}
	i := &Issuer{
		name:            c.Name,
		identifier:      c.Issuer,
		audience:        c.Audience,
		anyAudience:     c.AnyAudience,
		tokens:          c.Tokens,
		types:           make(map[string]bool),
		only9068:        len(c.Types) == 1 && c.Types[0] == "at+jwt",
		allowed:         make(map[*algorithm]bool),
		leeway:          time.Duration(*c.Leeway),
		subjectClaim:    c.SubjectClaim,
		groupsClaim:     c.GroupsClaim,
		groupsDelimiter: c.GroupsDelimiter,
		clientClaims:    c.ClientClaim,
		scopeClaims:     c.ScopeClaim,
		clock:           o.Clock,
		log:             o.Logger,
		observer:        o.Observer,
		life:            newLifetime(),
	}
	for _, t := range c.Types {
		i.types[t] = true
	}
	for _, name := range c.Algorithms {
		i.allowed[lookAlgorithm(name)] = true
	}
	i.metadata = newMetadataSource(c, client, o.Clock)
	i.keys = newKeySource(c, o, i.life)
	i.keys.load = i.metadata.keys
	if i.fromFile = c.JWKSFile != ""; i.fromFile {
		symmetric := lookAlgorithm(c.Algorithms[0]).family == familyHMAC
		i.keys.load = func(context.Context) (*keySet, error) { return readKeyFile(c.JWKSFile, symmetric) }
		if err := i.Reread(); err != nil {
			return nil, err
		}
	}
	if c.Introspect != nil {
		i.always = c.Introspect.When == whenAlways
		if i.introspect, err = newIntrospector(i, c, o, client); err != nil {
			return nil, fmt.Errorf("configuring issuer %q: introspect: %w: %w", c.Issuer, err, ErrConfig)
		}
	}
	if i.sender, err = newSenderCheck(c, o); err != nil {
		return nil, fmt.Errorf("configuring issuer %q: %w: %w", c.Issuer, err, ErrConfig)
	}
	return i, nil
}

// Reread reads jwks_file now: a configuration that takes over an issuer which
// runs already finds the file as it is, and not as it was at the last refresh.
// Keys from the network are left alone. Errors wrap ErrConfig.
func (i *Issuer) Reread() error {
	if !i.fromFile {
		return nil
	}
	if err := i.keys.loadNow(); err != nil {
		return fmt.Errorf("configuring issuer %q: jwks_file: %w: %w", i.identifier, err, ErrConfig)
	}
	return nil
}

// readKeyFile reads a key set from a file.
func readKeyFile(name string, symmetric bool) (*keySet, error) {
	text, err := readFile(name, maxBody)
	if err != nil {
		return nil, err
	}
	return parseKeySet(text, symmetric)
}

// Name is the issuer's configured name.
func (i *Issuer) Name() string { return i.name }

// Identifier is the issuer's iss.
func (i *Issuer) Identifier() string { return i.identifier }

// Leeway is how far past its exp a token is accepted.
func (i *Issuer) Leeway() time.Duration { return i.leeway }

// Start fetches the keys in the background, now and then every key_refresh,
// until ctx ends or Stop is called. Without it the keys are fetched when a
// request needs them. A second Start while the first runs does nothing.
func (i *Issuer) Start(ctx context.Context) { i.keys.start(ctx) }

// Retire ends the background fetches. Keys that a request needs are fetched all
// the same, until Stop.
func (i *Issuer) Retire() { i.keys.retire() }

// Stop ends the background work and waits for it. Requests that are still
// under way keep the keys that are there; none is fetched any more.
func (i *Issuer) Stop() { i.life.end() }

// Current reports whether a verdict that was made under that version of the
// key set still holds: the set is the same and has been confirmed within
// key_max_stale. It takes no lock. A verdict with version 0 was made without
// keys, by introspection; it ends by its Until.
func (i *Issuer) Current(version uint64, now time.Time) bool {
	if version == 0 {
		return true
	}
	st := i.keys.usable(now)
	return st != nil && st.version == version
}

// Metadata gives the issuer's metadata, fetched if need be. Errors wrap
// ErrUnavailable.
func (i *Issuer) Metadata(ctx context.Context) (*Metadata, error) { return i.metadata.get(ctx) }

// GroupsDelimiter returns what the issuer's configuration says of a text in the
// place of a list of groups; see Config.GroupsDelimiter.
func (i *Issuer) GroupsDelimiter() string { return i.groupsDelimiter }
