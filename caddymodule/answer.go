package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// This file holds what a policy says of a decision: to the client, in the answer
// to a request that is not let through, and to other handlers, in placeholders.

// refuse answers a request that is not let through: with the challenge and the
// cache directives as headers, and the rest as a Caddy error, so that
// handle_errors can make a page of it. The text reveals nothing to the client;
// the whole reason is logged. A person whom a login may help is sent to log in.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, d *enrich.Decision, err error) error {
	var refusal *enrich.Refusal
	if !errors.As(err, &refusal) {
		// Its kind is KindInternal then, which is answered with 500.
		refusal = &enrich.Refusal{Cause: err}
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store") // the answer depends on the token
	for _, way := range h.app.issuers.Challenges(h.Issuers) {
		if challenge := h.policy.compiled.Challenge(refusal, way); challenge != "" {
			header.Add("WWW-Authenticate", challenge)
		}
	}
	if refusal.DPoPNonce != "" {
		header.Set("DPoP-Nonce", refusal.DPoPNonce)
	}
	if refusal.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(refusal.RetryAfter/time.Second)))
	}
	h.logDecision(r, d, refusal)
	answer := caddyhttp.Error(refusal.Kind.Status(), refusal)
	// A client can cause any 4xx at will, so only our own failures are errors.
	level := zapcore.DebugLevel
	if answer.StatusCode >= http.StatusInternalServerError {
		level = zapcore.ErrorLevel
	}
	if c := h.checkLine(level, "request refused", d, refusal.Kind.String()); c != nil {
		c.Write(zap.String("policy", h.policy.name), zap.String("reason", refusal.Kind.String()),
			zap.Int("status", answer.StatusCode), zap.String("error_id", answer.ID), zap.NamedError("cause", refusal.Cause))
	}
	if h.offerLogin(w, r, refusal, answer.ID) {
		return nil
	}
	return answer
}

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

// setPlaceholders shows a decision to the handlers behind the policy and, for a
// refusal, to error routes. With neither, all placeholders are empty. Claims are
// turned into text only when one is read.
func (h *Handler) setPlaceholders(r *http.Request, d *enrich.Decision, err error) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	s := stateOf(r)
	p := &s.shown
	if !s.mapped {
		s.mapped = true
		repl.Map(p.get) // once: of two providers, only the first is ever asked
	}
	p.decision = d
	if err != nil {
		// What was decided before does not hold for a refused request.
		p.decision, p.refusal = nil, err
	}
	if h.UserPlaceholder == "on" && err == nil && d != nil && d.Principal != nil {
		repl.Set(userPlaceholder, d.Principal.Subject)
	}
}

// placeholders hold what {token_enrich.*} show for one request. Another policy
// may decide after the first: the next block of a site, or one in an error route.
type placeholders struct {
	decision *enrich.Decision // nil: none, or the request was refused
	refusal  error            // the last one; an error route shows it, whatever decides there
}

// userPlaceholder is what user_placeholder sets.
const userPlaceholder = "http.auth.user.id"

// placeholderPrefix is that of every placeholder of the gateway.
const placeholderPrefix = "token_enrich."

// get returns the value of a placeholder, and whether its name is one of the gateway's.
func (p *placeholders) get(key string) (any, bool) {
	name, ours := strings.CutPrefix(key, placeholderPrefix)
	if !ours {
		return nil, false
	}
	if name == "reason" {
		if refusal, ok := errors.AsType[*enrich.Refusal](p.refusal); ok {
			return refusal.Kind.String(), true
		}
		return "", true
	}
	if p.decision == nil {
		return "", known(name)
	}
	d := p.decision
	switch name {
	case "status":
		return d.Status(), true
	case "decision_id":
		return d.ID, true
	}
	if d.Principal == nil {
		return "", known(name)
	}
	switch name {
	case "subject":
		return d.Principal.Subject, true
	case "issuer":
		return d.Principal.IssuerName, true
	case "client":
		return d.Principal.Client, true
	}
	if claim, ok := strings.CutPrefix(name, "claims."); ok {
		return claimText(d.Claims[claim]), true
	}
	return nil, false
}

// known reports whether there is a placeholder of that name.
func known(name string) bool {
	switch name {
	case "status", "decision_id", "subject", "issuer", "client":
		return true
	}
	return strings.HasPrefix(name, "claims.")
}

// claimText returns a claim as a placeholder shows it: a string as it is, null
// and an absent claim as nothing, anything else as JSON.
func claimText(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // R&D stays R&D: matchers compare it
	if encoder.Encode(v) != nil {
		return ""
	}
	return strings.TrimSuffix(text.String(), "\n")
}
