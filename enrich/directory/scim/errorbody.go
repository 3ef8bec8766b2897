package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// errorSchema marks a SCIM error body (RFC 7644, section 3.12).
const errorSchema = "urn:ietf:params:scim:api:messages:2.0:Error"

// maxError bounds what is read of an error body.
const maxError = 64 << 10

// note is what an error answer said.
type note struct {
	status   int
	ours     bool   // the body is a SCIM error
	scimType string // RFC 7644, table 9
}

type noteKey struct{}

// noting reads SCIM error bodies into the note that the request's context
// carries.
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
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxError))
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(text))
	if err != nil {
		return answer, nil // the status is known, and says enough
	}
	var body struct {
		Schemas []string `json:"schemas"`
		Type    string   `json:"scimType"`
	}
	if json.Unmarshal(text, &body) == nil && slices.Contains(body.Schemas, errorSchema) {
		n.ours, n.scimType = true, body.Type
	}
	return answer, nil
}

// explain turns a refusal into what its body means.
func (n *note) explain(err error) error {
	var status *fetch.StatusError
	if !errors.As(err, &status) || !n.ours {
		return err
	}
	switch {
	case n.status == http.StatusNotFound:
		return fmt.Errorf("asking: %w", directory.ErrNotFound)
	case n.scimType == "tooMany":
		return fmt.Errorf("asking: tooMany: %w", directory.ErrTooLarge)
	case n.scimType == "invalidFilter":
		return fmt.Errorf("asking: invalidFilter: %w", directory.ErrRejected)
	}
	return err
}
