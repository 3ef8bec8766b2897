package file

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file holds the directory over the file as it is now: it loads the file,
// takes over an edit that is whole, and keeps the last good copy in front of
// one that is not. When to look again is decided in watch.go.

// Config says which file and how to look up in it.
type Config struct {
	// The file, in YAML or JSON. A relative path counts from the working
	// directory. Required.
	Path string `json:"path,omitempty"`

	// Match names the properties of a user that may hold the subject: id,
	// login, email, or any attribute of the profile. Default: id and login. It
	// is an option of every kind of directory, which the caller passes on.
	Match []string `json:"-"`

	// Poll is how often the file's time and size are looked at, besides
	// notifications from the system. Default: 10 s.
	Poll time.Duration `json:"-"`

	// PollOnly leaves the system's notifications out.
	PollOnly bool `json:"-"`

	// OnEdit is called after each edit: nil when the new copy is in use, else
	// why it is not. It must not block.
	OnEdit func(error) `json:"-"`

	// Logger receives one line for each edit.
	Logger *slog.Logger `json:"-"`
}

// Directory answers from the last good copy of a file. Its look-ups never block
// on the file.
type Directory struct {
	config  Config
	logger  *slog.Logger
	current atomic.Pointer[Static]
	problem atomic.Pointer[string]

	mu   sync.Mutex // of the watch
	stop chan struct{}
	done chan struct{}

	// Of the last reading. Only New and the goroutine of the watch use them.
	text    []byte            // of the good copy
	bad     [sha256.Size]byte // digest of the edit that was refused last
	short   [sha256.Size]byte // digest of an edit that may still be being written
	shortAt time.Time
	info    fs.FileInfo
	racy    bool
}

// New returns a directory with the content of the file. A missing or broken
// file is an error: the file is local and static, so a configuration that names
// a bad one is wrong in itself. New starts nothing: see Start.
func New(c Config) (*Directory, error) {
	if c.Path == "" {
		return nil, errors.New("reading the directory file: path is missing")
	}
	if c.Poll < 0 {
		return nil, errors.New("reading the directory file: poll is negative")
	}
	c.Poll = cmp.Or(c.Poll, defaultPoll)
	d := &Directory{config: c, logger: c.Logger}
	d.logger = cmp.Or(d.logger, slog.New(slog.DiscardHandler))
	text, info, err := d.read()
	if err != nil {
		return nil, err
	}
	snapshot, err := Load(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Path, err)
	}
	d.use(snapshot, text, info)
	return d, nil
}

// Person implements directory.Directory.
func (d *Directory) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	return d.current.Load().Person(ctx, q)
}

// App implements directory.Directory.
func (d *Directory) App(ctx context.Context, id string) (*identity.App, error) {
	return d.current.Load().App(ctx, id)
}

// AppUser implements directory.Directory.
func (d *Directory) AppUser(ctx context.Context, q directory.Query, appID string) (*identity.AppUser, error) {
	return d.current.Load().AppUser(ctx, q, appID)
}

// snapshot returns the copy in use.
func (d *Directory) snapshot() *Snapshot { return d.current.Load().snapshot }

// Attributes implements directory.Lister for the copy in use.
func (d *Directory) Attributes() directory.Attributes { return d.snapshot().Attributes() }

// Warnings implements directory.Warner for the copy in use.
func (d *Directory) Warnings() []string { return d.current.Load().Warnings() }

// Unsupported implements directory.Limited: a file can hold all facts.
func (d *Directory) Unsupported() identity.Facts { return 0 }

// Report implements directory.Reporter: an edit that is not used is a problem.
// There always is a copy to answer from.
func (d *Directory) Report() (ready bool, problem string) {
	if p := d.problem.Load(); p != nil {
		return true, *p
	}
	return true, ""
}

// read returns the text of the file and its metadata, both of one moment. It
// refuses what is no regular file or is over maxSize.
func (d *Directory) read() ([]byte, fs.FileInfo, error) {
	f, err := os.Open(d.config.Path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the directory file: %w", err)
	}
	defer f.Close()
	// Of the open file: the path may lead to another one by now.
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("reading the directory file: %w", err)
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("reading the directory file: %s is not a regular file", d.config.Path)
	case info.Size() > maxSize:
		return nil, nil, fmt.Errorf("reading the directory file: over %d bytes: %w", maxSize, errSize)
	}
	var text bytes.Buffer
	text.Grow(int(info.Size()) + bytes.MinRead)
	if _, err := text.ReadFrom(io.LimitReader(f, maxSize+1)); err != nil {
		return nil, nil, fmt.Errorf("reading the directory file: %w", err)
	}
	return text.Bytes(), info, nil
}

// use makes a snapshot the one that answers, and logs what is suspicious in it.
func (d *Directory) use(s *Snapshot, text []byte, info fs.FileInfo) {
	d.current.Store(s.Directory(d.config.Match...))
	d.problem.Store(nil)
	d.text, d.bad, d.short = text, [sha256.Size]byte{}, [sha256.Size]byte{}
	d.noteInfo(info)
	for _, text := range d.Warnings() {
		d.logger.Warn("suspicious entries in the directory file", slog.String("path", d.config.Path), slog.String("warning", text))
	}
}

// endsInNewline reports whether the last line of the text is complete.
func endsInNewline(text []byte) bool { return bytes.HasSuffix(text, []byte("\n")) }

// reload reads the file again and uses its content where that is whole.
func (d *Directory) reload() {
	text, info, err := d.read()
	if err != nil {
		d.info = nil
		d.refuse(err, [sha256.Size]byte{1})
		return
	}
	d.noteInfo(info)
	// An edit that restores the copy in use ends the problem.
	if bytes.Equal(text, d.text) {
		if d.problem.Swap(nil) != nil {
			d.bad, d.short = [sha256.Size]byte{}, [sha256.Size]byte{}
			d.logger.Info("directory file matches the copy in use again", slog.String("path", d.config.Path))
			d.notify(nil)
		}
		return
	}
	digest := sha256.Sum256(text)
	snapshot, err := Load(text)
	if err == nil && !isJSON(text) {
		err = d.breaksOff(text, digest)
	}
	if err != nil {
		d.refuse(err, digest)
		return
	}
	d.use(snapshot, text, info)
	d.logger.Info("directory file edited; the new copy is in use",
		slog.String("path", d.config.Path), slog.String("holds", snapshot.String()))
	d.notify(nil)
}

// breaksOff finds YAML that was cut short and still is valid YAML, which cannot
// happen to JSON. Without the final newline that the good copy has, the file
// ends within a line. A text that is the beginning of the good copy may have
// been edited to that, or may still be being written: it is used after it has
// stayed the same for one poll.
func (d *Directory) breaksOff(text []byte, digest [sha256.Size]byte) error {
	if endsInNewline(d.text) && !endsInNewline(text) {
		return fmt.Errorf("reading the directory file: the last line has no line end: %w", errTruncated)
	}
	if !bytes.HasPrefix(d.text, text) {
		return nil
	}
	now := time.Now()
	if d.short != digest {
		d.short, d.shortAt = digest, now
	} else if now.Sub(d.shortAt) >= d.config.Poll {
		return nil
	}
	d.racy = true // look again, also where nothing shows a change
	return fmt.Errorf("reading the directory file: it is a truncated copy of the one in use, "+
		"and will be used if it stays so for %v: %w", d.config.Poll, errTruncated)
}

// refuse keeps the copy in use and logs why, once for each edit.
func (d *Directory) refuse(err error, digest [sha256.Size]byte) {
	// The file is read again at each poll, and reported once.
	if digest == d.bad {
		return
	}
	d.bad = digest
	problem := "the last edit is not used: " + err.Error()
	d.problem.Store(&problem)
	d.logger.Error("directory file edited, but the edit is not used; the last valid copy stays in use",
		slog.String("path", d.config.Path), slog.String("error", err.Error()))
	d.notify(err)
}

// notify calls OnEdit.
func (d *Directory) notify(err error) {
	if d.config.OnEdit != nil {
		d.config.OnEdit(err)
	}
}

// isJSON reports whether the text is a JSON object, which cannot break off and
// stay valid.
func isJSON(text []byte) bool {
	trimmed := bytes.TrimSpace(text)
	return len(trimmed) > 0 && trimmed[0] == '{' && trimmed[len(trimmed)-1] == '}'
}
