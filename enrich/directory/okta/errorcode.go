package okta

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// The error codes that mean something to us
// (https://developer.okta.com/docs/reference/error-codes/). Okta asks that
// clients go by the code, never by the text.
const (
	codeNotFound     = "E0000007" // the thing is not there
	codeInvalidToken = "E0000011"
	codeForbidden    = "E0000006"
	codeRateLimit    = "E0000047"
)

// maxError bounds what is read of an error body.
const maxError = 64 << 10

// note is what an error answer said: its code, and the id under which Okta's
// support finds the request.
type note struct {
	status          int
	code, requestID string
}

type noteKey struct{}

// noting reads Okta's error code from refused requests into the note that the
// request's context carries.
type noting struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t noting) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	n, ok := r.Context().Value(noteKey{}).(*note)
	if err != nil || !ok {
		return answer, err
	}
	*n = note{status: answer.StatusCode}
	if answer.StatusCode < 400 {
		return answer, nil
	}
	if id := answer.Header.Get("X-Okta-Request-Id"); safe.MatchString(id) {
		n.requestID = id
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxError))
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(text))
	if err != nil {
		return answer, nil // the status is known, and says enough
	}
	var body struct {
		Code string `json:"errorCode"`
	}
	if json.Unmarshal(text, &body) == nil && safe.MatchString(body.Code) {
		n.code = body.Code
	}
	return answer, nil
}

// safe is what may be shown of an answer: ids and codes.
var safe = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// explain turns a refusal into what its error code means.
func (n *note) explain(err error) error {
	if _, ok := errors.AsType[*fetch.StatusError](err); !ok {
		return err
	}
	switch {
	case n.code == "":
		return err
	case n.status == http.StatusNotFound && n.code == codeNotFound:
		return fmt.Errorf("asking: %s: %w", n.code, directory.ErrNotFound)
	case n.code == codeInvalidToken, n.code == codeForbidden:
		return fmt.Errorf("asking: %s: %w", n.code, directory.ErrRefused)
	case n.code == codeRateLimit:
		return fmt.Errorf("asking: %s: %w", n.code, directory.ErrThrottled)
	}
	return fmt.Errorf("%s: %w", n.code, err)
}
