package caddymodule

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

// This file is the way of a person's request: the site's own endpoints, the answer to
// a request without a session, and the session's cookie on the way back. What happens
// there is decided in package login.

// visit is one request to a policy for which people log in.
type visit struct {
	login.Visit
	cookies   []string // as the client sent them, with those of the gateway
	setCookie string   // for the answer to a request that goes on; empty: none
}

// newVisit returns the visit of a request, whose credentials have been taken out.
func (h *Handler) newVisit(r *http.Request, credentials http.Header) *visit {
	return &visit{Visit: h.policy.site.Visit(), cookies: cookieLines(r, credentials)}
}

// cookieLines returns the values of the Cookie header as the client sent it.
func cookieLines(r *http.Request, credentials http.Header) []string {
	if lines, taken := credentials["Cookie"]; taken {
		return lines
	}
	return r.Header["Cookie"]
}

// serveLogin answers a request for one of the site's endpoints, whatever the policy's
// matcher says, and reports whether it did.
func (h *Handler) serveLogin(w http.ResponseWriter, r *http.Request, state *requestState) bool {
	site := h.policy.site
	if site == nil {
		return false
	}
	if !site.Serves(sentURL(r).Path) {
		return false
	}
	site.ServeHTTP(w, asSent(r), cookieLines(r, state.takeCredentials()))
	return true
}

// sentURL returns the URL that the client sent: the one that a browser shows and comes
// back to.
func sentURL(r *http.Request) *url.URL {
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && sent.URL != nil {
		return sent.URL
	}
	return r.URL
}

// asSent returns the request with the URL that the client sent.
func asSent(r *http.Request) *http.Request {
	sent := *r
	sent.URL = sentURL(r)
	return &sent
}

// offerLogin answers a refusal that a login may mend, and reports whether it did.
// errorID names the refusal in the log.
func (h *Handler) offerLogin(w http.ResponseWriter, r *http.Request, refusal *enrich.Refusal, errorID string) bool {
	v := stateOf(r).visit
	if v == nil {
		return false
	}
	var reason login.Reason
	switch refusal.Kind {
	case enrich.KindNoToken:
		reason = login.NoSession
	case enrich.KindSessionEnded:
		v.Revoked()
		reason = login.NoSession
	case enrich.KindOtherLogin:
		reason = login.ForeignSession
	case enrich.KindInsufficientAuthentication:
		if !v.Found() {
			return false // a token of the client's own
		}
		reason = login.WeakSession
	case enrich.KindUnavailable:
		if !v.Unread() {
			return false // the directory
		}
		reason = login.UnreadSession
	default:
		return false
	}
	h.policy.site.Refuse(w, asSent(r), &v.Visit, h.policy.name, reason, v.cookies, errorID)
	return true
}

// goOn prepares the Set-Cookie for the answer to a request that goes on: one that
// moves the session's idle end, or that takes away the cookie of a session which has
// ended where the policy lets strangers in.
func (v *visit) goOn(r *http.Request, d *enrich.Decision) {
	switch {
	case v == nil || r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect:
		// an open connection is no activity
	case d.Principal == nil:
		v.Revoked() // if it has not ended otherwise
		v.setCookie = v.Cleared()
	default:
		v.setCookie = v.Renewed(time.Now())
	}
}

// keepsPrivate reports whether no shared cache may store an answer with this header
// (RFC 9111, section 3), so that a cookie may go with it. An answer that says nothing
// of caching it makes private; one that is meant for a shared cache it leaves alone.
func keepsPrivate(status int, header http.Header) bool {
	if status == http.StatusNotModified {
		return false // it would update what is stored
	}
	for _, name := range []string{"CDN-Cache-Control", "Surrogate-Control"} { // RFC 9213
		if len(header[http.CanonicalHeaderKey(name)]) > 0 {
			return false
		}
	}
	values := header["Cache-Control"]
	if len(values) == 0 {
		if len(header["Expires"]) > 0 {
			return false
		}
		header.Set("Cache-Control", "private")
		return true
	}
	for directive := range strings.SplitSeq(strings.Join(values, ","), ",") {
		switch strings.ToLower(strings.TrimSpace(directive)) {
		case "private", "no-store":
			return true
		}
	}
	return false
}
