package ldap

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// This file opens connections, bounds what is read on them, and turns their
// errors into the sentinels of package directory.

// A conn is one bound connection. It serves one look-up at a time.
type conn struct {
	ldap   *ldap.Conn
	wire   *wire
	born   time.Time
	idle   time.Time // when it was put into the pool
	broken bool      // it cannot be used again

	// referred says that the server referred a search for groups of this
	// look-up to another server, for a part of the base.
	referred bool
}

// A wire counts the bytes that are read, so that no answer is read beyond the
// limit. Closing it is how a context ends a call of the client library.
type wire struct {
	net.Conn
	left atomic.Int64
	over atomic.Bool
}

// budget is how much one look-up may read, in bytes: the limit of an answer,
// and an allowance for TLS and the encoding.
const budget = directory.MaxResponse + 1<<20

// errOver is what Read returns after the budget is used up.
var errOver = errors.New("answer over the bound")

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	if w.left.Load() <= 0 {
		w.over.Store(true)
		return 0, errOver
	}
	n, err := w.Conn.Read(p)
	w.left.Add(-int64(n))
	return n, err
}

// reset prepares the connection for a look-up.
func (c *conn) reset() {
	c.wire.left.Store(budget)
	c.referred = false
}

// close closes the connection. The wire is closed first: the library's own
// Close would wait for a write that may never end.
func (c *conn) close() {
	_ = c.wire.Close()
	_ = c.ldap.Close()
}

// dial connects, starts TLS and binds within the configured time-out.
func (s *settings) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	raw, err := s.Dial(ctx, s.network, s.address)
	if err != nil {
		return nil, networkError(ctx, "connecting", err)
	}
	c := &conn{wire: &wire{Conn: raw}, born: time.Now()}
	c.reset()
	// The client library takes no context: closing the wire ends its calls.
	stop := context.AfterFunc(ctx, func() { _ = c.wire.Close() })
	defer stop()

	if s.ldaps {
		secured := tls.Client(c.wire, s.tls)
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = c.wire.Close()
			return nil, networkError(ctx, "securing the connection", err)
		}
		c.ldap = ldap.NewConn(secured, true)
	} else {
		c.ldap = ldap.NewConn(c.wire, false)
	}
	c.ldap.Start()
	if s.StartTLS {
		if err := c.ldap.StartTLS(s.tls); err != nil {
			c.close()
			return nil, networkError(ctx, "securing the connection", err)
		}
	}
	// Without an account the search is anonymous, and needs no bind.
	if s.BindDN != "" {
		if err := c.ldap.Bind(s.BindDN, s.BindPassword); err != nil {
			c.close()
			return nil, c.explain(ctx, "binding", err)
		}
	}
	// The context ended while the last call succeeded.
	if !stop() {
		c.close()
		return nil, networkError(ctx, "connecting", ctx.Err())
	}
	return c, nil
}

// networkError returns the error for a failure before a search. The texts of
// Go's network and TLS packages name hosts and certificates, not users.
func networkError(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%s: %w", doing, directory.ErrTimeout)
		}
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	return fmt.Errorf("%s: %w: %w", doing, err, directory.ErrUnavailable)
}

// explain turns an error of the client library into a sentinel. Of a result it
// keeps the code alone: the server's message may repeat filter and name.
func (c *conn) explain(ctx context.Context, doing string, err error) error {
	var result *ldap.Error
	isResult := errors.As(err, &result) && result.ResultCode < ldap.ErrorNetwork
	if !isResult {
		c.broken = true
	}
	switch {
	case ctx.Err() != nil:
		c.broken = true
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("%s: %w", doing, directory.ErrTimeout)
		}
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	// The library reports the end of the wire and not its reason.
	case c.wire.over.Load():
		return fmt.Errorf("%s: %w", doing, directory.ErrTooLarge)
	case errors.As(err, &result) && result.ResultCode == ldap.ErrorUnexpectedResponse:
		return fmt.Errorf("%s: %w", doing, directory.ErrMalformed)
	case !isResult:
		return fmt.Errorf("%s: the connection was lost: %w", doing, directory.ErrUnavailable)
	}
	// Any other result means that the search itself was wrong.
	sentinel := directory.ErrRejected
	switch result.ResultCode {
	case ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultInappropriateAuthentication,
		ldap.LDAPResultStrongAuthRequired, ldap.LDAPResultConfidentialityRequired, ldap.LDAPResultAuthMethodNotSupported:
		sentinel = directory.ErrRefused
	case ldap.LDAPResultTimeLimitExceeded:
		sentinel = directory.ErrTimeout
	case ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded:
		sentinel = directory.ErrTooLarge
	case ldap.LDAPResultBusy, ldap.LDAPResultUnavailable, ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultOperationsError,
		ldap.LDAPResultOther, ldap.LDAPResultNoSuchObject, ldap.LDAPResultReferral:
		// A base that does not exist, or is on another server, is a wrong
		// setting or a missing right, and never "no such user".
		sentinel = directory.ErrUnavailable
	}
	return fmt.Errorf("%s: result %d (%s): %w", doing, result.ResultCode, ldap.LDAPResultCodeMap[result.ResultCode], sentinel)
}
