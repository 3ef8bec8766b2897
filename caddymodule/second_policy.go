package caddymodule

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// This file refuses a request that one policy has decided and that meets another
// policy in another list of routes.

// errSecondPolicy is the cause of the refusal of a request that two policies would
// decide.
var errSecondPolicy = errors.New("the request reached a second policy")

// refuseSecond refuses a request that the policy first has allowed. It does not ask
// the matcher of this policy, because the request is no longer what the client sent.
// It deletes what first wrote: an error route may proxy the request, and a policy
// there decides independently.
func (h *Handler) refuseSecond(w http.ResponseWriter, r *http.Request, first *Handler) error {
	stateOf(r).decided = nil
	h.scrubRefused(r)
	err := &enrich.Refusal{Cause: fmt.Errorf("%w: policy %q of one route list has decided it, and policy %q is in another; put both into one route list, or each into its own handle", errSecondPolicy, first.policy.name, h.policy.name)}
	h.setPlaceholders(r, nil, err)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok && first.UserPlaceholder == "on" {
		repl.Delete(userPlaceholder)
	}
	return h.refuse(w, r, nil, err)
}
