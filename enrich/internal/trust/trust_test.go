package trust

import (
	"path/filepath"
	"testing"
)

func TestAMissingFileIsAnError(t *testing.T) {
	if pool, err := Authorities(filepath.Join(t.TempDir(), "none.pem")); err == nil || pool != nil {
		t.Errorf("%v, %v", pool, err)
	}
}
