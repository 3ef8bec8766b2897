// Package scim is the directory over a SCIM 2.0 service (RFC 7643 and 7644): users,
// found by one attribute, with their groups. SCIM has no apps, so each app and
// assignment is not found.
package scim

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// The attributes by which a user can be found.
const (
	ByUserName   = "userName"
	ByExternalID = "externalId"
	ByEmail      = "emails.value"
	ByID         = "id"
)

// Where a user's groups are read.
const (
	// GroupsAuto: from the user; where that says nothing of groups, or leaves
	// their names out, by asking for the groups that have the user as member.
	GroupsAuto = "auto"
	// GroupsOfUser: from the user only; a user without the attribute has none.
	GroupsOfUser = "user"
	// GroupsByMember: by asking for the groups that have the user as member.
	// A service that holds groups within groups answers with the direct ones.
	GroupsByMember = "member"
	// GroupsUnknown: not at all; the groups are unknown, which is not none.
	GroupsUnknown = "unknown"
)

// Config says which service, and how its users are found.
type Config struct {
	// The service's base address, such as https://host/scim/v2. Required.
	URL string `json:"url,omitempty"`

	// The bearer token that the service accepts. Give it as {env.…} or
	// {file.…}.
	Bearer string `json:"bearer,omitempty"`

	// User name and password, where the service takes HTTP Basic
	// authentication instead. Either these or bearer are required.
	Username string `json:"username,omitempty"`
	Password string `json:"password,omitempty"`

	// The attribute that holds the subject: userName, externalId,
	// emails.value or id. User names and e-mail addresses are compared
	// without regard to the case of ASCII letters (RFC 7643, section 4.1),
	// the other two exactly. Default: userName.
	UserFilter string `json:"user_filter,omitempty"`

	// Where groups are read: user (the user's own list), member (the groups
	// that have the user as member), unknown (not at all), or auto: the user's
	// list, and by member where there is none. Default: auto.
	Groups string `json:"groups,omitempty"`

	// A PEM file with the certificates to trust instead of the system's. It is
	// read once, by New. Default: the system's.
	CAFile string `json:"ca,omitempty"`
}

// maxSecret bounds bearer, username and password, in bytes.
const maxSecret = 16 << 10

// Options are what a Directory uses from outside. Each field may be left at its
// zero value.
type Options struct {
	// Transport carries the requests. Default: one of the directory's own.
	Transport http.RoundTripper

	// Clock returns the current time. Default: time.Now.
	Clock func() time.Time

	// Rand is the source of randomness. Default: crypto/rand.
	Rand io.Reader
}

// Check returns what is wrong in the configuration itself. It reads no file.
func Check(c Config) error {
	if _, err := c.validate(); err != nil {
		return err
	}
	return fetch.CheckAddress(c.URL, false)
}

// validate returns the configuration with its defaults, or what is wrong in it.
func (c Config) validate() (Config, error) {
	basic := c.Username != "" || c.Password != ""
	c.UserFilter = cmp.Or(c.UserFilter, ByUserName)
	c.Groups = cmp.Or(c.Groups, GroupsAuto)
	switch {
	case c.URL == "":
		return c, errors.New("configuring the scim directory: URL is missing")
	case c.Bearer == "" && !basic:
		return c, errors.New("configuring the scim directory: either bearer or basic is required")
	case c.Bearer != "" && basic:
		return c, directory.Setting("bearer", errors.New("configuring the scim directory: bearer and basic cannot be combined"))
	case basic && (c.Username == "" || c.Password == "" || strings.Contains(c.Username, ":")):
		return c, directory.Setting("basic", errors.New("configuring the scim directory: basic needs a user name without a colon, and a password"))
	case len(c.Bearer) > maxSecret || len(c.Username) > maxSecret || len(c.Password) > maxSecret || hasControl(c.Bearer) || strings.Contains(c.Bearer, " "):
		option := "bearer"
		if basic {
			option = "basic"
		}
		return c, directory.Setting(option, errors.New("configuring the scim directory: the credentials are invalid"))
	}
	for _, o := range []struct {
		option, value string
		values        []string
	}{
		{"user_filter", c.UserFilter, []string{ByUserName, ByExternalID, ByEmail, ByID}},
		{"groups", c.Groups, []string{GroupsAuto, GroupsOfUser, GroupsByMember, GroupsUnknown}},
	} {
		if last := len(o.values) - 1; !slices.Contains(o.values, o.value) {
			return c, directory.Setting(o.option, fmt.Errorf("configuring the scim directory: %s: unknown value %q (want %s or %s)%s",
				o.option, o.value, strings.Join(o.values[:last], ", "), o.values[last], suggest.DidYouMean(o.value, o.values)))
		}
	}
	return c, nil
}

// authorization returns the header with the credentials.
func (c Config) authorization() string {
	if c.Bearer != "" {
		return "Bearer " + c.Bearer
	}
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(c.Username+":"+c.Password))
}

// hasControl reports whether s has a control character.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
