package cachetest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

// Ports are given from firstPort on, below the range from which Linux and
// others assign ports to connections and to listeners of port 0: between a
// test's asking for a port and its server's listening there no other process gets it.
const (
	firstPort = 10_000
	portCount = 20_000
)

var turn atomic.Uint32

func init() { turn.Store(rand.Uint32N(portCount)) } // another process begins elsewhere

// FreePort is a port on loopback that no server listens on, over TCP or
// UDP. A process gets none twice until it has had them all.
func FreePort(t testing.TB) string {
	t.Helper()
	for range portCount {
		port := strconv.Itoa(int(firstPort + turn.Add(1)%portCount))
		if free(t, port) {
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}

func free(t testing.TB, port string) bool {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return false
	}
	defer l.Close()
	u, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		return false
	}
	return u.Close() == nil
}

// FreeAddr is FreePort with its host.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", FreePort(t))
}
