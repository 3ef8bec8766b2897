package okta

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// This file classifies refusals by Okta's error codes.

// The error codes that change the outcome of a look-up
// (https://developer.okta.com/docs/reference/error-codes/). Okta asks clients to
// use the code and never the text.
const (
	codeNotFound     = "E0000007" // there is no such object
	codeInvalidToken = "E0000011"
	codeForbidden    = "E0000006"
	codeRateLimit    = "E0000047"
)

// safe matches the parts of an answer that may be logged: ids and codes.
var safe = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// readRefusal returns Okta's error code in a refusal, and the id by which
// Okta's support finds the request. Either may be empty.
func readRefusal(e *fetch.StatusError) (code, requestID string) {
	if id := e.Header().Get("X-Okta-Request-Id"); safe.MatchString(id) {
		requestID = id
	}
	var body struct {
		Code string `json:"errorCode"`
	}
	if json.Unmarshal(e.Body(), &body) == nil && safe.MatchString(body.Code) {
		code = body.Code
	}
	return code, requestID
}

// explain returns the error for a refusal with this error code.
func explain(err error, status int, code string) error {
	switch {
	case code == "":
		return err
	case status == http.StatusNotFound && code == codeNotFound:
		return fmt.Errorf("asking: %s: %w", code, directory.ErrNotFound)
	case code == codeInvalidToken:
		return fmt.Errorf("asking: %s: %w", code, directory.ErrRefused)
	case code == codeForbidden:
		// Rights may exclude one user or app (resource sets). That must not
		// open the circuit for all others.
		return fmt.Errorf("asking: %s: %w: %w", code, directory.ErrRefused, directory.ErrRejected)
	case code == codeRateLimit:
		return fmt.Errorf("asking: %s: %w", code, directory.ErrThrottled)
	}
	return fmt.Errorf("%s: %w", code, err)
}
