package ldap

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// A pool keeps bound connections for the next look-up, and limits how many are
// open.
type pool struct {
	dial  func(context.Context) (*conn, error)
	slots chan struct{}

	mu     sync.Mutex
	idle   []*conn // the last used one last
	closed bool
}

// newPool returns an empty pool for this many connections.
func newPool(size int, dial func(context.Context) (*conn, error)) *pool {
	return &pool{dial: dial, slots: make(chan struct{}, size)}
}

// with runs one look-up on a connection. One from the pool that turns out to be
// dead, because servers close idle connections without notice, is replaced
// once.
func (p *pool) with(ctx context.Context, ask func(*conn) error) error {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return networkError(ctx, "waiting for a connection", ctx.Err())
	}
	defer func() { <-p.slots }()
	for {
		c, pooled, err := p.take(ctx)
		if err != nil {
			return err
		}
		// The budget and the flags are those of one look-up.
		c.reset()
		stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() })
		err = ask(c)
		// The context has closed the wire, so that the library's state is
		// unknown.
		cut := !stop()
		if cut || c.broken || c.ldap.IsClosing() {
			c.close()
		} else {
			p.put(c)
		}
		// Only a pooled connection can have been closed by the server before
		// this look-up, so only then is another attempt made.
		if err == nil || cut || !pooled || !c.broken || !errors.Is(err, directory.ErrUnavailable) {
			return err
		}
	}
}

// take returns an idle connection, or a new one. It closes those that are too
// old.
func (p *pool) take(ctx context.Context) (c *conn, pooled bool, err error) {
	now := time.Now()
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, false, fmt.Errorf("connecting: %w", directory.ErrClosed)
	}
	var stale []*conn
	for c == nil && len(p.idle) > 0 {
		last := p.idle[len(p.idle)-1]
		p.idle = p.idle[:len(p.idle)-1]
		if last.ldap.IsClosing() || now.Sub(last.idle) > idleLife || now.Sub(last.born) > maxLife {
			stale = append(stale, last)
			continue
		}
		c = last
	}
	p.mu.Unlock()
	for _, s := range stale {
		s.close()
	}
	if c != nil {
		return c, true, nil
	}
	c, err = p.dial(ctx)
	return c, false, err
}

// put keeps a connection for the next look-up, and closes those that have been
// idle too long.
func (p *pool) put(c *conn) {
	now := time.Now()
	c.idle = now
	var stale []*conn
	p.mu.Lock()
	if p.closed {
		stale = append(stale, c)
	} else {
		// The first one has been idle longest.
		for len(p.idle) > 0 && now.Sub(p.idle[0].idle) > idleLife {
			stale, p.idle = append(stale, p.idle[0]), p.idle[1:]
		}
		p.idle = append(p.idle, c)
	}
	p.mu.Unlock()
	for _, s := range stale {
		s.close()
	}
}

// close closes the idle connections. Those in use are closed when their look-up
// ends.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, c := range idle {
		c.close()
	}
}
