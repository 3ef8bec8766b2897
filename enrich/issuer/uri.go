package issuer

import (
	"encoding/hex"
	"net/url"
	"strings"
)

// normalURI returns an http or https URI in one form, so that two texts for the same
// URI are equal (RFC 9449, section 4.3, with RFC 3986, sections 6.2.2 and 6.2.3):
// scheme and host in lower case, no default port, escapes normalized, dot segments
// removed, no query and no fragment. It returns false for any other text.
func normalURI(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Opaque != "" || strings.Contains(u.Host, "%") {
		return "", false
	}
	scheme := strings.ToLower(u.Scheme)
	if scheme != "http" && scheme != "https" {
		return "", false
	}
	host := strings.ToLower(u.Hostname())
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := u.Port()
	if port != "" && (scheme != "http" || port != "80") && (scheme != "https" || port != "443") {
		host += ":" + port
	}
	return scheme + "://" + host + normalPath(u.EscapedPath()), true
}

// normalPath normalizes the escapes of a path and removes its dot segments.
func normalPath(path string) string {
	var b strings.Builder
	b.Grow(len(path) + 1)
	for n := 0; n < len(path); n++ {
		if path[n] != '%' || n+2 >= len(path) {
			b.WriteByte(path[n])
			continue
		}
		if c, err := hex.DecodeString(path[n+1 : n+3]); err == nil && isUnreserved(c[0]) {
			b.WriteByte(c[0])
		} else {
			b.WriteString(strings.ToUpper(path[n : n+3]))
		}
		n += 2
	}
	return removeDots(b.String())
}

// removeDots removes the segments "." and ".." (RFC 3986, section 5.2.4). Unlike
// those of a file path, empty segments stay.
func removeDots(path string) string {
	segments := strings.Split(path, "/")
	out := make([]string, 0, len(segments))
	for n, s := range segments {
		last := n == len(segments)-1
		switch s {
		case ".":
		case "..":
			if len(out) > 1 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, s)
			continue
		}
		if last {
			out = append(out, "")
		}
	}
	joined := strings.Join(out, "/")
	if !strings.HasPrefix(joined, "/") {
		joined = "/" + joined
	}
	return joined
}

// isUnreserved reports whether c needs no escape anywhere (RFC 3986, section 2.3).
func isUnreserved(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-._~", c) >= 0
}
