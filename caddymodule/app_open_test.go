package caddymodule

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// notADirectory is a directory module of somebody else that lacks Open.
type notADirectory struct{ DirectorySettings }

func init() { caddy.RegisterModule(new(notADirectory)) }

// CaddyModule returns the Caddy module information.
func (*notADirectory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "token_enrich.directories.test_incomplete", New: func() caddy.Module { return new(notADirectory) }}
}

func TestDirectoryModuleWithoutOpenDoesNotLoad(t *testing.T) {
	_, err := loadJSON(t, `{"apps":{"token_enrich":{"issuers":[{"url":"https://idp.example.com","name":"corp","audience":["a"],"jwks_url":"https://idp.example.com/k"}],
		"directories":[{"kind":"test_incomplete"}]}}}`)
	if err == nil || !strings.Contains(err.Error(), "directory 1: "+ErrNoDirectory.Error()+": *caddymodule.notADirectory has no") {
		t.Errorf("got %v", err)
	}
}
