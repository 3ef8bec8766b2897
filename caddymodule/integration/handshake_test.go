package integration

import (
	"crypto/tls"
	"encoding/json"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(loaded{})
}

// loading is held while a configuration with TLS is loaded. Caddy may open its
// listeners before its TLS app has started; a handshake that comes so early
// would read what is being written.
var loading sync.Mutex

// loaded is a matcher of handshakes that lets each wait for the end of the load.
type loaded struct{}

// CaddyModule returns the Caddy module information.
func (loaded) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "tls.handshake_match.integration_loaded", New: func() caddy.Module { return loaded{} }}
}

// Match matches every handshake.
func (loaded) Match(*tls.ClientHelloInfo) bool {
	loading.Lock()
	defer loading.Unlock()
	return true
}

// loadTLS loads a Caddyfile whose sites speak TLS.
func loadTLS(t *testing.T, text string) {
	t.Helper()
	adapted, err := adapt(text)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(adapted, &config); err != nil {
		t.Fatal(err)
	}
	servers := config["apps"].(map[string]any)["http"].(map[string]any)["servers"].(map[string]any)
	for _, s := range servers {
		server := s.(map[string]any)
		policies, _ := server["tls_connection_policies"].([]any)
		if len(policies) == 0 {
			policies = []any{map[string]any{}}
		}
		for _, p := range policies {
			policy := p.(map[string]any)
			match, ok := policy["match"].(map[string]any)
			if !ok {
				match = map[string]any{}
			}
			match["integration_loaded"] = struct{}{}
			policy["match"] = match
		}
		server["tls_connection_policies"] = policies
	}
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	loading.Lock()
	defer loading.Unlock()
	if err := caddy.Load(raw, true); err != nil {
		t.Fatalf("loading: %v", err)
	}
}
