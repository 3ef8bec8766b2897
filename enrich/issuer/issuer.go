// Package issuer verifies access tokens: it holds the issuers that are
// trusted, their keys, and every check between the text of a token and a
// Principal. It follows RFC 8725 (JWT best practices), RFC 9068 (JWT access
// tokens), RFC 7662 and 9701 (introspection), RFC 9449 (DPoP) and RFC 8705
// (mutual TLS).
package issuer

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// Issuer verifies the tokens of one issuer. It is safe for concurrent use.
type Issuer struct {
	name, identifier string

	clock func() time.Time

	workers    *workers
	rules      *claimRules
	keys       *keySource
	signatures *signatureCheck
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
	c, err := withDefaults(c)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	client, err := newClient(o.Transport, c.CA)
	if err != nil {
		return nil, fmt.Errorf("configuring issuer %q: %w: %w", c.Issuer, err, ErrConfig)
	}
	i := &Issuer{
		name: c.Name, identifier: c.Issuer, clock: o.Clock, rules: newClaimRules(c), workers: newWorkers(),
	}
	i.metadata = newMetadataSource(c, client, o.Clock)
	i.keys = newKeySource(c, o, i.workers)
	i.signatures = newSignatureCheck(i.keys, c.Algorithms, o.Clock)
	i.keys.load = i.metadata.keys
	if i.fromFile = c.JWKSFile != ""; i.fromFile {
		symmetric := jose.LookupAlgorithm(c.Algorithms[0]).Symmetric()
		i.keys.load = func(context.Context) (*jose.KeySet, error) { return readKeyFile(c.JWKSFile, symmetric) }
		if err := i.ReloadKeyFile(); err != nil {
			return nil, err
		}
	}
	if c.Introspect != nil {
		i.always = c.Introspect.When == whenAlways
		if i.introspect, err = newIntrospector(c, o, client, i.rules, i.signatures, i.workers); err != nil {
			return nil, fmt.Errorf("configuring issuer %q: introspect: %w: %w", c.Issuer, err, ErrConfig)
		}
	}
	if i.sender, err = newSenderCheck(c, o); err != nil {
		return nil, fmt.Errorf("configuring issuer %q: %w: %w", c.Issuer, err, ErrConfig)
	}
	return i, nil
}

// ReloadKeyFile reads jwks_file now: a configuration that takes over an issuer which
// runs already finds the file as it is, and not as it was at the last refresh.
// Keys from the network are left alone. Errors wrap ErrConfig.
func (i *Issuer) ReloadKeyFile() error {
	if !i.fromFile {
		return nil
	}
	if err := i.keys.loadNow(); err != nil {
		return fmt.Errorf("configuring issuer %q: jwks_file: %w: %w", i.identifier, err, ErrConfig)
	}
	return nil
}

// readKeyFile reads a key set from a file.
func readKeyFile(name string, symmetric bool) (*jose.KeySet, error) {
	text, err := readFile(name, maxBody)
	if err != nil {
		return nil, err
	}
	return jose.ParseKeySet(text, symmetric)
}

// Name is the issuer's configured name.
func (i *Issuer) Name() string { return i.name }

// Identifier is the issuer's iss.
func (i *Issuer) Identifier() string { return i.identifier }

// Leeway is how far past its exp a token is accepted.
func (i *Issuer) Leeway() time.Duration { return i.rules.leeway }

// Start fetches the keys in the background, now and then every key_refresh,
// until ctx ends or Stop is called. Without it the keys are fetched when a
// request needs them. A second Start while the first runs does nothing.
func (i *Issuer) Start(ctx context.Context) { i.keys.start(ctx) }

// StopRefresh ends the background fetches. Keys that a request needs are fetched all
// the same, until Stop.
func (i *Issuer) StopRefresh() { i.keys.stopRefresh() }

// Stop ends the background work and waits for it. Requests that are still
// under way keep the keys that are there; none is fetched any more.
func (i *Issuer) Stop() { i.workers.stop() }

// Current reports whether a verdict that was made under that version of the
// key set still holds: the set is the same and has been confirmed within
// key_max_stale. It takes no lock. A verdict with version 0 was made without
// keys, by introspection; it ends by its Until.
func (i *Issuer) Current(version uint64, now time.Time) bool {
	return i.signatures.current(version, now)
}

// Metadata gives the issuer's metadata, fetched if need be. Errors wrap
// ErrUnavailable.
func (i *Issuer) Metadata(ctx context.Context) (*Metadata, error) { return i.metadata.get(ctx) }

// GroupsDelimiter returns what the issuer's configuration says of a text in the
// place of a list of groups; see Config.GroupsDelimiter.
func (i *Issuer) GroupsDelimiter() string { return i.rules.groupsDelimiter }

// CheckSender checks the sender constraints of a principal against the
// caller of this request: DPoP proof and certificate. It belongs to every
// request, also where the verdict about the token itself was kept. A nil
// caller shows nothing. A bound token is never taken as a bearer token,
// whatever the configuration says (RFC 9449, section 7.2; RFC 8705, section
// 3). Errors wrap ErrInvalidToken or ErrUnavailable.
func (i *Issuer) CheckSender(ctx context.Context, p *identity.Principal, caller *Caller) error {
	return i.sender.check(ctx, p, caller)
}

// Challenges lists the ways in which the issuer's tokens may be sent.
func (i *Issuer) Challenges() []Challenge { return i.sender.challenges() }
