package routers

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// This file has the applications in Go, which run in process.

// serve answers with an area.
func serve(area string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if area == none {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "area:"+area)
	})
}

// startGo runs the applications in Go.
func startGo(t *testing.T, files string) []application {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle("/admin/users/{id}/delete", serve(deletion))
	stripped := http.NewServeMux()
	stripped.Handle("/app/", http.StripPrefix("/app", mux))
	for _, area := range []string{admin, public, other} {
		mux.Handle("/"+area, serve(area))
		mux.Handle("/"+area+"/", serve(area))
		stripped.Handle("/"+area, serve(area))
		stripped.Handle("/"+area+"/", http.StripPrefix("/"+area, inner(area)))
	}
	mux.Handle("/", serve(none))
	stripped.Handle("/", serve(none))

	var all []application
	for _, a := range []struct {
		name    string
		handler http.Handler
	}{
		{"go-mux", mux},
		{"go-strip", stripped},
		{"go-path", by(func(u *url.URL) string { return u.Path })},
		{"go-clean", by(func(u *url.URL) string { return path.Clean(u.Path) })},
		{"go-escaped", by(segments)},
		{"go-files", http.FileServer(http.Dir(files))},
	} {
		s := httptest.NewServer(a.handler)
		t.Cleanup(s.Close)
		all = append(all, proxied(a.name, s.Listener.Addr().String()))
	}
	return all
}

// inner serves an area whose prefix was stripped.
func inner(area string) http.Handler {
	mux := http.NewServeMux()
	if area == admin {
		mux.Handle("/users/{id}/delete", serve(deletion))
	}
	mux.Handle("/", serve(area))
	return mux
}

var deletes = regexp.MustCompile(`^/admin/users/[^/]+/delete/?$`)

// by routes by the path that read makes of a URL.
func by(read func(*url.URL) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := read(r.URL)
		area := none
		if deletes.MatchString(p) {
			area = deletion
		} else {
			for _, a := range []string{admin, public, other} {
				if p == "/"+a || strings.HasPrefix(p, "/"+a+"/") {
					area = a
				}
			}
		}
		serve(area).ServeHTTP(w, r)
	})
}

// segments parts a path at its slashes before it decodes it, as routers do
// whose parameters may hold a slash. An encoded slash stays, so that it parts
// nothing.
func segments(u *url.URL) string {
	parts := strings.Split(u.EscapedPath(), "/")
	for i, p := range parts {
		if decoded, err := url.PathUnescape(p); err == nil {
			parts[i] = strings.ReplaceAll(decoded, "/", "%2F")
		}
	}
	return strings.Join(parts, "/")
}

// makeFiles writes the areas as files, for servers of files, and returns their
// folder.
func makeFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, area := range map[string]string{
		"admin/index.html": admin, "admin/users/index.html": admin, "admin/users/1/delete": deletion,
		"public/index.html": public, "public/a": public, "other/index.html": other, "other/x": other,
	} {
		write(t, []byte("area:"+area), dir, filepath.FromSlash(name))
	}
	return dir
}
