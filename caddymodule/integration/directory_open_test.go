package integration

import (
	"errors"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

// notADirectory is a directory module of somebody else that lacks Open.
type notADirectory struct{ caddymodule.DirectorySettings }

func init() { caddy.RegisterModule(new(notADirectory)) }

// CaddyModule returns the Caddy module information.
func (*notADirectory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "token_enrich.directories.test_incomplete", New: func() caddy.Module { return new(notADirectory) }}
}

// A directory module without Open is an error when the configuration loads.
func TestDirectoryModuleWithoutOpenDoesNotLoad(t *testing.T) {
	const config = `{"admin":{"disabled":true},"apps":{"token_enrich":{"issuers":[{"url":"https://idp.example.com","name":"corp","audience":["a"],"jwks_url":"https://idp.example.com/k"}],
		"directories":[{"kind":"test_incomplete"}]}}}`
	var c caddy.Config
	if err := caddy.StrictUnmarshalJSON([]byte(config), &c); err != nil {
		t.Fatal(err)
	}
	err := caddy.Validate(&c)
	if err == nil || !errors.Is(err, caddymodule.ErrNoDirectory) && !strings.Contains(err.Error(), "directory 1: "+caddymodule.ErrNoDirectory.Error()+": *integration.notADirectory has no") {
		t.Errorf("got %v", err)
	}
}
