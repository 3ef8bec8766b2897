package telemetry

import (
	"slices"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

func TestSessionsAreCountedFromTheirLoginsToTheirEnds(t *testing.T) {
	if !slices.Contains(login.Outcomes(), loginOK) {
		t.Fatalf("no login ends with %q", loginOK)
	}
	m := NewMetrics()
	if begun, ended := m.Sessions(); begun != 0 || len(ended) != len(login.EndCauses()) {
		t.Errorf("at first %d began and %v ended", begun, ended)
	}
	for _, outcome := range login.Outcomes() {
		m.LoginFinished("corp", outcome)
		m.LoginFinished("partner", outcome)
	}
	for i, cause := range login.EndCauses() {
		for range i {
			m.SessionEnded(cause)
		}
	}
	begun, ended := m.Sessions()
	if begun != 2 {
		t.Errorf("%d sessions began, want 2", begun)
	}
	for i, cause := range login.EndCauses() {
		if ended[cause] != uint64(i) {
			t.Errorf("%d sessions ended by %s, want %d", ended[cause], cause, i)
		}
	}
}
