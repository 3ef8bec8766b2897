package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

// This file reads the options of logins: those of the sessions, and of a policy's site.
// Those of an issuer are in issuer.go.

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
