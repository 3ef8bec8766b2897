package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/text/language"

	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// The templates of the pages: ours, and those of a folder in their place.

//go:embed templates/*.html
var embedded embed.FS

// layout is the file with the templates that the pages share: style, head, links
// and foot.
const layout = "layout.html"

// maxTemplate is the size up to which a file of a folder is read. It leaves room
// for a logo as a data URL.
const maxTemplate = 256 << 10

// ErrTemplate is that a folder's template cannot be used. The error names the
// file, and its line where there is one.
var ErrTemplate = errors.New("page template")

// A Set is the pages of an installation. It does not change and is safe for
// concurrent use.
type Set struct {
	templates map[string]pageTemplate // by file name
	matcher   language.Matcher
}

// A pageTemplate is one file, ready for use.
type pageTemplate struct {
	*template.Template
	policy string // its Content-Security-Policy, but for form-action
}

// New returns our pages, with the files of folder in place of ours of the same
// name; a nil folder has none. The names are choose.html, session-ended.html,
// sign-out.html, signed-out.html, error.html, and layout.html for what they share:
// of the templates defined there (style, head, links, foot) it may replace some or
// all. Each page is executed with sample values for all its messages and
// languages, so that a template that does not work is an error here. Another file
// that ends in .html is an error too; other files are ignored.
func New(folder fs.FS) (*Set, error) {
	ours, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, err
	}
	custom, err := customNames(folder)
	if err != nil {
		return nil, err
	}
	shared := template.New(layout)
	if err := parse(shared, ours, layout); err != nil {
		return nil, err
	}
	if custom[layout] {
		if err := parse(shared, folder, layout); err != nil {
			return nil, err
		}
	}
	s := &Set{templates: map[string]pageTemplate{}, matcher: language.NewMatcher(tags[:])}
	for _, name := range fileNames() {
		t, err := shared.Clone()
		if err != nil {
			return nil, err
		}
		t = t.New(name)
		source := ours
		if custom[name] {
			source = folder
		}
		if err := parse(t, source, name); err != nil {
			return nil, err
		}
		styles, err := rehearse(t)
		if err != nil {
			return nil, err
		}
		s.templates[name] = pageTemplate{t, policy(styles, custom[name] || custom[layout])}
	}
	return s, nil
}

// fileNames returns the names of the pages' files, sorted.
func fileNames() []string {
	names := make([]string, 0, len(facts))
	for _, f := range facts {
		names = append(names, f.file)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// customNames returns the names of the templates in a folder.
func customNames(folder fs.FS) (map[string]bool, error) {
	found := map[string]bool{}
	if folder == nil {
		return found, nil
	}
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	known := append(fileNames(), layout)
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(strings.ToLower(name), ".html") {
			continue
		}
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%w: %q is not the name of a page%s; there are %s", ErrTemplate, name, suggest.DidYouMean(name, known), strings.Join(known, ", "))
		}
		found[name] = true
	}
	return found, nil
}

// parse reads a file into t.
func parse(t *template.Template, from fs.FS, name string) error {
	f, err := from.Open(name)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxTemplate+1))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	if len(text) > maxTemplate {
		return fmt.Errorf("%w: %s has more than %d bytes", ErrTemplate, name, maxTemplate)
	}
	if _, err := t.Parse(string(text)); err != nil {
		return fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	return nil
}

// rehearse executes a page with sample values, for each message, language, and
// with and without what a page may lack. It returns the hashes of the style
// elements that it saw, as the directive style-src has them.
func rehearse(t *template.Template) ([]string, error) {
	styles := map[string]bool{}
	for m, f := range facts {
		if f.file != t.Name() {
			continue
		}
		for lang := range languageCount {
			for _, p := range samples(Message(m)) {
				var out bytes.Buffer
				if err := t.Execute(&out, p.view(lang)); err != nil {
					return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
				}
				addStyles(styles, &out)
			}
		}
	}
	return slices.Sorted(maps.Keys(styles)), nil
}

// addStyles adds the source of each style element of a page to sources. The
// tokenizer gives its text with the line ends that a browser hashes.
func addStyles(sources map[string]bool, page io.Reader) {
	z := html.NewTokenizer(page)
	for in := false; ; {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.StartTagToken:
			name, _ := z.TagName()
			in = string(name) == "style"
		case html.TextToken:
			if in {
				sources[styleSource(z.Text())] = true
			}
		default:
			in = false
		}
	}
}

// styleSource returns the source of a policy that allows a style element with
// this text (CSP Level 3, section 2.3.1).
func styleSource(style []byte) string {
	sum := sha256.Sum256(style)
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// samples returns pages with the message that differ in what they have.
func samples(m Message) []Page {
	full := Page{Message: m, ErrorID: "0123456789abcdef", FormAction: "/sign-out", Links: []Link{
		{Label: SignInWith, Provider: "corp", URL: "/login/corp"}, {Label: SignInWith, Provider: "partner", URL: "https://idp.example.com/"},
	}}
	one := full
	one.Links = full.Links[:1]
	return []Page{full, one, {Message: m}}
}

// policy returns the Content-Security-Policy of a page with these styles. An
// installation's own template may also show images of its site and in data URLs.
func policy(styles []string, custom bool) string {
	if len(styles) == 0 {
		styles = []string{"'none'"}
	}
	p := "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; style-src " + strings.Join(styles, " ")
	if custom {
		p += "; img-src 'self' data:"
	}
	return p
}
