package redis

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Rhythm of the watch. A node that has left counts for longer than it takes to
// restart it, so that a changed key during a rolling restart is not missed.
const (
	watchEvery  = 30 * time.Second
	watchRetry  = time.Second
	ringsLinger = 2 * time.Minute
	maxRings    = 16
)

// watch finds what no request shows: nodes that share Redis but not the seal key,
// and a server that may evict what must not be lost. Both appear in the status as
// well as in the log, because the first needs an operator: its purges and denials
// do not reach the other nodes.
type watch struct {
	mu       sync.Mutex
	split    bool
	policy   string
	warnings []string
}

func (w *watch) state() (split bool, warnings []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.split, slices.Clone(w.warnings)
}

// run looks every watchEvery until ctx ends, and sooner after a failure.
func (w *watch) run(ctx context.Context, c *Client) {
	for ctx.Err() == nil {
		wait := watchEvery
		if err := w.look(ctx, c); err != nil {
			wait = watchRetry
		}
		pause(ctx, wait)
	}
}

// look leaves this node's mark beside the others' and reads them all, and asks
// the server what it does when it is full.
func (w *watch) look(ctx context.Context, c *Client) error {
	ctx, cancel := context.WithTimeout(ctx, 4*max(logTimeout, c.end.timeout))
	defer cancel()
	name := c.end.prefix + "v1:rings"
	now := c.clock()
	own := c.sealer.Fingerprint()
	old := strconv.FormatInt(now.Add(-ringsLinger).UnixMilli(), 10)
	var list *goredis.StringSliceCmd
	_, err := c.log.Pipelined(ctx, func(p goredis.Pipeliner) error {
		p.ZAdd(ctx, name, goredis.Z{Score: float64(now.UnixMilli()), Member: own})
		p.ZRemRangeByScore(ctx, name, "-inf", "("+old)
		list = p.ZRangeByScore(ctx, name, &goredis.ZRangeBy{Min: old, Max: "+inf", Count: maxRings})
		p.PExpire(ctx, name, 2*ringsLinger)
		return nil
	})
	if err != nil {
		return err
	}
	split := slices.ContainsFunc(list.Val(), func(other string) bool { return other != own })

	// Not every server lets us ask; then there is nothing to warn of.
	policy, limited := "", false
	if info, err := c.log.Info(ctx, "memory").Result(); err == nil {
		policy = infoField(info, "maxmemory_policy")
		limited = infoField(info, "maxmemory") != "0"
	}
	var warning string
	switch {
	case strings.HasPrefix(policy, "allkeys-"):
		warning = "maxmemory-policy " + policy + " may evict the purge log and the deny list; use a volatile policy"
	case policy == "noeviction" && limited:
		warning = "maxmemory-policy noeviction: when redis is full, purges and denials cannot be recorded; use a volatile policy"
	}

	w.mu.Lock()
	defer w.mu.Unlock()
	if split != w.split {
		if split {
			c.logger.Error("another node shares this redis but not the seal key; entries, purges and denials do not reach it")
		} else {
			c.logger.Info("all nodes share one seal key again")
		}
	}
	w.split = split
	if policy != w.policy && warning != "" {
		c.logger.Warn(warning)
	}
	w.policy, w.warnings = policy, nil
	if warning != "" {
		w.warnings = []string{warning}
	}
	return nil
}

// infoField finds one line of INFO's answer.
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			return v
		}
	}
	return ""
}
