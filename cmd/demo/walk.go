package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

// The login as people walk through it: what browsers send is made up here, so
// that the demonstration needs none.

// Paths of the gateway's own endpoints, as they are by default.
const (
	logoutPath  = "/.token-enrich/logout"
	sessionPath = "/.token-enrich/session"
)

// visit is one thing that a person does in a browser, and what is to be
// expected. A person's browser keeps its cookies from visit to visit.
type visit struct {
	title  string
	person string      // whose browser
	script bool        // a script asks, rather than the person
	path   string      // of the gateway
	sends  [][2]string // headers that the browser adds
	signIn bool        // the person signs in on the provider's form, which is shown
	asked  bool        // the visit ends at the provider's form
	status int
	says   string            // the answer includes it; JSON has no spaces
	sees   map[string]string // headers that the application receives
	signed bool              // and a token that verifies against the gateway's keys
}

func visits() []visit {
	ada := map[string]string{"X-User": "ada", "X-Name": "Ada%20Ampere", "X-Groups": "Payroll-Admin"}
	grace := map[string]string{"X-User": "grace", "X-Name": "Grace%20Gauss", "X-Groups": "Payroll-User"}
	return []visit{
		{
			title:  "Without a session, a page leads to the provider's form.",
			person: "ada", path: "/slips?month=11", asked: true, status: http.StatusOK, says: "Ada Ampere",
		},
		{
			title:  "Without a session, a script learns where to log in.",
			person: "ada", script: true, path: "/slips", status: http.StatusUnauthorized, says: `"login_url":`,
		},
		{
			title:  "Ada signs in and is back on the page that she asked for. The application learns who she is.",
			person: "ada", path: "/slips?month=11", signIn: true, status: http.StatusOK, sees: ada, signed: true,
		},
		{
			title:  "The next page asks for nothing. Headers that her browser adds are removed.",
			person: "ada", path: "/", status: http.StatusOK, sees: ada, signed: true,
			sends: [][2]string{{"X-User", "grace"}, {"X_Groups", "Everyone"}},
		},
		{
			title:  "Her session is good for the administrators' pages too.",
			person: "ada", path: "/admin/", status: http.StatusOK, sees: map[string]string{"X-User": "00u1ada"},
		},
		{
			title:  "A script asks who is signed in.",
			person: "ada", script: true, path: sessionPath, status: http.StatusOK, says: `"subject":"00u1ada"`,
		},
		{
			title:  "Ada signs out, here and at the provider.",
			person: "ada", path: logoutPath, status: http.StatusOK, says: "You are signed out",
		},
		{
			title:  "Her session has ended.",
			person: "ada", script: true, path: sessionPath, status: http.StatusUnauthorized,
		},
		{
			title:  "A page leads to the form again.",
			person: "ada", path: "/", asked: true, status: http.StatusOK, says: "Grace Gauss",
		},
		{
			title:  "Grace signs in for a page that is not for her.",
			person: "grace", path: "/admin/", signIn: true, status: http.StatusForbidden,
		},
		{
			title:  "The other pages know her.",
			person: "grace", path: "/", status: http.StatusOK, sees: grace, signed: true,
		},
		{
			title:  "Alan signs in, but his account is suspended.",
			person: "alan", path: "/", signIn: true, status: http.StatusForbidden,
		},
	}
}

// invite says what a person can do in a browser.
func (s *stage) invite(out io.Writer) {
	fmt.Fprintf(out, `
Open %[1]s/ in a browser and sign in as Ada, Grace or Alan:
   Ada     the page shows what it was told about her; so does %[1]s/admin/
   Grace   the page shows what it was told about her; %[1]s/admin/ is not for her
   Alan    is refused: his account is suspended
Sign out:  %[1]s%[2]s

The same without a browser:
`, s.gateway, logoutPath)
}

// steps are the requests, and the visits, each in its person's browser.
func (s *stage) steps() ([]step, error) {
	all := make([]step, 0, len(scenes())+len(visits()))
	for _, sc := range scenes() {
		all = append(all, s.requestStep(sc))
	}
	browsers := map[string]*http.Client{}
	for _, v := range visits() {
		if browsers[v.person] == nil {
			browser, err := newBrowser()
			if err != nil {
				return nil, err
			}
			browsers[v.person] = browser
		}
		who := "browser"
		if v.script {
			who = "script in the browser"
		}
		all = append(all, step{
			title: v.title,
			how:   fmt.Sprintf("(%s of %s) GET %s%s", who, v.person, s.gateway, v.path),
			want:  v.expectation(),
			try:   func(ctx context.Context) (string, error) { return s.visit(ctx, browsers[v.person], v) },
		})
	}
	return all, nil
}

func (v visit) expectation() string {
	text := expectation(v.status, v.sees, v.signed)
	switch {
	case v.asked:
		text += ", the provider's form"
	case v.says != "":
		text += ", with " + v.says
	}
	return text
}

// visit makes one visit and compares; the error says what differs.
func (s *stage) visit(ctx context.Context, browser *http.Client, v visit) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.gateway+v.path, http.NoBody)
	if err != nil {
		return "", fmt.Errorf("making the request: %w", err)
	}
	if v.script {
		fetched(r)
	} else {
		navigated(r, "none")
	}
	for _, h := range v.sends {
		r.Header[h[0]] = []string{h[1]}
	}
	at, a, err := browse(browser, r)
	if err == nil && v.signIn {
		if at, a, err = s.signIn(ctx, browser, at, v.person); err == nil && at.String() != s.gateway+v.path {
			err = fmt.Errorf("the browser is at %s%s", at.Host, at.Path)
		}
	}
	if err != nil {
		return "", err
	}
	if a.code != v.status {
		return "", fmt.Errorf("the answer of %s is %s", at.Host, a.status)
	}
	if v.asked != s.isForm(at) {
		return "", fmt.Errorf("the browser is at %s%s", at.Host, at.Path)
	}
	text := a.body
	var compact bytes.Buffer
	if json.Compact(&compact, a.body) == nil {
		text = compact.Bytes()
	}
	if !bytes.Contains(text, []byte(v.says)) {
		return "", fmt.Errorf("the answer does not include %s", v.says)
	}
	if v.sees == nil {
		return a.status, nil
	}
	seen, err := shown(a.body)
	if err != nil {
		return "", err
	}
	return a.status, s.compare(ctx, v.sees, v.signed, seen)
}

// signIn chooses a person on the provider's form, which the browser is at.
func (s *stage) signIn(ctx context.Context, browser *http.Client, form *url.URL, person string) (*url.URL, answer, error) {
	if !s.isForm(form) {
		return nil, answer{}, errors.New("the provider's form is not shown")
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, form.String(), strings.NewReader(url.Values{"person": {person}}.Encode()))
	if err != nil {
		return nil, answer{}, fmt.Errorf("making the request: %w", err)
	}
	navigated(r, "same-origin")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return browse(browser, r)
}

func (s *stage) isForm(at *url.URL) bool { return strings.HasPrefix(at.String(), s.issuer+"/") }

// newBrowser makes a client that keeps cookies and follows redirects.
func newBrowser() (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, fmt.Errorf("making a cookie jar: %w", err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > 10 {
			return errors.New("the redirects do not end")
		}
		if r.URL.Host != via[0].URL.Host && r.Header.Get("Sec-Fetch-Site") == "same-origin" {
			r.Header.Set("Sec-Fetch-Site", "same-site") // another port
		}
		return nil
	}}, nil
}

// navigated makes r what a browser sends when a person goes to a page. The site
// is where the person comes from; none is the address bar.
func navigated(r *http.Request, site string) {
	r.Header.Set("Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
	r.Header.Set("Accept-Language", "en")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	r.Header.Set("Sec-Fetch-Site", site)
	r.Header.Set("Sec-Fetch-User", "?1")
}

// fetched makes r what a script of the page sends.
func fetched(r *http.Request) {
	r.Header.Set("Accept", "application/json")
	r.Header.Set("Sec-Fetch-Mode", "cors")
	r.Header.Set("Sec-Fetch-Dest", "empty")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
}

// browse sends a request and returns the last answer and where it came from.
func browse(browser *http.Client, r *http.Request) (*url.URL, answer, error) {
	response, err := browser.Do(r)
	if err != nil {
		return nil, answer{}, fmt.Errorf("sending a request: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	a, err := read(response)
	return response.Request.URL, a, err
}

// line is a header in the application's page.
var line = regexp.MustCompile(`<th scope="row">(.*?)</th><td>(.*?)</td>`)

// shown reads the headers out of the application's page.
func shown(page []byte) (http.Header, error) {
	lines := line.FindAllStringSubmatch(string(page), -1)
	if len(lines) == 0 {
		return nil, errors.New("the answer is not the application's")
	}
	out := http.Header{}
	for _, l := range lines {
		name := html.UnescapeString(l[1])
		out[name] = append(out[name], html.UnescapeString(l[2]))
	}
	return out, nil
}
