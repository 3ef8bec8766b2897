// Package legacy is an application of the kind that the gateway protects: it
// trusts the headers that it receives. It shows them, as a page for
// browsers and as text for everything else.
package legacy

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
)

// Line is one header line.
type Line struct{ Name, Value string }

// shown is what the page is made from.
type shown struct {
	Method, Path, Proto string
	Lines               []Line
	Token               string // the claims of a signed token, for reading
}

// Handler shows each request that it gets.
func Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := shown{Method: r.Method, Path: r.URL.RequestURI(), Proto: r.Proto, Lines: lines(r), Token: claims(r)}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Vary", "Accept")
		if strings.Contains(r.Header.Get("Accept"), "text/html") {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			// The other side has gone where this fails.
			_ = page.Execute(w, s)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "%s %s %s\n", s.Method, s.Path, s.Proto)
		for _, l := range s.Lines {
			fmt.Fprintf(w, "%s: %s\n", l.Name, l.Value)
		}
	})
}

// lines are the header lines in the order of their names, with the host, which
// net/http keeps apart.
func lines(r *http.Request) []Line {
	all := []Line{{"Host", r.Host}}
	for name, values := range r.Header {
		for _, v := range values {
			all = append(all, Line{name, v})
		}
	}
	slices.SortStableFunc(all, func(a, b Line) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// claims reads the gateway's token for show. An application that relies on
// one verifies it against the gateway's key set.
func claims(r *http.Request) string {
	parts := strings.Split(r.Header.Get("X-Gateway-Token"), ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var value map[string]any
	if json.Unmarshal(raw, &value) != nil {
		return ""
	}
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return ""
	}
	return string(text)
}

var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Legacy application</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
td, pre { font-family: ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
</style>
<h1>Legacy application</h1>
<p>It received <code>{{.Method}} {{.Path}} {{.Proto}}</code> and believes what the headers say.</p>
<table>
<caption>Headers received</caption>
<thead><tr><th scope="col">Name</th><th scope="col">Value</th></tr></thead>
<tbody>
{{- range .Lines}}
<tr><th scope="row">{{.Name}}</th><td>{{.Value}}</td></tr>
{{- end}}
</tbody>
</table>
{{- if .Token}}
<h2>Claims of the gateway’s token</h2>
<p>Decoded for reading; an application verifies it against the gateway’s key set.</p>
<pre>{{.Token}}</pre>
{{- end}}
</html>
`))
