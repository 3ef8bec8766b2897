// Package userinfo is the directory over the userinfo endpoint of an OpenID issuer
// (OpenID Connect Core, section 5.3), which is asked with the caller's own token. It
// has the caller and no other user, so an answer is never used for another caller,
// and no apps.
package userinfo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Config says whose endpoint is asked. Name, Identifier and Endpoint are
// required.
type Config struct {
	// Name is the issuer's configured name. A token of any other issuer is
	// never sent to the endpoint.
	Name string

	// Identifier is the issuer's iss. An endpoint on this machine is used
	// only where the issuer is on this machine.
	Identifier string

	// Endpoint gives the address of the endpoint, from the issuer's metadata.
	// It is called for every question and holds on to what it knows.
	Endpoint func(ctx context.Context) (string, error)

	// Verify checks the signature of an answer that is a JWT, and that its
	// iss is the issuer's, and gives its claims. Nil refuses such answers.
	Verify func(ctx context.Context, raw string) (map[string]any, error)

	// GroupsClaim is the member with the groups. Default: groups.
	GroupsClaim string

	// GroupsDelimiter says what a text is that stands in the place of the list
	// of groups; see grouplist.Read. Default: unknown where it may hold a list.
	GroupsDelimiter string

	// CAFile is a PEM file with the certificates to trust instead of the
	// system's.
	CAFile string
}

// Options are what a Directory uses from outside. Each field may be left at its
// zero value.
type Options struct {
	// Transport carries the requests. Default: one of the directory's own.
	Transport http.RoundTripper

	// Clock returns the current time. Default: time.Now.
	Clock func() time.Time

	// Rand is the source of the jitter of retries. Default: crypto/rand.
	Rand io.Reader
}

// defaultGroupsClaim is the name that issuers with groups most often use.
const defaultGroupsClaim = "groups"

// New returns a directory. It reads the CA file and does not touch the network:
// the first look-up finds the endpoint.
func New(c Config, o Options) (*Directory, error) {
	switch {
	case c.Name == "" || c.Identifier == "":
		return nil, errors.New("configuring the userinfo directory: no issuer given")
	case c.Endpoint == nil:
		return nil, errors.New("configuring the userinfo directory: no way to the endpoint given")
	}
	if c.GroupsClaim == "" {
		c.GroupsClaim = defaultGroupsClaim
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	d := &Directory{config: c, options: o}
	// What is wrong with the CA file is wrong in the configuration itself.
	if c.CAFile != "" {
		if _, err := d.newClient("https://localhost"); err != nil {
			return nil, fmt.Errorf("configuring the userinfo directory: %w", err)
		}
	}
	return d, nil
}
