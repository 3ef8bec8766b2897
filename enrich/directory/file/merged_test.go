package file

import (
	"io"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
)

// mergedHarness puts a merge with an empty second directory around a file, so
// that the suite holds merge and guard to what it holds a kind to.
type mergedHarness struct{ harness }

func (h mergedHarness) Open(t *testing.T, w directorytest.World, f directorytest.Fault) directory.Directory {
	m, err := directory.NewComposite([]directory.Source{
		{Name: "file", Directory: h.harness.Open(t, w, f), Required: true, Match: []string{h.match}},
		{Name: "empty", Directory: &directorytest.Fake{}},
	}, directory.CompositeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestConformanceOfAMerge(t *testing.T) { directorytest.Run(t, mergedHarness{harness{"login"}}) }

var _ io.Closer = (*directory.Composite)(nil)
