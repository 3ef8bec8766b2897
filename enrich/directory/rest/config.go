// Package rest is the directory over an HTTP service of the operator's own: one
// request for a user, answered in JSON. Where the answer has the shape of an
// evaluation's context (user, groups, app, appuser) no more is needed; otherwise
// JSONPath queries (RFC 9535) say where things are.
//
// Of an incoming request the service receives only what the URL and the body
// declare: subject, issuer, client and app, each escaped for its place.
package rest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// This file holds the configuration and checks it. Requests are made from it in
// question.go, answers are read in answer.go, shape.go and pages.go.

// Config says which service, and how it is asked. URL is required.
type Config struct {
	// The URL that a user is asked for by, such as
	// https://host/profile/{subject}. Required. Path and query may hold
	// {subject}, {issuer} (the token's iss) and {client}; the query also {app},
	// which is empty where a user is asked for. Scheme, host and port hold none:
	// what a user is called does not decide who is asked. A 404 means that there
	// is no such user.
	URL string `json:"url,omitempty"`

	// GET or POST. Default: GET.
	Method string `json:"method,omitempty"`

	// Headers to send with every question, as they stand. Give secrets as
	// {env.…} or {file.…}.
	Header http.Header `json:"headers,omitempty"`

	// The JSON that a POST sends, in which {subject}, {issuer}, {client} and
	// {app}, with or without quotes around them, are replaced by JSON strings.
	// Each is a whole value: within a longer string, such as a GraphQL query,
	// it is a load error. It is not expanded otherwise. Default: none.
	Body string `json:"body,omitempty"`

	// The JSONPath query (RFC 9535) of the object whose members are the user's
	// attributes. Where any path is given, what has none is not read; without
	// any, the answer has the shape of the context of an evaluation: user,
	// groups, app, appuser.
	ProfilePath string `json:"profile_path,omitempty"`

	// The JSONPath query of the groups: texts, which are id and name at once,
	// or objects with id, name or profile.
	GroupsPath string `json:"groups_path,omitempty"`

	// How a text in the place of the list of groups is read: a delimiter such
	// as "," (square brackets around the text and blanks around its parts are
	// cut), "json" for a list in JSON, or "none" for one group. Default: a text
	// of nothing but letters, digits and -_.:/@\ is one group; any other may
	// hold a list, and the groups then are unknown.
	GroupsDelimiter string `json:"groups_delimiter,omitempty"`

	// Where an answer names the next page of its groups: the JSONPath query of
	// the page's URL, "link" for a Link header with rel="next" (RFC 8288), or
	// "none" where nothing in an answer means that there is more. Pages are asked
	// for by GET with the same headers at the same origin, 50 at most, within the
	// time-out. Default: no page is followed, and an answer that says that there
	// is more makes the groups unknown.
	Next string `json:"next,omitempty"`

	// The JSONPath query of the app.
	AppPath string `json:"app_path,omitempty"`

	// The URL that an app is asked for by, with GET, such as
	// https://host/apps/{app}, at the same host. Default: the app is read from
	// the answer about a user.
	AppURL string `json:"app_url,omitempty"`

	// A PEM file with the certificates to trust instead of the system's. It is
	// read once, by New.
	CAFile string `json:"ca,omitempty"`

	// Allow http:// to another host. Anybody on the way can then read what is
	// asked and answered. Default: false.
	Plaintext bool `json:"insecure_plaintext,omitempty"`

	// Match names the properties of a user that may hold the subject. Where the
	// answer has any of them, one must. Default: id and login. It is an option of
	// every kind of directory, which the caller passes on.
	Match []string `json:"-"`
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

// Limits of a configuration.
const (
	// maxHeaders bounds the header values that are sent with each request.
	maxHeaders = 32

	// maxHeaderValue bounds one of them, in bytes. The largest real ones are
	// tokens, which servers commonly refuse over 8 KB.
	maxHeaderValue = 8 << 10
)

// ownHeaders are set by the client itself, or change the meaning of an answer.
// None of them can be configured.
var ownHeaders = [...]string{
	"Accept-Encoding", "Connection", "Content-Length", "Content-Type", "Expect", "Host", "If-Match", "If-Modified-Since",
	"If-None-Match", "If-Range", "If-Unmodified-Since", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Range", "Te",
	"Trailer", "Transfer-Encoding", "Upgrade",
}

// CheckHeader returns an error for headers that would not arrive unchanged,
// that belong to the client, or that hold a placeholder, which is not replaced
// there.
func CheckHeader(h http.Header) error {
	count := 0
	for name, values := range h {
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return errors.New("header: not a header name")
		case slices.Contains(ownHeaders[:], textproto.CanonicalMIMEHeaderKey(name)):
			return fmt.Errorf("header: %s cannot be set", name)
		}
		for _, v := range values {
			count++
			switch {
			case len(v) > maxHeaderValue:
				return fmt.Errorf("header: %s is over %d bytes", name, maxHeaderValue)
			case !httpguts.ValidHeaderFieldValue(v):
				return fmt.Errorf("header: the value of %s holds a control character", name)
			}
			// A placeholder in a header would be sent as it is written, and
			// never replaced.
			for _, place := range Places() {
				if strings.Contains(v, "{"+place+"}") {
					return fmt.Errorf("header: {%s} is not replaced in headers; send it in the URL or the body", place)
				}
			}
		}
	}
	if count > maxHeaders {
		return fmt.Errorf("header: over %d values", maxHeaders)
	}
	return nil
}

// New returns a directory. It reads CAFile and does not touch the network.
func New(c Config, o Options) (*Directory, error) {
	d, err := compile(c)
	if err != nil {
		return nil, fmt.Errorf("configuring the http directory: %w", err)
	}
	// The origin is that of the template, which has no placeholder there.
	d.client, err = fetch.New(fetch.Options{
		Base: d.user.url.Base(), Plaintext: c.Plaintext, CAFile: c.CAFile, Transport: o.Transport,
		Header: c.Header, Clock: o.Clock, Rand: o.Rand,
	})
	if err != nil {
		return nil, fmt.Errorf("configuring the http directory: %w", err)
	}
	return d, nil
}

// Check returns what is wrong in the configuration itself. It reads no file.
func Check(c Config) error {
	d, err := compile(c)
	if err == nil {
		err = fetch.CheckAddress(d.user.url.Base(), c.Plaintext)
	}
	if err != nil {
		return fmt.Errorf("configuring the http directory: %w", err)
	}
	return nil
}

// compile checks the configuration and parses its templates and paths. The
// Directory that it returns has no client.
func compile(c Config) (*Directory, error) {
	d := &Directory{match: c.Match}
	if len(d.match) == 0 {
		d.match = directory.DefaultMatch()
	}
	err := CheckHeader(c.Header)
	if err != nil {
		return nil, err
	}
	if d.user, err = userQuestion(c); err != nil {
		return nil, err
	}
	if c.AppURL != "" {
		if d.app, err = appQuestion(c, d.user); err != nil {
			return nil, directory.Setting("app_url", err)
		}
	}
	for _, p := range []struct {
		option, text string
		to           **path
	}{{"profile_path", c.ProfilePath, &d.profilePath}, {"groups_path", c.GroupsPath, &d.groupsPath}, {"app_path", c.AppPath, &d.appPath}} {
		if p.text == "" {
			continue
		}
		if *p.to, err = parsePath(p.text); err != nil {
			return nil, directory.Setting(p.option, fmt.Errorf("%s: %w", p.option, err))
		}
	}
	return d, d.compileGroups(c)
}
