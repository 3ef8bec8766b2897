package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
)

// This file reads the options of logins: those of an issuer, of the sessions, and of
// a policy's site.

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

// unmarshalSession reads how long sessions last and where they are kept. Syntax:
//
//	session {
//		store cookie|redis
//		idle  <duration>
//		max   <duration>
//		pages <folder>
//	}
func (a *App) unmarshalSession(d *caddyfile.Dispenser) error {
	c := new(login.SessionConfig)
	a.Session = c
	if d.NextArg() {
		return d.ArgErr()
	}
	at := block.NewPositions(d.Token())
	err := block.Parse(d, "session", at.Record([]block.Option{
		block.Text("store", &c.Store),
		block.Duration("idle", &c.Idle),
		block.Duration("max", &c.Max),
		{Name: "pages", Parse: func(d *caddyfile.Dispenser) error {
			if err := block.Text("pages", &c.Pages).Parse(d); err != nil {
				return err
			}
			return block.WrapErr(d, block.RejectPlaceholders("pages", c.Pages))
		}},
	}))
	if err != nil {
		return err
	}
	if _, err := c.WithDefaults(); err != nil {
		return at.Locate(fmt.Errorf("session: %w", err))
	}
	return nil
}

// loginOptions are the options of a policy that say where people log in, and at
// which addresses of its site.
func (h *Handler) loginOptions() []block.Option {
	// Each is checked where it is read, so that an error names its line.
	checked := func(o block.Option) block.Option {
		parse := o.Parse
		o.Parse = func(d *caddyfile.Dispenser) error {
			if err := parse(d); err != nil {
				return err
			}
			_, err := h.Endpoints.WithDefaults()
			return block.WrapErr(d, err)
		}
		return o
	}
	return []block.Option{
		block.Texts("login", &h.Login),
		checked(block.Text("external_url", &h.ExternalURL)),
		checked(block.Text("callback", &h.Callback)),
		checked(block.Option{Name: "logout", Parse: func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) == 0 || len(args) > 2 {
				return d.Err("logout takes a path, and where people are sent afterwards: a path or a URL")
			}
			h.Logout = args[0]
			if len(args) == 2 {
				h.AfterLogout = args[1]
			}
			return nil
		}}),
		checked(block.Text("session_info", &h.SessionInfo)),
	}
}
