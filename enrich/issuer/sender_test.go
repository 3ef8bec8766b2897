package issuer

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// thumbprint gives the jkt of a key.
func thumbprint(key any) string {
	k := gojose.JSONWebKey{Key: key}
	k = k.Public()
	return base64.RawURLEncoding.EncodeToString(must(k.Thumbprint(crypto.SHA256)))
}

func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// dpopCaller is the caller of a good DPoP request.
func dpopCaller(token string, proofs ...string) *Caller {
	return &Caller{
		Token: token, AuthScheme: "DPoP", Method: http.MethodGet,
		URLScheme: "https", Host: "app.example.com", Path: "/pay/roll", Proofs: proofs,
	}
}

// proofClaims are those of a good proof for dpopCaller.
func proofClaims(token string, change ...any) map[string]any {
	claims := map[string]any{
		"jti": "p-" + rand.Text(), "htm": "GET", "htu": "https://app.example.com/pay/roll",
		"iat": testNow.Unix(), "ath": hashOf(token),
	}
	for n := 0; n < len(change); n += 2 {
		claims[change[n].(string)] = change[n+1]
		if change[n+1] == nil {
			delete(claims, change[n].(string))
		}
	}
	return claims
}

// proof signs a proof with ES256 and its public key in the header.
func proof(t testing.TB, claims any, header ...any) string {
	t.Helper()
	key := ecKeys()["ES256"]
	members := map[string]any{"typ": "dpop+jwt", "jwk": jwk(key, "", "", "use", nil)}
	for n := 0; n < len(header); n += 2 {
		members[header[n].(string)] = header[n+1]
		if header[n+1] == nil {
			delete(members, header[n].(string))
		}
	}
	return sign(t, "ES256", "", key, members, claims)
}

func withDPoP(mode string) func(*Config, *Options) {
	return func(c *Config, _ *Options) { c.DPoP = mode }
}

// boundToken is a token bound to the proof's key.
func (s *stage) boundToken() string {
	return s.token(goodClaims("cnf", map[string]any{"jkt": thumbprint(ecKeys()["ES256"])}))
}

func TestDPoPAcceptsAGoodProof(t *testing.T) {
	for _, mode := range []string{"accept", "require"} {
		s := newStage(t, withDPoP(mode))
		raw := s.boundToken()
		v, err := s.Verify(t.Context(), raw, nil, dpopCaller(raw, proof(t, proofClaims(raw))))
		if err != nil {
			t.Fatalf("%s: %v", mode, err)
		}
		// The same by a kept verdict.
		if err := v.Issuer.CheckSender(t.Context(), v.Principal, dpopCaller(raw, proof(t, proofClaims(raw)))); err != nil {
			t.Errorf("%s, kept: %v", mode, err)
		}
		if err := v.Issuer.CheckSender(t.Context(), v.Principal, dpopCaller(raw)); !errors.Is(err, errSender) {
			t.Errorf("%s, kept, without a proof: %v", mode, err)
		}
	}
}

func TestDPoPAcceptsEveryPublicAlgorithm(t *testing.T) {
	s := newStage(t, withDPoP("accept"))
	for _, alg := range publicAlgorithms {
		key := signerKey(alg)
		raw := s.token(goodClaims("cnf", map[string]any{"jkt": thumbprint(key)}))
		p := sign(t, alg, "", key, map[string]any{"typ": "dpop+jwt", "jwk": jwk(key, "", "", "use", nil)}, proofClaims(raw))
		if _, err := s.Verify(t.Context(), raw, nil, dpopCaller(raw, p)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// TestProofsThatFailACheckAreRefused walks the checks of RFC 9449, section 4.3, by their numbers.
func TestProofsThatFailACheckAreRefused(t *testing.T) {
	s := newStage(t, withDPoP("accept"))
	raw := s.boundToken()
	good := func(change ...any) string { return proof(t, proofClaims(raw, change...)) }
	headed := func(change ...any) string { return proof(t, proofClaims(raw), change...) }
	key := ecKeys()["ES256"]
	private := map[string]any{}
	if err := json.Unmarshal(must(gojose.JSONWebKey{Key: key}.MarshalJSON()), &private); err != nil {
		t.Fatal(err)
	}
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	secret := []byte(strings.Repeat("s", 32))
	hmacProof := sign(t, "HS256", "", secret, map[string]any{"typ": "dpop+jwt", "jwk": jwk(secret, "", "", "use", nil)}, proofClaims(raw))
	otherKey := sign(t, "EdDSA", "", edKey(), map[string]any{"typ": "dpop+jwt", "jwk": jwk(edKey(), "", "", "use", nil)}, proofClaims(raw))
	swapped := sign(t, "EdDSA", "", edKey(), map[string]any{"typ": "dpop+jwt", "jwk": jwk(key, "", "", "use", nil)}, proofClaims(raw))
	valid := good()
	parts := strings.Split(valid, ".")
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"typ":"dpop+jwt","alg":"none","jwk":{}}`)) + "." + parts[1] + ".AA"
	caller := func(f func(*Caller)) func(*Caller) { return f }

	for _, c := range []struct {
		name   string
		proofs []string
		caller func(*Caller)
		want   error
	}{
		{"1: no proof", nil, nil, errSender},
		{"1: two proofs", []string{good(), good()}, nil, errProof},
		{"1: the same proof twice", []string{valid, valid}, nil, errProof},
		{"1: two proofs in one value", []string{good() + ", " + good()}, nil, errProof},
		{"2: empty", []string{""}, nil, errProof},
		{"2: no JWT", []string{"proof"}, nil, errProof},
		{"2: too long", []string{proof(t, proofClaims(raw, "x", strings.Repeat("x", maxProof)))}, nil, errProof},
		{"2: padding", []string{valid + "="}, nil, errProof},
		{"2: crit", []string{headed("crit", []string{"b64"}, "b64", true)}, nil, errProof},
		{"2: claims with a name twice", []string{proof(t, `{"jti":"a","jti":"b"}`)}, nil, errProof},
		{"3: no jti", []string{good("jti", nil)}, nil, errProof},
		{"3: jti a number", []string{good("jti", 1)}, nil, errProof},
		{"3: jti too long", []string{good("jti", strings.Repeat("j", maxProofID+1))}, nil, errProof},
		{"3: no htm", []string{good("htm", nil)}, nil, errProof},
		{"3: no htu", []string{good("htu", nil)}, nil, errProof},
		{"3: no iat", []string{good("iat", nil)}, nil, errProof},
		{"3: iat a string", []string{good("iat", "now")}, nil, errProof},
		{"3: no ath", []string{good("ath", nil)}, nil, errProof},
		{"4: no typ", []string{headed("typ", nil)}, nil, errProof},
		{"4: typ JWT", []string{headed("typ", "JWT")}, nil, errProof},
		{"4: typ at+jwt", []string{headed("typ", "at+jwt")}, nil, errProof},
		{"5: alg none", []string{none}, nil, errProof},
		{"5: an HMAC", []string{hmacProof}, nil, errProof},
		{"5: an algorithm that the key is not for", []string{swapped}, nil, errProof},
		{"6: the signature of another proof", []string{parts[0] + "." + strings.Split(good(), ".")[1] + "." + parts[2]}, nil, errProof},
		{"7: no key", []string{headed("jwk", nil)}, nil, errProof},
		{"7: the key a string", []string{headed("jwk", "x")}, nil, errProof},
		{"7: a private key", []string{headed("jwk", private)}, nil, errProof},
		{"7: a weak key", []string{headed("jwk", jwk(weak, "", "", "use", nil))}, nil, errProof},
		{"8: another method", []string{good("htm", "POST")}, nil, errProof},
		{"8: the method in lower case", []string{good("htm", "get")}, nil, errProof},
		{"8: another method of the request", []string{good()}, caller(func(c *Caller) { c.Method = "DELETE" }), errProof},
		{"9: another host", []string{good("htu", "https://other.example.com/pay/roll")}, nil, errProof},
		{"9: another path", []string{good("htu", "https://app.example.com/pay")}, nil, errProof},
		{"9: another scheme", []string{good("htu", "http://app.example.com/pay/roll")}, nil, errProof},
		{"9: another port", []string{good("htu", "https://app.example.com:8443/pay/roll")}, nil, errProof},
		{"9: a path alone", []string{good("htu", "/pay/roll")}, nil, errProof},
		{"9: credentials", []string{good("htu", "https://app.example.com@evil.example/pay/roll")}, nil, errProof},
		{"9: no URI", []string{good("htu", "::")}, nil, errProof},
		{"11: an hour ago", []string{good("iat", testNow.Add(-time.Hour).Unix())}, nil, errProof},
		{"11: just too old", []string{good("iat", testNow.Unix()-90)}, nil, errProof},
		{"11: just too far ahead", []string{good("iat", testNow.Unix()+31)}, nil, errProof},
		{"12: the hash of another token", []string{good("ath", hashOf("other"))}, nil, errProof},
		{"12: the token instead of its hash", []string{good("ath", raw)}, nil, errProof},
		{"12: another token", []string{good()}, caller(func(c *Caller) { c.Token = raw + "x" }), errProof},
		{"12: another key", []string{otherKey}, nil, errProof},
		{"scheme Bearer", []string{good()}, caller(func(c *Caller) { c.AuthScheme = "Bearer" }), errSender},
		{"no scheme", []string{good()}, caller(func(c *Caller) { c.AuthScheme = "" }), errSender},

		{"scheme in lower case", []string{good()}, caller(func(c *Caller) { c.AuthScheme = "dpop" }), nil},
		{"9: query and fragment are ignored", []string{good("htu", "https://app.example.com/pay/roll?a=1#b")}, nil, nil},
		{"9: the host in capitals", []string{good("htu", "HTTPS://APP.example.com/pay/roll")}, nil, nil},
		{"9: the default port", []string{good("htu", "https://app.example.com:443/pay/roll")}, nil, nil},
		{"9: escapes that need not be", []string{good("htu", "https://app.example.com/p%61y/./x/../roll")}, nil, nil},
		{"11: at the edge of old", []string{good("iat", testNow.Unix()-89)}, nil, nil},
		{"11: at the edge of ahead", []string{good("iat", testNow.Unix()+30)}, nil, nil},
		{"11: a fraction", []string{good("iat", float64(testNow.Unix())+0.5)}, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			from := dpopCaller(raw, c.proofs...)
			if c.caller != nil {
				c.caller(from)
			}
			_, err := s.Verify(t.Context(), raw, nil, from)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil && (!errors.Is(err, ErrInvalidToken) || errors.Is(err, ErrUnavailable)) {
				t.Errorf("%v is not a refusal", err)
			}
		})
	}
}

func TestBoundTokensAreNeverBearerTokens(t *testing.T) {
	raw := newStage(t).boundToken()
	plain := newStage(t).token(goodClaims())
	for _, c := range []struct {
		name, mode, raw string
		caller          *Caller
		want            error
	}{
		{"off, bound, with a proof", "off", raw, dpopCaller(raw, proof(t, proofClaims(raw))), errSender},
		{"off, bound, as a bearer token", "off", raw, &Caller{Token: raw, AuthScheme: "Bearer"}, errSender},
		{"off, bound, nobody known", "off", raw, nil, errSender},
		{"off, not bound", "off", plain, &Caller{Token: plain, AuthScheme: "Bearer"}, nil},
		{"accept, bound, as a bearer token", "accept", raw, &Caller{Token: raw, AuthScheme: "Bearer"}, errSender},
		{"accept, bound, nobody known", "accept", raw, nil, errSender},
		{"accept, not bound", "accept", plain, &Caller{Token: plain, AuthScheme: "Bearer"}, nil},
		{"accept, not bound, nobody known", "accept", plain, nil, nil},
		{"accept, not bound, with the scheme DPoP", "accept", plain, dpopCaller(plain, proof(t, proofClaims(plain))), errSender},
		{"require, not bound", "require", plain, &Caller{Token: plain, AuthScheme: "Bearer"}, errSender},
		{"require, not bound, with a proof", "require", plain, dpopCaller(plain, proof(t, proofClaims(plain))), errSender},
		{"require, nobody known", "require", plain, nil, errSender},
	} {
		s := newStage(t, withDPoP(c.mode))
		if _, err := s.Verify(t.Context(), c.raw, nil, c.caller); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestExternalURLIsTheTargetOfProofs(t *testing.T) {
	for _, c := range []struct{ external, htu string }{
		{"https://public.example.com", "https://public.example.com/pay/roll"},
		{"https://public.example.com/", "https://public.example.com/pay/roll"},
		{"https://public.example.com:8443/base/", "https://public.example.com:8443/base/pay/roll"},
	} {
		s := newStage(t, withDPoP("accept"), func(cfg *Config, _ *Options) { cfg.ExternalURL = c.external })
		raw := s.boundToken()
		if _, err := s.Verify(t.Context(), raw, nil, dpopCaller(raw, proof(t, proofClaims(raw, "htu", c.htu)))); err != nil {
			t.Errorf("%s: %v", c.external, err)
		}
		if _, err := s.Verify(t.Context(), raw, nil, dpopCaller(raw, proof(t, proofClaims(raw)))); !errors.Is(err, errProof) {
			t.Errorf("%s, the Host that was seen: %v", c.external, err)
		}
	}
}

func TestOnlyAFreshNonceOfTheGatewayIsTaken(t *testing.T) {
	s := newStage(t, withDPoP("accept"), func(c *Config, _ *Options) { c.DPoPNonce = true })
	raw := s.boundToken()
	use := func(s *stage, change ...any) error {
		change = append([]any{"iat", s.clock.Now().Unix()}, change...)
		_, err := s.Verify(t.Context(), raw, nil, dpopCaller(raw, proof(t, proofClaims(raw, change...))))
		return err
	}
	err := use(s)
	var n *NonceError
	if !errors.As(err, &n) || !errors.Is(err, errNonce) || !errors.Is(err, ErrInvalidToken) || OAuthError(err) != "use_dpop_nonce" {
		t.Fatalf("without a nonce: %v", err)
	}
	if err := use(s, "nonce", n.Nonce); err != nil {
		t.Errorf("with the nonce: %v", err)
	}
	for name, nonce := range map[string]any{
		"made up": "AAAA", "empty": "", "a number": 1, "changed": "B" + n.Nonce[1:], "cut": n.Nonce[:10],
		"of another gateway": newStage(t, withDPoP("accept"), func(c *Config, _ *Options) { c.DPoPNonce = true }).issuer.sender.dpop.own.issue(testNow),
	} {
		if err := use(s, "nonce", nonce); !errors.Is(err, errNonce) {
			t.Errorf("%s: %v", name, err)
		}
	}
	s.clock.Advance(nonceTTL - time.Second)
	if err := use(s, "nonce", n.Nonce); err != nil {
		t.Errorf("at the end of its life: %v", err)
	}
	s.clock.Advance(time.Second)
	if err := use(s, "nonce", n.Nonce); !errors.Is(err, errNonce) {
		t.Errorf("past its life: %v", err)
	}
	if err := use(s, "nonce", s.issuer.sender.dpop.own.issue(s.clock.Now())); err != nil {
		t.Errorf("a fresh one: %v", err)
	}
}

func TestNodesWithOneKeyTakeEachOthersNonces(t *testing.T) {
	nonces := func(c *Config, _ *Options) { c.DPoPNonce = true }
	a, b := newStage(t, withDPoP("accept"), nonces), newStage(t, withDPoP("accept"), nonces)
	raw := a.boundToken()
	use := func(s *stage, key byte, nonce string) error {
		caller := dpopCaller(raw, proof(t, proofClaims(raw, "nonce", nonce)))
		caller.Memory = &ProofMemory{Used: NewLocalReplayMemory(s.clock.Now, 10), NonceKey: [32]byte{key}}
		_, err := s.Verify(t.Context(), raw, nil, caller)
		return err
	}
	offered, ok := errors.AsType[*NonceError](use(a, 1, ""))
	if !ok {
		t.Fatal("no nonce is offered")
	}
	if err := use(b, 1, offered.Nonce); err != nil {
		t.Errorf("a node with the same key: %v", err)
	}
	if err := use(a, 2, offered.Nonce); !errors.Is(err, errNonce) {
		t.Errorf("a node with another key: %v", err)
	}
}

func TestCheckSenderOfABearerTokenDoesNotAllocate(t *testing.T) {
	s := newStage(t)
	p, c := new(identity.Principal), &Caller{AuthScheme: "Bearer"}
	if n := testing.AllocsPerRun(100, func() {
		if err := s.issuer.CheckSender(context.Background(), p, c); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestChallengesNameTheSchemesOfTheAcceptedIssuers(t *testing.T) {
	const algs = "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA"
	open := func(name, dpop string) *Issuer {
		return must(New(Config{Name: name, Issuer: "https://" + name + ".example", AnyAudience: true, DPoP: dpop}, Options{}))
	}
	s := must(NewSet(open("off", "off"), open("accept", "accept"), open("require", "require")))
	bearer, dpop := Challenge{Scheme: "Bearer"}, Challenge{Scheme: "DPoP", Algorithms: algs}
	for _, c := range []struct {
		allowed []string
		want    []Challenge
	}{
		{nil, []Challenge{bearer, dpop}},
		{[]string{"off"}, []Challenge{bearer}},
		{[]string{"accept"}, []Challenge{bearer, dpop}},
		{[]string{"require"}, []Challenge{dpop}},
		{[]string{"require", "off"}, []Challenge{bearer, dpop}},
		{[]string{}, nil},
	} {
		if got := s.Challenges(c.allowed); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %v, want %v", c.allowed, got, c.want)
		}
	}
}

func TestURIsThatMeanTheSameAreNormalizedAlike(t *testing.T) {
	for in, want := range map[string]string{
		"https://a.example":             "https://a.example/",
		"https://a.example/":            "https://a.example/",
		"HTTPS://A.Example:443/x":       "https://a.example/x",
		"http://a.example:80/x":         "http://a.example/x",
		"http://a.example:443/x":        "http://a.example:443/x",
		"https://a.example:/x":          "https://a.example/x",
		"https://[::1]:443/x":           "https://[::1]/x",
		"https://a.example/%7Ex/%2f%2F": "https://a.example/~x/%2F%2F",
		"https://a.example/a/./b/../c":  "https://a.example/a/c",
		"https://a.example/../x":        "https://a.example/x",
		"https://a.example/%2e%2e/x":    "https://a.example/x",
		"https://a.example/a/..":        "https://a.example/",
		"https://a.example/a/.":         "https://a.example/a/",
		"https://a.example//a//b":       "https://a.example//a//b",
		"https://a.example/a?b=c":       "https://a.example/a",
		"https://a.example/a#b":         "https://a.example/a",
		"https://a.example?b":           "https://a.example/",
		"https://a.example/A":           "https://a.example/A",
		"https://a.example/\u00e9":      "https://a.example/%C3%A9",
		"ftp://a.example/":              "",
		"https:///x":                    "",
		"https:a.example":               "",
		"https://u@a.example/":          "",
		"https://a.example/%zz":         "",
		"a.example/x":                   "",
		"":                              "",
	} {
		got, ok := normalURI(in)
		if got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
		if again, _ := normalURI(got); ok && again != got {
			t.Errorf("%q: normalized twice is %q", in, again)
		}
	}
}

// FuzzNormalURI holds that a normal form is one: normalizing it again
// changes nothing.
func FuzzNormalURI(f *testing.F) {
	f.Add("https://a.example/%2e/..//%7e?x#y")
	f.Add("http://[::1]:80/a/b/../..")
	f.Add("http://:")
	f.Add("http://:80/")
	f.Fuzz(func(t *testing.T, in string) {
		once, ok := normalURI(in)
		if !ok {
			return
		}
		if twice, ok := normalURI(once); !ok || twice != once {
			t.Fatalf("%q, then %q", once, twice)
		}
	})
}
