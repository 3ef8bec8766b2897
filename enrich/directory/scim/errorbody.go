package scim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// This file classifies refusals by SCIM's error bodies.

// errorSchema is the schema of a SCIM error body (RFC 7644, section 3.12).
const errorSchema = "urn:ietf:params:scim:api:messages:2.0:Error"

// explain returns the error for a refusal, by its body where that is a SCIM
// error, and otherwise err itself.
func explain(err error) error {
	status, ok := errors.AsType[*fetch.StatusError](err)
	if !ok {
		return err
	}
	var body struct {
		Schemas []string `json:"schemas"`
		Type    string   `json:"scimType"` // RFC 7644, table 9
	}
	// Without the schema it is the body of a proxy or of a wrong address.
	if json.Unmarshal(status.Body(), &body) != nil || !slices.Contains(body.Schemas, errorSchema) {
		return err
	}
	switch {
	case status.Status == http.StatusNotFound:
		return fmt.Errorf("asking: %w", directory.ErrNotFound)
	case body.Type == "tooMany":
		return fmt.Errorf("asking: tooMany: %w", directory.ErrTooLarge)
	case body.Type == "invalidFilter":
		return fmt.Errorf("asking: invalidFilter: %w", directory.ErrRejected)
	}
	return err
}
