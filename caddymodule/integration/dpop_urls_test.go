package integration

import (
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

func TestProofIsForTheURLThatTheClientSent(t *testing.T) {
	w := prepare(t)
	w.load(`
	rewrite /old/* /new{uri}
	uri /api/* strip_prefix /api
	`+strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock("dpop require"), script(t, knows("somebody")))
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	token := w.boundTo(key)
	for sent, rewritten := range map[string]string{"/old/x?q=1": "/new/old/x", "/api/x": "/x"} {
		at, _, _ := strings.Cut(sent, "?")
		wantStatus(t, w.proven(sent, token, key.Proof("GET", w.here(at), token, nil)), 200)
		if line := w.received().Line; !strings.Contains(line, " "+rewritten) {
			t.Errorf("%s arrived as %s", sent, line)
		}
		w.wantProofRefused(t, w.proven(sent, token, key.Proof("GET", w.here(rewritten), token, nil)), "invalid_dpop_proof")
	}
}

func TestURLsThatMeanTheSameAreTheSame(t *testing.T) {
	w := bound(t, "dpop require")
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	token := w.boundTo(key)
	for sent, proven := range map[string]string{
		"/a%2Fb": "http://" + w.addr + "/a%2fb", "/%7Eada": "HTTP://" + w.addr + "/~ada", "/": "http://" + w.addr,
		"/x?a=1": "http://" + w.addr + "/x?b=2#c",
	} {
		if got := w.proven(sent, token, key.Proof("GET", proven, token, nil)); got.StatusCode != 200 {
			t.Errorf("%s with a proof for %s: status %d", sent, proven, got.StatusCode)
		}
	}
	w.legacy.Forget()
	w.wantProofRefused(t, w.proven("/a/b", token, key.Proof("GET", w.here("/a%2Fb"), token, nil)), "invalid_dpop_proof")
}

func TestExternalURLIsWhereClientsAre(t *testing.T) {
	for _, external := range []string{"https://app.example.com", "https://app.example.com/"} {
		w := bound(t, "dpop require\nexternal_url "+external)
		key := enrichtest.NewDPoPKey(t, "ES256", nil)
		token := w.boundTo(key)
		for _, at := range []string{"https://app.example.com/x", "https://APP.example.com:443/x"} {
			if got := w.proven("/x", token, key.Proof("GET", at, token, nil)); got.StatusCode != 200 {
				t.Errorf("%s: status %d", at, got.StatusCode)
			}
		}
		w.legacy.Forget()
		for _, at := range []string{w.here("/x"), "http://app.example.com/x", "https://app.example.com:8443/x", "https://app.example.com.evil.example/x"} {
			w.wantProofRefused(t, w.proven("/x", token, key.Proof("GET", at, token, nil)), "invalid_dpop_proof")
		}
	}
	w := bound(t, "dpop require\nexternal_url https://app.example.com/gateway")
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	token := w.boundTo(key)
	wantStatus(t, w.proven("/x", token, key.Proof("GET", "https://app.example.com/gateway/x", token, nil)), 200)
}

// The harness trusts 127.0.0.1 as a proxy, and forwarded headers change
// nothing all the same.
func TestForwardedHeadersChangeNoProof(t *testing.T) {
	w := bound(t, "dpop require")
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	token := w.boundTo(key)
	forwarded := []string{
		"X-Forwarded-Proto", "https", "X-Forwarded-Host", "app.example.com", "X-Forwarded-Port", "443", "X-Forwarded-Prefix", "/p",
		"Forwarded", "proto=https;host=app.example.com", "X-Original-URL", "/y", "X-Rewrite-URL", "/y", "X-Forwarded-Uri", "/y",
	}
	wantStatus(t, w.proven("/x", token, key.Proof("GET", w.here("/x"), token, nil), forwarded...), 200)
	w.legacy.Forget()
	for _, at := range []string{"https://app.example.com/x", "http://app.example.com/x", "https://" + w.addr + "/x", w.here("/y"), w.here("/p/x"), "https://app.example.com/y"} {
		w.wantProofRefused(t, w.proven("/x", token, key.Proof("GET", at, token, nil), forwarded...), "invalid_dpop_proof")
	}
}
