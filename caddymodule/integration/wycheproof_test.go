package integration

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// jwsCases reads Wycheproof's JWS cases, with the public keys of all groups.
func jwsCases(t *testing.T) (keys []json.RawMessage, tokens map[int]string) {
	t.Helper()
	var file struct {
		TestGroups []struct {
			Public json.RawMessage
			Tests  []struct {
				TcID int
				JWS  json.RawMessage
			}
		}
	}
	enrichtest.Wycheproof(t, "json_web_signature_test.json", &file)
	tokens = make(map[int]string)
	for _, group := range file.TestGroups {
		if len(group.Public) > 0 {
			keys = append(keys, group.Public)
		}
		for _, tc := range group.Tests {
			var compact string
			if json.Unmarshal(tc.JWS, &compact) != nil {
				compact = string(tc.JWS) // the JSON serialization
			}
			tokens[tc.TcID] = compact
		}
	}
	return keys, tokens
}

// TestNoWycheproofTokenReachesAnythingBehindVerification sends every JWS case
// with its key published. None has the claims of an access token, so also the
// well-signed ones must end at verification: no look-up, no decision kept, no
// request to the application.
func TestNoWycheproofTokenReachesAnythingBehindVerification(t *testing.T) {
	keys, tokens := jwsCases(t)
	if len(keys) == 0 || len(tokens) < 300 {
		t.Fatalf("%d keys and %d cases", len(keys), len(tokens))
	}
	w := prepare(t)
	set, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	w.issuer.SetDocument(enrichtest.KeySet, set)
	w.load(payroll + w.legacy.Addr())
	sent := 0
	for id, token := range tokens {
		if strings.ContainsAny(token, "\r\n\x00") {
			continue // cannot stand in a header at all
		}
		sent++
		if got := w.get("/", token); got.StatusCode != 401 && got.StatusCode != 400 {
			t.Errorf("case %d: status %d", id, got.StatusCode)
		}
	}
	if sent < 300 {
		t.Errorf("%d cases were sent", sent)
	}
	w.nothingReceived()
	var app struct {
		Decisions   struct{ Entries int }
		Directories []struct {
			Name     string
			Requests int
		}
		Tiers []struct {
			Name    string
			Entries int
		}
	}
	if err := json.Unmarshal([]byte(w.adminDo("GET", "/token_enrich/status", "").body), &app); err != nil {
		t.Fatal(err)
	}
	if app.Decisions.Entries != 0 {
		t.Errorf("%d decisions were kept", app.Decisions.Entries)
	}
	for _, d := range app.Directories {
		if d.Requests != 0 {
			t.Errorf("directory %s was asked %d times", d.Name, d.Requests)
		}
	}
	for _, tier := range app.Tiers {
		if tier.Entries != 0 {
			t.Errorf("tier %s holds %d entries", tier.Name, tier.Entries)
		}
	}
	if len(app.Directories) != 1 || len(app.Tiers) != 1 {
		t.Errorf("the status shows %d directories and %d tiers", len(app.Directories), len(app.Tiers))
	}
}
