package page

import (
	"errors"
	"io/fs"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

// folder is a folder with one file.
func folder(name, content string) fstest.MapFS {
	return fstest.MapFS{name: {Data: []byte(content)}}
}

func TestAFileReplacesOursAlone(t *testing.T) {
	s := every(t, folder("choose.html", `<!DOCTYPE html><html lang="{{.Lang}}"><title>Ours</title><h1>{{.Text}}</h1>{{range .Links}}<a href="{{.URL}}">{{.Provider}}: {{.Label}}</a>{{end}}</html>`))
	p := Page{Message: Choose, Links: []Link{{Label: SignInWith, Provider: "corp", URL: "/login"}}}
	got := write(t, s, http.MethodGet, "de", p)
	if want := `<!DOCTYPE html><html lang="de"><title>Ours</title><h1>Wählen Sie, wie Sie sich anmelden möchten.</h1><a href="/login">corp: Mit corp anmelden</a></html>`; got.Body.String() != want {
		t.Errorf("got %s", got.Body)
	}
	if csp := got.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "; style-src 'none'; img-src 'self' data:; form-action 'none'") {
		t.Errorf("policy %s", csp)
	}
	other, ours := write(t, s, http.MethodGet, "de", full(Internal)), write(t, every(t, nil), http.MethodGet, "de", full(Internal))
	if other.Body.String() != ours.Body.String() || other.Header().Get("Content-Security-Policy") != ours.Header().Get("Content-Security-Policy") {
		t.Error("another page changed too")
	}
}

// TestALayoutChangesAllPages replaces the style alone, with the line ends and the
// comments that an editor may give it, and what is shared above our pages' links.
func TestALayoutChangesAllPages(t *testing.T) {
	s := every(t, folder("layout.html", "{{define \"style\"}}<STYLE media=\"all\">\r\n/* red */\r\nh1 { color: red }\r\n</STYLE><style>p { margin: 0 }</style>{{end}}"))
	for m := range Message(messageCount) {
		w := write(t, s, http.MethodGet, "en", full(m))
		styles := find(t, w.Body.String(), "style")
		if len(styles) != 2 || !strings.Contains(text(styles[0]), "color: red") {
			t.Fatalf("%s: %s", m, w.Body)
		}
		for _, n := range styles {
			if source := styleSource([]byte(text(n))); !strings.Contains(w.Header().Get("Content-Security-Policy"), source) {
				t.Errorf("%s: the policy lacks %s of %q", m, source, text(n))
			}
		}
	}
}

func TestOtherFilesAreIgnored(t *testing.T) {
	every(t, fstest.MapFS{"README.md": {Data: []byte("{{")}, "parts/x.html": {Data: []byte("{{")}})
}

func TestTemplatesThatDoNotWorkAreErrors(t *testing.T) {
	for _, tc := range []struct{ name, content, want string }{
		{"choose.html", "<p>\n{{if}}", "choose.html:2"},
		{"choose.html", "<p>\n\n{{.Provider}}", "choose.html:3"},
		{"error.html", "{{if eq .Message \"blocked\"}}\n{{.Nope}}{{end}}", "error.html:2"},
		{"error.html", "{{if not .ErrorID}}\n{{index .Links 7}}{{end}}", "error.html:2"},
		{"error.html", "{{if eq .Lang \"es\"}}\n{{.Nope}}{{end}}", "error.html:2"},
		{"sign-out.html", "\n<a href='{{.FormAction}}", "sign-out.html"},
		{"signed-out.html", "{{template \"nope\"}}", "signed-out.html"},
		{"layout.html", "{{define \"head\"}}\n{{.Nope}}{{end}}", "layout.html:2"},
		{"layout.html", "{{define", "layout.html:1"},
		{"sign_out.html", "", `"sign_out.html" is not the name of a page (did you mean "sign-out.html"?)`},
		{"Choose.html", "", `did you mean "choose.html"?`},
		{"errors.HTML", "", `did you mean "error.html"?`},
		{"welcome.html", "", `"welcome.html" is not the name of a page; there are choose.html, error.html, `},
		{"choose.html/x", "", "choose.html"},
		{"choose.html", strings.Repeat(" ", maxTemplate+1), "choose.html has more than 262144 bytes"},
	} {
		_, err := New(folder(tc.name, tc.content))
		if !errors.Is(err, ErrTemplate) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s with %.40q: %v, want %s", tc.name, tc.content, err, tc.want)
		}
	}
}

func TestAFolderThatCannotBeReadIsAnError(t *testing.T) {
	missing, err := fs.Sub(fstest.MapFS{}, "missing")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(missing); !errors.Is(err, ErrTemplate) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
}

// TestAFailureWritesNothing executes a template that works for the samples only.
func TestAFailureWritesNothing(t *testing.T) {
	s := every(t, folder("choose.html", `<p>{{if eq .Status 418}}{{index .Links 7}}{{end}}`))
	w := httptest.NewRecorder()
	if err := s.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), Page{Message: Choose, Status: 418}); err == nil || len(w.Header()) > 0 || w.Body.Len() > 0 {
		t.Errorf("error %v, headers %v, body %q", err, w.Header(), w.Body)
	}
}

// TestContrast holds our colours to WCAG 2.2, success criteria 1.4.3 and 1.4.11,
// in light and dark.
func TestContrast(t *testing.T) {
	style := text(find(t, write(t, every(t, nil), http.MethodGet, "en", Page{Message: Choose}).Body.String(), "style")[0])
	light, dark, found := strings.Cut(style, "@media (prefers-color-scheme: dark)")
	if !found {
		t.Fatal("there is no dark style")
	}
	for name, part := range map[string]string{"light": light, "dark": dark} {
		colours := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{3,6});`).FindAllStringSubmatch(part, -1) {
			colours[m[1]] = luminance(t, m[2])
		}
		for _, pair := range [][2]string{{"text", "card"}, {"quiet", "card"}, {"accent", "card"}, {"on-accent", "accent"}} {
			a, b := colours[pair[0]], colours[pair[1]]
			if ratio := (max(a, b) + 0.05) / (min(a, b) + 0.05); ratio < 4.5 {
				t.Errorf("%s: %s on %s has a contrast of %.2f", name, pair[0], pair[1], ratio)
			}
		}
	}
}

// luminance is the relative luminance of a colour, as WCAG defines it.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	if len(hex) == 3 {
		hex = string([]byte{hex[0], hex[0], hex[1], hex[1], hex[2], hex[2]})
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			sum += weight * c / 12.92
		} else {
			sum += weight * math.Pow((c+0.055)/1.055, 2.4)
		}
	}
	return sum
}
