package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cmd/demo/internal/legacy"
	"github.com/tokenenrich/caddy-token-enrich/cmd/demo/internal/provider"
)

func TestOnceComesOutAsExpected(t *testing.T) {
	var out, complaints strings.Builder
	if code := run(t.Context(), []string{"--once", "--any-port"}, &out, &complaints); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out.String(), complaints.String())
	}
	steps := len(scenes()) + len(visits())
	if want := fmt.Sprintf("\n%d of %d as expected\n", steps, steps); !strings.HasSuffix(out.String(), want) {
		t.Errorf("closing line:\n%s", out.String())
	}
	if strings.Contains(out.String(), "eyJ") {
		t.Error("a token is printed")
	}
}

func TestTheReadmeCountsTheSteps(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps := len(scenes()) + len(visits())
	if want := fmt.Sprintf("`%d of %d as expected`", steps, steps); !strings.Contains(string(readme), want) {
		t.Errorf("README.md does not say %s", want)
	}
}

func TestQuestionsAreAnswered(t *testing.T) {
	s, err := open(t.Context(), options{anyPort: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for _, q := range s.questions() {
		method, body := http.MethodGet, io.Reader(http.NoBody)
		if q.body != "" {
			method, body = http.MethodPost, strings.NewReader(q.body)
		}
		r, err := http.NewRequestWithContext(t.Context(), method, q.url, body)
		if err != nil {
			t.Fatal(err)
		}
		a, err := send(r)
		if err != nil || a.code != http.StatusOK || !json.Valid(a.body) {
			t.Errorf("%s %s, %v", q.title, a.status, err)
		}
		if strings.HasSuffix(q.url, "/explain") && !strings.Contains(string(a.body), "requirement") {
			t.Errorf("the answer does not name the requirement: %s", a.body)
		}
	}
}

// TestWithoutTheGatewayNothingIsAsExpected lets the requests go straight to
// the application: were one of them as expected even so, it would show nothing.
func TestWithoutTheGatewayNothingIsAsExpected(t *testing.T) {
	application := httptest.NewServer(legacy.Handler())
	defer application.Close()
	issuer := httptest.NewUnstartedServer(nil)
	url := "http://" + issuer.Listener.Addr().String()
	p, err := provider.New(known(url))
	if err != nil {
		t.Fatal(err)
	}
	issuer.Config.Handler = p.Handler()
	issuer.Start()
	defer issuer.Close()

	var out strings.Builder
	s := &stage{gateway: application.URL, issuer: url}
	if s.play(t.Context(), &out) {
		t.Error("all is as expected")
	}
	if want := fmt.Sprintf("\n0 of %d as expected\n", len(scenes())+len(visits())); !strings.HasSuffix(out.String(), want) {
		t.Errorf("closing line:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "X_groups came through") {
		t.Errorf("a spoofed header goes unnoticed:\n%s", out.String())
	}
}

func TestItRunsUntilItIsInterruptedAndLeavesNothing(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, interrupt := context.WithCancel(t.Context())
	out := &watched{until: "Ctrl-C ends it.", found: interrupt}
	var complaints strings.Builder
	if code := run(ctx, []string{"--any-port"}, out, &complaints); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out.String(), complaints.String())
	}
	for _, s := range []string{"in a browser and sign in as Ada, Grace or Alan", "/.token-enrich/logout", "curl -s", "expect 200 OK", "expect 403 Forbidden", "Stopping."} {
		if !strings.Contains(out.String(), s) {
			t.Errorf("says nothing of %q:\n%s", s, out.String())
		}
	}
	left, err := filepath.Glob(filepath.Join(temp, "token-enrich-demo-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// watched calls found once it has been told a text.
type watched struct {
	strings.Builder
	until string
	found func()
}

func (w *watched) Write(b []byte) (int, error) {
	n, err := w.Builder.Write(b)
	if strings.Contains(w.String(), w.until) {
		w.found()
	}
	return n, err
}

func TestMisuseEndsWithTheUsage(t *testing.T) {
	for _, args := range [][]string{{"--nonsense"}, {"extra"}} {
		var out, complaints strings.Builder
		if code := run(t.Context(), args, &out, &complaints); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
		if !strings.Contains(complaints.String(), "usage: go run ./cmd/demo") {
			t.Errorf("%v: %s", args, complaints.String())
		}
	}
	t.Run("outside a checkout", func(t *testing.T) {
		t.Chdir(t.TempDir())
		var out, complaints strings.Builder
		if code := run(t.Context(), nil, &out, &complaints); code != 1 || !strings.Contains(complaints.String(), "inside a checkout") {
			t.Errorf("exit code %d: %s", code, complaints.String())
		}
	})
}

func TestPortsAreFreeAndDiffer(t *testing.T) {
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	wanted := portOf(taken)
	ports, err := freePorts(t.Context(), false, wanted, wanted)
	if err != nil || len(ports) != 2 || slices.Contains(ports, wanted) || slices.Contains(ports, 0) || ports[0] == ports[1] {
		t.Errorf("ports %d, %v", ports, err)
	}
}

func TestPeopleStandInTheExampleDirectory(t *testing.T) {
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	directory, err := os.ReadFile(filepath.Join(root, "examples", "directory.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for key, person := range people() {
		id := person.Subject
		if known := strings.Contains(string(directory), "- id: "+id+"\n"); known == (key == "nobody") {
			t.Errorf("%s (%s) stands in the directory: %v", key, id, known)
		}
		if !strings.Contains(string(directory), "email: "+person.Email) {
			t.Errorf("the directory has another address for %s", key)
		}
	}
	if !strings.Contains(string(directory), "- id: "+client+"\n") {
		t.Error("the client is no app of the directory")
	}
	secret, err := os.ReadFile(filepath.Join(root, "examples", "dev", "client.secret"))
	if err != nil || strings.TrimSpace(string(secret)) != loginSecret {
		t.Errorf("the provider knows another secret than the gateway: %v", err)
	}
}
