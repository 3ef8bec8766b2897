package telemetry

import (
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

// sampled is a sampler with the log that it and those who ask it write to.
type sampled struct {
	*Sampler
	lines  *observer.ObservedLogs
	logger *zap.Logger
}

func newSampled() *sampled {
	core, lines := observer.New(zapcore.DebugLevel)
	logger := zap.New(core)
	to := new(Logs)
	to.Start(logger)
	return &sampled{NewSampler(to, NewMetrics()), lines, logger}
}

// write writes n lines and returns how many there are then.
func (s *sampled) write(n int, level zapcore.Level, line, policy, reason string) int {
	for range n {
		if c := s.Check(s.logger, level, line, policy, reason); c != nil {
			c.Write()
		}
	}
	return s.lines.FilterMessage(line).Len()
}

// leftOut is what the metric counts for a policy and a reason.
func (s *sampled) leftOut(t *testing.T, policy, reason string) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(s.metrics.linesLeftOut)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if fmt.Sprint(m.GetLabel()[0].GetValue(), m.GetLabel()[1].GetValue()) == policy+reason {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

// TestLinesOfStrangersAreSampled holds SECURITY P67 for the log: of each policy
// and reason the first lines of a minute are written, then how many were left
// out, at the level of the gravest; and nothing is held once a minute is over.
func TestLinesOfStrangersAreSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSampled()
		for _, kind := range [][2]string{{"payroll", "no_token"}, {"payroll", "invalid_token"}, {"open", "no_token"}} {
			before := s.lines.FilterMessage("decision").Len()
			if n := s.write(5000, zapcore.InfoLevel, "decision", kind[0], kind[1]); n-before != sampledLines {
				t.Errorf("%v: %d of 5,000 lines are written, want %d", kind, n-before, sampledLines)
			}
			if n := s.leftOut(t, kind[0], kind[1]); n != 5000-sampledLines {
				t.Errorf("%v: %v are counted as left out", kind, n)
			}
		}
		s.write(sampledLines, zapcore.ErrorLevel, "request refused", "payroll", "unavailable")
		s.write(1, zapcore.ErrorLevel, "request refused", "payroll", "unavailable")
		s.write(1, zapcore.DebugLevel, "request refused", "payroll", "unavailable")
		s.write(sampledLines, zapcore.InfoLevel, "request refused", "payroll", "no_token") // none is left out

		time.Sleep(sampleWindow)
		synctest.Wait()
		summarized := map[string]int64{}
		for _, e := range s.lines.FilterMessage("further lines were left out").All() {
			f := e.ContextMap()
			lines, _ := f["lines"].(int64)
			summarized[fmt.Sprint(e.Level, " ", f["line"], " ", f["policy"], " ", f["reason"])] += lines
		}
		want := map[string]int64{
			"info decision payroll no_token": 4980, "info decision payroll invalid_token": 4980, "info decision open no_token": 4980,
			"error request refused payroll unavailable": 2,
		}
		if fmt.Sprint(summarized) != fmt.Sprint(want) {
			t.Errorf("the log summarizes %v, want %v", summarized, want)
		}
		if len(s.windows) != 0 {
			t.Errorf("%d windows are held", len(s.windows))
		}
		before := s.lines.FilterMessage("decision").Len()
		if n := s.write(5000, zapcore.InfoLevel, "decision", "payroll", "no_token"); n-before != sampledLines {
			t.Errorf("%d lines are written in the next minute, want %d", n-before, sampledLines)
		}
		s.Close()
		if n := s.lines.FilterMessage("further lines were left out").Len(); n != 5 || len(s.windows) != 0 {
			t.Errorf("at its end the log summarizes %d kinds, want 5", n)
		}
	})
}

// What is not logged at all is not left out either.
func TestALevelThatIsNotLoggedIsNotSampled(t *testing.T) {
	s := newSampled()
	s.logger = s.logger.WithOptions(zap.IncreaseLevel(zapcore.InfoLevel))
	s.write(100, zapcore.DebugLevel, "request refused", "payroll", "no_token")
	if n := s.leftOut(t, "payroll", "no_token"); n != 0 || len(s.windows) != 0 {
		t.Errorf("%v lines are counted, and %d windows held", n, len(s.windows))
	}
}

// A stage that panics for each request of a stranger does not fill the log with
// its stacks (P67).
func TestPanicsAreSampled(t *testing.T) {
	s := newSampled()
	log := slog.New(NewHandler(s.Core(s.logger.Core())))
	for range 500 {
		log.Error("a stage panicked")
	}
	if n := s.lines.Len(); n != sampledLines {
		t.Errorf("%d lines, want %d", n, sampledLines)
	}
	if n := s.leftOut(t, "", "internal"); n != 500-sampledLines {
		t.Errorf("%v are counted", n)
	}
}
