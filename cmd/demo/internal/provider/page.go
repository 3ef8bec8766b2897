package provider

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"maps"
	"net/http"
	"slices"
)

// The pages: a form that works by keyboard and without script, and a sentence.

// page is what the template shows. Without people it is a title alone.
type page struct {
	Title  string
	Client string // the origin that asks
	People []choice
}

type choice struct{ Key, Name, Email string }

// showForm asks who is there. The form is sent to its own address, which holds
// the authorization request.
func (p *Provider) showForm(w http.ResponseWriter, a authorization) {
	origin := "http://" + onLoopback(a.grant.redirectURI).Host
	shown := page{Title: "Sign in", Client: origin}
	for _, key := range slices.Sorted(maps.Keys(p.config.People)) {
		if person := p.config.People[key]; person.Name != "" {
			shown.People = append(shown.People, choice{key, person.Name, person.Email})
		}
	}
	// Browsers hold the redirect after a form to the form's targets too.
	p.showPage(w, shown, "'self' "+origin)
}

// showPage writes a page that loads nothing and sends forms to these targets
// only.
func (p *Provider) showPage(w http.ResponseWriter, shown page, targets string) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+styleHash()+"'; form-action "+targets+"; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	// The other side has gone where this fails.
	_ = document.Execute(w, shown)
}

func styleHash() string {
	sum := sha256.Sum256([]byte(style))
	return base64.StdEncoding.EncodeToString(sum[:])
}

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 26rem; margin: 3rem auto; padding: 0 1rem; }
button { display: block; width: 100%; margin: .75rem 0; padding: .75rem 1rem; font: inherit; text-align: left; cursor: pointer; border: 1px solid color-mix(in srgb, currentColor 40%, transparent); border-radius: .5rem; background: transparent; color: inherit; }
button:hover, button:focus-visible { outline: 2px solid currentColor; outline-offset: 1px; }
small { display: block; }
.cancel { border-color: transparent; text-align: center; }
`

var document = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}}</title>
<style>` + style + `</style>
<main>
<h1>{{.Title}}</h1>
{{- if .People}}
<p>Choose who to be at {{.Client}}. The people of this provider are made up and have no passwords.</p>
<form method="post">
{{- range .People}}
<button name="person" value="{{.Key}}">{{.Name}}<small>{{.Email}}</small></button>
{{- end}}
<button class="cancel" name="cancel" value="yes">Cancel</button>
</form>
{{- end}}
</main>
</html>
`))
