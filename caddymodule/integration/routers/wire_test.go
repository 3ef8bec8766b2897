package routers

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// This file sends request lines as they stand, which no HTTP client does.

const (
	connections = 4           // at a time
	patience    = time.Minute // ends a broken test, and judges nothing
)

// reply is what came back for one path.
type reply struct {
	status int
	area   string // empty where no application answered
}

// ask sends a GET for each target to a host of the gateway and returns the
// replies in the same order.
func (g *gateway) ask(t *testing.T, host, token string, targets []string) []reply {
	t.Helper()
	replies := make([]reply, len(targets))
	var all sync.WaitGroup
	for first := range connections {
		all.Go(func() {
			c := connection{ctx: t.Context(), addr: g.addr}
			defer c.close()
			for i := first; i < len(targets); i += connections {
				var err error
				if replies[i], err = c.ask(host, token, targets[i]); err != nil {
					t.Errorf("%s, %q: %v", host, targets[i], err)
					return
				}
			}
		})
	}
	all.Wait()
	return replies
}

// connection is one connection, opened when needed.
type connection struct {
	ctx  context.Context
	addr string
	conn net.Conn
	in   *bufio.Reader
}

// ask sends one request. A connection that was open may be closed by then, so
// that it is tried twice.
func (c *connection) ask(host, token, target string) (reply, error) {
	if c.conn != nil {
		if r, err := c.once(host, token, target); err == nil {
			return r, nil
		}
		c.close()
	}
	return c.once(host, token, target)
}

func (c *connection) once(host, token, target string) (reply, error) {
	if c.conn == nil {
		conn, err := new(net.Dialer).DialContext(c.ctx, "tcp", c.addr)
		if err != nil {
			return reply{}, err
		}
		c.conn, c.in = conn, bufio.NewReader(conn)
	}
	_ = c.conn.SetDeadline(time.Now().Add(patience))
	text := "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\n"
	if token != "" {
		text += "Authorization: Bearer " + token + "\r\n"
	}
	if _, err := io.WriteString(c.conn, text+"\r\n"); err != nil {
		return reply{}, err
	}
	resp, err := http.ReadResponse(c.in, &http.Request{Method: http.MethodGet})
	if err != nil {
		return reply{}, fmt.Errorf("decoding the response: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return reply{}, fmt.Errorf("decoding the response: %w", err)
	}
	if resp.Close {
		c.close()
	}
	area, _ := strings.CutPrefix(strings.TrimSpace(string(body)), "area:")
	switch area {
	case admin, deletion, public, other, none:
	default:
		area = ""
	}
	return reply{resp.StatusCode, area}, nil
}

func (c *connection) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}
