package integration

import (
	"bytes"
	"context"
	_ "embed" // brings the driver and its lock file along
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

//go:embed testdata/browser/driver.mjs
var browserDriver []byte

//go:embed testdata/browser/package-lock.json
var browserLock []byte

// browser is a Chromium. One serves all tests: each visitor has cookies,
// caches and a language of its own.
type browser struct{ driver string }

// startBrowser runs Chromium until the test ends.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("chromium is not on PATH: ./test.sh installs it or says how")
	}
	return &browser{enrichtest.StartNode(t, enrichtest.NodeProgram{
		Name: "chromium", Script: browserDriver, Lock: browserLock, Env: []string{"CHROMIUM=" + path},
	})}
}

// call calls a method of Playwright on an object; into may be nil.
func (b *browser) call(t *testing.T, into any, on, method string, args ...any) error {
	text, err := json.Marshal(map[string]any{"on": on, "call": method, "args": args})
	if err != nil {
		return err
	}
	ctx := context.WithoutCancel(t.Context()) // a cleanup calls too; client ends what takes too long
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.driver, bytes.NewReader(text))
	if err != nil {
		return err
	}
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Value json.RawMessage
		Error string
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("%s%v: %s", method, args, answer.Error)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(answer.Value, into)
}

// visitor is a person at a browser.
type visitor struct {
	t  *testing.T
	b  *browser
	id string
}

// options shape a visitor's browser as Playwright's newContext takes them, such
// as colorScheme, locale and javaScriptEnabled.
type options map[string]any

// visit opens a browser without cookies, which closes when the test ends.
func (b *browser) visit(t *testing.T, o options) *visitor {
	t.Helper()
	if o == nil {
		o = options{}
	}
	o["ignoreHTTPSErrors"] = true
	v := &visitor{t: t, b: b}
	if err := b.call(t, &v.id, "browser", "newContext", o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.call(t, nil, v.id, "close"); err != nil {
			t.Error(err)
		}
	})
	return v
}

// browserRequest is a request of a page and what came back.
type browserRequest struct {
	URL, Method, Type string
	Headers           map[string]string
	Status            int
	Answer            map[string]string
}

// requests returns all that the visitor's pages have asked for.
func (v *visitor) requests() []browserRequest {
	v.t.Helper()
	var all []browserRequest
	if err := v.b.call(v.t, &all, v.id, "requests"); err != nil {
		v.t.Fatal(err)
	}
	return all
}

// browserCookie is a cookie that the browser holds.
type browserCookie struct {
	Name, Value, Domain, Path, SameSite string
	HTTPOnly                            bool `json:"httpOnly"`
	Secure                              bool
}

// cookies returns those that the browser would send to a URL.
func (v *visitor) cookies(url string) []browserCookie {
	v.t.Helper()
	var all []browserCookie
	if err := v.b.call(v.t, &all, v.id, "cookies", url); err != nil {
		v.t.Fatal(err)
	}
	return all
}

// tab is a tab of a visitor's browser.
type tab struct {
	*visitor
	id string
}

// tab opens a new one.
func (v *visitor) tab() *tab {
	v.t.Helper()
	p := &tab{visitor: v}
	if err := v.b.call(v.t, &p.id, v.id, "newPage"); err != nil {
		v.t.Fatal(err)
	}
	return p
}

// page is the answer that a navigation ended at.
type page struct {
	URL     string
	Status  int
	Headers map[string]string
}

// try calls a method of Playwright's Page. It serves goroutines too.
func (p *tab) try(into any, method string, args ...any) error {
	return p.b.call(p.t, into, p.id, method, args...)
}

// must is try, and fails the test.
func (p *tab) must(into any, method string, args ...any) {
	p.t.Helper()
	if err := p.try(into, method, args...); err != nil {
		p.t.Fatal(err)
	}
}

// open goes to a URL as if it were typed.
func (p *tab) open(url string) (got page) {
	p.t.Helper()
	p.must(&got, "goto", url)
	return got
}

// back presses the browser's back button.
func (p *tab) back() {
	p.t.Helper()
	p.must(nil, "goBack", map[string]any{"waitUntil": "commit"})
}

func (p *tab) fill(selector, text string) { p.t.Helper(); p.must(nil, "fill", selector, text) }
func (p *tab) click(selector string)      { p.t.Helper(); p.must(nil, "click", selector) }

// press presses a key, such as Tab or Enter.
func (p *tab) press(key string) { p.t.Helper(); p.must(nil, "keyboard.press", key) }

// text returns what people read in the first element of a selector, and waits
// until it is there.
func (p *tab) text(selector string) (got string) {
	p.t.Helper()
	p.must(&got, "innerText", selector)
	return got
}

// at returns the address that the tab shows.
func (p *tab) at() (got string) {
	p.t.Helper()
	p.must(&got, "url")
	return got
}

// arrives waits until the tab shows a URL.
func (p *tab) arrives(url string) {
	p.t.Helper()
	p.must(nil, "waitForURL", url)
}

// run evaluates an expression of JavaScript in the page; a promise is waited
// for.
func (p *tab) run(into any, expression string) {
	p.t.Helper()
	p.must(into, "evaluate", expression)
}

// shot keeps pictures of the tab, light and dark, in the folder that the
// environment variable TOKEN_ENRICH_SCREENSHOTS names, where it is set.
func (p *tab) shot(name string) {
	p.t.Helper()
	folder := os.Getenv("TOKEN_ENRICH_SCREENSHOTS")
	if folder == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		p.must(nil, "emulateMedia", map[string]any{"colorScheme": scheme})
		p.must(nil, "screenshot", map[string]any{"path": filepath.Join(folder, name+"-"+scheme+".png")})
	}
	p.must(nil, "emulateMedia", map[string]any{"colorScheme": nil})
}

// signIn fills in the form of the certified provider, which the tab shows.
// Consent is asked for once in each session with the provider and for each
// client.
func (p *tab) signIn(account string, consent bool) {
	p.t.Helper()
	p.fill("input[name=login]", account)
	p.fill("input[name=password]", "any")
	p.press("Enter")
	if consent {
		p.click("text=Allow")
	}
}
