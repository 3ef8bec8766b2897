// Package document answers with public documents: the metadata of a protected
// resource, and the key set and metadata of the gateway's own tokens.
package document

import (
	"net/http"
	"strconv"
	"strings"
)

// Write answers with a JSON document that scripts of any origin may
// read, because nothing in it is private. The caller has set how long it may be
// cached.
func Write(w http.ResponseWriter, r *http.Request, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(body)
	return err
}

// MatchesETag reports whether an If-None-Match field names the document's tag
// (RFC 9110, section 13.1.2): by a star, or in a list of tags that are compared
// weakly. The tag itself holds no comma.
func MatchesETag(conditions []string, etag string) bool {
	for _, condition := range conditions {
		for tag := range strings.SplitSeq(condition, ",") {
			if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}
