package integration

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// keyed runs a gateway with options of its issuer and, after them, further
// issuers.
func keyed(t *testing.T, options string, more ...string) *world {
	t.Helper()
	w := prepare(t)
	w.loadKeyed(options, more...)
	return w
}

func (w *world) loadKeyed(options string, more ...string) {
	w.t.Helper()
	w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), append([]string{w.issuerBlock(options), script(w.t, knows("somebody"), servedIssuers(more))}, more...)...)
}

// servedIssuers names the issuers whose subjects the directory knows.
func servedIssuers(more []string) string {
	if len(more) == 0 {
		return "issuers corp"
	}
	return "issuers corp partner"
}

// keyTroubles are what key servers have been seen to do instead of answering;
// none of it says anything about a key.
var keyTroubles = map[string]enrichtest.Fault{
	"an error":                      enrichtest.Status(500, "oops"),
	"unavailable":                   enrichtest.Status(503, ""),
	"not found":                     enrichtest.Status(404, "<html>"),
	"throttled":                     enrichtest.Status(429, ""),
	"no content":                    enrichtest.Status(204, ""),
	"not modified":                  enrichtest.Status(304, ""),
	"a page to sign in":             enrichtest.Status(200, "<!doctype html><title>Sign in</title>"),
	"nothing":                       enrichtest.Status(200, ""),
	"a redirect elsewhere":          enrichtest.Redirect("http://127.0.0.1:1/keys"),
	"a redirect to itself":          enrichtest.Redirect(string(enrichtest.KeySet)),
	"a redirect to a file":          enrichtest.Redirect("file:///etc/passwd"),
	"a cut connection":              enrichtest.Cut(),
	"half an answer":                enrichtest.Truncated(),
	"a hundred megabytes":           enrichtest.Huge(100 << 20),
	"no answer":                     enrichtest.Hang(),
	"an empty set":                  says(200, `{"keys":[]}`),
	"no set":                        says(200, `{}`),
	"null":                          says(200, `null`),
	"a list":                        says(200, `[]`),
	"keys that are none":            says(200, `{"keys":"none"}`),
	"keys stands twice":             says(200, `{"keys":[],"keys":[{"kty":"oct","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}`),
	"an error that says 200":        says(200, `{"error":"server_error"}`),
	"nothing but decoys":            says(200, decoySet()),
	"a symmetric key, known to all": says(200, `{"keys":[{"kty":"oct","kid":"k","alg":"HS256","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}`),
}

func decoySet() string {
	var list []string
	for _, entry := range enrichtest.DecoyKeys() {
		list = append(list, entry)
	}
	return `{"keys":[` + strings.Join(list, ",") + `]}`
}

// What a key server does while it is in trouble changes nothing for tokens of
// keys that are known, says nothing of tokens of keys that are not, and is
// over when it is over.
func TestKeyServerInTrouble(t *testing.T) {
	w := keyed(t, "timeout 500ms\nkey_refresh 1h")
	eventually(t, "the first keys", func() bool { return w.get("/", w.token("ada")).StatusCode == 200 })
	for name, fault := range keyTroubles {
		t.Run(name, func(t *testing.T) {
			w.legacy.Forget()
			old := w.token("ada")
			w.issuer.Break(enrichtest.KeySet, fault)
			hits := w.issuer.Hits(enrichtest.KeySet)
			w.issuer.Rotate()
			fresh := w.token("ada")
			eventually(t, "a fetch for the new key", func() bool {
				if got := w.get("/", fresh); got.StatusCode != 503 || got.Header.Get("Retry-After") == "" || got.Header.Get("WWW-Authenticate") != "" {
					t.Fatalf("a token of a key that cannot be fetched: status %d, %v", got.StatusCode, got.Header)
				}
				return w.issuer.Hits(enrichtest.KeySet) > hits
			})
			w.nothingReceived()
			wantStatus(t, w.get("/", old), 200)
			w.issuer.Mend(enrichtest.KeySet)
			eventually(t, "the new key", func() bool {
				code := w.get("/", fresh).StatusCode
				if code != 200 && code != 503 {
					t.Fatalf("status %d", code)
				}
				return code == 200
			})
			wantStatus(t, w.get("/", old), 200)
			w.legacy.Forget()
			w.issuer.Retire()
			if log := w.logged(); strings.Contains(log, fresh) || strings.Contains(log, "c2VjcmV0c2VjcmV0") {
				t.Error("the log holds a token or a key")
			}
		})
	}
}

func TestKeyServerThatIsSlowOrOddIsWaitedFor(t *testing.T) {
	gate := make(chan struct{})
	close(gate)
	for name, fault := range map[string]enrichtest.Fault{
		"slow":                       enrichtest.Slow(50 * time.Millisecond),
		"held up":                    enrichtest.Hold(gate),
		"its own media type":         enrichtest.ContentType("application/jwk-set+json"),
		"a text's media type":        enrichtest.ContentType("text/plain"),
		"a download's media type":    enrichtest.ContentType("application/octet-stream"),
		"a redirect in its own home": redirectOnce(),
	} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			w.issuer.Break(enrichtest.KeySet, fault)
			w.loadKeyed("")
			wantStatus(t, w.get("/", w.token("ada")), 200)
		})
	}
}

// redirectOnce sends a caller to the same path with a query, where the answer
// is.
func redirectOnce() enrichtest.Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		if r.URL.RawQuery != "" {
			answer(w, r)
			return
		}
		http.Redirect(w, r, r.URL.Path+"?v=2", http.StatusFound)
	}
}

// A set with other keys is an answer, however little it is liked.
func TestKeyServerWithOtherKeys(t *testing.T) {
	t.Run("from the start", func(t *testing.T) {
		w := prepare(t)
		token := w.token("ada")
		w.issuer.Rotate()
		w.issuer.Retire()
		w.loadKeyed("")
		w.wantInvalidToken(t, w.get("/", token))
		wantStatus(t, w.get("/", w.token("ada")), 200)
	})
	t.Run("under the same key id", func(t *testing.T) {
		w := keyed(t, "key_refresh 20ms")
		token := w.token("ada")
		wantStatus(t, w.get("/", token), 200)
		w.legacy.Forget()
		id := w.issuer.Key().ID
		w.issuer.Publish(w.issuer.UnpublishedKey("RS256").With(func(jwk map[string]any) { jwk["kid"] = id }))
		w.issuer.Retire(w.issuer.Key())
		eventually(t, "the other key, also for a decision made before", func() bool { return w.get("/", token).StatusCode == 401 })
		w.legacy.Forget()
		w.wantInvalidToken(t, w.get("/", token))
	})
	// Which of two is meant would depend on their order.
	t.Run("two under one key id", func(t *testing.T) {
		w := prepare(t)
		id := w.issuer.Key().ID
		second := w.issuer.UnpublishedKey("RS256").With(func(jwk map[string]any) { jwk["kid"] = id })
		elliptic := w.issuer.UnpublishedKey("ES256").With(func(jwk map[string]any) { jwk["kid"] = id })
		w.issuer.Publish(second, elliptic)
		w.loadKeyed("")
		for range 2 {
			w.wantInvalidToken(t, w.get("/", w.token("ada")))
			w.wantInvalidToken(t, w.get("/", w.mintFor(enrichtest.WithKey(second), enrichtest.WithHeader("kid", id))))
		}
		// The one of another algorithm is not in doubt.
		wantStatus(t, w.get("/", w.mintFor(enrichtest.WithKey(elliptic), enrichtest.WithHeader("kid", id))), 200)
	})
	t.Run("for another use", func(t *testing.T) {
		w := prepare(t)
		encrypting := w.issuer.UnpublishedKey("RS256").With(func(jwk map[string]any) { jwk["use"] = "enc" })
		another := w.issuer.UnpublishedKey("RS256").With(func(jwk map[string]any) { jwk["alg"] = "PS256" })
		signing := w.issuer.UnpublishedKey("RS256").With(func(jwk map[string]any) { delete(jwk, "use"); jwk["key_ops"] = []string{"sign"} })
		w.issuer.Publish(encrypting, another, signing)
		w.loadKeyed("")
		for name, key := range map[string]*enrichtest.Key{"for encryption": encrypting, "for another algorithm": another, "for signing alone": signing} {
			if got := w.get("/", w.mintFor(enrichtest.WithKey(key))); got.StatusCode != 401 {
				t.Errorf("a key %s: status %d", name, got.StatusCode)
			}
		}
		wantStatus(t, w.get("/", w.token("ada")), 200)
	})
}

func TestDecoysBesideGoodKeysAreSkipped(t *testing.T) {
	for name, entry := range enrichtest.DecoyKeys() {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			w.issuer.AddEntries(entry)
			w.loadKeyed("")
			wantStatus(t, w.get("/", w.token("ada")), 200)
		})
	}
}

func TestKeyServerThatFlaps(t *testing.T) {
	w := keyed(t, "key_refresh 10ms")
	token := w.token("ada")
	wantStatus(t, w.get("/", token), 200)
	for n := range 20 {
		w.issuer.Break(enrichtest.KeySet, enrichtest.Status(500, ""))
		hits := w.issuer.Hits(enrichtest.KeySet)
		eventually(t, "a fetch that fails", func() bool { return w.issuer.Hits(enrichtest.KeySet) > hits })
		for _, token := range []string{token, w.token("ada")} {
			if got := w.get("/", token); got.StatusCode != 200 {
				t.Fatalf("round %d: status %d", n, got.StatusCode)
			}
		}
		w.issuer.Mend(enrichtest.KeySet)
		eventually(t, "a fetch that succeeds", func() bool { return w.issuer.Hits(enrichtest.KeySet) > hits+1 })
	}
	// What an operator is told is that it changed, not each time that it is so.
	if n := strings.Count(w.logged(), "fetching the issuer's keys failed"); n > 25 {
		t.Errorf("the log tells of %d failures in 20 rounds", n)
	}
}

func TestBrokenIssuerIsNobodyElsesTrouble(t *testing.T) {
	for name, fault := range map[string]enrichtest.Fault{"no answer": enrichtest.Hang(), "an error": enrichtest.Status(500, ""), "without end": enrichtest.Huge(8 << 20)} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			partner := enrichtest.NewProvider(t)
			for _, e := range []enrichtest.Endpoint{enrichtest.Discovery, enrichtest.OAuthMetadata, enrichtest.KeySet} {
				partner.Break(e, fault)
			}
			second := strings.NewReplacer(w.issuer.Issuer(), partner.Issuer(), "name corp", "name partner").Replace(w.issuerBlock("timeout 2s"))
			w.loadKeyed("", second)
			theirs := partner.Mint(enrichtest.Claims{"sub": "alice", "aud": audience})
			var all sync.WaitGroup
			waiting := make([]int, 8)
			for i := range waiting {
				all.Go(func() { waiting[i] = w.get("/", theirs).StatusCode })
			}
			for range 20 { // each with a token that is judged anew
				wantStatus(t, w.get("/", w.token("ada")), 200)
			}
			all.Wait()
			for _, code := range waiting {
				if code != 503 {
					t.Errorf("a token of the broken issuer: status %d", code)
				}
			}
			for _, e := range []enrichtest.Endpoint{enrichtest.Discovery, enrichtest.OAuthMetadata, enrichtest.KeySet} {
				partner.Mend(e)
			}
			eventually(t, "the partner's return", func() bool { return w.get("/", theirs).StatusCode == 200 })
		})
	}
}

// Whoever calls can name any key; the key server is asked once all the same,
// also when many ask at once and whatever it answers.
func TestUnknownKeysCauseOneFetchPerFloor(t *testing.T) {
	for name, fault := range map[string]enrichtest.Fault{"while it answers": nil, "while it is down": enrichtest.Status(500, ""), "while it hangs": enrichtest.Hang()} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			global := strings.Replace(w.issuerBlock("timeout 5s"), "key_min_interval 1ms", "key_min_interval 1h\nkey_refresh 2h", 1)
			w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), global, script(t, knows("somebody")))
			wantStatus(t, w.get("/", w.token("ada")), 200)
			if fault != nil {
				w.issuer.Break(enrichtest.KeySet, fault)
			}
			before := w.issuer.Hits(enrichtest.KeySet)
			var all sync.WaitGroup
			for n := range 8 {
				all.Go(func() {
					for i := range 25 {
						code := w.get("/", w.mintFor(enrichtest.WithHeader("kid", fmt.Sprintf("unknown-%d-%d", n, i)))).StatusCode
						if code != 401 && code != 503 {
							t.Errorf("status %d", code)
						}
					}
				})
			}
			all.Wait()
			if n := w.issuer.Hits(enrichtest.KeySet) - before; n > 1 {
				t.Errorf("%d fetches inside the floor", n)
			}
			w.legacy.Forget()
			wantStatus(t, w.get("/", w.token("ada")), 200)
		})
	}
}

func TestKeySetThatIsFetchedWithoutDiscovery(t *testing.T) {
	w := prepare(t)
	w.issuer.Break(enrichtest.Discovery, enrichtest.Hang())
	w.issuer.Break(enrichtest.OAuthMetadata, enrichtest.Hang())
	w.loadKeyed("jwks_url " + w.issuer.URL(enrichtest.KeySet))
	wantStatus(t, w.get("/", w.token("ada")), 200)
	if n := w.issuer.Hits(enrichtest.Discovery) + w.issuer.Hits(enrichtest.OAuthMetadata); n != 0 {
		t.Errorf("discovery was asked %d times", n)
	}
}

func TestUnknownKeyIdsDoNotMultiplyFetches(t *testing.T) {
	w := prepare(t)
	global := strings.Replace(w.issuerBlock(""), "key_min_interval 1ms", "key_min_interval 1h\nkey_refresh 2h", 1) + "\ndirectory file " + w.directory
	w.load("token_enrich\nreverse_proxy "+w.legacy.Addr(), global)
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
	before := w.issuer.Hits(enrichtest.KeySet)
	for i := range 100 {
		if got := w.get("/", w.mintFor(enrichtest.WithHeader("kid", fmt.Sprint("unknown-", i)))); got.StatusCode != 401 {
			t.Fatalf("status %d", got.StatusCode)
		}
	}
	if n := w.issuer.Hits(enrichtest.KeySet) - before; n > 1 {
		t.Errorf("%d fetches for unknown key ids inside the floor", n)
	}
}

func TestRotatedKeyIsFoundAndRetiredKeyIsForgotten(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock("key_refresh 20ms")+"\ndirectory file "+w.directory)
	old := w.token("00u1ada")
	wantStatus(t, w.get("/", old), 200)
	w.issuer.Rotate()
	eventually(t, "the new key", func() bool { return w.get("/", w.token("00u1ada")).StatusCode == 200 })
	wantStatus(t, w.get("/", old), 200)
	w.issuer.Retire()
	eventually(t, "the end of the retired key, also for a decision made before", func() bool { return w.get("/", old).StatusCode == 401 })
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
}

func TestKeySetWithDecoysServesItsGoodKeys(t *testing.T) {
	w := prepare(t)
	for _, decoy := range enrichtest.DecoyKeys() {
		w.issuer.AddEntries(decoy)
	}
	w.load("token_enrich\nreverse_proxy " + w.legacy.Addr())
	wantStatus(t, w.get("/", w.token("00u1ada")), 200)
}
