// Package page has the HTML pages that the gateway itself shows to a person in a
// browser: the choice of a provider, the end of a session, errors. They need no
// script, load nothing, and speak the visitor's language.
package page

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/text/language"
)

// errPage is a page that cannot be written, by a fault of the caller.
var errPage = errors.New("page cannot be written")

// A Page is one page for one request.
type Page struct {
	// Message is what the page says.
	Message Message
	// Status replaces the message's own status; 0 keeps it.
	Status int
	// ErrorID names the error in the log. Our error.html alone shows it.
	ErrorID string
	// Links are shown in this order.
	Links []Link
	// FormAction is where the button of AskSignOut posts to, a path of this site.
	FormAction string
	// FormTargets are URLs to whose origins the answer to the form may redirect,
	// such as the provider's end_session_endpoint. Browsers hold every redirect that
	// follows to the policy of the page that had the form, also that of a provider
	// to one behind it; "https:" allows all of them.
	FormTargets []string
}

// A Link leads to a path of this site, or to an absolute URL that the caller
// trusts. A scheme other than http, https and mailto is not followed.
type Link struct {
	Label    Label
	Provider string // what SignInWith names
	URL      string
}

// View is what a template is given. It is the contract for templates of an
// installation's own.
type View struct {
	// Message is the name of the message, such as access-denied.
	Message string
	// Lang is the language of all texts of the view: en, de, fr or es.
	Lang string
	// Title is the title of the window and the heading of the page.
	Title string
	// Text is one or two sentences for the person.
	Text string
	// Links are where the person may go next; there may be none.
	Links []ViewLink
	// FormAction is where the form of sign-out.html posts to, without any field.
	FormAction string
	// Button is what the form's button says; empty if FormAction is.
	Button string
	// ErrorID names the error in the gateway's log; empty if nothing was logged.
	ErrorID string
	// ErrorLabel is what stands before the error's ID, such as "Error ID:".
	ErrorLabel string
	// Status is the HTTP status of the answer.
	Status int
}

// ViewLink is a link of a View.
type ViewLink struct {
	// Label is what the link says, such as "Sign in with corp".
	Label string
	// Provider is the name of the provider that it leads to; empty for other links.
	Provider string
	// URL is where it leads.
	URL string
}

// view puts a page into words.
func (p Page) view(lang int) View {
	w := words[p.Message][lang]
	v := View{
		Message: p.Message.String(), Lang: tags[lang].String(), Title: w.title, Text: w.text,
		ErrorID: p.ErrorID, ErrorLabel: errorLabel[lang], Status: p.Status, FormAction: p.FormAction,
	}
	if v.Status == 0 {
		v.Status = p.Message.Status()
	}
	if p.FormAction != "" {
		v.Button = button[lang]
	}
	for _, l := range p.Links {
		label := strings.ReplaceAll(labels[l.Label][lang], providerPlace, l.Provider)
		v.Links = append(v.Links, ViewLink{Label: label, Provider: l.Provider, URL: l.URL})
	}
	return v
}

// check returns an error if a page is one that no caller means to show.
func (p Page) check() error {
	if !p.Message.known() {
		return fmt.Errorf("%w: there is no %s", errPage, p.Message)
	}
	if p.Message == AskSignOut && p.FormAction == "" {
		return fmt.Errorf("%w: %s has no form action", errPage, p.Message)
	}
	for _, l := range p.Links {
		if l.Label < 0 || int(l.Label) >= labelCount {
			return fmt.Errorf("%w: there is no label %d", errPage, l.Label)
		}
	}
	return nil
}

// Write answers the request with the page, in the language that its
// Accept-Language asks for, or English. The page is not stored by the browser or
// a cache. A HEAD request gets the headers alone. If Write returns an error,
// nothing was written; that the client went away is none. A 401 needs the caller's
// WWW-Authenticate, a 503 its Retry-After.
func (s *Set) Write(w http.ResponseWriter, r *http.Request, p Page) error {
	if err := p.check(); err != nil {
		return err
	}
	actions, err := formActions(p)
	if err != nil {
		return err
	}
	v := p.view(s.language(r))
	t := s.templates[facts[p.Message].file]
	var body bytes.Buffer
	if err := t.Execute(&body, v); err != nil {
		return fmt.Errorf("write the page %s: %w", p.Message, err)
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(body.Len()))
	h.Set("Content-Language", v.Lang)
	h.Add("Vary", "Accept-Language")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", t.policy+"; form-action "+actions)
	h.Set("Referrer-Policy", referrerPolicy(p))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	w.WriteHeader(v.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes())
	}
	return nil
}

// hostCharacters are what a host with its port consists of; one in another
// alphabet is written in Punycode.
const hostCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:[]"

// formActions returns the sources to which a page's form may lead, as the
// directive form-action has them (CSP Level 3, section 6.4.1).
func formActions(p Page) (string, error) {
	if p.FormAction == "" {
		return "'none'", nil
	}
	sources := []string{"'self'"}
	for _, target := range p.FormTargets {
		if target == "https:" {
			sources = append(sources, target)
			continue
		}
		u, err := url.Parse(target)
		// Other characters of a host might end the source or the directive.
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.Trim(u.Host, hostCharacters) != "" {
			return "", fmt.Errorf("%w: a form target is not an http or https URL", errPage)
		}
		sources = append(sources, u.Scheme+"://"+u.Host)
	}
	return strings.Join(sources, " "), nil
}

// referrerPolicy returns the policy for a page: its address goes nowhere, as it
// may be that of a callback with its code. With no-referrer a browser sends a
// form with "Origin: null" (Fetch, section 3.2), which who receives it could not
// tell from a stranger's; a page with a form has an address without secrets.
func referrerPolicy(p Page) string {
	if p.FormAction != "" {
		return "same-origin"
	}
	return "no-referrer"
}

// maxAcceptLanguage is how many bytes of Accept-Language are read; browsers send
// less than a hundred.
const maxAcceptLanguage = 1 << 10

// language returns the best of our languages for a request.
func (s *Set) language(r *http.Request) int {
	accepted := strings.Join(r.Header.Values("Accept-Language"), ",")
	if len(accepted) > maxAcceptLanguage {
		return english
	}
	// What cannot be parsed matches the first language.
	_, lang := language.MatchStrings(s.matcher, accepted)
	return lang
}
