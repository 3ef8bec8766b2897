package directories

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/rest"
)

func init() {
	caddy.RegisterModule(new(HTTP))
}

// HTTP is a directory that a service of one's own is: one question for a user,
// answered in JSON. Only what URL and body declare reaches the service.
type HTTP struct {
	caddymodule.DirectorySettings

	// The URL that a user is asked for by, such as
	// https://host/profile/{subject}. Path and query may hold {subject},
	// {issuer} (the token's iss) and {client}; the query also {app}, which is
	// empty where a user is asked for. A 404 means that there is no such user.
	URL string `json:"url"`

	// GET or POST. Default: GET.
	Method string `json:"method,omitempty"`

	// Headers to send with every question. Give secrets as {env.…} or
	// {file.…}.
	Headers http.Header `json:"headers,omitempty"`

	// The JSON that a POST sends, in which {subject}, {issuer}, {client} and
	// {app} are replaced by strings. Each is a whole value: within a longer
	// string, such as a GraphQL query, it is a load error. It is not expanded
	// otherwise.
	Body string `json:"body,omitempty"`

	// The JSONPath query (RFC 9535) of the object whose members are the user's
	// attributes. Without any path, the answer has the shape of the context
	// of an evaluation: user, groups, app, appuser.
	ProfilePath string `json:"profile_path,omitempty"`

	// The JSONPath query of the groups: texts, which are id and name at once,
	// or objects with id, name or profile.
	GroupsPath string `json:"groups_path,omitempty"`

	// What a text is that stands in the place of the list of groups: a
	// delimiter such as "," that parts it (square brackets around it and blanks
	// around its parts are cut), "json" for a list in JSON, or "none" for one
	// group. Default: a text of nothing but letters, digits and -_.:/@\ is one
	// group; any other may hold a list, and the groups then are unknown.
	GroupsDelimiter string `json:"groups_delimiter,omitempty"`

	// Where an answer names the next page of its groups: the JSONPath query of
	// the page's URL, "link" for a Link header with rel="next" (RFC 8288), or
	// "none" where nothing in an answer means that there is more. Pages are asked
	// for by GET at the same origin, 50 at most, within the time-out. Default: no
	// page is followed, and an answer that says that there is more makes the
	// groups unknown.
	Next string `json:"next,omitempty"`

	// The JSONPath query of the app.
	AppPath string `json:"app_path,omitempty"`

	// The URL that an app is asked for by, such as https://host/apps/{app}, at
	// the same host. Default: the app is read from the answer about a user.
	AppURL string `json:"app_url,omitempty"`

	// A PEM file with the certificates to trust instead of the system's.
	CA string `json:"ca,omitempty"`

	// Allow http:// to another host. Anybody on the way can then read what is
	// asked and answered.
	InsecurePlaintext bool `json:"insecure_plaintext,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*HTTP) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich.directories.http",
		New: func() caddy.Module { return new(HTTP) },
	}
}

// Provision expands the placeholders of URLs, headers and paths of files.
func (h *HTTP) Provision(caddy.Context) error {
	if err := expandTemplate(&h.URL); err != nil {
		return err
	}
	if err := expandHeaders(&h.Headers); err != nil {
		return err
	}
	return block.Expand(&h.AppURL, &h.CA)
}

// Files implements caddymodule.DirectoryFiles.
func (h *HTTP) Files() []string { return []string{h.CA} }

// Open makes the directory.
func (h *HTTP) Open(ctx caddymodule.DirectoryContext) (directory.Directory, error) {
	return rest.New(h.config(), rest.Options{Clock: ctx.Clock})
}

func (h *HTTP) config() rest.Config {
	return rest.Config{
		URL: h.URL, Method: h.Method, Header: h.Headers, Body: h.Body,
		ProfilePath: h.ProfilePath, GroupsPath: h.GroupsPath, GroupsDelimiter: h.GroupsDelimiter, Next: h.Next, AppPath: h.AppPath, AppURL: h.AppURL,
		Match: h.Match, CAFile: h.CA, Plaintext: h.InsecurePlaintext,
	}
}

// Check implements caddymodule.DirectoryChecker.
func (h *HTTP) Check([]string) error {
	c := h.config()
	if block.HasPlaceholder(c.URL + c.AppURL) {
		// Both are at one host.
		c.URL, c.AppURL = "https://host/{subject}", ""
	} else if err := expandTemplate(&c.URL); err != nil {
		return err
	}
	return rest.Check(c)
}

// UnmarshalCaddyfile reads the directory option. Syntax:
//
//	directory http <url> {
//		method             GET|POST
//		header             <name> <value>
//		body               <template>
//		profile_path       <jsonpath>
//		groups_path        <jsonpath>
//		groups_delimiter   <text>|json|none
//		next               <jsonpath>|link|none
//		app_path           <jsonpath>
//		app_url            <url>
//		ca                 <file>
//		insecure_plaintext
//		<options of every directory>
//	}
func (h *HTTP) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if err := address(d, &h.URL); err != nil {
		return err
	}
	return caddymodule.ParseDirectory(d, &h.DirectorySettings, "http", []block.Option{
		block.Enum("method", &h.Method, http.MethodGet, http.MethodPost),
		{Name: "header", List: "headers", Parse: h.unmarshalHeader},
		block.Text("body", &h.Body),
		block.Text("profile_path", &h.ProfilePath),
		block.Text("groups_path", &h.GroupsPath),
		block.Text("groups_delimiter", &h.GroupsDelimiter),
		block.Text("next", &h.Next),
		block.Text("app_path", &h.AppPath),
		block.Text("app_url", &h.AppURL),
		block.Text("ca", &h.CA),
		block.Flag("insecure_plaintext", &h.InsecurePlaintext),
	})
}

func (h *HTTP) unmarshalHeader(d *caddyfile.Dispenser) error {
	var name, value string
	if !d.AllArgs(&name, &value) {
		return d.ArgErr()
	}
	if err := rest.CheckHeader(http.Header{name: {value}}); err != nil {
		return d.WrapErr(err)
	}
	if h.Headers == nil {
		h.Headers = make(http.Header)
	}
	h.Headers.Add(name, value)
	return nil
}

// Interface guards
var (
	_ caddymodule.DirectoryChecker = (*HTTP)(nil)
	_ caddy.Provisioner            = (*HTTP)(nil)
	_ caddyfile.Unmarshaler        = (*HTTP)(nil)
	_ caddymodule.DirectoryModule  = (*HTTP)(nil)
	_ caddymodule.DirectoryFiles   = (*HTTP)(nil)
)
