package cache_test

import (
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

func TestADenialHoldsOnAllNodesUntilItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		net, r, node := pair(t, src)
		keys := r[0].store.KeyDeriver()
		now := time.Now()
		session := keys.DenialHash("https://idp", "sid", "s1")
		user := keys.DenialHash("https://idp", "sub", "ada")
		if r[1].store.Denials().Used() {
			t.Fatal("used before anything was denied")
		}
		reach, err := r[0].store.Log().Append(t.Context(),
			purgelog.Record{Kind: purgelog.Deny, Name: session, Until: now.Add(time.Hour)},
			purgelog.Record{Kind: purgelog.Deny, Name: user, Until: now.Add(2 * time.Hour), IssuedBefore: now})
		if err != nil || reach != purgelog.AllNodes {
			t.Fatal(reach, err)
		}
		synctest.Wait()
		d := r[1].store.Denials()
		if !d.Used() || d.Len() != 2 {
			t.Fatal("the denials did not reach the other node")
		}
		other := keys.DenialHash("https://other", "sid", "s1")
		tests := []struct {
			name   string
			at     time.Time
			issued time.Time
			names  []purgelog.NameHash
			want   bool
		}{
			{"the session", now, now.Add(time.Minute), []purgelog.NameHash{session}, true},
			{"one of several names", now, now, []purgelog.NameHash{other, session}, true},
			{"the same sid of another issuer", now, now, []purgelog.NameHash{other}, false},
			{"until its end", now.Add(time.Hour - 1), now, []purgelog.NameHash{session}, true},
			{"not past its end", now.Add(time.Hour), now, []purgelog.NameHash{session}, false},
			{"a user's old token", now, now.Add(-time.Minute), []purgelog.NameHash{user}, true},
			{"a user's token without iat", now, time.Time{}, []purgelog.NameHash{user}, true},
			{"a user's token from a later login", now, now.Add(time.Second), []purgelog.NameHash{user}, false},
			{"no name", now, now, nil, false},
		}
		for _, tt := range tests {
			if got := d.Denied(tt.at, tt.issued, tt.names...); got != tt.want {
				t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
			}
		}
		if age := d.Age(time.Now()); age != 0 {
			t.Errorf("age %v with contact", age)
		}
		node[1].Cut()
		time.Sleep(45 * time.Second)
		if age := d.Age(time.Now()); age < 44*time.Second || age > 46*time.Second {
			t.Errorf("age %v after 45 s without contact", age)
		}

		t.Log("a lost log is filled again by who still knows")
		node[1].Restore()
		net.Reset()
		time.Sleep(3 * time.Second)
		third := newRig(t, src, net.Node())
		if age := third.store.Denials().Age(time.Now()); age != math.MaxInt64 {
			t.Errorf("age %v before the list was ever loaded", age)
		}
		third.store.Start()
		synctest.Wait()
		if !third.store.Denials().Denied(time.Now(), now, session) {
			t.Error("a denial was lost with the log")
		}
		third.store.Denials()
		time.Sleep(2 * time.Hour)
		purge(t, r[0], ada, purgelog.AllNodes)
		_, _ = r[0].store.Log().Append(t.Context(), purgelog.Record{Kind: purgelog.Deny, Name: session, Until: time.Now().Add(time.Minute)})
		if n := r[0].store.Denials().Len(); n != 1 {
			t.Errorf("%d names held, want the live one only", n)
		}
	})
}

func TestADenialWithoutTheNetworkHoldsHereAndReachesTheOthersLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, r, node := pair(t, newSource())
		name := r[0].store.KeyDeriver().DenialHash("https://idp", "jti", "x")
		node[0].Cut()
		reach, err := r[0].store.Log().Append(t.Context(), purgelog.Record{Kind: purgelog.Deny, Name: name, Until: time.Now().Add(time.Hour)})
		if reach != purgelog.Pending || err == nil {
			t.Fatal(reach, err)
		}
		if !r[0].store.Denials().Denied(time.Now(), time.Now(), name) {
			t.Fatal("does not hold here")
		}
		node[0].Restore()
		time.Sleep(2 * time.Second)
		if !r[1].store.Denials().Denied(time.Now(), time.Now(), name) {
			t.Fatal("never reached the other node")
		}
	})
}

// A replica that becomes master may lack a denial that the old master had
// acknowledged: who said it says it again, whether or not the gap shows.
func TestADenialThatTheLogLostIsSaidAgain(t *testing.T) {
	for name, later := range map[string]bool{"the log ends before it": false, "others have written past its place": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource()
				net, r, node := pair(t, src)
				denied := r[0].store.KeyDeriver().DenialHash("https://idp", "jti", "x")
				node[1].Cut() // nobody else has heard of it
				time.Sleep(time.Second)
				reach, err := r[0].store.Log().Append(t.Context(), purgelog.Record{Kind: purgelog.Deny, Name: denied, Until: time.Now().Add(time.Hour)})
				if err != nil || reach != purgelog.AllNodes {
					t.Fatal(reach, err)
				}
				synctest.Wait()
				node[0].Cut()
				time.Sleep(time.Second)
				net.Rollback(1)
				node[1].Restore()
				time.Sleep(time.Second)
				if later {
					purge(t, r[1], ada, purgelog.AllNodes)
				}
				node[0].Restore()
				time.Sleep(3 * time.Second)
				third := newRig(t, src, net.Node())
				third.store.Start()
				synctest.Wait()
				for n, r := range []*rig{r[0], r[1], third} {
					if !r.store.Denials().Denied(time.Now(), time.Now(), denied) {
						t.Errorf("node %d knows nothing of the denial", n)
					}
				}
				// Said again once, and not each time that the log is read.
				at := r[1].store.Log().Position()
				time.Sleep(time.Minute)
				if r[1].store.Log().Position() != at {
					t.Error("the denial is said again and again")
				}
			})
		})
	}
}

func TestTheDenyListRefusesWhatItCannotHold(t *testing.T) {
	clock := cachetest.NewClock()
	l := purgelog.New(purgelog.Options{Clock: clock.Now})
	deny := func(n int) error {
		r := purgelog.Record{Kind: purgelog.Deny, Until: clock.Now().Add(time.Hour)}
		r.Name[0], r.Name[1], r.Name[2] = byte(n), byte(n>>8), byte(n>>16)
		_, err := l.Append(t.Context(), r)
		return err
	}
	for i := range purgelog.MaxDenials {
		if err := deny(i); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := deny(purgelog.MaxDenials); !errors.Is(err, purgelog.ErrFull) {
		t.Fatalf("one too many: %v", err)
	}
	clock.Advance(time.Hour)
	if err := deny(0); err != nil {
		t.Fatalf("after the old ones ended: %v", err)
	}
}
