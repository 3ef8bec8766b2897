package telemetry

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestErrorsAreLoggedWithoutAStackTrace(t *testing.T) {
	core, seen := observer.New(zapcore.DebugLevel)
	l := new(Logs)
	l.Start(zap.New(core))
	l.Logger().With("directory", "file").Error("the edit is not used", "error", "line 1")
	lines := seen.All()
	if len(lines) != 1 || lines[0].Stack != "" || lines[0].LoggerName != "token_enrich" || lines[0].ContextMap()["directory"] != "file" {
		t.Errorf("got %+v", lines)
	}
}
