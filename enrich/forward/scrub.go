package forward

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// Scrub deletes from a client's request everything that the application
// could mistake for what is written or read: every header whose canonical form is
// reserved, every cookie for which that holds or whose name is none, and all
// trailers. Where it deletes an alias of a header that a token is read from, it
// doubles that header, so that its reader finds a malformed request. It rewrites
// Connection so that the client cannot have the next proxy delete one of our
// headers (RFC 9110, section 7.6.1), and deletes a request for an upgrade that
// other requests could hide behind, and the body of a tunnel. It returns how many
// headers and cookies it deleted. On a nil ReservedNames it deletes no headers by
// name and no cookies.
//
// Trailers are dropped by forgetting the map that the server fills when the
// body ends: deleting names from it would leave those that the client sends
// without having announced them. Scrub must be called before the request is
// cloned.
func (o *ReservedNames) Scrub(r *http.Request) (removed int) {
	if o != nil {
		removed = o.sweep(r.Header)
		removed += o.sweepCookies(r.Header, o.isCredentialCookie)
	}
	keepConnection(r.Header)
	dropSmuggling(r.Header)
	dropTunnel(r)
	r.Trailer = nil
	return removed
}

// ScrubCredentials deletes what Scrub left for tokens to be read from, see
// [ReservedNames.Except], but for the places of except. It returns how many
// headers and cookies it took away.
func (o *ReservedNames) ScrubCredentials(r *http.Request, except ...token.Place) (removed int) {
	if o == nil || len(o.credentials) == 0 {
		return 0
	}
	excepted := func(kind, name string) bool {
		return slices.ContainsFunc(except, func(p token.Place) bool { return p.Kind == kind && p.Name == name })
	}
	for key := range o.credentialHeaders {
		if _, there := r.Header[key]; there && !excepted(token.Header, key) {
			delete(r.Header, key)
			removed++
		}
	}
	if len(o.credentialCookies) > 0 {
		removed += o.sweepCookies(r.Header, func(name string) bool { return excepted(token.Cookie, name) })
	}
	return removed
}

// sweep deletes the reserved headers, but not those that are still to be read.
func (o *ReservedNames) sweep(h http.Header) (removed int) {
	var buf nameBuffer
	for key := range h {
		read := o.read.has(key, &buf)
		if !read && !o.owns(key, &buf) || o.credentialHeaders[key] {
			continue
		}
		delete(h, key)
		removed++
		if read {
			for _, exact := range o.readKeys[Canonicalize(key)] {
				if values := h[exact]; len(values) < 2 {
					h[exact] = append(slices.Clip(values), "", "")[:2]
				}
			}
		}
	}
	return removed
}

func (o *ReservedNames) isCredentialCookie(name string) bool {
	return slices.Contains(o.credentialCookies, name)
}

// connectionOptions are the connection options that the next proxy may see.
var connectionOptions = [...]string{"close", "keep-alive", "Upgrade"}

// keepConnection leaves upgrade, close and keep-alive in Connection and
// nothing else.
func keepConnection(h http.Header) {
	const key = "Connection"
	values := h[key]
	if len(values) == 0 {
		return
	}
	var kept [len(connectionOptions)]bool
	foreign := len(values) > len(connectionOptions)
	for _, value := range values {
		for value != "" {
			var option string
			option, value, _ = strings.Cut(value, ",")
			known := false
			option = strings.Trim(option, " \t")
			for i, keep := range connectionOptions {
				if strings.EqualFold(option, keep) {
					kept[i], known = true, true
				}
			}
			foreign = foreign || !known && option != ""
		}
	}
	if !foreign {
		return
	}
	var rewritten []string
	for i, keep := range kept {
		if keep {
			rewritten = append(rewritten, connectionOptions[i])
		}
	}
	if rewritten == nil {
		delete(h, key)
		return
	}
	h[key] = []string{strings.Join(rewritten, ", ")}
}
