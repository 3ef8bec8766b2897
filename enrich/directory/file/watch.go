package file

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"
)

// This file decides when the file is read again: after a notification of the
// operating system, and at each poll where time, size or identity of the file
// have changed.

const (
	// defaultPoll finds what notifications miss: network file systems, a
	// symbolic link into another folder.
	defaultPoll = 10 * time.Second

	// settleTime is how long after the first notice of a change the file is
	// read: an editor writes in several steps.
	settleTime = 100 * time.Millisecond

	// racyTime: a file changed so shortly before it was read may change once
	// more without its time and size showing it, and is read again.
	racyTime = 2 * time.Second
)

// Start begins to watch the file, in a goroutine that Close ends. A second
// Start is an error. Where the operating system has no watches left, the file
// is only polled.
func (d *Directory) Start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop != nil {
		return errors.New("watching the directory file: already started")
	}
	d.stop, d.done = make(chan struct{}), make(chan struct{})
	var watcher *fsnotify.Watcher
	if !d.config.PollOnly {
		var err error
		if watcher, err = fsnotify.NewWatcher(); err != nil {
			// The system may be out of watches: the poll still works.
			d.logger.Warn("directory file is not watched, only polled",
				slog.String("path", d.config.Path), slog.String("error", err.Error()))
			watcher = nil
		}
	}
	w := &watch{directory: d, watcher: watcher, folder: filepath.Dir(d.config.Path), name: filepath.Base(d.config.Path)}
	w.attach()
	go w.run(d.stop, d.done)
	return nil
}

// Close ends the watch and waits for its goroutine. The last copy still
// answers. It may be called more than once, and before Start.
func (d *Directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop == nil {
		d.stop = make(chan struct{})
		d.done = make(chan struct{})
		close(d.stop)
		close(d.done)
		return nil
	}
	select {
	case <-d.stop:
	default:
		close(d.stop)
	}
	<-d.done
	return nil
}

// A watch observes one file. It watches the folder and not the file itself:
// editors and Kubernetes replace the file, or a link in its folder, by renaming
// another over it.
type watch struct {
	directory *Directory
	watcher   *fsnotify.Watcher // nil: poll only
	folder    string
	name      string
}

// attach watches the folder, again where it had been removed and is back.
func (w *watch) attach() {
	if w.watcher == nil {
		return
	}
	// A removed folder drops out of the list by itself.
	if slices.Contains(w.watcher.WatchList(), w.folder) {
		return
	}
	// Where this fails, the poll finds the changes.
	_ = w.watcher.Add(w.folder)
}

// run waits for notifications and polls until stop is closed, and reloads the
// file where it may have changed.
func (w *watch) run(stop <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	var events chan fsnotify.Event
	var errs chan error
	if w.watcher != nil {
		defer w.watcher.Close()
		events, errs = w.watcher.Events, w.watcher.Errors
	}
	poll := time.NewTicker(w.directory.config.Poll)
	defer poll.Stop()
	// Stopped until the first notification.
	settle := time.NewTimer(settleTime)
	defer settle.Stop()
	settle.Stop()
	settling := false
	for {
		select {
		case <-stop:
			return
		case e, ok := <-events:
			if !ok {
				events = nil
				continue
			}
			// The first notice starts the timer and later ones do not reset it:
			// otherwise a busy folder could delay an edit without end.
			if !settling && w.concerns(e) {
				settling = true
				settle.Reset(settleTime)
			}
		case _, ok := <-errs:
			if !ok {
				errs = nil
			}
			// Notices were lost; the poll makes up for them.
		case <-settle.C:
			settling = false
			w.directory.reload()
		case <-poll.C:
			w.attach()
			if w.directory.changed() {
				w.directory.reload()
			}
		}
	}
}

// concerns reports whether an event may have changed the file that the path
// leads to.
func (w *watch) concerns(e fsnotify.Event) bool {
	if e.Op == fsnotify.Chmod {
		return false
	}
	name := filepath.Base(e.Name)
	return name == w.name || name == kubernetesLink || w.directory.changed()
}

// kubernetesLink is the link that Kubernetes swaps when a mounted ConfigMap or
// Secret changes. The files beside it lead through it.
const kubernetesLink = "..data"

// noteInfo remembers the metadata of the file just read.
func (d *Directory) noteInfo(info fs.FileInfo) {
	d.info = info
	d.racy = time.Since(info.ModTime()) < racyTime
}

// changed reports whether the file differs from the one that was read, or may
// differ.
func (d *Directory) changed() bool {
	info, err := os.Stat(d.config.Path)
	if err != nil || d.info == nil {
		return true
	}
	return d.racy || !os.SameFile(info, d.info) || info.Size() != d.info.Size() || !info.ModTime().Equal(d.info.ModTime())
}
