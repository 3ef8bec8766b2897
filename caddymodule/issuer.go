package caddymodule

import (
	"errors"
	"net/url"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/enrich/grouplist"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// Issuer is who signs the tokens that are accepted: an OpenID provider or an
// OAuth 2.0 authorization server. Its documents and keys are fetched in the
// background; a configuration loads while it is down.
type Issuer struct {
	issuer.Config
}

// UnmarshalCaddyfile reads the issuer option; d stands on the word issuer.
func (i *Issuer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	i.Issuer = d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	head := d.Token()
	err := parseBlock(d, "issuer", []option{
		text("name", &i.Name),
		{name: "audience", parse: func(d *caddyfile.Dispenser) error {
			if err := texts("audience", &i.Audience).parse(d); err != nil {
				return err
			}
			return wrapped(d, unplaced("audience", i.Audience...))
		}},
		flag("any_audience", &i.AnyAudience),
		word("tokens", &i.Tokens, "access", "id", "any"),
		texts("types", &i.Types),
		words("algorithms", &i.Algorithms, jose.AlgorithmNames()...),
		text("discovery_url", &i.DiscoveryURL),
		text("jwks_url", &i.JWKSURL),
		text("jwks_file", &i.JWKSFile),
		duration("key_refresh", &i.KeyRefresh),
		duration("key_min_interval", &i.KeyMinInterval),
		duration("key_max_stale", &i.KeyMaxStale),
		pointer("leeway", &i.Leeway),
		text("subject_claim", &i.SubjectClaim),
		texts("client_claim", &i.ClientClaim),
		texts("scope_claim", &i.ScopeClaim),
		text("groups_claim", &i.GroupsClaim),
		{name: "groups_delimiter", parse: func(d *caddyfile.Dispenser) error {
			if err := text("groups_delimiter", &i.GroupsDelimiter).parse(d); err != nil {
				return err
			}
			if err := grouplist.Check(i.GroupsDelimiter); err != nil {
				return d.Errf("groups_delimiter: %w", err)
			}
			return nil
		}},
		{name: "introspect", parse: i.unmarshalIntrospect},
		word("dpop", &i.DPoP, "off", "accept", "require"),
		flag("dpop_nonce", &i.DPoPNonce),
		word("dpop_replay", &i.DPoPReplay, "shared", "local"),
		word("mtls", &i.MTLS, "off", "require"),
		text("external_url", &i.ExternalURL),
		duration("timeout", &i.Timeout),
		text("ca", &i.CA),
	})
	if err != nil {
		return err
	}
	if err := i.check(); err != nil {
		return errorAt(head, err)
	}
	return nil
}

// check tells what is wrong in the settings as far as that can be judged
// before placeholders are expanded.
func (i *Issuer) check() error {
	c := i.Config
	if Unexpanded(c.Issuer) {
		return nil // an error would not know whose it is
	}
	addresses := []*string{&c.DiscoveryURL, &c.JWKSURL, &c.ExternalURL}
	if c.Introspect != nil {
		n := *c.Introspect
		c.Introspect = &n
		addresses = append(addresses, &n.URL)
	}
	for _, address := range addresses {
		if Unexpanded(*address) {
			*address = "https://known.when.loaded"
		}
	}
	return c.Check()
}

func (i *Issuer) unmarshalIntrospect(d *caddyfile.Dispenser) error {
	n := new(issuer.Introspection)
	i.Introspect = n
	if !d.NextArg() {
		return d.ArgErr()
	}
	n.URL = d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	return parseBlock(d, "introspect", []option{
		text("client_id", &n.ClientID),
		text("client_secret", &n.ClientSecret),
		text("private_key", &n.PrivateKey),
		text("key_id", &n.KeyID),
		word("auth_method", &n.AuthMethod, "basic", "post", "private_key_jwt"),
		flag("signed", &n.Signed),
		word("when", &n.When, "opaque", "always"),
		duration("ttl", &n.TTL),
	})
}

// expand resolves the placeholders of an issuer.
func (i *Issuer) expand() error {
	if err := unplaced("audience", i.Audience...); err != nil {
		return err
	}
	if err := Expand(&i.Issuer, &i.DiscoveryURL, &i.JWKSURL, &i.JWKSFile, &i.ExternalURL, &i.CA); err != nil {
		return err
	}
	if _, err := url.Parse(i.Issuer); err != nil || i.Issuer == "" {
		return errors.New("an issuer needs a URL")
	}
	if n := i.Introspect; n != nil {
		return Expand(&n.URL, &n.ClientID, &n.ClientSecret, &n.PrivateKey, &n.KeyID)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Issuer)(nil)
