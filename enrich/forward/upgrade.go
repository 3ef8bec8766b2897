package forward

import (
	"net/http"
	"strings"
)

// smuggling begins the names of protocols in which whole HTTP requests can be
// sent once a connection has been upgraded to them: h2c and its drafts, HTTP/2.0,
// TLS/1.2 (RFC 2817), SPDY/3.1. Those requests would not be scrubbed.
var smuggling = [...]string{"h2", "http", "tls", "spdy"}

// dropSmuggling deletes a request for an upgrade behind which the client could
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

// dropTunnel takes from a CONNECT request what the client sends into the
// tunnel. Go's transport writes it to an HTTP/1 application as it is, neither
// counted nor in chunks, and an application that opens no tunnel reads further
// requests in it, which have not been scrubbed. WebSockets over HTTP/2 and HTTP/3
// begin with CONNECT, too (RFC 8441, RFC 9220): reverse_proxy makes an upgrade
// of them, and holds back what follows until the application has agreed.
func dropTunnel(r *http.Request) {
	if r.Method != http.MethodConnect || opensWebSocket(r) {
		return
	}
	delete(r.Header, "Content-Length")
	r.Body, r.ContentLength, r.TransferEncoding = http.NoBody, 0, nil
}

// opensWebSocket recognizes a CONNECT request for a WebSocket as reverse_proxy does:
// Go's HTTP/2 servers pass its protocol as a header, quic-go's as Proto.
func opensWebSocket(r *http.Request) bool {
	switch r.ProtoMajor {
	case 2:
		return r.Header.Get(":protocol") == "websocket"
	case 3:
		return r.Proto == "websocket"
	}
	return false
}
