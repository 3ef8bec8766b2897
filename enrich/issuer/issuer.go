// Package issuer verifies access tokens, and what a login receives. It holds the
// issuers that are trusted, their keys, and all checks between the text of a token
// and a Principal. It follows RFC 8725 (JWT best practices), RFC 9068 (JWT access
// tokens), RFC 7662 and 9701 (introspection), RFC 9449 (DPoP), RFC 8705 (mutual
// TLS) and OpenID Connect Core 1.0.
//
// Set.Verify is the way of a token: package jose parses it (set.go), its issuer
// checks the signature with a key of the key source (signature.go, keysource.go),
// what it says (claims.go), by introspection if it must (introspected.go), and who
// sends it (sender.go, dpop.go). A login's way is VerifyIDToken and Userinfo
// (idtoken.go), and then VerifySession (principal.go) on each request.
package issuer

import (
	"context"
	"fmt"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// Issuer verifies the tokens of one issuer. It is safe for concurrent use.
type Issuer struct {
	name, identifier string

	clock func() time.Time

	workers    *workers
	rules      *claimRules
	keys       *keySource
	signatures *signatureCheck
	fromFile   bool // the keys come from jwks_file
	metadata   *metadataSource
	introspect *introspector // nil if only JWTs are accepted
	always     bool          // JWTs are introspected as well
	sender     *senderCheck
}

// New returns an Issuer for a configuration. It reads the files that the
// configuration names and does not touch the network: a server that is down is no
// error here. Errors wrap errConfig.
func New(c Config, o Options) (*Issuer, error) {
	c, err := withDefaults(c)
	if err != nil {
		return nil, err
	}
	o = o.withDefaults()
	client, err := oauthclient.New(o.Transport, oauthclient.TransportOptions{CAFile: c.CA})
	if err != nil {
		return nil, fmt.Errorf("configuring issuer %q: %w: %w", c.Issuer, err, errConfig)
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
			return nil, fmt.Errorf("configuring issuer %q: introspect: %w: %w", c.Issuer, err, errConfig)
		}
	}
	if i.sender, err = newSenderCheck(c, o); err != nil {
		return nil, fmt.Errorf("configuring issuer %q: %w: %w", c.Issuer, err, errConfig)
	}
	return i, nil
}

// ReloadKeyFile reads jwks_file now, so that a configuration which takes over a
// running issuer uses the file as it is, not as it was at the last refresh. It does
// nothing if the keys come from the network. Errors wrap errConfig.
func (i *Issuer) ReloadKeyFile() error {
	if !i.fromFile {
		return nil
	}
	if err := i.keys.loadNow(); err != nil {
		return fmt.Errorf("configuring issuer %q: jwks_file: %w: %w", i.identifier, err, errConfig)
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

// Name returns the issuer's configured name.
func (i *Issuer) Name() string { return i.name }

// Identifier returns the issuer's identifier, the iss of its tokens.
func (i *Issuer) Identifier() string { return i.identifier }

// Leeway returns how long after its exp a token is accepted.
func (i *Issuer) Leeway() time.Duration { return i.rules.leeway }

// Start fetches the keys in the background, at once and then every key_refresh,
// until ctx ends, or StopRefresh or Stop is called. Without it the keys are fetched
// when a request needs them. A second Start while the first runs does nothing.
func (i *Issuer) Start(ctx context.Context) { i.keys.start(ctx) }

// StopRefresh ends the background fetches. Keys that a request needs are still
// fetched, until Stop.
func (i *Issuer) StopRefresh() { i.keys.stopRefresh() }

// Stop ends all fetches and introspections and waits for them. Requests that are
// still under way use the keys that are there.
func (i *Issuer) Stop() { i.workers.stop() }

// Current reports whether that version of the key set is still the current one, and
// was confirmed within key_max_stale: what it verified then still holds. Version 0,
// of a token that was verified by introspection alone, is always current; Until
// bounds such a result. Current takes no lock.
func (i *Issuer) Current(version uint64, now time.Time) bool {
	return i.signatures.current(version, now)
}

// Metadata returns the issuer's metadata, and fetches them if need be. Errors wrap
// ErrUnavailable.
func (i *Issuer) Metadata(ctx context.Context) (*Metadata, error) { return i.metadata.get(ctx) }

// GroupsDelimiter returns how to read a string in the place of a list of groups;
// see Config.GroupsDelimiter.
func (i *Issuer) GroupsDelimiter() string { return i.rules.groupsDelimiter }

// CheckSender checks the sender constraints of a principal, DPoP proof and
// certificate, against the caller of this request. Each request needs it, also one
// whose token has been verified before. A nil caller shows nothing. A bound token
// is never accepted as a bearer token, whatever the configuration says (RFC 9449,
// section 7.2; RFC 8705, section 3). Errors wrap ErrInvalidToken or ErrUnavailable.
func (i *Issuer) CheckSender(ctx context.Context, p *identity.Principal, caller *Caller) error {
	return i.sender.check(ctx, p, caller)
}

// challenges returns the ways in which the issuer's tokens may be sent.
func (i *Issuer) challenges() []Challenge { return i.sender.challenges() }
