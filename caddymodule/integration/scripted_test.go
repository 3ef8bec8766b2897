package integration

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

func init() {
	caddy.RegisterModule(new(scripted))
}

// scripts are the directories that a configuration names as
//
//	directory scripted <script>
//
// They do what no real directory can be made to do.
var scripts sync.Map // string → directory.Directory

// scripted is a guest like any other kind of directory.
type scripted struct {
	caddymodule.DirectorySettings

	Script string `json:"script"`
}

func (*scripted) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "token_enrich.directories.scripted",
		New: func() caddy.Module { return new(scripted) },
	}
}

func (s *scripted) Open(caddymodule.DirectoryContext) (directory.Directory, error) {
	d, ok := scripts.Load(s.Script)
	if !ok {
		return nil, fmt.Errorf("there is no script %q", s.Script)
	}
	return d.(directory.Directory), nil
}

func (s *scripted) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the kind
	if !d.NextArg() {
		return d.ArgErr()
	}
	s.Script = d.Val()
	return caddymodule.ParseDirectory(d, &s.DirectorySettings, "scripted", nil)
}

var _ caddymodule.DirectoryModule = (*scripted)(nil)

// script makes a directory known and gives the option that names it; options
// are further lines of its block.
func script(t *testing.T, d *directorytest.Fake, options ...string) string {
	t.Helper()
	name := fmt.Sprintf("%s/%p", t.Name(), d)
	scripts.Store(name, d)
	t.Cleanup(func() { scripts.Delete(name) })
	block := ""
	for _, o := range options {
		block += "\n\t\t\t" + o
	}
	return fmt.Sprintf("directory scripted `%s` {%s\n\t\t}", name, block)
}

// eventually fails the test unless something comes true; it asks again and
// again. The deadline ends a broken test, and judges nothing.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

// unreachable is a directory that counts who asks it, and is down.
func unreachable(asked *int) *directorytest.Fake {
	var mu sync.Mutex
	f := directorytest.Failing(directory.ErrUnavailable)
	person := f.PersonFunc
	f.PersonFunc = func(ctx context.Context, q directory.Query) (*identity.Person, error) {
		mu.Lock()
		*asked++
		mu.Unlock()
		return person(ctx, q)
	}
	return f
}
