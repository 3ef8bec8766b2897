package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/memory"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
)

// Cache configures how long answers of the directory are used, and where they are
// kept. All times count from the fetch, in whichever tier an answer is found.
type Cache struct {
	// How long an answer is used without asking again. Default: 5m.
	Fresh caddy.Duration `json:"fresh,omitempty"`

	// An answer older than this (±10 %) is served, and refreshed behind the
	// request. Default: four fifths of fresh.
	RefreshAfter caddy.Duration `json:"refresh_after,omitempty"`

	// How long past fresh an answer still serves while the directory fails.
	// Default: 1h. A token's own expiry is never stretched.
	StaleIfError *caddy.Duration `json:"stale_if_error,omitempty"`

	// How long "no such user" is believed. Default: 5s.
	Negative *caddy.Duration `json:"negative,omitempty"`

	// How long answers serve after contact with the purge log is lost.
	// Default: 30s.
	UnconfirmedMax caddy.Duration `json:"unconfirmed_max,omitempty"`

	// The memory for records, in bytes. Default: 256 MiB.
	Memory int64 `json:"memory,omitempty"`

	// The memory for decisions, in bytes. Default: 64 MiB.
	DecisionMemory int64 `json:"decision_memory,omitempty"`

	// A Redis to share records with other nodes. Absent: memory only.
	Redis *Redis `json:"redis,omitempty"`

	// Keys that seal what is kept in Redis: base64 of 32 bytes each. The
	// first seals, all open, names derive from the last; to rotate, put a new
	// one in front. Default: one is made once and kept in Caddy's storage.
	SealKeys []string `json:"seal_keys,omitempty"`
}

// Redis is the cache's second tier. While it is down, slow or full, requests
// go on with memory and the directory.
type Redis struct {
	redis.Config
}

// UnmarshalCaddyfile reads the cache option; d is at the word cache.
func (c *Cache) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	at := d.Token()
	err := block.Parse(d, "cache", []block.Option{
		block.Duration("fresh", &c.Fresh),
		block.Duration("refresh_after", &c.RefreshAfter),
		block.OptionalDuration("stale_if_error", &c.StaleIfError),
		block.OptionalDuration("negative", &c.Negative),
		block.Duration("unconfirmed_max", &c.UnconfirmedMax),
		block.ByteSize("memory", &c.Memory),
		block.ByteSize("decision_memory", &c.DecisionMemory),
		{Name: "redis", Parse: func(d *caddyfile.Dispenser) error {
			c.Redis = new(Redis)
			err := c.Redis.UnmarshalCaddyfile(d)
			if c.Redis.URL == "" && len(c.Redis.Addresses) == 0 {
				// So that a variable which may be empty can decide.
				c.Redis = nil
			}
			return err
		}},
		block.Texts("seal_key", &c.SealKeys),
	})
	if err != nil {
		return err
	}
	if err := c.check(); err != nil {
		return block.ErrorAt(at, fmt.Errorf("cache: %w", err))
	}
	return nil
}

// check returns an error for invalid settings, as far as they can be checked
// before placeholders are expanded.
func (c *Cache) check() error {
	if c.Memory != 0 && c.Memory < memory.MinBytes {
		return fmt.Errorf("memory: %d bytes is below the minimum of %d", c.Memory, memory.MinBytes)
	}
	if c.DecisionMemory < 0 {
		return errors.New("decision_memory is negative")
	}
	if err := block.CheckValues(
		block.Duration("fresh", &c.Fresh), block.Duration("refresh_after", &c.RefreshAfter), block.Duration("unconfirmed_max", &c.UnconfirmedMax),
		block.OptionalDuration("stale_if_error", &c.StaleIfError), block.OptionalDuration("negative", &c.Negative),
	); err != nil {
		return err
	}
	for i, text := range c.SealKeys {
		if _, err := seal.ParseKey(text); err != nil && !block.HasPlaceholder(text) {
			return fmt.Errorf("seal_key %d: %w", i+1, err)
		}
	}
	if l := c.ttls(); c.RefreshAfter != 0 && l.RefreshAfter >= l.Fresh {
		return fmt.Errorf("refresh_after (%v) must be shorter than fresh (%v)", l.RefreshAfter, l.Fresh)
	}
	return nil
}

// expand resolves the placeholders of the cache's settings.
func (c *Cache) expand() error {
	texts := make([]*string, 0, len(c.SealKeys)+8)
	for i := range c.SealKeys {
		texts = append(texts, &c.SealKeys[i])
	}
	if r := c.Redis; r != nil {
		texts = append(texts, &r.URL, &r.MasterName, &r.Username, &r.Password, &r.SentinelUsername, &r.SentinelPassword)
		for i := range r.Addresses {
			texts = append(texts, &r.Addresses[i])
		}
		if r.TLS != nil {
			texts = append(texts, &r.TLS.CA, &r.TLS.Cert, &r.TLS.Key, &r.TLS.ServerName)
		}
	}
	return block.Expand(texts...)
}

// ttls returns how long answers are used, with the defaults filled in.
func (c *Cache) ttls() cache.TTLs {
	l := cache.DefaultTTLs()
	if c == nil {
		return l
	}
	if c.Fresh != 0 {
		l.Fresh = time.Duration(c.Fresh)
		l.RefreshAfter = l.Fresh * 4 / 5
	}
	l.RefreshAfter = cmp.Or(time.Duration(c.RefreshAfter), l.RefreshAfter)
	if c.StaleIfError != nil {
		l.StaleIfError = time.Duration(*c.StaleIfError)
	}
	if c.Negative != nil {
		l.Negative = time.Duration(*c.Negative)
	}
	l.UnconfirmedMax = cmp.Or(time.Duration(c.UnconfirmedMax), l.UnconfirmedMax)
	return l
}

// decisionMemory returns the bytes for decisions; 0 means the default.
func (c *Cache) decisionMemory() int64 {
	if c == nil {
		return 0
	}
	return c.DecisionMemory
}

// UnmarshalCaddyfile reads the redis option; d is at the word redis.
func (r *Redis) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	at := d.Token()
	if d.NextArg() {
		r.URL = d.Val()
	}
	if d.NextArg() {
		return d.ArgErr()
	}
	err := block.Parse(d, "redis", []block.Option{
		block.Texts("address", &r.Addresses),
		block.Text("master_name", &r.MasterName),
		block.Text("username", &r.Username),
		block.Text("password", &r.Password),
		block.Text("sentinel_username", &r.SentinelUsername),
		block.Text("sentinel_password", &r.SentinelPassword),
		block.Flag("cluster", &r.Cluster),
		block.Number("db", &r.DB),
		{Name: "tls", Parse: func(d *caddyfile.Dispenser) error {
			if d.NextArg() {
				return d.ArgErr()
			}
			r.TLS = new(redis.TLS)
			return block.Parse(d, "tls", []block.Option{
				block.Text("ca", &r.TLS.CA),
				block.Text("cert", &r.TLS.Cert),
				block.Text("key", &r.TLS.Key),
				block.Text("server_name", &r.TLS.ServerName),
			})
		}},
		block.Text("prefix", &r.Prefix),
		block.Duration("timeout", &r.Timeout),
		block.Flag("insecure_plaintext", &r.InsecurePlaintext),
	})
	if err != nil || r.URL == "" && len(r.Addresses) == 0 {
		return err
	}
	if err := r.check(); err != nil {
		return block.ErrorAt(at, err)
	}
	return nil
}

// check reports what is wrong in the settings before placeholders are expanded,
// and without a look at files: nothing where the address is not known yet.
func (r *Redis) check() error {
	c := r.Config
	if slices.ContainsFunc(append(c.Addresses, c.URL), block.HasPlaceholder) {
		return nil
	}
	if c.TLS != nil {
		if (c.TLS.Cert == "") != (c.TLS.Key == "") {
			return errors.New("redis: tls cert and key must be set together")
		}
		c.TLS = &redis.TLS{ServerName: c.TLS.ServerName}
	}
	return c.Validate()
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Cache)(nil)
	_ caddyfile.Unmarshaler = (*Redis)(nil)
)
