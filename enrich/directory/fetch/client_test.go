package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// roundTrip is a transport that a test writes by hand.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer makes a JSON answer; pairs are header names and values.
func answer(status int, body string, pairs ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i+1 < len(pairs); i += 2 {
		h.Set(pairs[i], pairs[i+1])
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}
}

func client(t testing.TB, o Options) *Client {
	t.Helper()
	if o.Base == "" {
		o.Base = "https://directory.example/scim"
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAddressesThatAreNotSafeAreRefused(t *testing.T) {
	for _, c := range []struct {
		base string
		ok   bool
	}{
		{"https://host/path", true},
		{"https://host:8443", true},
		{"http://127.0.0.1:8080", true},
		{"http://[::1]:8080", true},
		{"http://localhost:8080", true},
		{"http://host", false},
		{"http://localhost.evil.example", false},
		{"http://127.0.0.1.evil.example", false},
		{"https://user:password@host", false},
		{"https://host?x=1", false},
		{"https://host#x", false},
		{"ftp://host", false},
		{"file:///etc/passwd", false},
		{"host/path", false},
		{"https://", false},
		{"https:host", false},
		{"", false},
		{"https://ho st", false},
	} {
		_, err := New(Options{Base: c.base})
		if (err == nil) != c.ok {
			t.Errorf("%q: %v", c.base, err)
		}
		if err != nil && strings.Contains(err.Error(), "password") {
			t.Error("the error holds the password")
		}
	}
	if _, err := New(Options{Base: "http://host", Plaintext: true}); err != nil {
		t.Errorf("plaintext by option: %v", err)
	}
}

func TestSettingsThatDoNothingAreRefused(t *testing.T) {
	transport := roundTrip(func(*http.Request) (*http.Response, error) { return answer(200, "{}"), nil })
	for name, o := range map[string]Options{
		"CA with a transport":    {Transport: transport, CAFile: "x"},
		"missing CA":             {CAFile: filepath.Join(t.TempDir(), "none.pem")},
		"too many retries":       {Retries: directory.MaxRetries + 1},
		"negative bound of body": {MaxBody: -1},
	} {
		o.Base = "https://host"
		if _, err := New(o); err == nil {
			t.Errorf("%s is accepted", name)
		}
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Base: "https://host", CAFile: empty}); err == nil {
		t.Error("a CA file without a certificate is accepted")
	}
}

func TestTLSIsVerified(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"ok":true}`))
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	trusting := client(t, Options{Base: server.URL, CAFile: ca})
	r, err := trusting.Do(context.Background(), Request{URL: "/x"})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := r.Object(); err != nil || o["ok"] != true {
		t.Errorf("object %v, %v", o, err)
	}
	for name, o := range map[string]Options{
		"an unknown authority": {Base: server.URL},
		"another name":         {Base: strings.Replace(server.URL, "127.0.0.1", "localhost", 1), CAFile: ca},
	} {
		_, err := client(t, o).Do(context.Background(), Request{URL: "/x"})
		if !errors.Is(err, directory.ErrUnavailable) || !strings.Contains(err.Error(), "x509") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := trusting.Close(); err != nil {
		t.Error(err)
	}
}

func TestRedirectsStayAtTheOriginAndSoDoCredentials(t *testing.T) {
	var elsewhere, rounds atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	var home *httptest.Server
	home = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/near":
			http.Redirect(w, r, "/end", http.StatusFound)
		case "/far":
			http.Redirect(w, r, other.URL+"/steal", http.StatusFound)
		case "/scheme":
			http.Redirect(w, r, strings.Replace(home.URL, "http:", "https:", 1), http.StatusFound)
		case "/user":
			http.Redirect(w, r, strings.Replace(home.URL, "http://", "http://me@", 1)+"/end", http.StatusFound)
		case "/round":
			rounds.Add(1)
			http.Redirect(w, r, "/round", http.StatusFound)
		case "/end":
			fmt.Fprintf(w, `{"authorization":%q}`, r.Header.Get("Authorization"))
		}
	}))
	defer home.Close()
	c := client(t, Options{Base: home.URL, Authorize: func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "SSWS secret")
		return nil
	}})
	r, err := c.Do(context.Background(), Request{URL: "/near"})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := r.Object(); err != nil || o["authorization"] != "SSWS secret" || r.URL.Path != "/end" {
		t.Errorf("at the same origin: %v, %v", o, err)
	}
	for _, path := range []string{"/far", "/scheme", "/user", "/round"} {
		if _, err := c.Do(context.Background(), Request{URL: path}); !errors.Is(err, directory.ErrUnavailable) || strings.Contains(err.Error(), "steal") {
			t.Errorf("%s: %v", path, err)
		}
	}
	if _, err := c.Do(context.Background(), Request{URL: "/near", Method: http.MethodPost, Body: []byte("{}")}); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("a redirect of a POST into a GET: %v", err)
	}
	for _, link := range []string{other.URL + "/next", "//evil.example/next", "https://" + strings.TrimPrefix(home.URL, "http://"), "http://me@" + strings.TrimPrefix(home.URL, "http://"), "mailto:x", "http://[::1"} {
		if _, err := c.Do(context.Background(), Request{URL: link}); !errors.Is(err, directory.ErrMalformed) {
			t.Errorf("a link to another host: %v", err)
		}
	}
	if elsewhere.Load() != 0 {
		t.Error("another host was asked")
	}
	if n := rounds.Load(); n != 3+1 {
		t.Errorf("%d requests went round; it would be no other way when asked again", n)
	}
}

func TestURLsAreJoinedToTheBaseAsEscaped(t *testing.T) {
	for _, c := range []struct{ base, url, want string }{
		{"https://host/scim/v2", "Users", "https://host/scim/v2/Users"},
		{"https://host/scim/v2/", "/Users?filter=a%20b", "https://host/scim/v2/Users?filter=a%20b"},
		{"https://host", "/a%2Fb/%2E%2E", "https://host/a%2Fb/%2E%2E"},
		{"https://host/scim", "", "https://host/scim"},
		{"https://host/scim", "https://HOST:443/other?after=1#x", "https://HOST:443/other?after=1"},
	} {
		got := ""
		cl := client(t, Options{Base: c.base, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			got = r.URL.String()
			return answer(200, "{}"), nil
		})})
		if _, err := cl.Do(context.Background(), Request{URL: c.url}); err != nil || got != c.want {
			t.Errorf("%s + %s = %s, %v; want %s", c.base, c.url, got, err, c.want)
		}
	}
}

func TestStatusesBecomeSentinels(t *testing.T) {
	for _, c := range []struct {
		status int
		want   error
		tries  int
	}{
		{200, nil, 1},
		{204, nil, 1},
		{301, directory.ErrUnavailable, 1},
		{304, directory.ErrUnavailable, 1},
		{400, directory.ErrRejected, 1},
		{401, directory.ErrRefused, 1},
		{403, directory.ErrRefused, 1},
		{404, directory.ErrRejected, 1},
		{407, directory.ErrRefused, 1},
		{408, directory.ErrUnavailable, 3},
		{410, directory.ErrRejected, 1},
		{414, directory.ErrRejected, 1},
		{429, directory.ErrThrottled, 3},
		{500, directory.ErrUnavailable, 1},
		{502, directory.ErrUnavailable, 3},
		{503, directory.ErrUnavailable, 3},
		{504, directory.ErrUnavailable, 3},
	} {
		synctest.Test(t, func(t *testing.T) {
			tries := 0
			cl := client(t, Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
				tries++
				if c.status == 204 {
					return answer(204, ""), nil
				}
				return answer(c.status, "{}"), nil
			})})
			_, err := cl.Do(context.Background(), Request{URL: "Users/ada%40example.com"})
			if !errors.Is(err, c.want) || (c.want == nil) != (err == nil) || tries != c.tries {
				t.Errorf("%d: %v after %d tries, want %v after %d", c.status, err, tries, c.want, c.tries)
			}
			var status *StatusError
			if err != nil && (!errors.As(err, &status) || status.Status != c.status) {
				t.Errorf("%d: the error does not tell the status", c.status)
			}
			if err != nil && (strings.Contains(err.Error(), "ada") || strings.Contains(err.Error(), "directory.example")) {
				t.Errorf("the error holds the URL: %v", err)
			}
		})
	}
	cl := client(t, Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
		return answer(404, "<html>", "Content-Type", "text/html"), nil
	})})
	if _, err := cl.Do(context.Background(), Request{Absent: []int{404}}); !errors.Is(err, directory.ErrNotFound) || directory.Failed(err) {
		t.Errorf("404 for a thing: %v", err)
	}
}

func TestARefusalCarriesWhatTheServerSaid(t *testing.T) {
	for _, c := range []struct {
		name, body string
		broken     bool
		want       int
	}{
		{"whole", `{"errorCode":"E0000007","errorSummary":"ada"}`, false, 45},
		{"empty", "", false, 0},
		{"too long", strings.Repeat("a", 64<<10+1), false, 64 << 10},
		{"broken off", `{"errorCode":"E0000007"`, true, 0},
	} {
		cl := client(t, Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			a := answer(404, c.body, "X-Okta-Request-Id", "req1")
			if c.broken {
				a.Body = io.NopCloser(io.MultiReader(a.Body, iotest.ErrReader(io.ErrUnexpectedEOF)))
			}
			return a, nil
		})})
		_, err := cl.Do(context.Background(), Request{})
		var status *StatusError
		if !errors.As(err, &status) || status.Status != 404 || status.Header().Get("X-Okta-Request-Id") != "req1" || !errors.Is(err, directory.ErrRejected) {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := string(status.Body()); len(got) != c.want || !strings.HasPrefix(c.body, got) {
			t.Errorf("%s: %d bytes of body, want %d", c.name, len(got), c.want)
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%v", err), fmt.Sprintf("%+v", err), slog.AnyValue(err).String()} {
			if strings.Contains(text, "ada") || strings.Contains(text, "E0000007") || strings.Contains(text, "req1") {
				t.Errorf("%s: the error shows the answer: %s", c.name, text)
			}
		}
	}
}

func TestWhatMayBeRepeatedIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			method string
			repeat bool
			tries  int
		}{{"", false, 3}, {http.MethodHead, false, 3}, {http.MethodPost, false, 1}, {http.MethodPost, true, 3}, {http.MethodPut, false, 1}} {
			tries := 0
			cl := client(t, Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				tries++
				if r.Body != nil {
					if text, _ := io.ReadAll(r.Body); string(text) != "question" {
						t.Errorf("try %d sends %q", tries, text)
					}
				}
				return nil, errors.New(`malformed answer "ada@example.com"`)
			})})
			_, err := cl.Do(context.Background(), Request{Method: c.method, Repeat: c.repeat, Body: []byte("question")})
			if !errors.Is(err, directory.ErrUnavailable) || tries != c.tries || strings.Contains(err.Error(), "ada") {
				t.Errorf("%s: %v after %d tries, want %d", c.method, err, tries, c.tries)
			}
		}
	})
}

func TestAnswersOverTheBoundAreRefused(t *testing.T) {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(bytes.Repeat([]byte{' '}, 1<<20))
	_ = z.Close()
	sent := int64(0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/declared":
			w.Header().Set("Content-Length", "1001")
			_, _ = w.Write(bytes.Repeat([]byte{' '}, 1001))
		case "/endless":
			for r.Context().Err() == nil {
				n, err := w.Write(bytes.Repeat([]byte{' '}, 1024))
				sent += int64(n)
				if err != nil {
					return
				}
			}
		case "/zipped":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(zipped.Bytes())
		case "/cut":
			w.Header().Set("Content-Length", "500")
			_, _ = w.Write([]byte("{"))
		case "/just":
			_, _ = w.Write([]byte(`"` + strings.Repeat("x", 998) + `"`))
		}
	}))
	defer server.Close()
	c := client(t, Options{Base: server.URL, MaxBody: 1000})
	for _, path := range []string{"/declared", "/endless", "/zipped"} {
		if _, err := c.Do(context.Background(), Request{URL: path}); !errors.Is(err, directory.ErrTooLarge) {
			t.Errorf("%s: %v, want ErrTooLarge", path, err)
		}
	}
	if _, err := c.Do(context.Background(), Request{URL: "/cut"}); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("/cut: %v, want ErrUnavailable", err)
	}
	if r, err := c.Do(context.Background(), Request{URL: "/just"}); err != nil || len(r.Body) != 1000 {
		t.Errorf("/just: %v", err)
	}
}

func TestAnAnswerOfAnotherTypeIsNone(t *testing.T) {
	for _, c := range []struct {
		kind   string
		accept []string
		ok     bool
	}{
		{"application/json", nil, true},
		{"application/json; charset=utf-8", nil, true},
		{"Application/JSON; charset=UTF-8", nil, true},
		{"application/scim+json", nil, true},
		{"application/json; charset=utf-16", nil, false},
		{"text/html; charset=utf-8", nil, false},
		{"text/json", nil, false},
		{"", nil, false},
		{"json", nil, false},
		{"application/jwt", []string{MediaJSON, MediaJWT}, true},
		{"application/scim+json", []string{MediaJSON}, false},
	} {
		cl := client(t, Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return answer(200, `{}`, "Content-Type", c.kind), nil })})
		_, err := cl.Do(context.Background(), Request{Accept: c.accept})
		if (err == nil) != c.ok || (err != nil && !errors.Is(err, directory.ErrMalformed)) {
			t.Errorf("%q: %v", c.kind, err)
		}
	}
}

func TestAServerIsLeftAloneAsLongAsItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries, begin := 0, time.Now()
		cl := client(t, Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			if tries++; tries == 1 {
				return answer(429, "", "Retry-After", "2"), nil
			}
			return answer(200, "{}"), nil
		})})
		if _, err := cl.Do(context.Background(), Request{}); err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(begin); waited < 2*time.Second || waited > 4*time.Second {
			t.Errorf("it asked again after %v, want 2s and a little", waited)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		cl := client(t, Options{Transport: roundTrip(func(*http.Request) (*http.Response, error) {
			tries++
			return answer(503, "", "Retry-After", "3600"), nil
		})})
		short, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := cl.Do(short, Request{})
		if !errors.Is(err, directory.ErrThrottled) || tries != 1 {
			t.Errorf("%v after %d tries, want ErrThrottled after one", err, tries)
		}
		if _, err := cl.Do(short, Request{}); !errors.Is(err, directory.ErrThrottled) || tries != 1 {
			t.Errorf("the next request: %v after %d tries", err, tries)
		}
		if time.Since(begin) > time.Second {
			t.Error("it waited for what there was no time to wait for")
		}
		<-time.After(2 * maxPause)
		if _, err := cl.Do(context.Background(), Request{Method: http.MethodPost}); tries != 2 {
			t.Errorf("after the longest pause: %v, %d tries", err, tries)
		}
	})
}

func TestRetryAfterIsReadInBothForms(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status      int
		after, date string
		want        time.Duration
		none        bool
	}{
		{429, "7", "", 7 * time.Second, false},
		{503, " 7 ", "", 7 * time.Second, false},
		{429, "", "", defaultPause, false},
		{429, "-7", "", defaultPause, false},
		{429, "99999999999999999999", "", defaultPause, false},
		{503, "", "", 0, true},
		{503, "soon", "", 0, true},
		{200, "7", "", 0, true},
		{429, now.Add(9 * time.Second).Format(http.TimeFormat), "", 9 * time.Second, false},
		{429, now.Add(time.Hour).Format(http.TimeFormat), now.Add(time.Hour - 5*time.Second).Format(http.TimeFormat), 5 * time.Second, false},
	} {
		h := http.Header{}
		h.Set("Retry-After", c.after)
		if c.date != "" {
			h.Set("Date", c.date)
		}
		got := RetryAfter(c.status, h, now)
		if got.IsZero() != c.none || (!c.none && got.Sub(now) != c.want) {
			t.Errorf("%d %q: %v, want %v", c.status, c.after, got.Sub(now), c.want)
		}
	}
}

func TestCredentialsAreRenewedOnce(t *testing.T) {
	for _, good := range []string{"second", "never"} {
		token, tries := "first", 0
		cl := client(t, Options{
			Authorize: func(_ context.Context, r *http.Request) error {
				r.Header.Set("Authorization", "Bearer "+token)
				return nil
			},
			Unauthorized: func(_ context.Context, sent, _ http.Header) bool {
				if got := sent.Get("Authorization"); got != "Bearer "+token {
					t.Errorf("told of %q, which was not sent", got)
				}
				token = "second"
				return true
			},
			Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				tries++
				if r.Header.Get("Authorization") == "Bearer "+good {
					return answer(200, "{}"), nil
				}
				return answer(401, "{}"), nil
			}),
		})
		_, err := cl.Do(context.Background(), Request{Method: http.MethodPost})
		if tries != 2 || (good == "second") != (err == nil) || (err != nil && !errors.Is(err, directory.ErrRefused)) {
			t.Errorf("%s: %v after %d tries", good, err, tries)
		}
	}
	broken := client(t, Options{Authorize: func(context.Context, *http.Request) error { return directory.ErrUnavailable }})
	if _, err := broken.Do(context.Background(), Request{}); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("credentials that cannot be had: %v", err)
	}
}

func TestACallerThatGoesAwayIsNotADirectoryThatFails(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cl := client(t, Options{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		cancel()
		return nil, r.Context().Err()
	})})
	if _, err := cl.Do(gone, Request{}); !errors.Is(err, context.Canceled) || errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
}

func TestNobodyListensAndNobodyAnswers(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	address := server.URL
	server.Close()
	_, err := client(t, Options{Base: address, Retries: -1}).Do(context.Background(), Request{URL: "ada"})
	if !errors.Is(err, directory.ErrUnavailable) || strings.Contains(err.Error(), "/ada") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("error %v", err)
	}
}
