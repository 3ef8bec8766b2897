package login

import (
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
)

// Names of the cookies. The prefix keeps sibling domains and plain http from setting
// them (RFC 6265bis, section 4.1.3.2). On loopback over plain http, where browsers
// take no such cookie, they have none.
const (
	hostPrefix        = "__Host-"
	sessionCookie     = "token_enrich"
	transactionCookie = "token_enrich_login"
)

// An Origin is where people reach a site: a scheme and a host with its port
// (RFC 6454, section 4).
type Origin struct{ scheme, host string }

// ParseOrigin reads an origin from a URL without path, query and user. It must be
// https, or http on this machine. Its host is written as browsers send it: a name in
// ASCII without a dot at its end, or an address.
func ParseOrigin(text string) (Origin, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" && u.Path != "/" || strings.ContainsAny(text, "?#") {
		return Origin{}, errOrigin
	}
	o := Origin{scheme: strings.ToLower(u.Scheme), host: strings.ToLower(u.Host)}
	if !isHost(u.Hostname()) || !isPort(u.Port()) || strings.HasSuffix(u.Host, ":") {
		return Origin{}, errOrigin
	}
	switch {
	case o.scheme == "https":
		o.host = strings.TrimSuffix(o.host, ":443")
	case o.scheme == "http" && loopback.Host(u.Hostname()):
		o.host = strings.TrimSuffix(o.host, ":80")
	case o.scheme == "http":
		return Origin{}, errPlainHTTP
	default:
		return Origin{}, errOrigin
	}
	return o, nil
}

// isHost reports whether a host is an address or a name as browsers write it
// (RFC 1123, section 2.1; with the underscore that DNS allows).
func isHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || strings.Trim(label, letters) != "" {
			return false
		}
	}
	return true
}

// isPort reports whether a port is a number as browsers write it; none is one.
func isPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0 && port[0] != '0'
}

// String returns the origin as browsers write it, without the scheme's own port.
func (o Origin) String() string { return o.scheme + "://" + o.host }

// Host returns the host, with its port where it is not the scheme's own.
func (o Origin) Host() string { return o.host }

// Secure reports whether the origin is https.
func (o Origin) Secure() bool { return o.scheme == "https" }

// SessionCookie returns the name of the session's cookie.
func (o Origin) SessionCookie() string { return o.cookieName(sessionCookie) }

// TransactionCookie returns the name of the cookie of logins under way.
func (o Origin) TransactionCookie() string { return o.cookieName(transactionCookie) }

func (o Origin) cookieName(name string) string {
	if o.Secure() {
		return hostPrefix + name
	}
	return name
}

// cookie returns a cookie of ours that lives for maxAge, or is deleted where that is
// negative. Both cookies are HttpOnly and SameSite=Lax: a provider's redirect back is
// a navigation, which brings them.
func (o Origin) cookie(name, value string, maxAge time.Duration) *http.Cookie {
	seconds := int(maxAge / time.Second)
	if maxAge < 0 {
		seconds = -1
	}
	// #nosec G124 -- Secure wherever it can be: plain http is on loopback alone
	return &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: seconds, Secure: o.Secure(), HttpOnly: true, SameSite: http.SameSiteLaxMode}
}
