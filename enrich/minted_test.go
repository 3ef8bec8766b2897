package enrich

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// minting is a policy that forwards a token.
func minting(over mint.TokenDefinition) PolicyDefinition {
	if over.Audience == nil {
		over.Audience = []string{"payroll"}
	}
	return PolicyDefinition{Claims: fromDirectory(), Tokens: []mint.TokenDefinition{over}}
}

// minted reads the token that the application receives.
func minted(t *testing.T, a answer) (text string, claims enrichtest.Claims) {
	t.Helper()
	text, ok := strings.CutPrefix(a.header("Authorization"), "Bearer ")
	if !ok {
		t.Fatalf("Authorization = %.20q", a.header("Authorization"))
	}
	claims, err := enrichtest.Payload(text)
	if err != nil {
		t.Fatal(err)
	}
	return text, claims
}

func TestASignedTokenTakesTheIncomingOnesPlace(t *testing.T) {
	r := newRig(t, options{})
	signing(t, r, enrichtest.KeyFile(t))
	good := r.token()
	text, claims := minted(t, r.allowed(r.policy(minting(mint.TokenDefinition{})), good))
	if text == good {
		t.Fatal("the application receives the incoming token")
	}
	if claims["iss"] != "https://gateway.example.com" || claims["sub"] != "00u1ada" || claims["email"] != "ada@example.com" || claims["aud"] == "api://legacy" {
		t.Errorf("claims %v", claims)
	}
}

func TestASignedTokenServesUntilHalfItsLifeIsGone(t *testing.T) {
	r := newRig(t, options{ttls: func(l *cache.TTLs) { l.Fresh = time.Hour }})
	signing(t, r, enrichtest.KeyFile(t))
	p := r.policy(minting(mint.TokenDefinition{TTL: cache.Duration(4 * time.Minute)}))
	good := r.token()
	first, claims := minted(t, r.allowed(p, good))
	if end, _ := claims["exp"].(float64); int64(end) != r.Clock().Add(4*time.Minute).Unix() {
		t.Errorf("exp %v", claims["exp"])
	}
	r.clock.Advance(2*time.Minute - 1)
	second, _ := minted(t, r.allowed(p, good))
	r.clock.Advance(1)
	third, _ := minted(t, r.allowed(p, good))
	if first != second {
		t.Error("another token within half the life")
	}
	if third == second {
		t.Error("the same token after half its life")
	}
	if r.seen.minted != 2 {
		t.Errorf("%d tokens were signed", r.seen.minted)
	}
	t.Run("and another decision has its own", func(t *testing.T) {
		other, _ := minted(t, r.allowed(p, r.token()))
		if other == third {
			t.Error("two tokens share a signed one")
		}
	})
}

func TestASignedTokenNeverOutlivesTheIncomingOne(t *testing.T) {
	r := newRig(t, options{ttls: func(l *cache.TTLs) { l.Fresh = 2 * time.Hour }})
	signing(t, r, enrichtest.KeyFile(t))
	p := r.policy(minting(mint.TokenDefinition{TTL: cache.Duration(10 * time.Minute)}))
	good := r.token(enrichtest.Claims{"exp": r.Clock().Add(time.Hour).Unix()})
	for _, wait := range []time.Duration{0, 55 * time.Minute, 4 * time.Minute, 50 * time.Second} {
		r.clock.Advance(wait)
		_, claims := minted(t, r.allowed(p, good))
		if end, _ := claims["exp"].(float64); int64(end) > enrichtest.Epoch.Add(time.Hour).Unix() {
			t.Errorf("exp %v is after the incoming token's", claims["exp"])
		}
	}
	r.clock.Advance(25 * time.Second) // past exp, inside the leeway
	_, claims := minted(t, r.allowed(p, good))
	if end, _ := claims["exp"].(float64); int64(end) > enrichtest.Epoch.Add(time.Hour+30*time.Second).Unix() {
		t.Errorf("exp %v is after the leeway", claims["exp"])
	}
}

func TestPerRequestIsATokenForEachRequest(t *testing.T) {
	r := newRig(t, options{})
	signing(t, r, enrichtest.KeyFile(t))
	p := r.policy(minting(mint.TokenDefinition{Mint: mint.MintPerRequest}))
	good := r.token()
	ids := map[any]bool{}
	for range 3 {
		_, claims := minted(t, r.allowed(p, good))
		ids[claims["jti"]] = true
	}
	if len(ids) != 3 {
		t.Errorf("%d ids in three requests", len(ids))
	}
}

func TestATokenWithoutItsSubjectIsRefused(t *testing.T) {
	r := newRig(t, options{})
	signing(t, r, enrichtest.KeyFile(t))
	p := r.policy(minting(mint.TokenDefinition{Subject: "employee"}))
	for range 2 {
		a := r.refused(p, r.token(), KindInvalidToken)
		if !errors.Is(a.err, mint.ErrNoSubject) {
			t.Errorf("cause %v", errors.Unwrap(a.err))
		}
	}
	_, claims := minted(t, r.allowed(p, r.token(enrichtest.Claims{"employee": 4711})))
	if claims["sub"] != "4711" {
		t.Errorf("sub %v", claims["sub"])
	}
}

func TestAComputedClaimHidesTheTokensAlsoInTheSignedToken(t *testing.T) {
	r := newRig(t, options{})
	signing(t, r, enrichtest.KeyFile(t))
	def := minting(mint.TokenDefinition{Claims: []string{"*"}})
	def.Claims = []claim.Definition{{Name: "role", Expression: "user.role"}} // null
	_, claims := minted(t, r.allowed(r.policy(def), r.token(enrichtest.Claims{"role": "root", "tenant": "t1"})))
	if _, ok := claims["role"]; ok || claims["tenant"] != "t1" {
		t.Errorf("role %v, tenant %v", claims["role"], claims["tenant"])
	}
}

func TestWithoutASignerTheAnswerIsUnavailable(t *testing.T) {
	r := newRig(t, options{})
	a := r.refused(r.policy(minting(mint.TokenDefinition{})), r.token(), KindUnavailable)
	if !errors.Is(a.err, mint.ErrNotReady) {
		t.Errorf("cause %v", errors.Unwrap(a.err))
	}
	if got := a.header("Authorization"); got != "" {
		t.Error("the incoming token stays")
	}
}

// TestASignerWhoseKeysDoNotComeIsWaitedForAndThenUnavailable has its own
// storage, which is down.
func TestASignerWhoseKeysDoNotComeIsWaitedForAndThenUnavailable(t *testing.T) {
	inBubble(t, options{}, func(t *testing.T, r *rig) {
		s, err := mint.New(mint.Config{Issuer: "https://gateway.example.com"}, mint.Options{Storage: noStorage{}})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(t.Context())
		t.Cleanup(s.Stop)
		r.Signer = s
		synctest.Wait()
		started := time.Now()
		a := r.refused(r.policy(minting(mint.TokenDefinition{})), r.token(), KindUnavailable)
		if !errors.Is(a.err, mint.ErrNotReady) {
			t.Errorf("cause %v", errors.Unwrap(a.err))
		}
		if took := time.Since(started); took != 2*time.Second {
			t.Errorf("waited %s", took)
		}
	})
}

// noStorage is down.
type noStorage struct{}

func (noStorage) Load(context.Context, string) ([]byte, error) { return nil, fs.ErrPermission }
func (noStorage) Store(context.Context, string, []byte) error  { return fs.ErrPermission }
func (noStorage) Lock(context.Context, string) error           { return fs.ErrPermission }
func (noStorage) Unlock(context.Context, string) error         { return fs.ErrPermission }

func TestASignedTokenInACookieDisplacesTheClients(t *testing.T) {
	r := newRig(t, options{})
	signing(t, r, enrichtest.KeyFile(t))
	p := r.policy(minting(mint.TokenDefinition{Cookie: "app_token"}))
	req := bearer(r.token())
	req.Header.Set("Cookie", "a=b; app.token=forged; app_token=forged")
	a := r.send(p, req)
	if a.err != nil {
		t.Fatal(errors.Unwrap(a.err))
	}
	got := req.Header.Get("Cookie")
	if strings.Contains(got, "forged") || !strings.Contains(got, "a=b") || !strings.Contains(got, "app_token=ey") {
		t.Errorf("Cookie %.60q", got)
	}
	if req.Header.Get("Authorization") != "" {
		t.Error("the incoming token stays")
	}
}

func TestATokensLifeIsTheLongestOfThePolicy(t *testing.T) {
	def := minting(mint.TokenDefinition{TTL: cache.Duration(time.Minute)})
	def.Tokens = append(def.Tokens, mint.TokenDefinition{Header: "X-Token", Audience: []string{"wiki"}, TTL: cache.Duration(time.Hour)})
	if got := compiled(t, def).TokenLife(); got != time.Hour {
		t.Errorf("life %s", got)
	}
	if got := compiled(t, PolicyDefinition{}).TokenLife(); got != 0 {
		t.Errorf("life %s without a token", got)
	}
}
