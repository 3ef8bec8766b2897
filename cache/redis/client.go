// Package redis is the cache tier that nodes share, with what else must be
// shared: the purge log with the deny list, and the memory of used proofs.
// Everything in Redis is sealed or authenticated; what is neither is not
// trusted. Redis may be slow, full, hung or lost at any time: then the tier
// misses, the log reports its age, and only what cannot be done without Redis
// fails.
//
// A [Client] owns the connections. Its [Tier] holds entries, its [Stream] carries
// the purge log, its [Replays] remembers proofs. Two pools keep them apart: a
// blocked read of the log must not take a connection from a request.
package redis

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

// Sealer seals entries and derives secrets. *seal.Ring is one.
type Sealer interface {
	Seal(name [32]byte, plain []byte) ([]byte, error)
	Open(name [32]byte, envelope []byte) ([]byte, error)
	Derive(purpose string) [32]byte
	Fingerprint() string
}

// Options are what a Client needs beside its configuration.
type Options struct {
	// Sealer seals what goes to Redis. Required.
	Sealer Sealer

	// Logger receives a line per change of state; nil means none.
	Logger *slog.Logger

	// Observer counts what did not open; nil means none.
	Observer cache.Observer

	// Clock returns the time; nil means time.Now.
	Clock func() time.Time
}

// Connections per server: the entries' pool serves loads, one at a time
// for each key, and DPoP checks; the log's serves one blocked reader and appends.
const (
	entryConnections = 32
	logConnections   = 4
)

// dialTimeout is for a connection, TLS included. It is longer than a call's
// own time-out: the call gives up, the connection still comes about for the
// next one.
const dialTimeout = 2 * time.Second

// errPlaintext refuses to send a password to another host without TLS, also
// where a Sentinel or a Cluster named that host.
var errPlaintext = errors.New("redis password would go over plaintext to another host")

// Client is the connection to one Redis, Sentinel set or Cluster. Its tier,
// stream and replay memory share it. It is made without any network; servers
// are dialed when first used.
type Client struct {
	end     *endpoint
	entries goredis.UniversalClient
	log     goredis.UniversalClient
	sealer  Sealer
	logger  *slog.Logger
	observe cache.Observer
	clock   func() time.Time
	breaker *breaker

	ctx    context.Context
	cancel context.CancelFunc

	tier    *Tier
	stream  *Stream
	replays *Replays
	watch   watch
}

// New returns a client. The error is about the configuration itself.
func New(cfg Config, o Options) (*Client, error) {
	end, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	if o.Sealer == nil {
		return nil, errors.New("connecting to redis: a sealer is required")
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Clock == nil {
		o.Clock = time.Now
	}
	c := &Client{end: end, sealer: o.Sealer, logger: o.Logger, observe: o.Observer, clock: o.Clock}
	if c.observe == nil {
		c.observe = cache.NopObserver{}
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	localOnly := end.tls == nil && !cfg.InsecurePlaintext && (end.password != "" || cfg.SentinelPassword != "")
	options := func(connections int, timeout time.Duration) *goredis.UniversalOptions {
		return &goredis.UniversalOptions{
			Addrs: end.addresses, MasterName: cfg.MasterName, IsClusterMode: end.cluster,
			Username: end.username, Password: end.password, DB: end.db,
			SentinelUsername: cfg.SentinelUsername, SentinelPassword: cfg.SentinelPassword,
			Dialer: end.dialer(localOnly),
			// RESP2 without client identity: nothing here needs more, and
			// Redis before 7.2 has no ACL rule for it.
			Protocol: 2, DisableIdentity: true,
			MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
			ContextTimeoutEnabled:    true,
			DialTimeout:              dialTimeout, DialerRetries: 1,
			ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
			// One retry, inside the same deadline, for a connection that
			// the server closed while it was idle.
			MaxRetries: 1, MinRetryBackoff: time.Millisecond, MaxRetryBackoff: 8 * time.Millisecond,
			PoolSize: connections, MaxActiveConns: connections, PipelinePoolSize: -1,
			ConnMaxIdleTime: 5 * time.Minute,
		}
	}
	c.entries = goredis.NewUniversalClient(options(entryConnections, end.timeout))
	c.log = goredis.NewUniversalClient(options(logConnections, max(end.timeout, logTimeout)))
	c.breaker = &breaker{
		clock: c.clock, logger: c.logger, ctx: c.ctx, since: c.clock(),
		probe: c.probe,
	}
	c.tier = newTier(c)
	c.stream = newStream(c)
	c.replays = &Replays{client: c}
	return c, nil
}

// Tier is the cache tier. Closing it closes the client.
func (c *Client) Tier() *Tier { return c.tier }

// Stream carries the purge log.
func (c *Client) Stream() *Stream { return c.stream }

// Replays remembers used proofs.
func (c *Client) Replays() *Replays { return c.replays }

// Close closes all connections and waits for all goroutines, once. Later calls
// return cache.ErrClosed or do nothing.
func (c *Client) Close() error {
	c.cancel()
	c.tier.stop()
	c.breaker.stop()
	err := errors.Join(c.entries.Close(), c.log.Close())
	if errors.Is(err, goredis.ErrClosed) {
		return nil
	}
	return err
}

// probe asks whether Redis is of use: every master answers, and a read is
// allowed.
func (c *Client) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, max(c.end.timeout, dialTimeout))
	defer cancel()
	if all, ok := c.entries.(*goredis.ClusterClient); ok {
		err := all.ForEachMaster(ctx, func(ctx context.Context, one *goredis.Client) error { return one.Ping(ctx).Err() })
		if err != nil {
			return err
		}
	}
	return c.entries.GetRange(ctx, c.end.prefix+"v1:probe", 0, 0).Err()
}

// name returns the name of an entry in Redis.
func (c *Client) name(key [32]byte) string {
	return c.end.prefix + "v1:" + encoding.EncodeToString(key[:])
}

// call runs one command on a request's path: not at all while the breaker is
// open, and never longer than the time-out.
func (c *Client) call(ctx context.Context, f func(context.Context) error) error {
	if c.ctx.Err() != nil {
		return cache.ErrClosed
	}
	if !c.breaker.allow() {
		return cache.ErrUnavailable
	}
	inner, cancel := context.WithTimeout(ctx, c.end.timeout)
	defer cancel()
	err := f(inner)
	if err == nil || errors.Is(err, goredis.Nil) {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err() // the caller's own deadline proves nothing about Redis
	}
	if c.ctx.Err() != nil {
		return cache.ErrClosed
	}
	cl := class(err)
	if opens(cl) && !wrongType(err) {
		c.breaker.failed(cl)
		return fmt.Errorf("asking redis (%s): %w", cl, cache.ErrUnavailable)
	}
	return err
}

// dialer returns the function that connects, with TLS where configured. A
// localOnly one sends nothing to another host without TLS. The remote address is
// checked rather than the configured one, because a Sentinel or a Cluster names
// hosts of its own.
func (e *endpoint) dialer(localOnly bool) func(context.Context, string, string) (net.Conn, error) {
	d := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	return func(ctx context.Context, _, addr string) (net.Conn, error) {
		network := "tcp"
		if socket(addr) {
			network = "unix"
		}
		conn, err := d.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		if e.tls == nil {
			if localOnly && leaves(conn.RemoteAddr()) {
				return nil, errors.Join(errPlaintext, conn.Close())
			}
			return conn, nil
		}
		cfg := e.tls.Clone()
		if cfg.ServerName == "" {
			if cfg.ServerName, _, err = net.SplitHostPort(addr); err != nil {
				return nil, errors.Join(err, conn.Close())
			}
		}
		t := tls.Client(conn, cfg)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return t, nil
	}
}

// leaves reports whether what is sent to an address leaves this machine.
func leaves(a net.Addr) bool {
	switch a := a.(type) {
	case *net.UnixAddr:
		return false
	case *net.TCPAddr:
		return !a.IP.IsLoopback()
	}
	return true
}

// The driver logs every failed dial by itself, unstructured and to stderr.
// The breaker and the log report what matters, once for each change.
func init() { goredis.SetLogger(quiet{}) }

type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}
