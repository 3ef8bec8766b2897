package forward

import (
	"net/http"
	"strings"
)

// smuggling begins the names of protocols in which whole HTTP requests can be
// sent once a connection has been upgraded to them: h2c and its drafts, HTTP/2.0,
// TLS/1.2 (RFC 2817), SPDY/3.1. Nobody scrubs those requests.
var smuggling = [...]string{"h2", "http", "tls", "spdy"}

// dropSmuggling deletes the wish for an upgrade behind which the client could
// speak to the application as if it were us, with headers of its own making.
// The request goes on without it, which every server must expect (RFC 9110,
// section 7.8). Upgrades to WebSocket and the like carry no headers, and stay.
func dropSmuggling(h http.Header) {
	delete(h, "Http2-Settings") // belongs to h2c, and to one hop
	for _, value := range h["Upgrade"] {
		for value != "" {
			var protocol string
			protocol, value, _ = strings.Cut(value, ",")
			protocol = strings.ToLower(strings.Trim(protocol, " \t"))
			for _, prefix := range smuggling {
				if strings.HasPrefix(protocol, prefix) {
					delete(h, "Upgrade")
					return
				}
			}
		}
	}
}
