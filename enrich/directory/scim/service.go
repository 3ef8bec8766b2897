package scim

import (
	"context"
	"time"
)

// serviceConfig is what the service says of itself (RFC 7643, section 5).
type serviceConfig struct {
	Filter struct {
		Supported  bool `json:"supported"`
		MaxResults int  `json:"maxResults"`
	} `json:"filter"`
}

const (
	// configTimeout bounds one reading of the service's configuration.
	configTimeout = 5 * time.Second

	// configRetry and configLife are the times after which it is read again,
	// when it could not be read and when it could.
	configRetry = time.Minute
	configLife  = time.Hour
)

// Start reads the service's configuration behind the requests, which do not
// wait for it: it tells how long a page may be, and what Report shows.
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

// Close ends the background work and the idle connections.
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

func (d *Directory) watch(ctx context.Context, done chan<- struct{}) {
	defer close(done)
	for {
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

// readService takes the service at its word only where that harms nothing:
// some say that they cannot filter, and do.
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
		return true, "the service says that it does not support filters, by which users are found"
	}
	return true, ""
}
