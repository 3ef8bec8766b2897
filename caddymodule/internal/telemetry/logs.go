// Package telemetry holds what the gateway counts and logs: its metrics, the logs of
// resources that outlive a configuration, and the sampling of lines that strangers
// can cause. It knows no App.
package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"
	"go.uber.org/zap/zapcore"
)

// Logs is what resources that outlive a configuration log to: the logs of the
// configuration that was started last, so that a reload which moves a log moves
// their lines with it.
type Logs struct {
	started  atomic.Pointer[zap.Logger]
	fallback func() zapcore.Core
}

// NewLogs returns the logs of a process. fallback returns the core that is
// written to while no configuration has started.
func NewLogs(fallback func() zapcore.Core) *Logs { return &Logs{fallback: fallback} }

// Start makes the logs of a configuration that starts the ones to write to.
func (l *Logs) Start(logger *zap.Logger) { l.started.Store(logger) }

// Stop ends the use of a configuration's logs, unless another has started since.
func (l *Logs) Stop(logger *zap.Logger) { l.started.CompareAndSwap(logger, nil) }

// Logger returns a logger that looks up the logs for each line.
func (l *Logs) Logger() *slog.Logger { return slog.New(sharedHandler{logs: l}) }

// core returns the core to write to: that of the configuration that was started
// last, or the fallback where that start failed.
func (l *Logs) core() zapcore.Core {
	if logger := l.started.Load(); logger != nil {
		return logger.Core()
	}
	return l.fallback()
}

// noStacktrace is above every level, so that no line has a stack trace. A line
// says what is wrong in the configuration; a place in our code does not help an
// operator, and Caddy's own lines have none either.
const noStacktrace slog.Level = 127

// NewHandler returns a handler that writes to a core as the app's own logger does.
func NewHandler(core zapcore.Core) slog.Handler {
	return zapslog.NewHandler(core, zapslog.WithName("token_enrich"), zapslog.AddStacktraceAt(noStacktrace))
}

// sharedHandler is a slog.Handler over the current logs.
type sharedHandler struct {
	logs *Logs
	// with adds attributes and groups to the current handler.
	with []func(slog.Handler) slog.Handler
}

func (h sharedHandler) handler() slog.Handler {
	out := NewHandler(h.logs.core())
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
