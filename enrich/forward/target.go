package forward

import (
	"errors"
	"fmt"
	"net/http"
)

// check reports why the token cannot go to the target. Authorization is
// allowed for it, the other refused names are not.
func (t Target) check() error {
	switch {
	case t.Header != "" && t.Cookie != "":
		return errors.New("the token goes to a header or to a cookie, not to both")
	case t.Header != "":
		if Canonicalize(t.Header) == "authorization" {
			if t.Header != "Authorization" && http.CanonicalHeaderKey(t.Header) != "Authorization" {
				return fmt.Errorf("token header %q: %w", t.Header, errHeaderName)
			}
			return nil
		}
		if err := checkName(t.Header); err != nil {
			return fmt.Errorf("token header %q: %w", t.Header, err)
		}
		return nil
	case t.Cookie == "":
		return errors.New("the token needs a header or a cookie")
	}
	if err := checkSpelling(t.Cookie); err != nil {
		return fmt.Errorf("token cookie %q: %w", t.Cookie, err)
	}
	return nil
}

// Write puts the token there, in place of whatever the client sent under the
// name. A header's value has the scheme in it already.
func (t Target) Write(r *http.Request, value string) error {
	if t.Cookie != "" {
		return SetCookie(r, t.Cookie, value)
	}
	if err := plain(value, 0x7E, errASCII); err != nil {
		return &headerError{Header: t.Header, Reason: err.Error(), Err: errRefused}
	}
	r.Header[http.CanonicalHeaderKey(t.Header)] = []string{value}
	return nil
}
