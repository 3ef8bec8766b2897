package scim

import (
	"context"
	"time"
)

// This file reads the configuration of the service in the background.

// serviceConfig is the service's description of itself (RFC 7643, section 5).
type serviceConfig struct {
	Filter struct {
		Supported  bool `json:"supported"`
		MaxResults int  `json:"maxResults"`
	} `json:"filter"`
}

const (
	// configTimeout bounds one request for the service's configuration.
	configTimeout = 5 * time.Second

	// configRetry and configLife are the times after which it is read again,
	// when it could not be read and when it could.
	configRetry = time.Minute
	configLife  = time.Hour
)

// Start begins to read the service's configuration in the background. Look-ups
// do not wait for it. It decides the length of pages, and what Report returns.
// A second Start does nothing.
func (d *Directory) Start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop != nil {
		return nil
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop, d.done = stop, make(chan struct{})
	go d.watch(ctx, d.done)
	return nil
}

// Close ends the background work, waits for it, and closes the idle
// connections.
func (d *Directory) Close() error {
	d.mu.Lock()
	stop, done := d.stop, d.done
	d.stop, d.done = nil, nil
	d.mu.Unlock()
	if stop != nil {
		stop()
		<-done
	}
	return d.client.Close()
}

// watch reads the configuration until ctx ends.
func (d *Directory) watch(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	for {
		// A service without this endpoint is asked again, at no cost to look-
		// ups.
		wait := configRetry
		if d.readService(ctx) {
			wait = configLife
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// readService reads the configuration and reports whether it could. A statement
// about filters has no effect on look-ups: some services say that they cannot
// filter, and do.
func (d *Directory) readService(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, configTimeout)
	defer cancel()
	answer, err := d.get(ctx, "/ServiceProviderConfig")
	if err != nil {
		return false
	}
	var s serviceConfig
	if err := answer.Decode(&s); err != nil {
		return false
	}
	d.service.Store(&s)
	return true
}

// Report implements directory.Reporter.
func (d *Directory) Report() (ready bool, problem string) {
	if s := d.service.Load(); s != nil && !s.Filter.Supported && d.config.UserFilter != ByID {
		return true, "the service does not support filters, which are needed to find users"
	}
	return true, ""
}
