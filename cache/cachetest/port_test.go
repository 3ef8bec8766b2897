package cachetest

import (
	"net"
	"testing"
)

// Were a port given twice, two servers of one test might share it: Caddy opens
// its listeners so that they may, and requests for one reach the other.
func TestAFreePortIsGivenOnce(t *testing.T) {
	given := make(map[string]bool)
	for range 2_000 {
		port := FreePort(t)
		if given[port] {
			t.Fatalf("port %s was given twice", port)
		}
		given[port] = true
	}
}

func TestATakenPortIsNotGiven(t *testing.T) {
	first := FreeAddr(t)
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", first)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if free(t, portOf(first)) {
		t.Error("a port with a listener is called free")
	}
	second := FreeAddr(t)
	u, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", second)
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	if free(t, portOf(second)) {
		t.Error("a port taken over UDP is called free")
	}
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}
