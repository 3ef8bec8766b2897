package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// bound runs a gateway whose issuer takes DPoP tokens; options are the
// issuer's.
func bound(t *testing.T, options string, more ...string) *world {
	t.Helper()
	w := prepare(t)
	w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), append([]string{w.issuerBlock(options), script(t, knows("somebody"))}, more...)...)
	return w
}

// boundTo mints a token for ada that is bound to a key.
func (w *world) boundTo(key *enrichtest.DPoPKey) string {
	w.t.Helper()
	return w.token("ada", enrichtest.Claims{"cnf": key.Confirmation()})
}

// proven sends a GET with a DPoP token and a proof.
func (w *world) proven(path, token, proof string, headers ...string) answer {
	w.t.Helper()
	return w.get(path, "", append([]string{"Authorization", "DPoP " + token, "DPoP", proof}, headers...)...)
}

// here is the address of a path as the client sees it.
func (w *world) here(path string) string { return "http://" + w.addr + path }

// challenge gives the parameters of the challenge of one scheme.
func challenge(t *testing.T, got answer, scheme string) string {
	t.Helper()
	for _, line := range got.Header.Values("WWW-Authenticate") {
		if parameters, ok := strings.CutPrefix(line, scheme+" "); ok {
			return parameters
		}
	}
	t.Fatalf("there is no challenge for %s: %q", scheme, got.Header.Values("WWW-Authenticate"))
	return ""
}

// wantProofRefused checks that the client is told what to mend, and no more.
func (w *world) wantProofRefused(t *testing.T, got answer, code string) {
	t.Helper()
	if got.StatusCode != 401 || got.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("status %d, Cache-Control %q", got.StatusCode, got.Header.Get("Cache-Control"))
	}
	parameters := challenge(t, got, "DPoP")
	if !strings.Contains(parameters, `error="`+code+`"`) || !strings.Contains(parameters, `algs="`) || !strings.Contains(parameters, "ES256") || strings.Contains(parameters, "HS256") {
		t.Errorf("the challenge is %s, want %s", parameters, code)
	}
	w.nothingReceived()
}

func TestDPoPTokenWithItsProofIsLetIn(t *testing.T) {
	for _, mode := range []string{"accept", "require"} {
		for _, algorithm := range []string{"ES256", "ES384", "RS256", "PS256", "EdDSA"} {
			t.Run(mode+" "+algorithm, func(t *testing.T) {
				w := bound(t, "dpop "+mode)
				key := enrichtest.NewDPoPKey(t, algorithm, nil)
				token := w.boundTo(key)
				for _, path := range []string{"/", "/a/b?x=1&y=2", "/a%20b/%C3%A9"} {
					at, _, _ := strings.Cut(path, "?")
					wantStatus(t, w.proven(path, token, key.Proof("GET", w.here(at), token, nil)), 200)
					seen := w.received()
					wantHeader(t, seen, "X-User", "somebody")
					if len(seen.Values("Authorization")) != 0 || strings.Contains(string(seen.Raw), token) {
						t.Errorf("the application received the token: %q", seen.Raw)
					}
				}
				r, err := http.NewRequestWithContext(t.Context(), "POST", w.here("/form"), strings.NewReader("x=1"))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "dpop "+token) // schemes have no case
				r.Header.Set("DPoP", key.Proof("POST", w.here("/form"), token, nil))
				wantStatus(t, w.send(r), 200)
				if strings.Contains(w.logged(), token) {
					t.Error("the log holds the token")
				}
			})
		}
	}
}

// The checks of RFC 9449, section 4.3, one by one, each by a proof that is
// good in all else; and each also against a decision that is cached.
func TestProofsThatAreRefused(t *testing.T) {
	w := bound(t, "dpop require")
	key, other := enrichtest.NewDPoPKey(t, "ES256", nil), enrichtest.NewDPoPKey(t, "ES256", nil)
	token := w.boundTo(key)
	second := w.boundTo(key)
	now := time.Now()
	url := w.here("/x")
	private := key.JWK()
	private["d"] = "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"
	with := func(claims enrichtest.Claims, options ...enrichtest.MintOption) string {
		return key.Proof("GET", url, token, claims, options...)
	}
	wantStatus(t, w.proven("/x", token, with(nil)), 200)
	w.legacy.Forget()
	for name, proof := range map[string]string{
		"not a JWT":                          "proof",
		"empty":                              "",
		"a broken signature":                 enrichtest.FlipSignature(with(nil)),
		"signed with another key":            with(nil, enrichtest.WithSignature(func(in []byte) []byte { s, _ := other.Sign("ES256", in); return s })),
		"another key":                        other.Proof("GET", url, token, nil),
		"typ JWT":                            with(nil, enrichtest.WithType("JWT")),
		"typ at+jwt":                         with(nil, enrichtest.WithType("at+jwt")),
		"no typ":                             with(nil, enrichtest.WithType("")),
		"alg none":                           with(nil, enrichtest.Unsigned("none")),
		"an HMAC":                            with(nil, enrichtest.WithSecret("HS256", []byte("secretsecretsecretsecretsecretse"))),
		"no jwk":                             with(nil, enrichtest.WithHeader("jwk", nil)),
		"a private jwk":                      with(nil, enrichtest.WithHeader("jwk", private)),
		"a symmetric jwk":                    with(nil, enrichtest.WithHeader("jwk", map[string]any{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"})),
		"a critical extension":               with(nil, enrichtest.WithHeader("crit", []string{"x"})),
		"no htm":                             with(enrichtest.Claims{"htm": nil}),
		"another method":                     with(enrichtest.Claims{"htm": "POST"}),
		"the method in lower case":           with(enrichtest.Claims{"htm": "get"}),
		"no htu":                             with(enrichtest.Claims{"htu": nil}),
		"another path":                       with(enrichtest.Claims{"htu": w.here("/y")}),
		"a longer path":                      with(enrichtest.Claims{"htu": w.here("/x/")}),
		"the path in capitals":               with(enrichtest.Claims{"htu": w.here("/X")}),
		"another host":                       with(enrichtest.Claims{"htu": "http://other.example/x"}),
		"another port":                       with(enrichtest.Claims{"htu": "http://127.0.0.1:1/x"}),
		"https":                              with(enrichtest.Claims{"htu": "https://" + w.addr + "/x"}),
		"no host":                            with(enrichtest.Claims{"htu": "/x"}),
		"a user in the URL":                  with(enrichtest.Claims{"htu": "http://user@" + w.addr + "/x"}),
		"no iat":                             with(enrichtest.Claims{"iat": nil}),
		"an iat that is a text":              with(enrichtest.Claims{"iat": "now"}),
		"old":                                with(enrichtest.Claims{"iat": now.Add(-10 * time.Minute).Unix()}),
		"from the future":                    with(enrichtest.Claims{"iat": now.Add(10 * time.Minute).Unix()}),
		"no jti":                             with(enrichtest.Claims{"jti": nil}),
		"a jti that is a number":             with(enrichtest.Claims{"jti": 7}),
		"a very long jti":                    with(enrichtest.Claims{"jti": strings.Repeat("j", 1000)}),
		"no ath":                             with(enrichtest.Claims{"ath": nil}),
		"the hash of another token":          key.Proof("GET", url, second, nil),
		"one that is itself an access token": token,
	} {
		t.Run(name, func(t *testing.T) {
			code := "invalid_dpop_proof"
			for _, token := range []string{token, second} {
				if token == second && name == "the hash of another token" {
					continue
				}
				got := w.proven("/x", token, proof)
				w.wantProofRefused(t, got, code)
			}
		})
	}
	t.Run("two proofs", func(t *testing.T) {
		w.wantProofRefused(t, w.proven("/x", token, with(nil), "DPoP", with(nil)), "invalid_dpop_proof")
	})
	t.Run("two proofs in one line", func(t *testing.T) {
		w.wantProofRefused(t, w.proven("/x", token, with(nil)+", "+with(nil)), "invalid_dpop_proof")
	})
	t.Run("the proof of a GET with a POST", func(t *testing.T) {
		w.wantProofRefused(t, w.do("POST", "/x", "", "Authorization", "DPoP "+token, "DPoP", with(nil)), "invalid_dpop_proof")
	})
	wantStatus(t, w.proven("/x", token, with(nil)), 200)
}

func TestBoundTokenIsNeverABearerToken(t *testing.T) {
	for _, mode := range []string{"off", "accept", "require"} {
		t.Run(mode, func(t *testing.T) {
			w := bound(t, "dpop "+mode)
			key := enrichtest.NewDPoPKey(t, "ES256", nil)
			token := w.boundTo(key)
			proof := func() string { return key.Proof("GET", w.here("/"), token, nil) }
			if mode != "off" {
				wantStatus(t, w.proven("/", token, proof()), 200) // and is in the decision cache
				w.legacy.Forget()
			}
			for name, got := range map[string]answer{
				"as Bearer":              w.get("/", token),
				"as Bearer with a proof": w.get("/", token, "DPoP", proof()),
				"without a proof":        w.get("/", "", "Authorization", "DPoP "+token),
			} {
				if got.StatusCode != 401 {
					t.Errorf("%s: status %d", name, got.StatusCode)
				}
				if mode == "off" {
					continue
				}
				// With require and the scheme Bearer this is a token at the wrong
				// place, or one that is not good there; either way a stranger.
				if parameters := challenge(t, got, "DPoP"); strings.Contains(parameters, "invalid_dpop_proof") {
					t.Errorf("%s: the challenge is %s", name, parameters)
				}
			}
			w.nothingReceived()
		})
	}
}

func TestUnboundTokenBesideDPoP(t *testing.T) {
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	t.Run("accept takes it as Bearer", func(t *testing.T) {
		w := bound(t, "dpop accept")
		wantStatus(t, w.get("/", w.token("ada")), 200)
	})
	t.Run("accept does not take it as DPoP", func(t *testing.T) {
		w := bound(t, "dpop accept")
		token := w.token("ada")
		got := w.proven("/", token, key.Proof("GET", w.here("/"), token, nil))
		w.wantProofRefused(t, got, "invalid_token")
		challenge(t, got, "Bearer")
	})
	t.Run("require takes it in no way", func(t *testing.T) {
		w := bound(t, "dpop require")
		token := w.token("ada")
		if got := w.get("/", token); got.StatusCode != 401 || strings.Contains(strings.Join(got.Header.Values("WWW-Authenticate"), " "), "Bearer") {
			t.Errorf("status %d, %q", got.StatusCode, got.Header.Values("WWW-Authenticate"))
		}
		w.wantProofRefused(t, w.proven("/", token, key.Proof("GET", w.here("/"), token, nil)), "invalid_token")
	})
	t.Run("bound in two ways needs both", func(t *testing.T) {
		w := bound(t, "dpop accept")
		token := w.token("ada", enrichtest.Claims{"cnf": map[string]any{"jkt": key.Thumbprint(), "x5t#S256": "AAAA"}})
		if got := w.proven("/", token, key.Proof("GET", w.here("/"), token, nil)); got.StatusCode != 401 {
			t.Errorf("status %d", got.StatusCode)
		}
		w.nothingReceived()
	})
}

func TestChallengesNameTheSchemesThatAreTaken(t *testing.T) {
	for mode, want := range map[string][]string{"accept": {"Bearer", "DPoP"}, "require": {"DPoP"}} {
		w := bound(t, "dpop "+mode)
		got := w.get("/", "")
		wantStatus(t, got, 401)
		lines := got.Header.Values("WWW-Authenticate")
		if len(lines) != len(want) {
			t.Fatalf("%s: the challenges are %q", mode, lines)
		}
		for i, scheme := range want {
			if word, _, _ := strings.Cut(lines[i], " "); word != scheme || strings.Contains(lines[i], "error") {
				t.Errorf("%s: challenge %d is %q, want one for %s without an error", mode, i+1, lines[i], scheme)
			}
		}
		if parameters := challenge(t, got, "DPoP"); !strings.HasPrefix(parameters, `algs="`) {
			t.Errorf("%s: the challenge is %s", mode, parameters)
		}
	}
}

// What is wrong with a proof is told to those who send proofs: the codes of RFC
// 9449 are none of the scheme Bearer's. The scheme's spelling in the
// configuration makes no difference.
func TestErrorsOfProofsStandInTheirOwnChallenge(t *testing.T) {
	for _, place := range []string{"", "token_from header Authorization bearer"} {
		w := prepare(t)
		w.load("token_enrich {\n"+place+"\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock("dpop accept"))
		key := enrichtest.NewDPoPKey(t, "ES256", nil)
		token := w.boundTo(key)
		got := w.proven("/", token, key.Proof("POST", w.here("/"), token, nil))
		w.wantProofRefused(t, got, "invalid_dpop_proof")
		if all := got.Header.Values("WWW-Authenticate"); len(all) != 2 || all[0] != "Bearer" || strings.Contains(all[1], "access token") {
			t.Errorf("the challenges are %q", all)
		}
		wantStatus(t, w.proven("/", token, key.Proof("GET", w.here("/"), token, nil)), 200)
		w.received()
	}
}

func TestTwoTokensInOneRequestAreMalformed(t *testing.T) {
	w := bound(t, "dpop accept")
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	token := w.boundTo(key)
	got := w.proven("/", token, key.Proof("GET", w.here("/"), token, nil), "Authorization", "Bearer "+w.token("ada"))
	wantStatus(t, got, 400)
	w.nothingReceived()
}

func TestProofIsTakenOnce(t *testing.T) {
	server := cachetest.StartRedis(t)
	for name, more := range map[string]string{"in memory": "", "with Redis": shared(server, "")} {
		t.Run(name, func(t *testing.T) {
			w := bound(t, "dpop require", more)
			key := enrichtest.NewDPoPKey(t, "ES256", nil)
			token := w.boundTo(key)
			proof := key.Proof("GET", w.here("/"), token, nil)
			wantStatus(t, w.proven("/", token, proof), 200)
			w.legacy.Forget()
			w.wantProofRefused(t, w.proven("/", token, proof), "invalid_dpop_proof")
			// The jti counts, not the text.
			again := key.Proof("GET", w.here("/"), token, enrichtest.Claims{"jti": claimOf(t, proof, "jti")})
			w.wantProofRefused(t, w.proven("/", token, again), "invalid_dpop_proof")
			// A proof of another key may have the same jti.
			second := enrichtest.NewDPoPKey(t, "ES256", nil)
			theirs := w.boundTo(second)
			wantStatus(t, w.proven("/", theirs, second.Proof("GET", w.here("/"), theirs, enrichtest.Claims{"jti": claimOf(t, proof, "jti")})), 200)
			w.legacy.Forget()
			// A reload forgets no proof, whatever it changes.
			for _, options := range []string{"dpop require", "dpop require\ntimeout 7s", "dpop accept"} {
				w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock(options), script(t, knows("somebody")), more, "explain values")
				w.wantProofRefused(t, w.proven("/", token, proof), "invalid_dpop_proof")
			}
			wantStatus(t, w.proven("/", token, key.Proof("GET", w.here("/"), token, nil)), 200)
		})
	}
}

// A proof that fails another check is not used up by it: whoever sees a proof
// could else spoil it with a request of their own.
func TestProofThatIsRefusedIsNotUsedUp(t *testing.T) {
	w := bound(t, "dpop require")
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	token := w.boundTo(key)
	proof := key.Proof("GET", w.here("/x"), token, nil)
	w.wantProofRefused(t, w.proven("/y", token, proof), "invalid_dpop_proof")
	wantStatus(t, w.proven("/x", token, proof), 200)
}

func TestReplayMemoryThatIsDown(t *testing.T) {
	for mode, code := range map[string]int{"shared": 503, "local": 200} {
		t.Run(mode, func(t *testing.T) {
			server := cachetest.StartRedis(t)
			w := bound(t, "dpop require\ndpop_replay "+mode, shared(server, "unconfirmed_max 1h"))
			key := enrichtest.NewDPoPKey(t, "ES256", nil)
			token := w.boundTo(key)
			proof := key.Proof("GET", w.here("/"), token, nil)
			wantStatus(t, w.proven("/", token, proof), 200)
			w.legacy.Forget()
			server.Kill()
			got := w.proven("/", token, key.Proof("GET", w.here("/"), token, nil))
			wantStatus(t, got, code)
			if code == 503 && (got.Header.Get("Retry-After") == "" || got.Header.Get("WWW-Authenticate") != "") {
				t.Errorf("the refusal says %v", got.Header)
			}
			if code == 200 {
				// This node knows what it saw while Redis was well.
				w.legacy.Forget()
				w.wantProofRefused(t, w.proven("/", token, proof), "invalid_dpop_proof")
			}
			server.Restart()
			eventually(t, "Redis's return", func() bool {
				return w.proven("/", token, key.Proof("GET", w.here("/"), token, nil)).StatusCode == 200
			})
		})
	}
}

func TestNonceIsAskedForAndTaken(t *testing.T) {
	w := bound(t, "dpop require\ndpop_nonce")
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	token := w.boundTo(key)
	for name, claims := range map[string]enrichtest.Claims{"none": nil, "one of its own making": {"nonce": "AAAAAAAAAAAAAAAA"}, "a number": {"nonce": 7}} {
		got := w.proven("/", token, key.Proof("GET", w.here("/"), token, claims))
		w.wantProofRefused(t, got, "use_dpop_nonce")
		nonce := got.Header.Get("DPoP-Nonce")
		if nonce == "" || len(got.Header.Values("DPoP-Nonce")) != 1 {
			t.Fatalf("%s: the nonces offered are %q", name, got.Header.Values("DPoP-Nonce"))
		}
		proof := key.Proof("GET", w.here("/"), token, enrichtest.Claims{"nonce": nonce})
		wantStatus(t, w.proven("/", token, proof), 200)
		w.legacy.Forget()
		w.wantProofRefused(t, w.proven("/", token, proof), "invalid_dpop_proof") // once
		wantStatus(t, w.proven("/", token, key.Proof("GET", w.here("/"), token, enrichtest.Claims{"nonce": nonce})), 200)
		w.legacy.Forget()
	}
	if got := w.get("/", ""); got.Header.Get("DPoP-Nonce") != "" && got.StatusCode != 401 {
		t.Errorf("without a token: status %d", got.StatusCode)
	}
}

func TestDenialAndRequirementsHoldForDPoPTokens(t *testing.T) {
	w := bound(t, "dpop require")
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	token := w.boundTo(key)
	wantStatus(t, w.proven("/", token, key.Proof("GET", w.here("/"), token, nil)), 200)
	w.legacy.Forget()
	w.ordered("deny", `{"user":"ada","issuer":"corp"}`)
	w.wantProofRefused(t, w.proven("/", token, key.Proof("GET", w.here("/"), token, nil)), "invalid_token")
}
