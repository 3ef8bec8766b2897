package integration

import (
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// Nodes that share their seal key share what they know of proofs: clients go
// from one to the other with the nonce that the first one gave.
func TestNodesTakeEachOthersNonces(t *testing.T) {
	server := cachetest.StartRedis(t)
	for name, cache := range map[string]string{
		"the key in the storage that they share": withRedis(server.URL()),
		"the key in the configuration":           "cache {\nseal_key " + sealKeyText + "\n}",
	} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			site := strings.ReplaceAll(policySite, "%a", w.legacy.Addr())
			global := func(options string) []string {
				return []string{w.issuerBlock("dpop require\ndpop_nonce\n" + options), "directory file " + w.directory, cache}
			}
			w.load(site, global("")...)
			other := w.second(site, global("")...)
			key := enrichtest.NewDPoPKey(t, "ES256", nil)
			token := w.token("00u1ada", enrichtest.Claims{"cnf": key.Confirmation()})
			with := func(n *world, nonce string) string {
				return key.Proof("GET", n.here("/"), token, enrichtest.Claims{"nonce": nonce})
			}
			got := w.proven("/", token, with(w, ""))
			w.wantProofRefused(t, got, "use_dpop_nonce")
			nonce := got.Header.Get("DPoP-Nonce")
			wantStatus(t, other.proven("/", token, with(other, nonce)), 200)
			wantStatus(t, w.proven("/", token, with(w, nonce)), 200)
			w.load(site, global("leeway 20s")...)
			wantStatus(t, w.proven("/", token, with(w, nonce)), 200)
			wantStatus(t, w.proven("/", token, with(w, other.proven("/", token, with(other, "")).Header.Get("DPoP-Nonce"))), 200)
		})
	}
}

func TestProofIsTakenOnceByAllNodes(t *testing.T) {
	server := cachetest.StartRedis(t)
	w := prepare(t)
	site := strings.ReplaceAll(policySite, "%a", w.legacy.Addr())
	// One name for both, as behind a balancer.
	global := []string{w.issuerBlock("dpop require\nexternal_url https://app.example.com"), "directory file " + w.directory, withRedis(server.URL())}
	w.load(site, global...)
	other := w.second(site, global...)
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	token := w.token("00u1ada", enrichtest.Claims{"cnf": key.Confirmation()})
	for _, order := range [][2]*world{{w, other}, {other, w}} {
		proof := key.Proof("GET", "https://app.example.com/", token, nil)
		wantStatus(t, order[0].proven("/", token, proof), 200)
		w.legacy.Forget()
		order[1].wantProofRefused(t, order[1].proven("/", token, proof), "invalid_dpop_proof")
	}
}

// A reload that brings Redis, or takes it away, forgets no proof either.
func TestProofsOutliveAReloadThatBringsRedisOrTakesItAway(t *testing.T) {
	server := cachetest.StartRedis(t)
	for _, order := range [][2]string{{"", shared(server, "")}, {shared(server, ""), ""}} {
		w := bound(t, "dpop require", order[0])
		key := enrichtest.NewDPoPKey(t, "ES256", nil)
		token := w.token("00u1ada", enrichtest.Claims{"cnf": key.Confirmation()})
		proof := key.Proof("GET", w.here("/"), token, nil)
		wantStatus(t, w.proven("/", token, proof), 200)
		w.legacy.Forget()
		w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock("dpop require"), script(t, knows("somebody")), order[1])
		w.wantProofRefused(t, w.proven("/", token, proof), "invalid_dpop_proof")
	}
}

// A request that came before a reload asks the Redis of its own configuration,
// which is not taken away from it.
func TestProofThatIsNotLookedAtYetOutlivesItsConfiguration(t *testing.T) {
	server := cachetest.StartRedis(t)
	for name, next := range map[string]string{"other settings": shared(server, "memory 8MiB"), "no Redis": ""} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			authority, inside, gate := gatekeeper(t)
			site := strings.ReplaceAll(policySite, "%a", w.legacy.Addr())
			issuer, people := w.issuerBlock("dpop require"), script(t, knows("somebody"))
			w.load("token_enrich_scrub\nforward_auth "+authority.Addr()+" {\nuri /auth\n}\n"+site, issuer, people, shared(server, ""))
			key := enrichtest.NewDPoPKey(t, "ES256", nil)
			token := w.boundTo(key)
			proof := key.Proof("GET", w.here("/"), token, nil)
			done := make(chan answer)
			go func() { done <- w.proven("/", token, proof) }()
			<-inside
			w.load(site, issuer, people, next)
			close(gate)
			wantStatus(t, <-done, 200)
			w.legacy.Forget()
			w.wantProofRefused(t, w.proven("/", token, proof), "invalid_dpop_proof")
		})
	}
}
