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

// logs is what resources that outlive a configuration log to: the logs of the
// configuration that was started last, so that a reload which moves a log moves
// their lines with it. It lives in the usage pool.
type logs struct {
	started atomic.Pointer[zap.Logger]
}

// acquireLogs acquires the process's logs.
func acquireLogs(r *releases) (*logs, error) {
	l, err := acquire(r, "logs", "", func() (*logs, error) { return new(logs), nil }, nil)
	if err != nil {
		return nil, fmt.Errorf("acquiring the logs: %w", err)
	}
	return l, nil
}

// logger returns a logger that looks up the logs for each line.
func (l *logs) logger() *slog.Logger { return slog.New(sharedHandler{logs: l}) }

// core returns the core to write to: that of the configuration that was started
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

// noStacktrace is above every level, so that no line has a stack trace. A line
// says what is wrong in the configuration; a place in our code does not help an
// operator, and Caddy's own lines have none either.
const noStacktrace slog.Level = 127

// zapHandler returns a handler that writes to a core as the app's own logger does.
func zapHandler(core zapcore.Core) slog.Handler {
	return zapslog.NewHandler(core, zapslog.WithName("token_enrich"), zapslog.AddStacktraceAt(noStacktrace))
}

// sharedHandler is a slog.Handler over the current logs.
type sharedHandler struct {
	logs *logs
	// with adds attributes and groups to the current handler.
	with []func(slog.Handler) slog.Handler
}

func (h sharedHandler) handler() slog.Handler {
	out := zapHandler(h.logs.core())
	for _, f := range h.with {
		out = f(out)
	}
	return out
}

// Enabled reports whether the current logs take that level.
func (h sharedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.handler().Enabled(ctx, level)
}

// Handle writes the record to the current logs.
func (h sharedHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.handler().Handle(ctx, r)
}

// WithAttrs returns a handler that adds the attributes to each record.
func (h sharedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return h.and(func(s slog.Handler) slog.Handler { return s.WithAttrs(attrs) })
}

// WithGroup returns a handler that opens the group in each record.
func (h sharedHandler) WithGroup(name string) slog.Handler {
	return h.and(func(s slog.Handler) slog.Handler { return s.WithGroup(name) })
}

func (h sharedHandler) and(f func(slog.Handler) slog.Handler) sharedHandler {
	return sharedHandler{logs: h.logs, with: append(slices.Clip(h.with), f)}
}
