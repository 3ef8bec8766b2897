// Package loopback tells this machine from others: what may go in the clear to
// the one needs TLS to the others.
package loopback

import (
	"net/netip"
	"strings"
)

// Host reports whether a host is this machine, by its name or address as
// written: nothing is resolved, for who answers may lie.
func Host(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
