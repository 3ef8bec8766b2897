package enrichtest_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
)

// TestMain fails the package where something that a test started outlives it.
func TestMain(m *testing.M) {
	code := m.Run()
	http.DefaultClient.CloseIdleConnections()
	if err := cachetest.Left(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}
