package scim

import (
	"bufio"
	"bytes"
	"context"
	_ "embed" // brings the service along
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

//go:embed testdata/server.mjs
var script []byte

//go:embed testdata/package-lock.json
var lock []byte

// node is the one running service of testdata/server.mjs.
var node struct {
	once   sync.Once
	err    error
	url    string
	folder string
	input  io.Closer
	cmd    *exec.Cmd
}

func TestMain(m *testing.M) {
	code := m.Run()
	if node.input != nil {
		_ = node.input.Close()
		_ = node.cmd.Wait()
	}
	_ = os.RemoveAll(node.folder)
	os.Exit(code)
}

// service gives the address of the running service.
func service(t testing.TB) string {
	t.Helper()
	modules := enrichtest.NodeModules(t, lock)
	node.once.Do(func() { node.err = startService(modules) })
	if node.err != nil {
		t.Fatal(node.err)
	}
	return node.url
}

func startService(modules string) error {
	if _, err := exec.LookPath("node"); err != nil {
		return errors.New("these tests need Node.js 20 or later on PATH: a real SCIM service runs on it")
	}
	// Node looks for packages beside the script.
	folder, err := os.MkdirTemp("", "scim-")
	if err != nil {
		return err
	}
	node.folder = folder
	if err := os.WriteFile(filepath.Join(folder, "server.mjs"), script, 0o600); err != nil {
		return err
	}
	if err := os.Symlink(modules, filepath.Join(folder, "node_modules")); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), "node", "server.mjs")
	cmd.Dir = folder
	cmd.Stderr = os.Stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	node.input, node.cmd = input, cmd
	line, err := bufio.NewReader(output).ReadString('\n')
	port, ready := strings.CutPrefix(strings.TrimSpace(line), "READY ")
	if err != nil {
		return fmt.Errorf("the SCIM service did not start: %w", err)
	}
	if !ready {
		return fmt.Errorf("the SCIM service did not start, but said %q", line)
	}
	node.url = "http://127.0.0.1:" + port
	return nil
}

type object = map[string]any

// shape says how a world is put into SCIM.
type shape struct {
	groupsOfUser bool // users carry their groups, with names
	nameless     bool // … but without names
	naive        bool // the service does not read escapes in filters
	deaf         bool // the service takes no notice of filters
}

// world puts a world into the service and gives the bearer token for it.
func world(t testing.TB, w directorytest.World, s shape) string {
	t.Helper()
	names := map[string]string{}
	members := map[string][]object{}
	for _, g := range w.Groups {
		names[g.ID] = g.Name
	}
	var users, groups []object
	for _, u := range w.Users {
		var of []object
		for _, id := range u.Groups {
			members[id] = append(members[id], object{"value": u.ID, "display": u.Login, "type": "User"})
			g := object{"value": id, "type": "direct"}
			if !s.nameless {
				g["display"] = names[id]
			}
			of = append(of, g)
		}
		r := object{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User", enterprise},
			"id":      u.ID, "externalId": "ext-" + u.ID, "userName": u.Login, "active": !u.Disabled(),
			"name":     object{"givenName": u.Profile["firstName"], "familyName": u.Profile["lastName"]},
			"emails":   []object{{"value": "other-" + u.ID + "@example.com", "type": "home"}, {"value": u.Profile["email"], "type": "work", "primary": true}},
			enterprise: object{"department": u.Profile["department"], "employeeNumber": "0042", "manager": object{"value": "00u2eve", "displayName": "Eve"}},
			"meta":     object{"resourceType": "User", "created": "2024-01-02T03:04:05.000Z", "lastModified": "2024-05-01T09:00:00Z"},
		}
		if s.groupsOfUser && of != nil {
			r["groups"] = of
		}
		users = append(users, r)
	}
	for _, g := range w.Groups {
		if members[g.ID] == nil {
			members[g.ID] = []object{}
		}
		groups = append(groups, object{
			"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "id": g.ID, "displayName": g.Name, "members": members[g.ID],
		})
	}
	text, err := json.Marshal(object{"users": users, "groups": groups, "naive": s.naive, "deaf": s.deaf})
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, service(t)+"/_world", bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var made struct{ Token string }
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || made.Token == "" {
		t.Fatalf("making a world: status %d, %v", answer.StatusCode, err)
	}
	return made.Token
}

// front stands before the service and spoils what it answers.
type front struct {
	http.RoundTripper
	spoil func(r *http.Request, forward func(*http.Request) (*http.Response, error)) (*http.Response, error)

	mu    sync.Mutex
	asked []string
}

func (f *front) RoundTrip(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	query, _ := url.QueryUnescape(r.URL.RawQuery)
	f.asked = append(f.asked, r.URL.Path+"?"+query)
	f.mu.Unlock()
	if f.spoil == nil {
		return http.DefaultTransport.RoundTrip(r)
	}
	return f.spoil(r, http.DefaultTransport.RoundTrip)
}

func (f *front) count(prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for _, a := range f.asked {
		if strings.HasPrefix(a, prefix) {
			n++
		}
	}
	return n
}

// says makes an answer.
func says(r *http.Request, status int, kind, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(body)),
		Header: http.Header{"Content-Type": {kind}, "Date": {time.Now().UTC().Format(http.TimeFormat)}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}
