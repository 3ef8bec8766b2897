package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// This file makes requests: it parses the templates of URL and body, and puts
// the inputs of a look-up into them.

// inputs are the values for the placeholders, by name.
type inputs map[string]string

// Places returns the names that may be in braces in the URL and in the body of
// a POST.
func Places() []string { return []string{"subject", "issuer", "client", "app"} }

// inputsOf returns the inputs for a principal. The issuer is the token's iss
// and not its configured name: answers are cached by iss, so two configured
// names of one issuer must not lead to two answers.
func inputsOf(p *identity.Principal, app string) inputs {
	return inputs{"subject": p.Subject, "issuer": p.Issuer, "client": p.Client, "app": app}
}

// A question is the template of a request.
type question struct {
	method string
	url    *fetch.Template
	body   *bodyTemplate // nil: none
}

// userQuestion parses URL, method and body. One of URL and body must hold
// {subject}.
func userQuestion(c Config) (*question, error) {
	q := &question{method: c.Method}
	switch {
	case c.URL == "":
		return nil, errors.New("no URL given")
	case c.Method == "":
		q.method = http.MethodGet
	case c.Method != http.MethodGet && c.Method != http.MethodPost:
		return nil, directory.Setting("method", fmt.Errorf("method must be GET or POST%s", suggest.DidYouMean(strings.ToUpper(c.Method), []string{http.MethodGet, http.MethodPost})))
	}
	if c.Body != "" && q.method != http.MethodPost {
		return nil, directory.Setting("body", errors.New("body needs method POST"))
	}
	var err error
	if q.url, err = fetch.ParseTemplate(c.URL, Places()...); err != nil {
		return nil, err
	}
	// A path with an empty segment would be another resource.
	if before, _, _ := strings.Cut(c.URL, "?"); strings.Contains(before, "{app}") {
		return nil, errors.New("the URL's path holds {app}, but a user is looked up once for all apps; put it into the query, or use app_url")
	}
	if c.Body != "" {
		if q.body, err = parseBody(c.Body); err != nil {
			return nil, directory.Setting("body", fmt.Errorf("body: %w", err))
		}
	}
	// Without the subject each user would get the same answer.
	if !q.has("subject") {
		return nil, errors.New("neither URL nor body contains {subject}: every look-up would find the same user")
	}
	return q, nil
}

// appQuestion parses the app's URL. It must be at the origin of the user's URL,
// because the same headers are sent to both.
func appQuestion(c Config, user *question) (*question, error) {
	t, err := fetch.ParseTemplate(c.AppURL, "app")
	if err != nil {
		return nil, fmt.Errorf("app_url: %w", err)
	}
	switch {
	case !t.Has("app"):
		return nil, errors.New("app_url: it does not contain {app}: every look-up would find the same app")
	case !sameOrigin(t.Base(), user.url.Base()):
		return nil, errors.New("app_url: it is at another host than the URL; the headers would go to both")
	}
	return &question{method: http.MethodGet, url: t}, nil
}

// sameOrigin reports whether two base addresses have the same origin. One that
// is no URL or holds credentials has none.
func sameOrigin(a, b string) bool {
	x, errX := url.Parse(a)
	y, errY := url.Parse(b)
	return errX == nil && errY == nil && x.User == nil && oauthclient.SameOrigin(x, y)
}

// has reports whether the request has a placeholder of this name.
func (q *question) has(name string) bool { return q.url.Has(name) || q.body.has(name) }

// request returns the request for these inputs. An input that cannot be put
// into its place is directory.ErrNotFound.
func (q *question) request(in inputs) (fetch.Request, error) {
	address, err := q.url.Expand(in)
	if err != nil {
		return fetch.Request{}, err
	}
	// A look-up may be repeated whatever its method, and a 404 says that there
	// is no such object.
	r := fetch.Request{Method: q.method, URL: address, Repeat: true, Absent: []int{http.StatusNotFound}}
	if q.body != nil {
		r.Body, r.ContentType = q.body.fill(in), fetch.MediaJSON
	}
	return r, nil
}

// A bodyTemplate is JSON with placeholders.
type bodyTemplate struct{ parts []bodyPart }

// A bodyPart is a literal text or a placeholder.
type bodyPart struct {
	text string // literal, where name is empty
	name string // a place, with the quotes around it if there are any
}

// maxTemplate bounds the template of a body, in bytes.
const maxTemplate = 64 << 10

// place matches a name in braces, alone or as the whole of a JSON string.
var place = regexp.MustCompile(`^(\{([A-Za-z_]+)\}|"\{([A-Za-z_]+)\}")`)

// parseBody parses a template. A placeholder is a whole value of the JSON
// (A17). Within a longer string, where queries of other languages are, a user's
// name could change the query whatever JSON's own escapes do, and as the name
// of a member it could replace another. A word in braces that is no placeholder
// is left as it is in strings and is an error elsewhere.
func parseBody(text string) (*bodyTemplate, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("over %d bytes", maxTemplate)
	}
	t := &bodyTemplate{}
	quoted, begin := false, 0
	for i := 0; i < len(text); i++ {
		c := text[i]
		// An escape in a string, such as an escaped quote, is skipped.
		if c == '\\' && quoted {
			i++
			continue
		}
		if quoted && c == '"' {
			quoted = false
			continue
		}
		if c != '{' && c != '"' {
			continue
		}
		m := place.FindStringSubmatch(text[i:])
		name := ""
		if m != nil {
			name = m[2] + m[3]
		}
		known := slices.Contains(Places(), name)
		switch {
		case quoted && known:
			return nil, fmt.Errorf("{%s} is part of a longer string, where it could change the query; it must be a whole value, "+
				`such as "variables": {"%[1]s": {%[1]s}} beside a GraphQL query`, name)
		case quoted:
		case known:
			end := i + len(m[0])
			if strings.HasPrefix(strings.TrimLeft(text[end:], " \t\r\n"), ":") {
				return nil, fmt.Errorf(`{%s} is the name of a member; it must be a whole value, such as "%[1]s": {%[1]s}`, name)
			}
			t.parts = append(t.parts, bodyPart{text: text[begin:i]}, bodyPart{name: name})
			begin = end
			i = end - 1
		case c == '"':
			quoted = true
		case name != "":
			return nil, fmt.Errorf("unknown placeholder {%s}%s", name, suggest.DidYouMean(name, Places()))
		}
	}
	t.parts = append(t.parts, bodyPart{text: text[begin:]})
	// With placeholders replaced by strings, the body must be JSON.
	if !json.Valid(t.fill(inputs{})) {
		return nil, errors.New("not JSON")
	}
	return t, nil
}

// has reports whether the template has a placeholder of this name. A nil
// template has none.
func (t *bodyTemplate) has(name string) bool {
	return t != nil && slices.ContainsFunc(t.parts, func(p bodyPart) bool { return p.name == name })
}

// fill returns the JSON with the placeholders replaced.
func (t *bodyTemplate) fill(in inputs) []byte {
	var out []byte
	for _, p := range t.parts {
		if p.name == "" {
			out = append(out, p.text...)
			continue
		}
		text, _ := json.Marshal(in[p.name]) // a string always has a JSON form
		out = append(out, text...)
	}
	return out
}
