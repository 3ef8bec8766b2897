package mint

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	jose "github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

func sprint(values ...any) string {
	var b strings.Builder
	for _, v := range values {
		fmt.Fprintf(&b, "%v %+v %#v %s\n", v, v, v, v)
	}
	return b.String()
}

func toBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

// ready is a signer whose keys are there, without a worker.
func ready(t testing.TB, c Config) *Signer {
	t.Helper()
	if c.Issuer == "" {
		c.Issuer = testIssuer
	}
	s, err := New(c, Options{Storage: newMemory(), Rand: bytes.NewReader(bytes.Repeat([]byte{7}, 1<<20))})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// claims reads a token's claims with go-jose, after verifying it by the
// published key set.
func claims(t *testing.T, s *Signer, m Minted) map[string]any {
	t.Helper()
	document, _, err := s.KeySet()
	if err != nil {
		t.Fatal(err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(document, &set); err != nil {
		t.Fatal(err)
	}
	parsed, err := jose.ParseSignedCompact(m.Token, []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.EdDSA, jose.RS256, jose.PS256})
	if err != nil {
		t.Fatal(err)
	}
	keys := set.Key(parsed.Signatures[0].Header.KeyID)
	if len(keys) != 1 || keys[0].Algorithm != parsed.Signatures[0].Header.Algorithm {
		t.Fatalf("no published key has the token's kid and alg")
	}
	payload, err := parsed.Verify(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	v, err := identity.DecodeJSON(payload)
	if err != nil {
		t.Fatal(err)
	}
	return v.(map[string]any)
}

func TestTokensVerifyWithOtherLibraries(t *testing.T) {
	for _, algorithm := range algorithms {
		t.Run(algorithm, func(t *testing.T) {
			var s *Signer
			mux := http.NewServeMux()
			server := httptest.NewServer(mux)
			defer server.Close()
			mux.HandleFunc(DiscoveryPath, func(w http.ResponseWriter, _ *http.Request) {
				document, err := s.Discovery()
				if err != nil {
					t.Error(err)
				}
				_, _ = w.Write(document)
			})
			mux.HandleFunc(KeySetPath, func(w http.ResponseWriter, _ *http.Request) {
				document, _, err := s.KeySet()
				if err != nil {
					t.Error(err)
				}
				_, _ = w.Write(document)
			})
			s = ready(t, Config{Issuer: server.URL, Algorithm: algorithm})
			provider, err := oidc.NewProvider(t.Context(), server.URL)
			if err != nil {
				t.Fatal(err)
			}
			for _, typ := range []string{TypeAccess, TypePlain} {
				m, err := s.Mint(t.Context(), template(t, TokenDefinition{Type: typ}), request(time.Now()))
				if err != nil {
					t.Fatal(err)
				}
				got, err := provider.Verifier(&oidc.Config{ClientID: "payroll"}).Verify(t.Context(), m.Token)
				if err != nil {
					t.Fatal(err)
				}
				if got.Subject != "00u1ada" || !got.Expiry.Equal(m.Expiry) || got.Issuer != server.URL {
					t.Errorf("go-oidc reads %+v", got)
				}
				claims(t, s, m)
				parsed, err := jose.ParseSignedCompact(m.Token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
				if err != nil {
					t.Fatal(err)
				}
				if h := parsed.Signatures[0].Header; h.ExtraHeaders["typ"] != typ || h.KeyID != m.KeyID || h.JSONWebKey != nil {
					t.Errorf("header is %+v", h)
				}
				if _, err := provider.Verifier(&oidc.Config{ClientID: "other"}).Verify(t.Context(), m.Token); err == nil {
					t.Error("verifies for another audience")
				}
			}
		})
	}
}

func TestWhatATokenSays(t *testing.T) {
	s := ready(t, Config{})
	now := time.Unix(1438363117, 979e6)
	base := map[string]any{
		"iss": testIssuer, "sub": "00u1ada", "aud": "payroll", "iat": int64(1438363117), "nbf": int64(1438363117),
		"exp": int64(1438363417), "jti": "BwcHBwcHBwcHBwcHBwcHBw", "client_id": "0oa1", "scope": "openid pay",
	}
	token := map[string]any{
		"iss": "https://idp.example.com", "sub": "00u1ada", "aud": "api", "exp": int64(9), "iat": int64(8), "nbf": int64(7), "jti": "incoming",
		"scope": "all", "client_id": "evil", "cnf": map[string]any{"jkt": "x"}, "nonce": "n", "at_hash": "h",
		"email": "ada@example.com", "role": "from token", "act": map[string]any{"sub": "bob"}, "big": json.Number("12345678901234567890"),
	}
	rules := map[string]any{
		"role": "computed", "groups": []any{"IT", "Všichni"}, "sub": "mallory", "aud": "everybody", "exp": int64(1 << 40), "jti": "1", "iss": "x",
		"cnf": map[string]any{}, "scope": "root", "client_id": "root", "number": 0.1, "none": nil, "nested": map[string]any{"b": true, "a": int64(1)},
	}
	computed := map[string]bool{"role": true, "email": true}
	for _, c := range []struct {
		name string
		d    TokenDefinition
		want map[string]any
	}{
		{"the computed claims by default", TokenDefinition{}, map[string]any{
			"role": "computed", "groups": []any{"IT", "Všichni"}, "number": 0.1, "none": nil, "nested": map[string]any{"b": true, "a": int64(1)},
		}},
		{"all: the token's overlaid by the computed, without one that a rule took away", TokenDefinition{Claims: []string{"*"}}, map[string]any{
			"role": "computed", "groups": []any{"IT", "Všichni"}, "number": 0.1, "none": nil, "nested": map[string]any{"b": true, "a": int64(1)},
			"act": map[string]any{"sub": "bob"}, "big": json.Number("12345678901234567890"),
		}},
		{"names, of either kind; an absent one is left out", TokenDefinition{Claims: []string{"role", "big", "absent", "email", "sub"}}, map[string]any{
			"role": "computed", "big": json.Number("12345678901234567890"),
		}},
		{"only what it has anyway", TokenDefinition{Claims: []string{"sub"}}, nil},
		{"several audiences", TokenDefinition{Claims: []string{"sub"}, Audience: []string{"a", "b"}}, map[string]any{"aud": []any{"a", "b"}}},
		{"another subject", TokenDefinition{Claims: []string{"sub"}, Subject: "role"}, map[string]any{"sub": "computed"}},
		{"a number as subject, to the digit", TokenDefinition{Claims: []string{"sub"}, Subject: "big"}, map[string]any{"sub": "12345678901234567890"}},
	} {
		q := request(now)
		q.Principal.Claims, q.Claims, q.Computed = token, rules, computed
		m, err := s.Mint(t.Context(), template(t, c.d), q)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		want := maps.Clone(base)
		maps.Copy(want, c.want)
		if got := claims(t, s, m); !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", c.name, got, want)
		}
	}
}

func TestTokenOfAClientHasNoEmptyMembers(t *testing.T) {
	s := ready(t, Config{})
	q := request(time.Now())
	q.Principal.Client, q.Principal.Scopes = "", nil
	m, err := s.Mint(t.Context(), template(t, TokenDefinition{}), q)
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Keys(claims(t, s, m)))
	if want := []string{"aud", "exp", "iat", "iss", "jti", "nbf", "sub"}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestATokenEndsWithItsTTLOrTheIncomingToken(t *testing.T) {
	s := ready(t, Config{})
	now := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		name     string
		incoming time.Duration // after now
		want     time.Duration // 0: refused
	}{
		{"the ttl where the incoming token lives longer", time.Hour, 5 * time.Minute},
		{"the incoming token's where that is earlier", time.Minute, time.Minute},
		{"cut to whole seconds, never later", 90*time.Second + 900*time.Millisecond, 90 * time.Second},
		{"inside the leeway its end", -10 * time.Second, 20 * time.Second},
		{"at the expiry", 0, 30 * time.Second},
		{"less than a second before it", 500 * time.Millisecond, 30 * time.Second},
		{"past the leeway", -30 * time.Second, 0},
		{"long past", -time.Hour, 0},
	} {
		q := request(now)
		q.Principal.Expiry = now.Add(c.incoming)
		m, err := s.Mint(t.Context(), template(t, TokenDefinition{}), q)
		switch {
		case c.want == 0 && !errors.Is(err, ErrExpired):
			t.Errorf("%s: got %v, %v", c.name, m, err)
		case c.want != 0 && (err != nil || m.Expiry.Sub(now) != c.want):
			t.Errorf("%s: got %v, %v", c.name, m.Expiry.Sub(now), err)
		}
	}
	q := request(now)
	q.Principal.Expiry = time.Time{}
	if m, err := s.Mint(t.Context(), template(t, TokenDefinition{}), q); err != nil || m.Expiry.Sub(now) != defaultTTL {
		t.Errorf("without an expiry: %v, %v", m.Expiry, err)
	}
}

func TestSubjectThatIsMissingOrNoText(t *testing.T) {
	s := ready(t, Config{})
	tmpl := template(t, TokenDefinition{Subject: "uid"})
	for name, value := range map[string]any{
		"null": nil, "empty": "", "a list": []any{"a"}, "an object": map[string]any{}, "a truth value": true, "a fraction": 1.5,
	} {
		q := request(time.Now())
		q.Principal.Claims["uid"] = value
		if _, err := s.Mint(t.Context(), tmpl, q); !errors.Is(err, ErrNoSubject) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	q := request(time.Now())
	if _, err := s.Mint(t.Context(), tmpl, q); !errors.Is(err, ErrNoSubject) {
		t.Errorf("missing: got %v", err)
	}
	q.Principal.Claims["uid"] = "ada"
	q.Computed = map[string]bool{"uid": true} // a rule of that name gave nothing
	if _, err := s.Mint(t.Context(), tmpl, q); !errors.Is(err, ErrNoSubject) {
		t.Errorf("taken away: got %v", err)
	}
	q = request(time.Now())
	q.Principal.Subject = ""
	if _, err := s.Mint(t.Context(), template(t, TokenDefinition{}), q); !errors.Is(err, ErrNoSubject) {
		t.Errorf("a principal without subject: got %v", err)
	}
}

func TestTooLargeTokenIsRefused(t *testing.T) {
	s := ready(t, Config{})
	for _, size := range []int{maxToken, maxToken * 3 / 4} {
		q := request(time.Now())
		q.Claims = map[string]any{"big": strings.Repeat("x", size)}
		if _, err := s.Mint(t.Context(), template(t, TokenDefinition{}), q); !errors.Is(err, errTooLarge) {
			t.Errorf("%d bytes: got %v", size, err)
		}
	}
}

func TestEachTokenHasItsOwnID(t *testing.T) {
	s, err := New(Config{Issuer: testIssuer}, Options{Storage: newMemory()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for range 100 {
		m, err := s.Mint(t.Context(), template(t, TokenDefinition{}), request(time.Now()))
		if err != nil {
			t.Fatal(err)
		}
		if seen[m.ID] || claims(t, s, m)["jti"] != m.ID || len(m.ID) != 22 {
			t.Fatalf("id %q", m.ID)
		}
		seen[m.ID] = true
	}
	s.rand = bytes.NewReader([]byte{1})
	if _, err := s.Mint(t.Context(), template(t, TokenDefinition{}), request(time.Now())); err == nil {
		t.Error("a token without randomness")
	}
}

func TestEqualClaimsGiveEqualBytes(t *testing.T) {
	s := ready(t, Config{Algorithm: "EdDSA"}) // whose signatures have no randomness
	q := request(time.Unix(1_700_000_000, 0))
	q.Claims = map[string]any{}
	for i := range 50 {
		q.Claims[fmt.Sprint("claim", i)] = map[string]any{"a": int64(i), "b": "x", "c": nil}
	}
	var first string
	for range 20 {
		m, err := s.Mint(t.Context(), template(t, TokenDefinition{Claims: []string{"*"}}), q)
		if err != nil {
			t.Fatal(err)
		}
		if first == "" {
			first = m.Token
		}
		if m.Token != first {
			t.Fatal("two tokens of the same claims differ")
		}
	}
}

func TestCachedTokenServesHalfItsLife(t *testing.T) {
	m := Minted{IssuedAt: time.Unix(100, 0), Expiry: time.Unix(400, 0)}
	for second, want := range map[int64]bool{99: false, 100: true, 249: true, 250: false, 400: false} {
		if got := m.Reusable(time.Unix(second, 0)); got != want {
			t.Errorf("at %d: %v", second, got)
		}
	}
}

func BenchmarkMint(b *testing.B) {
	for _, algorithm := range algorithms {
		b.Run(algorithm, func(b *testing.B) {
			s, err := New(Config{Issuer: testIssuer, Algorithm: algorithm}, Options{Storage: newMemory()})
			if err != nil {
				b.Fatal(err)
			}
			if err := s.refresh(b.Context()); err != nil {
				b.Fatal(err)
			}
			tmpl, err := Compile(TokenDefinition{Audience: []string{"payroll"}})
			if err != nil {
				b.Fatal(err)
			}
			q := request(time.Now())
			q.Claims = map[string]any{"groups": []any{"IT", "Everyone", "Payroll"}, "role": "admin", "department": "Engineering"}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Mint(b.Context(), tmpl, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
