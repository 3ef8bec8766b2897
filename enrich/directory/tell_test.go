// What of a directory's failures reaches the log, and how often.

package directory_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// TestTheCauseOfAFailureIsLoggedC34: an optional directory is left out for it,
// so that no refused request tells of it.
func TestTheCauseOfAFailureIsLoggedC34(t *testing.T) {
	for _, c := range []struct {
		err   error
		often int // of 130 failures, one a second
	}{
		{directory.ErrRejected, 3},
		{directory.ErrForeign, 3},
		{directory.ErrMalformed, 3},
		{directory.ErrTooLarge, 3},
		{directory.ErrUnavailable, 1}, // when the circuit opens
		{directory.ErrRefused, 1},
		{directory.ErrNotFound, 0},
		{directory.ErrAmbiguous, 0},
	} {
		t.Run(directory.Class(c.err), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				f := persons(func(context.Context) (*identity.Person, error) {
					return nil, fmt.Errorf("searching: the table has no such column (SQLSTATE 42703): %w", c.err)
				})
				g := guard(t, f, directory.ResilientOptions{Name: "hr", Logger: slog.New(slog.NewTextHandler(&log, nil))})
				for range 130 {
					_ = lookUp(g)
					<-time.After(time.Second)
				}
				if n := strings.Count(log.String(), "no such column (SQLSTATE 42703)"); n != c.often {
					t.Errorf("the cause is logged %d times, want %d:\n%s", n, c.often, &log)
				}
			})
		})
	}
}
