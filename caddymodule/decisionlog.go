package caddymodule

import (
	"encoding/hex"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/telemetry"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// This file writes what policies log of requests. No line holds a token or a
// claim, and of the subject only what log_subject allows.

// logDecision writes the decision log, and the same fields into Caddy's access
// log: policy, outcome, status, decision, issuer, client, and the subject as
// log_subject says. They never hold a token or a claim. The access log has a
// line for each request anyway, so its fields are not sampled.
func (h *Handler) logDecision(r *http.Request, d *enrich.Decision, refusal *enrich.Refusal) {
	switch {
	case h.LogDecision == "all":
	case h.LogDecision == "denied" && refusal != nil:
	default:
		return
	}
	fields := make([]zap.Field, 0, 8)
	fields = append(fields, zap.String("policy", h.policy.name))
	if refusal == nil {
		fields = append(fields, zap.String("outcome", "allowed"), zap.String("status", d.Status()))
	} else {
		fields = append(fields, zap.String("outcome", refusal.Kind.String()), zap.NamedError("cause", refusal.Cause))
	}
	if d != nil {
		fields = append(fields, zap.String("decision_id", d.ID))
		if p := d.Principal; p != nil {
			fields = append(fields, zap.String("issuer", p.IssuerName), zap.String("client", p.Client))
			if s := h.subjectForLog(p.Subject); s != "" {
				fields = append(fields, zap.String("subject", s))
			}
		}
	}
	// By which lines are sampled whose token was not verified.
	reason := telemetry.ReasonAnonymous
	if refusal != nil {
		reason = refusal.Kind.String()
	}
	if c := h.checkLine(zapcore.InfoLevel, "decision", d, reason); c != nil {
		c.Write(fields...)
	}
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Dict("token_enrich", fields...))
	}
}

// checkLine is zap's Check for a line about a request. It is written where the
// request's token was verified. Other lines are sampled by policy and reason
// (see telemetry.Sampler).
func (h *Handler) checkLine(level zapcore.Level, line string, d *enrich.Decision, reason string) *zapcore.CheckedEntry {
	if d != nil && d.Principal != nil {
		return h.logger.Check(level, line)
	}
	return h.app.sampler.Check(h.logger, level, line, h.policy.name, reason)
}

// subjectForLog returns a subject as log_subject says: empty, as a keyed hash
// that is the same on every node with the same seal key, or in plain.
func (h *Handler) subjectForLog(subject string) string {
	switch h.LogSubject {
	case "plain":
		return subject
	case "hash":
		if store := h.app.store.Current(); store != nil {
			name := store.KeyDeriver().NameHash(cache.ID{Kind: cache.UserID, Value: subject})
			return hex.EncodeToString(name[:])
		}
	}
	return ""
}
