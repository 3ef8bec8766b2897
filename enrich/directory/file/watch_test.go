package file

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
)

const (
	one = "users:\n  - { id: ada, login: first }\n  - { id: eve }\n"
	two = "users:\n  - { id: ada, login: second }\n"
)

// patience only ends a test that hangs.
const patience = 30 * time.Second

// watched is a directory whose edits a test can wait for.
type watched struct {
	*Directory
	t     *testing.T
	edits chan error
	log   *countingLog
}

func watch1(t *testing.T, path string, c Config) *watched {
	t.Helper()
	w := &watched{t: t, edits: make(chan error, 100), log: &countingLog{}}
	c.Path, c.Logger = path, slog.New(slog.NewTextHandler(w.log, nil))
	c.OnEdit = func(err error) { w.edits <- err }
	var err error
	if w.Directory, err = New(c); err != nil {
		t.Fatal(err)
	}
	if err := w.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// next waits for the next edit to be noticed.
func (w *watched) next() error {
	w.t.Helper()
	select {
	case err := <-w.edits:
		return err
	case <-time.After(patience):
		w.t.Fatal("the edit was not noticed")
		return nil
	}
}

func (w *watched) login() string {
	w.t.Helper()
	p, err := w.Person(context.Background(), directorytest.Query("ada"))
	if err != nil {
		w.t.Fatal(err)
	}
	return p.User.Login
}

type countingLog struct{ lines atomic.Int64 }

func (l *countingLog) Write(p []byte) (int, error) { l.lines.Add(1); return len(p), nil }

var _ io.Writer = (*countingLog)(nil)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// replace puts a text into a file's place in one step: to write it there takes
// two, and what is read in between is an edit of its own.
func replace(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatIsMissingOrBrokenIsAnErrorAtLoad(t *testing.T) {
	folder := t.TempDir()
	write(t, filepath.Join(folder, "broken.yaml"), "users: [")
	for _, path := range []string{"", filepath.Join(folder, "none.yaml"), filepath.Join(folder, "broken.yaml"), folder} {
		if _, err := New(Config{Path: path}); err == nil {
			t.Errorf("%q loads", path)
		}
	}
}

func TestEditsAreNoticedHoweverTheyAreMade(t *testing.T) {
	defer cachetest.NothingLeft(t)
	for _, c := range []struct {
		name string
		edit func(t *testing.T, path string)
	}{
		{"written in place", func(t *testing.T, path string) { write(t, path, two) }},
		{"renamed over", func(t *testing.T, path string) {
			replace(t, path, two)
		}},
		{"removed and made anew", func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			write(t, path, two)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "directory.yaml")
			write(t, path, one)
			w := watch1(t, path, Config{Poll: time.Hour})
			c.edit(t, path)
			for w.next() != nil { // the moment without a file may have been noticed
			}
			if got := w.login(); got != "second" {
				t.Errorf("login %q, want second", got)
			}
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAKubernetesVolumeIsFollowed(t *testing.T) {
	folder := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"..v1": one, "..v2": two} {
		must(os.Mkdir(filepath.Join(folder, name), 0o700))
		write(t, filepath.Join(folder, name, "directory.yaml"), text)
	}
	must(os.Symlink("..v1", filepath.Join(folder, "..data")))
	must(os.Symlink("..data/directory.yaml", filepath.Join(folder, "directory.yaml")))
	w := watch1(t, filepath.Join(folder, "directory.yaml"), Config{Poll: time.Hour})
	must(os.Symlink("..v2", filepath.Join(folder, "..data_tmp")))
	must(os.Rename(filepath.Join(folder, "..data_tmp"), filepath.Join(folder, "..data")))
	if err := w.next(); err != nil {
		t.Fatal(err)
	}
	if got := w.login(); got != "second" {
		t.Errorf("login %q, want second", got)
	}
}

const overSize = "over the size"

func TestABadEditKeepsTheLastGoodCopyAndSaysSoOnce(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"broken", "users:\n  - id: [\n", nil},
		{"empty", "", errEmpty},
		{"blank", "\n\n", errEmpty},
		{"cut within a line", one[:len(one)-9], nil},
		{"cut within a line and still YAML", "users:\n  - { id: ada, login: third }", errTruncated},
		{"cut between lines", "users:\n  - { id: ada, login: first }\n", errTruncated},
		{"a group that does not exist", "users:\n  - { id: ada, groups: [g] }\n", nil},
		{"over the size", overSize, errSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "directory.yaml")
			write(t, path, one)
			w := watch1(t, path, Config{Poll: time.Hour})
			if c.text == overSize {
				if err := os.Truncate(path, maxSize+1); err != nil {
					t.Fatal(err)
				}
			} else {
				replace(t, path, c.text)
			}
			if err := w.next(); err == nil || (c.want != nil && !errors.Is(err, c.want)) {
				t.Fatalf("edit: %v, want %v", err, c.want)
			}
			if got := w.login(); got != "first" {
				t.Errorf("login %q, want that of the last good copy", got)
			}
			ready, problem := w.Report()
			if !ready || !strings.Contains(problem, "the last edit is not used") {
				t.Errorf("report %v, %q", ready, problem)
			}
			if n := w.log.lines.Load(); n != 1 {
				t.Errorf("%d lines logged, want 1", n)
			}
			replace(t, path, two)
			if err := w.next(); err != nil {
				t.Fatal(err)
			}
			if _, problem := w.Report(); problem != "" || w.login() != "second" {
				t.Errorf("after the mend: %q, login %q", problem, w.login())
			}
		})
	}
}

func TestPollFindsWhatNotificationsMiss(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory.yaml")
	synctest.Test(t, func(t *testing.T) {
		write(t, path, one)
		w := watch1(t, path, Config{Poll: 10 * time.Second, PollOnly: true})
		write(t, path, two)
		if err := w.next(); err != nil {
			t.Fatal(err)
		}
		if got := w.login(); got != "second" {
			t.Errorf("login %q, want second", got)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := w.next(); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a missing file: %v", err)
		}
		if got := w.login(); got != "second" {
			t.Errorf("login %q without a file, want that of the last good copy", got)
		}
		<-time.After(61 * time.Second) // many polls later, and between two
		if n := w.log.lines.Load(); n != 2 || len(w.edits) != 0 {
			t.Errorf("%d lines logged for one edit and one loss, want 2", n)
		}
		write(t, path, two)
		if err := w.next(); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAnEditToTheBeginningOfTheCopyIsUsedWhenItStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "directory.yaml")
	synctest.Test(t, func(t *testing.T) {
		write(t, path, one)
		w := watch1(t, path, Config{Poll: 10 * time.Second, PollOnly: true})
		write(t, path, "users:\n  - { id: ada, login: first }\n")
		if err := w.next(); !errors.Is(err, errTruncated) {
			t.Fatalf("edit: %v, want ErrTruncated", err)
		}
		if _, err := w.Person(context.Background(), directorytest.Query("eve")); err != nil {
			t.Errorf("eve is gone at once: %v", err)
		}
		if err := w.next(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Person(context.Background(), directorytest.Query("eve")); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("eve is still there: %v", err)
		}
		_ = w.Close()
	})
}

func TestStartAndClose(t *testing.T) {
	defer cachetest.NothingLeft(t)
	path := filepath.Join(t.TempDir(), "directory.yaml")
	write(t, path, one)
	d, err := New(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err == nil {
		t.Error("it starts twice")
	}
	if err := errors.Join(d.Close(), d.Close()); err != nil {
		t.Error(err)
	}
	if err := d.Start(); err == nil {
		t.Error("it starts after Close")
	}
	never, err := New(Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(never.Close(), never.Close()); err != nil {
		t.Error(err)
	}
}
