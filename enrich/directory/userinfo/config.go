// Package userinfo is the directory over the userinfo endpoint of an OpenID issuer
// (OpenID Connect Core, section 5.3), which is asked with the caller's own token. It
// has the caller and no other user, so an answer is never used for another caller,
// and no apps.
package userinfo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Config says whose endpoint is asked.
type Config struct {
	// The configured name of the issuer. The directory answers for its subjects
	// only, and a token of any other issuer is never sent to the endpoint.
	// Required.
	Issuer string `json:"issuer,omitempty"`

	// The member of the answer that holds the groups: a list of texts, which
	// are id and name at once, or of objects with id or name. A text in its
	// place is read as the issuer's groups_delimiter says. Default: groups.
	GroupsClaim string `json:"groups_claim,omitempty"`

	// A PEM file with the certificates to trust instead of the system's. It is
	// read for each client that is made. Default: the system's.
	CAFile string `json:"ca,omitempty"`

	// Identifier is the issuer's iss. An endpoint on this machine is used
	// only where the issuer is on this machine. Required.
	Identifier string `json:"-"`

	// Endpoint returns the address of the endpoint, from the issuer's metadata.
	// It is called for every question and holds on to what it knows. Required.
	Endpoint func(ctx context.Context) (string, error) `json:"-"`

	// Verify checks the signature of an answer that is a JWT, and that its
	// iss is the issuer's, and returns its claims. Nil refuses such answers.
	Verify func(ctx context.Context, raw string) (map[string]any, error) `json:"-"`

	// GroupsDelimiter is the issuer's; see grouplist.Read. Default: a text that
	// may hold a list makes the groups unknown.
	GroupsDelimiter string `json:"-"`
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
	case c.Issuer == "" || c.Identifier == "":
		return nil, errors.New("configuring the userinfo directory: issuer is missing")
	case c.Endpoint == nil:
		return nil, errors.New("configuring the userinfo directory: endpoint is missing")
	}
	c.GroupsClaim = cmp.Or(c.GroupsClaim, defaultGroupsClaim)
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
