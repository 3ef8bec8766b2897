//go:build unix

package cachetest

import (
	"os"
	"syscall"
	"testing"
)

// Halt stops a child of the test without ending it, and returns when it has
// stopped: connections to it are then accepted by the system and never
// answered. It goes on when the test ends.
func Halt(t testing.TB, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Signal(syscall.SIGCONT) })
	var status syscall.WaitStatus
	for {
		_, err := syscall.Wait4(p.Pid, &status, syscall.WUNTRACED, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			t.Fatal(err)
		case status.Stopped():
			return
		default:
			t.Fatal("the process ended instead of stopping")
		}
	}
}
