// Package okta is the directory over an Okta organization: users, their groups,
// apps with their profiles, assignments and linked objects, read through Okta's
// management API.
//
// It follows the API's pages by their links, waits before a rate limit is
// reached, and classifies refusals by their error codes.
package okta

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// Config says which organization, and with whose rights it is read.
type Config struct {
	// The organization's address, such as https://acme.okta.com. Required.
	URL string `json:"url,omitempty"`

	// An API token (SSWS). It has the rights of the administrator who made
	// it. Give it as {env.…} or {file.…}. Either token, or client_id with private_key, is required.
	Token string `json:"token,omitempty"`

	// The client id of an API service app, which signs in with private_key
	// (private_key_jwt, the only way that Okta accepts for its own scopes) and
	// needs an administrator role besides the scopes. An app that demands DPoP
	// is not supported.
	ClientID string `json:"client_id,omitempty"`

	// The service app's private key, PEM or a JSON Web Key, as text: RSA of at
	// least 2048 bits, or EC on P-256, P-384 or P-521. In a configuration of
	// Caddy's also the path of a file with it, or {env.…} or {file.…}.
	PrivateKey string `json:"private_key,omitempty"`

	// The id under which Okta knows the public key. Default: the JSON Web
	// Key's own, or none.
	KeyID string `json:"key_id,omitempty"`

	// The scopes that the service app asks for. Default: okta.users.read,
	// okta.groups.read and okta.apps.read.
	Scopes []string `json:"scopes,omitempty"`

	// Whether assignments of users to apps are read; without it each is not
	// found. Default: true.
	AppUsers *bool `json:"app_users,omitempty"`

	// The linked objects to read with each user, by primary name (manager).
	// Each costs two requests. Default: none. At most 8.
	Linked []string `json:"linked,omitempty"`

	// The properties that may hold the subject: id and login are asked for
	// directly, any other attribute by a search, which Okta answers some
	// seconds behind. Default: id and login. It is an option of every kind of
	// directory, which the caller passes on.
	Match []string `json:"-"`

	// A PEM file with the certificates to trust instead of the system's. It is
	// read once, by New. Default: the system's.
	CAFile string `json:"ca,omitempty"`
}

const (
	// maxLinked bounds Config.Linked: each name costs two requests a user.
	maxLinked = 8

	// maxMatch bounds Config.Match: each attribute costs a search.
	maxMatch = 8

	// maxSecret bounds token and private key, in bytes. The largest real ones,
	// RSA keys of 16,384 bits in PEM, have 13 KB.
	maxSecret = 64 << 10
)

// defaultScopes returns the least scopes that user, groups, app and assignment
// need.
func defaultScopes() []string {
	return []string{"okta.users.read", "okta.groups.read", "okta.apps.read"}
}

// names matches the names of attributes and relationships, which become part of
// paths and search expressions.
var names = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,99}$`)

// Options are what a Directory uses from outside. Each field may be left at its
// zero value.
type Options struct {
	// Transport carries the requests. Default: one of the directory's own.
	Transport http.RoundTripper

	// Clock returns the current time. Default: time.Now.
	Clock func() time.Time

	// Rand is the source of randomness. Default: crypto/rand.
	Rand io.Reader

	// Logger gets, at debug level, the id that Okta assigns to a refused
	// request. Default: nothing is logged.
	Logger *slog.Logger
}

// Check returns what is wrong in the configuration itself. It reads no file and
// does not parse a private key.
func Check(c Config) error {
	_, err := c.validate()
	return err
}

// validate returns the configuration with its defaults, or what is wrong in it.
func (c Config) validate() (Config, error) {
	// One of the two ways to authenticate is required, and not both.
	service := c.ClientID != "" || c.PrivateKey != ""
	switch {
	case c.URL == "":
		return c, errors.New("configuring the okta directory: URL is missing")
	case c.Token == "" && !service:
		return c, errors.New("configuring the okta directory: either token or client_id with private_key is required")
	case c.Token != "" && service:
		return c, directory.Setting("token", errors.New("configuring the okta directory: token cannot be combined with client_id or private_key"))
	case service && (c.ClientID == "" || c.PrivateKey == ""):
		option := "client_id"
		if c.ClientID == "" {
			option = "private_key"
		}
		return c, directory.Setting(option, errors.New("configuring the okta directory: client_id and private_key must be set together"))
	case !service && (c.KeyID != "" || len(c.Scopes) > 0):
		option := "key_id"
		if c.KeyID == "" {
			option = "scopes"
		}
		return c, directory.Setting(option, errors.New("configuring the okta directory: key_id and scopes have no effect with a token"))
	case len(c.Token) > maxSecret || len(c.PrivateKey) > maxSecret || !printable(c.Token):
		option := "private_key"
		if !service {
			option = "token"
		}
		return c, directory.Setting(option, errors.New("configuring the okta directory: the token or private key is invalid"))
	case len(c.Linked) > maxLinked:
		return c, directory.Setting("linked", fmt.Errorf("configuring the okta directory: over %d linked objects", maxLinked))
	case len(c.Match) > maxMatch:
		return c, directory.Setting("match", fmt.Errorf("configuring the okta directory: over %d properties to match", maxMatch))
	}
	for _, o := range []struct {
		option string
		list   []string
	}{{"linked", c.Linked}, {"match", c.Match}} {
		for _, name := range o.list {
			if !names.MatchString(name) {
				return c, directory.Setting(o.option, fmt.Errorf("configuring the okta directory: %s: %q cannot be an attribute or relationship", o.option, name))
			}
		}
	}
	if err := checkOrganization(c.URL); err != nil {
		return c, err
	}
	if len(c.Scopes) == 0 {
		c.Scopes = defaultScopes()
	}
	if len(c.Match) == 0 {
		c.Match = directory.DefaultMatch()
	}
	return c, nil
}

// checkOrganization refuses an address that is not an organization's, such as
// that of its API or of an authorization server: each request there would get a
// 404.
func checkOrganization(address string) error {
	if err := fetch.CheckAddress(address, false); err != nil {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return err
	}
	if strings.Trim(u.Path, "/") != "" {
		return fmt.Errorf("configuring the okta directory: the organization's address must not have a path: want %q, not %q", u.Scheme+"://"+u.Host, address)
	}
	return nil
}

// printable reports whether s has only visible ASCII characters. It keeps line
// breaks out of the Authorization header: a secret that is read from a file
// often ends in one.
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
