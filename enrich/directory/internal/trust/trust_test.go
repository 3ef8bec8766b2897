package trust

import (
	"path/filepath"
	"testing"
)

func TestOnlyThisMachineIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true,
		"": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "0.0.0.0": false, "10.0.0.1": false, "0x7f000001": false,
	} {
		if got := Loopback(host); got != want {
			t.Errorf("Loopback(%q) = %v", host, got)
		}
	}
}

func TestAMissingFileIsAnError(t *testing.T) {
	if pool, err := Authorities(filepath.Join(t.TempDir(), "none.pem")); err == nil || pool != nil {
		t.Errorf("%v, %v", pool, err)
	}
}
