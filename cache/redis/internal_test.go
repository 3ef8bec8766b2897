package redis

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

func TestWhatLeavesTheMachine(t *testing.T) {
	tests := map[string]struct {
		addr net.Addr
		want bool
	}{
		"loopback":     {&net.TCPAddr{IP: net.IPv4(127, 0, 0, 5)}, false},
		"loopback 6":   {&net.TCPAddr{IP: net.IPv6loopback}, false},
		"socket":       {&net.UnixAddr{Name: "/x"}, false},
		"private":      {&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, true},
		"unspecified":  {&net.TCPAddr{IP: net.IPv4zero}, true},
		"unknown kind": {&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}, true},
	}
	for name, tt := range tests {
		if got := leaves(tt.addr); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestAPasswordIsNotSentWhereASentinelPointsWithoutTLS(t *testing.T) {
	// Whatever this machine's own address towards others is: nothing is
	// sent, so nobody needs to be there.
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	own := ""
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && !n.IP.IsLoopback() && n.IP.To4() != nil {
			own = n.IP.String()
		}
	}
	if own == "" {
		return // a machine with loopback alone has nowhere to leak to
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort(own, port)
	e := &endpoint{}
	if _, err := e.dialer(true)(context.Background(), "tcp", addr); !errors.Is(err, errPlaintext) {
		t.Errorf("localOnly: %v", err)
	}
	conn, err := e.dialer(false)(context.Background(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestClassesOfErrors(t *testing.T) {
	tests := []struct {
		err   error
		class string
		opens bool
	}{
		{nil, "", false},
		{context.DeadlineExceeded, classTimeout, true},
		{fmt.Errorf("x: %w", os.ErrDeadlineExceeded), classTimeout, true},
		{goredis.ErrPoolTimeout, classTimeout, true},
		{context.Canceled, classClosed, false},
		{goredis.ErrClosed, classClosed, false},
		{io.EOF, classCut, true},
		{&net.OpError{Op: "read", Err: errors.New("connection reset by peer")}, classCut, true},
		{&net.OpError{Op: "dial", Err: errors.New("connect: connection refused")}, classRefused, true},
		{x509.UnknownAuthorityError{}, classTLS, true},
		{&tls.CertificateVerificationError{Err: errors.New("x")}, classTLS, true},
		{tls.AlertError(42), classTLS, true},
		{errPlaintext, classDenied, true},
		{errors.New("WRONGPASS invalid username-password pair"), classAuth, true},
		{errors.New("NOAUTH Authentication required."), classAuth, true},
		{errors.New("NOPERM this user has no permissions"), classDenied, true},
		{errors.New("OOM command not allowed when used memory > 'maxmemory'."), classFull, false},
		{errors.New("READONLY You can't write against a read only replica."), classReadOnly, false},
		{errors.New("LOADING Redis is loading the dataset in memory"), classLoading, true},
		{errors.New("CLUSTERDOWN The cluster is down"), classCluster, true},
		{errors.New("anything else"), classOther, true},
	}
	for _, tt := range tests {
		if c := class(tt.err); c != tt.class || opens(c) != tt.opens {
			t.Errorf("%v: %q, opens %v; want %q, %v", tt.err, c, opens(c), tt.class, tt.opens)
		}
	}
}

// FuzzStreamEntry: whatever stands in the stream, what is not authentic does
// nothing, and details go with their own record only.
func FuzzStreamEntry(f *testing.F) {
	// The same nonces in each process that fuzzes.
	ring, err := seal.NewRing(bytes.NewReader(make([]byte, 1<<10)), make([]byte, seal.KeySize))
	if err != nil {
		f.Fatal(err)
	}
	c, err := New(Config{URL: "redis://127.0.0.1:1"}, Options{Sealer: ring})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close() })
	good := map[string]purgelog.Record{}
	details := map[string]bool{}
	for _, r := range []purgelog.Record{
		{Kind: purgelog.PurgeAll}, {Kind: purgelog.Deny, Claim: "sub", Reason: "x"}, {Kind: purgelog.Deny, Name: purgelog.NameHash{1}, Claim: "jti"}, {Kind: purgelog.Undeny},
	} {
		values, err := c.stream.seal(r)
		if err != nil {
			f.Fatal(err)
		}
		record, _ := values[1].([]byte)
		good[string(record)] = purgelog.Record{Kind: r.Kind, Name: r.Name}
		var d []byte
		if len(values) == 4 {
			d, _ = values[3].([]byte)
			details[string(record)+string(d)] = true
		}
		f.Add(record, d)
		f.Add(record[:len(record)-1], append(d, 0))
	}
	f.Fuzz(func(t *testing.T, record, d []byte) {
		got := c.stream.open(map[string]any{field: string(record), detailsField: string(d)})
		want, authentic := good[string(record)]
		if details[string(record)+string(d)] != (got.Claim != "") {
			t.Errorf("details of another record: %+v", got)
		}
		got.Claim, got.Reason = "", ""
		if got != want {
			t.Errorf("authentic %v, read as %+v", authentic, got)
		}
	})
}
