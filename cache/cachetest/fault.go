package cachetest

import (
	"context"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// Network is a fake of what nodes share: entries and a log. It can be cut off
// from one node at any moment, which a real server cannot do to the byte.
type Network struct {
	mu      sync.Mutex
	entries map[cache.Key][]byte
	records []purgelog.Placed
	serial  uint64
	moved   chan struct{}
	sets    int
	clock   func() time.Time
}

// NewNetwork returns an empty network.
func NewNetwork(clock func() time.Time) *Network {
	return &Network{entries: map[cache.Key][]byte{}, moved: make(chan struct{}), clock: clock}
}

// Sets counts the entries written.
func (n *Network) Sets() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sets
}

// Put writes an entry as another node would.
func (n *Network) Put(key cache.Key, e *cache.Entry) error {
	b, err := e.AppendBinary(nil)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.entries[key] = b
	return nil
}

// Reset loses the log, as a server does that restarts without its data.
func (n *Network) Reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records = nil
	n.wake()
}

// Rollback loses the last records of the log, as a replica does that becomes
// master before it has them all.
func (n *Network) Rollback(records int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records = n.records[:len(n.records)-records]
	n.wake()
}

func (n *Network) wake() {
	close(n.moved)
	n.moved = make(chan struct{})
}

// Node is one node's access to the network. It is a cache.Tier and a
// purgelog.Stream.
type Node struct {
	net *Network

	mu   sync.Mutex
	down bool
	cut  chan struct{} // closed while the node is cut off
}

// Node returns a node's access.
func (n *Network) Node() *Node { return &Node{net: n, cut: make(chan struct{})} }

// Cut takes the node off the network.
func (n *Node) Cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.down {
		n.down = true
		close(n.cut)
	}
}

// Restore puts the node back.
func (n *Node) Restore() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.down {
		n.down = false
		n.cut = make(chan struct{})
	}
}

func (n *Node) state() (bool, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.down, n.cut
}

// Name is "redis", which it replaces.
func (n *Node) Name() string { return cache.TierRedis }

// Get answers a copy of the entry.
func (n *Node) Get(_ context.Context, key cache.Key) (*cache.Entry, error) {
	if down, _ := n.state(); down {
		return nil, cache.ErrUnavailable
	}
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	b, ok := n.net.entries[key]
	if !ok {
		return nil, cache.ErrMiss
	}
	e, err := cache.DecodeEntry(append([]byte(nil), b...))
	if err != nil {
		return nil, cache.ErrUnsealed
	}
	return e, nil
}

// Set writes the entry's encoding.
func (n *Node) Set(key cache.Key, e *cache.Entry, keep time.Duration) {
	if down, _ := n.state(); down {
		return
	}
	if keep <= 0 {
		n.Delete(key)
		return
	}
	b, err := e.AppendBinary(nil)
	if err != nil {
		return
	}
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	n.net.entries[key] = b
	n.net.sets++
}

// Delete removes an entry.
func (n *Node) Delete(key cache.Key) {
	if down, _ := n.state(); down {
		return
	}
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	delete(n.net.entries, key)
}

// Status reports whether the node is on the network.
func (n *Node) Status() cache.TierStatus {
	down, _ := n.state()
	return cache.TierStatus{Name: cache.TierRedis, Ready: !down}
}

// Close does nothing.
func (n *Node) Close() error { return nil }

// Append adds records to the log.
func (n *Node) Append(_ context.Context, records []purgelog.Record) ([]purgelog.Position, error) {
	if down, _ := n.state(); down {
		return nil, cache.ErrUnavailable
	}
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	return n.net.append(records), nil
}

func (n *Network) append(records []purgelog.Record) []purgelog.Position {
	var out []purgelog.Position
	for _, r := range records {
		n.serial++
		p := purgelog.Position{Millis: uint64(n.clock().UnixMilli()), Serial: n.serial}
		n.records = append(n.records, purgelog.Placed{Record: r, Position: p})
		out = append(out, p)
	}
	n.wake()
	return out
}

// Follow feeds the log: at once what is new, and a confirmation every second.
func (n *Node) Follow(ctx context.Context, log *purgelog.Log) {
	for ctx.Err() == nil {
		down, cut := n.state()
		if down {
			log.Lost("cut")
			wait(ctx, 100*time.Millisecond, nil, nil)
			continue
		}
		n.net.mu.Lock()
		if len(n.net.records) == 0 {
			n.net.append([]purgelog.Record{{Kind: purgelog.Begin}})
		}
		log.Open(n.net.records[0].Position, n.net.records[len(n.net.records)-1].Position)
		var news []purgelog.Placed
		for _, r := range n.net.records {
			if log.Position().Before(r.Position) {
				news = append(news, r)
			}
		}
		moved := n.net.moved
		n.net.mu.Unlock()
		log.Apply(news)
		log.Confirm()
		wait(ctx, time.Second, moved, cut)
	}
}

func wait(ctx context.Context, d time.Duration, a, b <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-a:
	case <-b:
	}
}

// Interface guards.
var (
	_ cache.Tier      = (*Node)(nil)
	_ purgelog.Stream = (*Node)(nil)
)
