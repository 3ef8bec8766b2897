package telemetry

// This file bounds how many log lines requests without a valid token can cause.

import (
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

const (
	// sampledLines is how many lines of one kind are written in a sampleWindow,
	// which begins with the first of them.
	sampledLines = 20
	sampleWindow = time.Minute
)

// Reasons beside the kinds of a refusal, for lines that are sampled.
const (
	ReasonAnonymous = enrich.OutcomeAnonymous
	ReasonLogout    = "logout" // requests to a hook, which have no policy
)

// lineKind is what lines are sampled by. All its values come from the
// configuration or from closed sets.
type lineKind struct{ line, policy, reason string }

// Sampler decides which lines about unauthenticated requests are written:
// the first sampledLines of each kind in a window, and at its end how many were
// left out. It holds one counter for each kind until its window ends.
type Sampler struct {
	logs    *Logs    // for the summaries
	metrics *Metrics // for the counts

	mu      sync.Mutex
	closed  bool
	windows map[lineKind]*sampleCount
}

// sampleCount is one window of one kind.
type sampleCount struct {
	written, leftOut int
	level            zapcore.Level // the highest of the lines that were left out
	end              *time.Timer
}

// NewSampler returns a sampler whose summaries go to l and whose counts of
// left-out lines go to m.
func NewSampler(l *Logs, m *Metrics) *Sampler {
	return &Sampler{logs: l, metrics: m, windows: make(map[lineKind]*sampleCount)}
}

// allow reports whether a line is written. One that is not counts as left out in
// its window and in the metric.
func (s *Sampler) allow(kind lineKind, level zapcore.Level) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.windows[kind]
	switch {
	case c != nil:
	case s.closed:
		return true // of one of the few requests that outlive their configuration
	default:
		c = &sampleCount{level: zapcore.DebugLevel, end: time.AfterFunc(sampleWindow, func() { s.end(kind) })}
		s.windows[kind] = c
	}
	if c.written < sampledLines {
		c.written++
		return true
	}
	c.leftOut++
	c.level = max(c.level, level)
	s.metrics.linesLeftOut.WithLabelValues(kind.policy, kind.reason).Inc()
	return false
}

// end ends the window of a kind and logs how many lines it left out.
func (s *Sampler) end(kind lineKind) {
	s.mu.Lock()
	c := s.windows[kind]
	delete(s.windows, kind)
	s.mu.Unlock()
	if c != nil && c.leftOut > 0 {
		zap.New(s.logs.core()).Named("token_enrich").Log(c.level, "further lines were left out",
			zap.String("line", kind.line), zap.String("policy", kind.policy), zap.String("reason", kind.reason), zap.Int("lines", c.leftOut))
	}
}

// Close ends every window; no further ones are begun.
func (s *Sampler) Close() {
	s.mu.Lock()
	s.closed = true
	kinds := make([]lineKind, 0, len(s.windows))
	for kind, c := range s.windows {
		c.end.Stop()
		kinds = append(kinds, kind)
	}
	s.mu.Unlock()
	for _, kind := range kinds {
		s.end(kind)
	}
}

// Check is zap's Check for lines that unauthenticated requests cause.
func (s *Sampler) Check(log *zap.Logger, level zapcore.Level, line, policy, reason string) *zapcore.CheckedEntry {
	c := log.Check(level, line)
	if c == nil || !s.allow(lineKind{line, policy, reason}, level) {
		return nil
	}
	return c
}

// Core returns a core that samples what package enrich logs itself about
// a request, such as a stage that panicked.
func (s *Sampler) Core(core zapcore.Core) zapcore.Core {
	return zapcore.NewSamplerWithOptions(core, sampleWindow, sampledLines, 0, zapcore.SamplerHook(func(_ zapcore.Entry, d zapcore.SamplingDecision) {
		if d&zapcore.LogDropped != 0 {
			s.metrics.linesLeftOut.WithLabelValues("", enrich.KindInternal.String()).Inc()
		}
	}))
}
