package admin

import (
	"errors"
	"net/http"

	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// RotateRequest is the body of POST /token_enrich/keys.
type RotateRequest struct {
	// Rotate must be true: it keeps an empty body from making a key.
	Rotate bool `json:"rotate"`
	// Now skips the overlap: the new key signs at once. It is for an old key
	// that is compromised.
	Now bool `json:"now"`
}

// getKeys answers GET /token_enrich/keys: the public halves of the signing keys, with
// their state and when they begin to sign.
func getKeys(r *request) (any, error) {
	signer, err := signerOf(r)
	if err != nil {
		return nil, err
	}
	return signer.List(), nil
}

// postKeys answers POST /token_enrich/keys: it makes a new signing key and
// returns what getKeys then would.
func postKeys(r *request) (any, error) {
	var q RotateRequest
	if err := r.readJSON(&q); err != nil {
		return nil, err
	}
	signer, err := signerOf(r)
	if err != nil {
		return nil, err
	}
	if !q.Rotate {
		return nil, apiError(http.StatusBadRequest, errors.New(`rotate must be true: send {"rotate": true}`))
	}
	if err := signer.Rotate(r.Context(), q.Now); err != nil {
		code := http.StatusServiceUnavailable
		if errors.Is(err, mint.ErrFixedKeys) {
			code = http.StatusConflict
		}
		return nil, apiError(code, err)
	}
	return signer.List(), nil
}

// signerOf returns the app's signer. Without signing there are no keys, which is
// answered with 404: the endpoint exists only for a gateway that signs.
func signerOf(r *request) (*mint.Signer, error) {
	signer := r.app.Signer()
	if signer == nil {
		return nil, apiError(http.StatusNotFound, errors.New("the running configuration signs no tokens"))
	}
	return signer, nil
}
