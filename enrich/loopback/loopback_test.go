package loopback

import "testing"

func TestOnlyThisMachineIsLoopback(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost": true, "LOCALHOST": true, "127.0.0.1": true, "127.8.9.1": true, "::1": true, "::ffff:127.0.0.1": true,
		"": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "127.evil.example": false,
		"0.0.0.0": false, "::": false, "10.0.0.1": false, "0x7f000001": false, "2130706433": false, "localhost.": false,
	} {
		if got := Host(host); got != want {
			t.Errorf("Host(%q) = %v", host, got)
		}
	}
}
