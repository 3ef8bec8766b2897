package cachetest

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// ending is how long goroutines that are to end may take on a busy
// machine; goleak by itself waits for less than half a second.
const ending = time.Minute

// Left returns an error that shows the goroutines which do not end, those that
// the options leave out excepted.
func Left(but ...goleak.Option) error {
	for begun := time.Now(); ; {
		err := goleak.Find(but...)
		if err == nil || time.Since(begun) > ending {
			return err
		}
	}
}

// NothingLeft fails the test where a goroutine does not end.
func NothingLeft(t testing.TB, but ...goleak.Option) {
	t.Helper()
	if err := Left(but...); err != nil {
		t.Error(err)
	}
}

// Main is the TestMain of a package whose tests leave no goroutine behind.
func Main(m *testing.M, but ...goleak.Option) {
	code := m.Run()
	if code == 0 {
		if err := Left(but...); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
