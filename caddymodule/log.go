package caddymodule

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
)

// logs is where what outlives a configuration writes: the logs of the
// configuration that was started last, so that a reload which moves a log moves
// our lines with it. It lives in the usage pool.
type logs struct {
	started atomic.Pointer[zap.Logger]
}

func takeLogs(r *releases) (*logs, error) {
	l, err := acquire(r, "logs", "", func() (*logs, error) { return new(logs), nil }, nil)
	if err != nil {
		return nil, fmt.Errorf("taking the logs: %w", err)
	}
	return l, nil
}

// logger gives a logger that looks for the logs with each line.
func (l *logs) logger() *slog.Logger { return slog.New(sharedHandler{logs: l}) }

// core gives the logs to write to: those of the configuration that was started
// last; where that start failed, of the one that runs; else Caddy's own.
func (l *logs) core() zapcore.Core {
	if logger := l.started.Load(); logger != nil {
		return logger.Core()
	}
	if app, err := ActiveApp(); err == nil {
		return app.logger.Core()
	}
	return caddy.Log().Core()
}

// never is above every level. A line says what is wrong and where in the
// configuration; where in our code it was said helps no operator, and Caddy's
// local lines leave that out too.
const never slog.Level = 127

// zapHandler returns a handler that writes to a core as the app's own logger does.
func zapHandler(core zapcore.Core) slog.Handler {
	return zapslog.NewHandler(core, zapslog.WithName("token_enrich"), zapslog.AddStacktraceAt(never))
}

type sharedHandler struct {
	logs *logs
	// with rebuilds attributes and groups on today's handler.
	with []func(slog.Handler) slog.Handler
}

func (h sharedHandler) handler() slog.Handler {
	out := zapHandler(h.logs.core())
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
	return sharedHandler{logs: h.logs, with: append(slices.Clip(h.with), f)}
}
