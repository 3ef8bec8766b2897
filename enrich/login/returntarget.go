package login

import (
	"net/url"
	"strings"
)

// maxReturn bounds a return target, in bytes.
const maxReturn = 1 << 10

// ReturnTarget reads the address of this site that a person is sent back to after a
// login: an absolute path with its query. It reports false for what a browser could
// take for another site or read in another way; one that is only too long becomes
// the root.
func ReturnTarget(text string) (string, bool) {
	if text == "" || text[0] != '/' || strings.HasPrefix(text, "//") || strings.ContainsAny(text, "\\#") {
		return "", false
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] == 0x7f {
			return "", false
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Host != "" || u.Scheme != "" || strings.HasPrefix(u.Path, "//") || strings.ContainsAny(u.Path, "\\\r\n\t\x00") {
		return "", false
	}
	if len(text) > maxReturn {
		return "/", true
	}
	return text, true
}
