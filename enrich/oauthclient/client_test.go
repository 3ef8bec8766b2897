package oauthclient_test

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// roundTrip is a transport that a test writes by hand.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func newClient(t *testing.T, transport http.RoundTripper, o oauthclient.TransportOptions) *oauthclient.Client {
	t.Helper()
	c, err := oauthclient.New(transport, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func do(t *testing.T, c *oauthclient.Client, method, address string, bound int64) (*oauthclient.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, address, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return c.Do(r, bound)
}

func TestBodiesAreBounded(t *testing.T) {
	broken := iotest.ErrReader(io.ErrUnexpectedEOF)
	for _, c := range []struct {
		name   string
		status int
		body   io.Reader
		length int64
		want   int // bytes
		err    error
	}{
		{"within the bound", 200, strings.NewReader("12345678"), 8, 8, nil},
		{"of unknown length", 200, strings.NewReader("12345678"), -1, 8, nil},
		{"over the bound", 200, strings.NewReader("123456789"), -1, 0, oauthclient.ErrTooLarge},
		{"over the bound, and says so", 200, strings.NewReader("123456789"), 9, 0, oauthclient.ErrTooLarge},
		{"broken off", 200, io.MultiReader(strings.NewReader("1"), broken), -1, 0, io.ErrUnexpectedEOF},
		{"of an error", 500, strings.NewReader("123456789"), 9, 9, nil},
		{"of an error, too long", 400, strings.NewReader(strings.Repeat("x", 64<<10+1)), -1, 64 << 10, nil},
		{"of an error, broken off", 400, io.MultiReader(strings.NewReader("1"), broken), -1, 0, nil},
	} {
		client := newClient(t, roundTrip(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: c.status, Header: http.Header{"X": {"y"}}, Body: io.NopCloser(c.body), ContentLength: c.length}, nil
		}), oauthclient.TransportOptions{})
		answer, err := do(t, client, http.MethodGet, "https://host/x", 8)
		if !errors.Is(err, c.err) || answer == nil || answer.Status != c.status || answer.Header.Get("X") != "y" || len(answer.Body) != c.want ||
			answer.URL.String() != "https://host/x" {
			t.Errorf("%s: %+v, %v", c.name, answer, err)
		}
	}
}

func TestRedirectsStayAtTheOrigin(t *testing.T) {
	asked := 0
	client := newClient(t, roundTrip(func(r *http.Request) (*http.Response, error) {
		asked++
		to := map[string]string{
			"/near": "/end", "/port": "https://host:443/end", "/far": "https://other.example/steal", "/plain": "http://host/end",
			"/user": "https://me@host/end", "/round": "/round",
		}[r.URL.Path]
		answer := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}
		if to != "" {
			answer.StatusCode = http.StatusFound
			answer.Header.Set("Location", to)
		}
		return answer, nil
	}), oauthclient.TransportOptions{})
	for _, c := range []struct {
		method, path, want string
		asked              int
	}{
		{http.MethodGet, "/near", "", 2},
		{http.MethodGet, "/port", "", 2},
		{http.MethodGet, "/far", "redirects to another host", 1},
		{http.MethodGet, "/plain", "redirects to another host", 1},
		{http.MethodGet, "/user", "redirects to another host", 1},
		{http.MethodGet, "/round", "redirects too often", 4},
		{http.MethodPost, "/near", "redirects a request into another method", 1},
	} {
		asked = 0
		answer, err := do(t, client, c.method, "https://host"+c.path, 1)
		var refused oauthclient.RedirectError
		if errors.As(err, &refused); refused != "" && refused.Error() != c.want || (err == nil) != (c.want == "") || asked != c.asked {
			t.Errorf("%s %s: %v after %d requests", c.method, c.path, err, asked)
		}
		if err == nil && answer.URL.Path != "/end" {
			t.Errorf("%s %s: came from %s", c.method, c.path, answer.URL)
		}
	}
	asked = 0
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://host/near", strings.NewReader("code=x"))
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := client.HTTPClient().Do(r); err == nil {
		answer.Body.Close()
		t.Error("the client of other packages follows other redirects")
	}
	if asked != 1 {
		t.Errorf("the client of other packages sent %d requests, want 1", asked)
	}
}

func TestTheServerMustBeTrusted(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	trusting := newClient(t, nil, oauthclient.TransportOptions{CAFile: ca})
	defer trusting.CloseIdleConnections()
	if answer, err := do(t, trusting, http.MethodGet, server.URL, 8); err != nil || string(answer.Body) != "ok" {
		t.Errorf("got %+v, %v", answer, err)
	}
	if _, err := do(t, trusting, http.MethodGet, strings.Replace(server.URL, "127.0.0.1", "localhost", 1), 8); err == nil {
		t.Error("a certificate of another name is accepted")
	}
	if _, err := do(t, newClient(t, nil, oauthclient.TransportOptions{}), http.MethodGet, server.URL, 8); err == nil {
		t.Error("an unknown authority is accepted")
	}
	for name, o := range map[string]struct {
		transport http.RoundTripper
		caFile    string
	}{
		"a CA file with a transport":  {http.DefaultTransport, ca},
		"a CA file that is not there": {nil, filepath.Join(t.TempDir(), "none.pem")},
	} {
		if _, err := oauthclient.New(o.transport, oauthclient.TransportOptions{CAFile: o.caFile}); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
}

func TestSameOrigin(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"https://host/a", "https://HOST/b?c", true},
		{"https://host", "https://host:443", true},
		{"http://host", "http://host:80", true},
		{"https://host", "https://host:8443", false},
		{"https://host", "http://host", false},
		{"https://host", "https://host.example", false},
		{"https://[::1]:443/x", "https://[::1]", true},
	} {
		a, errA := url.Parse(c.a)
		b, errB := url.Parse(c.b)
		if errA != nil || errB != nil || oauthclient.SameOrigin(a, b) != c.want {
			t.Errorf("%s and %s: want %v", c.a, c.b, c.want)
		}
	}
}
