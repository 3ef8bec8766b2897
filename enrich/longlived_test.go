package enrich

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

// longs are requests that may last.
func longs() map[string]http.Header {
	return map[string]http.Header{
		"an upgrade":      {"Upgrade": {"websocket"}},
		"an event stream": {"Accept": {"text/event-stream"}},
		"gRPC":            {"Content-Type": {"application/grpc+proto"}},
	}
}

// attend decides a long request and takes it into the streams.
func attend(t *testing.T, r *rig, p *Policy, token string, h http.Header, limit time.Duration) (ctx context.Context, done func()) {
	t.Helper()
	req := bearer(token)
	maps.Copy(req.Header, h)
	mark := r.PurgeVersion()
	a := r.send(p, req)
	if a.err != nil {
		t.Fatal(errors.Unwrap(a.err))
	}
	req, done, err := r.Track(req, a.decision, limit, mark)
	if err != nil {
		t.Fatal(err)
	}
	return req.Context(), done
}

func TestALongRequestEndsWithItsToken(t *testing.T) {
	for name, header := range longs() {
		t.Run(name, func(t *testing.T) {
			inBubble(t, options{}, func(t *testing.T, r *rig) {
				ctx, done := attend(t, r, r.usual(), r.token(), header, 0)
				defer done()
				time.Sleep(time.Hour + 30*time.Second - 1)
				if ctx.Err() != nil {
					t.Error("ended before its token")
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if !errors.Is(context.Cause(ctx), errRequestEnded) {
					t.Errorf("cause %v", context.Cause(ctx))
				}
			})
		})
	}
}

func TestALongRequestEndsWhenWhatItStandsOnIsDeniedOrPurged(t *testing.T) {
	for name, c := range map[string]struct {
		change func(r *rig)
		ends   bool
	}{
		"its user purged":   {func(r *rig) { r.purge(cache.ID{Kind: cache.UserID, Value: "00u1ada"}) }, true},
		"its login purged":  {func(r *rig) { r.purge(cache.ID{Kind: cache.UserID, Value: "ada.login@example.com"}) }, true},
		"its group purged":  {func(r *rig) { r.purge(cache.ID{Kind: cache.GroupID, Value: "00gStaff"}) }, true},
		"all purged":        {func(r *rig) { _, _ = r.store.PurgeAll(t.Context()) }, true},
		"its user denied":   {func(r *rig) { r.deny(DenyUser, "00u1ada", time.Time{}) }, true},
		"a stranger purged": {func(r *rig) { r.purge(cache.ID{Kind: cache.UserID, Value: "00u2bob"}) }, false},
		"a stranger denied": {func(r *rig) { r.deny(DenyUser, "00u2bob", time.Time{}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, options{}, func(t *testing.T, r *rig) {
				ctx, done := attend(t, r, r.usual(), r.token(), longs()["an upgrade"], 0)
				defer done()
				time.Sleep(5 * time.Second)
				if ctx.Err() != nil {
					t.Fatal("ended before anything happened")
				}
				c.change(r)
				time.Sleep(2 * longLivedInterval)
				synctest.Wait()
				if ended := ctx.Err() != nil; ended != c.ends {
					t.Errorf("ended %t, want %t", ended, c.ends)
				}
			})
		})
	}
}

func TestMaxConnectionEndsAnyRequest(t *testing.T) {
	inBubble(t, options{}, func(t *testing.T, r *rig) {
		ctx, done := attend(t, r, r.usual(), r.token(), nil, time.Minute)
		defer done()
		time.Sleep(time.Minute)
		synctest.Wait()
		if !errors.Is(context.Cause(ctx), errRequestEnded) {
			t.Errorf("cause %v", context.Cause(ctx))
		}
		short, done := attend(t, r, r.usual(), r.token(), nil, 0)
		defer done()
		if _, ok := short.Deadline(); ok {
			t.Error("a short request without max_connection has a deadline")
		}
	})
}

// TestStreamsThatComeAndGoLeaveOneThatLooks: whatever comes and goes within a
// moment, the work behind the requests must not grow.
func TestStreamsThatComeAndGoLeaveOneThatLooks(t *testing.T) {
	inBubble(t, options{}, func(t *testing.T, r *rig) {
		p := r.usual()
		token := r.token()
		for range 40 {
			_, done := attend(t, r, p, token, longs()["an event stream"], 0)
			done()
		}
		_, done := attend(t, r, p, token, longs()["an event stream"], 0)
		defer done()
		synctest.Wait()
		if n := goroutinesIn("(*LongLived).watch"); n != 1 {
			t.Errorf("%d goroutines look after one stream", n)
		}
	})
}

// goroutinesIn counts the goroutines of the process that run a function.
func goroutinesIn(name string) int {
	text := make([]byte, 1<<20)
	n := 0
	for stack := range strings.SplitSeq(string(text[:runtime.Stack(text, true)]), "\n\n") {
		if strings.Contains(stack, name+"(") {
			n++
		}
	}
	return n
}

// TestAPurgeBetweenTheDecisionAndTheStreamIsNotMissed: a purge that comes
// while a request is on its way from the one to the other counts.
func TestAPurgeBetweenTheDecisionAndTheStreamIsNotMissed(t *testing.T) {
	inBubble(t, options{}, func(t *testing.T, r *rig) {
		req := bearer(r.token())
		req.Header.Set("Upgrade", "websocket")
		mark := r.PurgeVersion()
		a := r.send(r.usual(), req)
		if a.err != nil {
			t.Fatal(a.err)
		}
		r.purge(cache.ID{Kind: cache.UserID, Value: "00u1ada"})
		req, done, err := r.Track(req, a.decision, 0, mark)
		if err != nil {
			return // refused is as good
		}
		defer done()
		time.Sleep(2 * longLivedInterval)
		synctest.Wait()
		if req.Context().Err() == nil {
			t.Error("the stream goes on")
		}
	})
}
