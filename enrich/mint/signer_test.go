package mint

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

const testIssuer = "https://gateway.example.com"

func replaceOnce(t *testing.T, s, from, to string) string {
	t.Helper()
	if !strings.Contains(s, from) {
		t.Fatalf("%q is not there", from)
	}
	return strings.Replace(s, from, to, 1)
}

// node is one gateway of a cluster.
func node(t *testing.T, c Config, m *memory) *Signer {
	t.Helper()
	c.Issuer = testIssuer
	s, err := New(c, Options{Storage: m})
	if err != nil {
		t.Fatal(err)
	}
	s.KeepFor(defaultTTL)
	s.Start(t.Context())
	t.Cleanup(s.Stop)
	synctest.Wait()
	return s
}

func template(t *testing.T, d TokenDefinition) *Template {
	t.Helper()
	if d.Audience == nil {
		d.Audience = []string{"payroll"}
	}
	tmpl, err := Compile(d)
	if err != nil {
		t.Fatal(err)
	}
	return tmpl
}

func request(now time.Time) Request {
	return Request{
		Principal: &identity.Principal{
			Issuer: "https://idp.example.com", Subject: "00u1ada", Client: "0oa1", Scopes: []string{"openid", "pay"},
			Expiry: now.Add(time.Hour), Claims: map[string]any{"sub": "00u1ada"},
		},
		Now: now, Leeway: 30 * time.Second,
	}
}

// signs gives the id of the key that a node signs with now.
func signs(t *testing.T, s *Signer) string {
	t.Helper()
	m, err := s.Mint(t.Context(), template(t, TokenDefinition{}), request(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	return m.KeyID
}

// publishes gives the ids of a node's key set.
func publishes(t *testing.T, s *Signer) map[string]bool {
	t.Helper()
	document, _, err := s.KeySet()
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(document, &set); err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	for _, k := range set.Keys {
		if !k.IsPublic() {
			t.Error("the key set holds a private key")
		}
		ids[k.KeyID] = true
	}
	return ids
}

func TestStorageThatIsDownIsRetriedAndKnownKeysGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fault := range map[string]error{"unreachable": errors.New("connection refused"), "permission": fs.ErrPermission} {
			m := newMemory()
			m.failLoad = fault
			s := node(t, Config{}, m)
			asked := time.Now()
			_, err := s.Mint(t.Context(), template(t, TokenDefinition{}), request(asked))
			if !errors.Is(err, ErrNotReady) || time.Since(asked) != firstWait {
				t.Errorf("%s: got %v after %v", name, err, time.Since(asked))
			}
			if _, _, err := s.KeySet(); !errors.Is(err, ErrNotReady) {
				t.Errorf("%s: key set: %v", name, err)
			}
			if st := s.Status(); st.Ready || st.Error != "storage" {
				t.Errorf("%s: status %+v", name, st)
			}
			m.set(func(m *memory) { m.failLoad = nil })
			time.Sleep(retryLast)
			synctest.Wait()
			first := signs(t, s)
			if st := s.Status(); !st.Ready || st.Error != "" || st.Keys != 1 {
				t.Errorf("%s: status %+v", name, st)
			}
			// Down later: what is there goes on, past the key's time.
			m.set(func(m *memory) { m.failLoad = fault })
			time.Sleep(2 * defaultRotate)
			synctest.Wait()
			if signs(t, s) != first {
				t.Errorf("%s: the key in hand no longer signs", name)
			}
			if st := s.Status(); !st.Ready || st.Error != "storage" {
				t.Errorf("%s: status %+v", name, st)
			}
			s.Stop()
		}
	})
}

func TestStorageThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, fault := range map[string]func(m *memory){
			"refuses":      func(m *memory) { m.failStore = fs.ErrPermission },
			"forgets":      func(m *memory) { m.loseStore = true },
			"cannot lock":  func(m *memory) { m.failLock = errors.New("no locks here") },
			"lock is held": func(m *memory) { m.locks[lockName] = make(chan struct{}) },
		} {
			m := newMemory()
			fault(m)
			s := node(t, Config{}, m)
			time.Sleep(time.Minute)
			synctest.Wait()
			// A key that the storage does not hold must never sign: the other
			// nodes could not publish it.
			if _, err := s.Mint(t.Context(), template(t, TokenDefinition{}), request(time.Now())); !errors.Is(err, ErrNotReady) {
				t.Errorf("%s: got %v", name, err)
			}
			if st := s.Status(); name == "lock is held" && st.Error != "lock_held" {
				t.Errorf("%s: status %+v", name, st)
			}
			s.Stop()
		}
	})
}

// While one node holds the lock and makes the first key, another waits and
// then uses that key.
func TestLockHeldByAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		if err := m.Lock(t.Context(), lockName); err != nil {
			t.Fatal(err)
		}
		s := node(t, Config{}, m)
		k, err := generate("ES256", nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := encodeRing(&ring{keys: []*key{k}})
		if err != nil {
			t.Fatal(err)
		}
		m.set(func(m *memory) { m.values[storedName] = text })
		if err := m.Unlock(t.Context(), lockName); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := signs(t, s); got != k.id {
			t.Error("made a key of its own")
		}
	})
}

func TestRequestWaitsForTheFirstKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		if err := m.Lock(t.Context(), lockName); err != nil {
			t.Fatal(err)
		}
		s := node(t, Config{}, m)
		go func() {
			time.Sleep(firstWait - time.Millisecond)
			_ = m.Unlock(context.Background(), lockName)
		}()
		signs(t, s)
	})
}

func TestRequestThatGoesAwayStopsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.failLoad = errors.New("down")
		s := node(t, Config{}, m)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		asked := time.Now()
		_, err := s.Mint(ctx, template(t, TokenDefinition{}), request(asked))
		if !errors.Is(err, ErrNotReady) || !errors.Is(err, context.DeadlineExceeded) || time.Since(asked) != time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(asked))
		}
	})
}

func TestCorruptKeysAreNeverOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.values[storedName] = []byte(`{"version":1,"keys":[{"kid":"x"`)
		s := node(t, Config{}, m)
		time.Sleep(time.Hour)
		synctest.Wait()
		if err := s.Rotate(t.Context(), true); !errors.Is(err, errStored) {
			t.Errorf("rotate: %v", err)
		}
		if m.stores != 0 || s.Status().Error != "corrupt" {
			t.Errorf("stored %d times, status %+v", m.stores, s.Status())
		}
	})
}

func TestAStoppedSignerStillSignsAndMayStartAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := node(t, Config{}, newMemory())
		s.Stop()
		s.Stop()
		signs(t, s)
		publishes(t, s)
		if _, err := s.Discovery(); err != nil {
			t.Error(err)
		}
		s.Start(t.Context()) // and again
		synctest.Wait()
		s.Stop()
	})
}

func TestKeySetDocumentHoldsPublicPartsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, algorithm := range algorithms {
			s := node(t, Config{Algorithm: algorithm}, newMemory())
			document, etag, err := s.KeySet()
			if err != nil {
				t.Fatal(err)
			}
			var set struct{ Keys []map[string]any }
			if err := json.Unmarshal(document, &set); err != nil || len(set.Keys) != 1 {
				t.Fatalf("%s: %v", document, err)
			}
			k := set.Keys[0]
			for name := range k {
				if !strings.Contains(" kty crv x y n e kid use alg ", " "+name+" ") {
					t.Errorf("%s: the key set has a member %s", algorithm, name)
				}
			}
			if k["use"] != "sig" || k["alg"] != algorithm || k["kid"] != signs(t, s) {
				t.Errorf("%s: %v", algorithm, k)
			}
			if len(etag) < 10 || etag[0] != '"' {
				t.Errorf("etag %s", etag)
			}
			s.Stop()
		}
	})
}

// No error, log line or format verb shows a private key.
func TestKeysAreNotPrinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		var out bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&out, nil))
		s, err := New(Config{Issuer: testIssuer}, Options{Storage: m, Logger: log})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(t.Context())
		synctest.Wait()
		var doc stored
		if err := json.Unmarshal(m.values[storedName], &doc); err != nil {
			t.Fatal(err)
		}
		k := s.ring.Load().keys[0]
		token, err := s.Mint(t.Context(), template(t, TokenDefinition{}), request(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		log.Info("all", slog.Any("signer", s), slog.Any("key", k), slog.Any("minted", token.String()))
		damaged := strings.Replace(string(m.values[storedName]), k.id, "another", 1)
		m.set(func(m *memory) { m.values[storedName] = []byte(damaged) })
		time.Sleep(time.Hour)
		synctest.Wait()
		s.Stop()
		text := out.String() + sprint(s, k, token, s.Status(), s.List())
		if !strings.Contains(text, "cannot be kept up to date") || !strings.Contains(text, k.id) {
			t.Fatalf("nothing was logged: %s", text)
		}
		private, err := json.Marshal(jose.JSONWebKey{Key: k.private})
		if err != nil {
			t.Fatal(err)
		}
		var parts map[string]string
		if err := json.Unmarshal(private, &parts); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{parts["d"], toBase64(doc.Keys[0].PKCS8)[:40], token.Token, token.Token[len(token.Token)-40:]} {
			if strings.Contains(text, secret) {
				t.Errorf("%.6s… was printed", secret)
			}
		}
	})
}
