package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	strictjson "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

// This file reads requests and writes answers, alike for all endpoints.

// request is one request to an endpoint, with what the endpoint works on.
type request struct {
	*http.Request
	app *caddymodule.App // of the configuration that runs
	log *zap.Logger
}

// maxBody bounds the body of a request, in bytes. It holds a token and a few
// names.
const maxBody = 64 << 10

// readJSON reads the body, a JSON object, into a struct. A member that is
// unknown, spelled otherwise or repeated is an error, so that whatever a caller
// names has been read. The error is a caddy.APIError and repeats no value.
func (r *request) readJSON(to any) error {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		return apiError(http.StatusBadRequest, errors.New("reading the request: the body cannot be read or is too long"))
	}
	if err := strictjson.Unmarshal(body, to, strictjson.RejectUnknownMembers(true)); err != nil {
		return apiError(http.StatusBadRequest, fmt.Errorf("reading the request: %w", withoutValues(body, err)))
	}
	return nil
}

// withoutValues returns what is wrong with a body without what was sent, which
// may be a token.
func withoutValues(body []byte, err error) error {
	var syntax *jsontext.SyntacticError
	var meaning *strictjson.SemanticError
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return errors.New("the body is empty")
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errors.New("duplicate member")
	case errors.As(err, &syntax):
		return fmt.Errorf("invalid JSON, or more than one value, at byte %d", syntax.ByteOffset)
	case errors.Is(err, strictjson.ErrUnknownName):
		return errors.New("unknown member")
	case errors.As(err, &meaning):
		for name := range meaning.JSONPointer.Tokens() {
			return fmt.Errorf("member %q has the wrong type", name)
		}
	}
	return errors.New("not a JSON object")
}

// writeJSON writes an answer. It is that of a moment, so nothing may store it.
func writeJSON(w http.ResponseWriter, answer any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	return json.NewEncoder(w).Encode(answer)
}

// apiError returns an error that Caddy's admin endpoint answers with this status
// and the error's text as JSON.
func apiError(status int, err error) error { return caddy.APIError{HTTPStatus: status, Err: err} }

// one reports whether exactly one of set is true, for requests that name one of
// several things.
func one(set ...bool) bool {
	n := 0
	for _, s := range set {
		if s {
			n++
		}
	}
	return n == 1
}
