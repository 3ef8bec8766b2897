package issuer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestProofIsUsedOnce(t *testing.T) {
	s := newStage(t, withDPoP("accept"))
	raw := s.boundToken()
	claims := proofClaims(raw)
	once := proof(t, claims)
	use := func(p string) error {
		_, err := s.Verify(t.Context(), raw, nil, dpopCaller(raw, p))
		return err
	}
	if err := use(once); err != nil {
		t.Fatal(err)
	}
	if err := use(once); !errors.Is(err, errReplay) || OAuthError(err) != "invalid_dpop_proof" {
		t.Errorf("the same proof: %v", err)
	}
	if err := use(proof(t, claims)); !errors.Is(err, errReplay) {
		t.Errorf("the same jti with another signature: %v", err)
	}
	for s.clock.Now().Sub(testNow) < 3*time.Minute {
		if err := use(once); !errors.Is(err, errReplay) && !errors.Is(err, errProof) {
			t.Fatalf("after %v: %v", s.clock.Now().Sub(testNow), err)
		}
		s.clock.Advance(time.Second)
	}
	other := s.token(goodClaims("cnf", map[string]any{"jkt": thumbprint(edKey())}))
	claims = proofClaims(other, "jti", claims["jti"], "iat", s.clock.Now().Unix())
	p := sign(t, "EdDSA", "", edKey(), map[string]any{"typ": "dpop+jwt", "jwk": jwk(edKey(), "", "", "use", nil)}, claims)
	if _, err := s.Verify(t.Context(), other, nil, dpopCaller(other, p)); err != nil {
		t.Errorf("the same jti of another key: %v", err)
	}
}

func TestOnlyGoodProofsCostMemory(t *testing.T) {
	s := newStage(t, withDPoP("accept"))
	raw := s.boundToken()
	forged := strings.Split(proof(t, proofClaims(raw)), ".")
	forged[2] = strings.Split(proof(t, proofClaims(raw)), ".")[2]
	expired := s.token(goodClaims("exp", testNow.Unix()-60, "cnf", map[string]any{"jkt": thumbprint(ecKeys()["ES256"])}))
	for token, p := range map[string]string{raw: strings.Join(forged, "."), expired: proof(t, proofClaims(expired))} {
		if _, err := s.Verify(t.Context(), token, nil, dpopCaller(token, p)); err == nil {
			t.Error("accepted")
		}
	}
	if n := len(s.issuer.sender.dpop.replay.local.current); n != 0 {
		t.Errorf("%d are remembered", n)
	}
}

// A sharedMemory is a memory over several nodes that can be down.
type sharedMemory struct {
	memory *LocalReplayMemory
	err    error
	life   time.Duration
}

func (m *sharedMemory) Seen(ctx context.Context, key [32]byte, life time.Duration) (bool, error) {
	if m.err != nil {
		return false, m.err
	}
	m.life = life
	return m.memory.Seen(ctx, key, life)
}

func TestSharedMemoryOfProofs(t *testing.T) {
	for _, c := range []struct {
		mode                       string
		down, downSame, downThere  error
		upAgainSame, downOtherNode error
	}{
		{mode: "shared", down: errReplayMemory, downSame: errReplayMemory, downThere: errReplayMemory},
		{mode: "local", down: nil, downSame: errReplay, downThere: nil},
	} {
		t.Run(c.mode, func(t *testing.T) {
			shared := &sharedMemory{memory: NewLocalReplayMemory(newClock().Now, 100)}
			node := func() *stage {
				return newStage(t, withDPoP("accept"), func(cfg *Config, _ *Options) { cfg.DPoPReplay = c.mode })
			}
			a, b := node(), node()
			raw := a.boundToken()
			use := func(s *stage, p string) error {
				caller := dpopCaller(raw, p)
				caller.Memory = &ProofMemory{Used: shared}
				_, err := s.Verify(t.Context(), raw, nil, caller)
				return err
			}
			first := proof(t, proofClaims(raw))
			if err := use(a, first); err != nil {
				t.Fatal(err)
			}
			if err := use(b, first); !errors.Is(err, errReplay) {
				t.Errorf("on the other node: %v", err)
			}
			if shared.life != proofAge+2*defaultLeeway {
				t.Errorf("remembered for %v", shared.life)
			}
			shared.err = errors.New("connection refused")
			second := proof(t, proofClaims(raw))
			if err := use(a, second); !errors.Is(err, c.down) || (err == nil) != (c.down == nil) {
				t.Errorf("while it is down: %v, want %v", err, c.down)
			}
			if err := use(a, second); !errors.Is(err, c.downSame) {
				t.Errorf("while it is down, the same: %v, want %v", err, c.downSame)
			}
			if err := use(a, first); c.mode == "local" && !errors.Is(err, errReplay) {
				t.Errorf("while it is down, one from before: %v", err)
			}
			if err := use(a, proof(t, proofClaims(raw))); err != nil && (!errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInvalidToken)) {
				t.Errorf("%v is a refusal of the token", err)
			}
		})
	}
}

func TestTheLocalMemoryOfProofsIsBoundedInTimeAndSize(t *testing.T) {
	clock := newClock()
	m := NewLocalReplayMemory(clock.Now, 10)
	key := func(n int) [32]byte { return [32]byte{byte(n)} }
	seen := func(n int) bool { return must(m.Seen(t.Context(), key(n), time.Minute)) }
	if seen(1) || !seen(1) || seen(2) {
		t.Error("the first time is not told from the second")
	}
	clock.Advance(50 * time.Second)
	seen(3)
	clock.Advance(20 * time.Second) // the first generation becomes the elder
	seen(4)
	clock.Advance(39 * time.Second)
	if !seen(3) || !seen(4) {
		t.Error("forgotten within its life")
	}
	clock.Advance(time.Hour)
	if seen(3) || seen(4) {
		t.Error("remembered for ever")
	}
	if n := len(m.current) + len(m.previous); n != 2 {
		t.Errorf("%d are held", n)
	}
	seen(5)
	clock.Advance(-10 * time.Minute) // a clock set back lets nothing go
	if !seen(5) {
		t.Error("forgotten when the clock was set back")
	}
	for n := 10; ; n++ {
		if _, err := m.Seen(t.Context(), key(n), time.Minute); err != nil {
			if !errors.Is(err, ErrReplayFull) {
				t.Errorf("got %v", err)
			}
			break
		}
		if n > 30 {
			t.Fatal("no bound")
		}
	}
	if n := len(m.current) + len(m.previous); n != 10 {
		t.Errorf("%d are held, want 10", n)
	}
	if !seen(5) {
		t.Error("a full memory does not know what it holds")
	}
}
