package caddymodule

import (
	"context"
	"log/slog"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap/exp/zapslog"
)

// sharedLogger is for what outlives a configuration: each line goes to the
// logger that Caddy has at that moment, so that a reload which moves the log
// moves ours with it.
func sharedLogger() *slog.Logger { return slog.New(sharedHandler{}) }

type sharedHandler struct {
	// with rebuilds attributes and groups on today's handler.
	with []func(slog.Handler) slog.Handler
}

func (h sharedHandler) handler() slog.Handler {
	var out slog.Handler = zapslog.NewHandler(caddy.Log().Core(), zapslog.WithName("token_enrich"))
	for _, f := range h.with {
		out = f(out)
	}
	return out
}

// Enabled reports whether Caddy logs that level now.
func (h sharedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.handler().Enabled(ctx, level)
}

// Handle writes the record to the log that Caddy has now.
func (h sharedHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.handler().Handle(ctx, r)
}

// WithAttrs remembers attributes.
func (h sharedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(s slog.Handler) slog.Handler { return s.WithAttrs(attrs) })
}

// WithGroup remembers a group.
func (h sharedHandler) WithGroup(name string) slog.Handler {
	return h.and(func(s slog.Handler) slog.Handler { return s.WithGroup(name) })
}

func (h sharedHandler) and(f func(slog.Handler) slog.Handler) sharedHandler {
	return sharedHandler{with: append(slices.Clip(h.with), f)}
}
