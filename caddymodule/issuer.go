package caddymodule

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/grouplist"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
)

// Issuer is an OpenID provider or an OAuth 2.0 authorization server whose tokens
// are accepted. Its metadata and keys are fetched in the background, so that a
// configuration loads while it is down.
type Issuer struct {
	issuer.Config

	// How people log in at this issuer. Such an issuer needs no audience; without
	// one, its tokens are accepted from logins alone. Default: no login.
	Login *login.Config `json:"login,omitempty"`
}

// settings returns the settings of the issuer itself.
func (i *Issuer) settings() issuer.Config {
	c := i.Config
	c.LoginOnly = i.Login != nil
	return c
}

// UnmarshalCaddyfile reads the issuer option; d is at the word issuer. Syntax:
//
//	issuer <url> {
//		name             <name>
//		audience         <audience>...
//		any_audience
//		tokens           access|id|any
//		types            <typ>...
//		algorithms       <algorithm>...
//		discovery_url    <url>
//		jwks_url         <url>
//		jwks_file        <file>
//		key_refresh      <duration>
//		key_min_interval <duration>
//		key_max_stale    <duration>
//		leeway           <duration>
//		subject_claim    <claim>
//		client_claim     <claim>...
//		scope_claim      <claim>...
//		groups_claim     <claim>
//		groups_delimiter <text>|json|none
//		introspect       <url> { ... }
//		login            { ... }
//		dpop             off|accept|require
//		dpop_nonce
//		dpop_replay      shared|local
//		mtls             off|require
//		external_url     <url>
//		timeout          <duration>
//		ca               <file>
//	}
func (i *Issuer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	i.Issuer = d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	head := d.Token()
	err := block.Parse(d, "issuer", []block.Option{
		block.Text("name", &i.Name),
		{Name: "audience", Parse: func(d *caddyfile.Dispenser) error {
			if err := block.Texts("audience", &i.Audience).Parse(d); err != nil {
				return err
			}
			return block.WrapErr(d, block.RejectPlaceholders("audience", i.Audience...))
		}},
		block.Flag("any_audience", &i.AnyAudience),
		block.Enum("tokens", &i.Tokens, "access", "id", "any"),
		block.Texts("types", &i.Types),
		block.Enums("algorithms", &i.Algorithms, jose.AlgorithmNames()...),
		block.Text("discovery_url", &i.DiscoveryURL),
		block.Text("jwks_url", &i.JWKSURL),
		block.Text("jwks_file", &i.JWKSFile),
		block.Duration("key_refresh", &i.KeyRefresh),
		block.Duration("key_min_interval", &i.KeyMinInterval),
		block.Duration("key_max_stale", &i.KeyMaxStale),
		block.OptionalDuration("leeway", &i.Leeway),
		block.Text("subject_claim", &i.SubjectClaim),
		block.Texts("client_claim", &i.ClientClaim),
		block.Texts("scope_claim", &i.ScopeClaim),
		block.Text("groups_claim", &i.GroupsClaim),
		{Name: "groups_delimiter", Parse: func(d *caddyfile.Dispenser) error {
			if err := block.Text("groups_delimiter", &i.GroupsDelimiter).Parse(d); err != nil {
				return err
			}
			if err := grouplist.Check(i.GroupsDelimiter); err != nil {
				return d.Errf("groups_delimiter: %w", err)
			}
			return nil
		}},
		{Name: "introspect", Parse: i.unmarshalIntrospect},
		{Name: "login", Parse: i.unmarshalLogin},
		block.Enum("dpop", &i.DPoP, "off", "accept", "require"),
		block.Flag("dpop_nonce", &i.DPoPNonce),
		block.Enum("dpop_replay", &i.DPoPReplay, "shared", "local"),
		block.Enum("mtls", &i.MTLS, "off", "require"),
		block.Text("external_url", &i.ExternalURL),
		block.Duration("timeout", &i.Timeout),
		block.Text("ca", &i.CA),
	})
	if err != nil {
		return err
	}
	if err := i.check(); err != nil {
		return block.ErrorAt(head, err)
	}
	return nil
}

// check returns what is wrong in the settings, as far as it can be known before
// placeholders are expanded: an address that holds one counts as valid.
func (i *Issuer) check() error {
	c := i.settings()
	if block.HasPlaceholder(c.Issuer) {
		return nil // an error would not know whose it is
	}
	addresses := []*string{&c.DiscoveryURL, &c.JWKSURL, &c.ExternalURL}
	if c.Introspect != nil {
		n := *c.Introspect
		c.Introspect = &n
		addresses = append(addresses, &n.URL)
	}
	for _, address := range addresses {
		if block.HasPlaceholder(*address) {
			*address = "https://known.when.loaded"
		}
	}
	return c.Check()
}

// unmarshalIntrospect reads the introspection endpoint and how the gateway
// authenticates there. Syntax:
//
//	introspect <url> {
//		client_id     <id>
//		client_secret <secret>
//		private_key   <file or key>
//		key_id        <id>
//		auth_method   basic|post|private_key_jwt
//		signed
//		when          opaque|always
//		ttl           <duration>
//	}
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
	return block.Parse(d, "introspect", []block.Option{
		block.Text("client_id", &n.ClientID),
		block.Text("client_secret", &n.ClientSecret),
		block.Text("private_key", &n.PrivateKey),
		block.Text("key_id", &n.KeyID),
		block.Enum("auth_method", &n.AuthMethod, "basic", "post", "private_key_jwt"),
		block.Flag("signed", &n.Signed),
		block.Enum("when", &n.When, "opaque", "always"),
		block.Duration("ttl", &n.TTL),
	})
}

// unmarshalLogin reads how people log in at the issuer. Syntax:
//
//	login {
//		client_id          <id>
//		client_secret      <secret>
//		private_key        <file or key> [key_id <id>]
//		client_certificate <certificate file> <key file>
//		client_auth        basic|post
//		scopes             <scope>...
//		principal          id_token|access_token
//		acr_values         <value>...
//		prompt             login|consent|select_account
//		parameter          <name> <value>
//		par                auto|require|off
//	}
func (i *Issuer) unmarshalLogin(d *caddyfile.Dispenser) error {
	c := new(login.Config)
	i.Login = c
	if d.NextArg() {
		return d.ArgErr()
	}
	at := block.NewPositions(d.Token())
	err := block.Parse(d, "login", at.Record([]block.Option{
		block.Text("client_id", &c.ClientID),
		block.Text("client_secret", &c.ClientSecret),
		{Name: "private_key", Parse: func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			switch {
			case len(args) == 3 && args[1] == "key_id":
				c.KeyID = args[2]
			case len(args) != 1:
				return d.Err("private_key takes a file or a key, with or without key_id <id>")
			}
			c.PrivateKey = args[0]
			return nil
		}},
		{Name: "client_certificate", Parse: func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.Err("client_certificate takes two files: the certificate and its key")
			}
			c.ClientCertificate = &login.Certificate{Certificate: args[0], Key: args[1]}
			return nil
		}},
		block.Enum("client_auth", &c.ClientAuth, login.AuthMethods()...),
		block.Texts("scopes", &c.Scopes),
		block.Enum("principal", &c.Principal, login.Principals()...),
		block.Texts("acr_values", &c.ACRValues),
		block.Enum("prompt", &c.Prompt, login.Prompts()...),
		{Name: "parameter", List: "parameters", Parse: func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) != 2 {
				return d.Err("parameter takes a name and a value")
			}
			c.Parameters = append(c.Parameters, login.Parameter{Name: args[0], Value: args[1]})
			return nil
		}},
		block.Enum("par", &c.PAR, login.PARModes()...),
	}))
	if err != nil {
		return err
	}
	if err := checkLogin(c); err != nil {
		return at.Locate(err)
	}
	return nil
}

// checkLogin checks the settings of a login, as far as they can be checked before
// placeholders are expanded.
func checkLogin(c *login.Config) error {
	if err := c.Check(); err != nil {
		return fmt.Errorf("login: %w", err)
	}
	for i, p := range c.Parameters {
		if err := block.RejectPlaceholders("login: parameter", p.Name, p.Value); err != nil {
			return setting.Wrap(err, setting.Index("parameters", i))
		}
	}
	if err := setting.Wrap(block.RejectPlaceholders("login: scopes", c.Scopes...), "scopes"); err != nil {
		return err
	}
	return setting.Wrap(block.RejectPlaceholders("login: acr_values", c.ACRValues...), "acr_values")
}

// expandLogin replaces the placeholders of the credentials.
func expandLogin(c *login.Config) error {
	if err := block.Expand(&c.ClientID, &c.ClientSecret, &c.PrivateKey, &c.KeyID); err != nil || c.ClientCertificate == nil {
		return err
	}
	return block.Expand(&c.ClientCertificate.Certificate, &c.ClientCertificate.Key)
}

// expand replaces the placeholders of addresses, files and credentials. An
// audience never holds one.
func (i *Issuer) expand() error {
	if err := block.RejectPlaceholders("audience", i.Audience...); err != nil {
		return err
	}
	if err := block.Expand(&i.Issuer, &i.DiscoveryURL, &i.JWKSURL, &i.JWKSFile, &i.ExternalURL, &i.CA); err != nil {
		return err
	}
	if _, err := url.Parse(i.Issuer); err != nil || i.Issuer == "" {
		return errors.New("issuer must be a URL")
	}
	if n := i.Introspect; n != nil {
		if err := block.Expand(&n.URL, &n.ClientID, &n.ClientSecret, &n.PrivateKey, &n.KeyID); err != nil {
			return err
		}
	}
	if i.Login == nil {
		return nil
	}
	if err := checkLogin(i.Login); err != nil {
		return err
	}
	return expandLogin(i.Login)
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Issuer)(nil)
