package enrichtest_test

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestLegacyKeepsWhatWasSentByteForByte(t *testing.T) {
	l := enrichtest.NewLegacy(t)
	sent := "POST /pay?a=1 HTTP/1.1\r\nHost: legacy\r\nSM_USER:  ada \r\nx-user-groups: a\r\nX-User-Groups: b\r\n" +
		"Transfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n3;note=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Late: 1\r\nx_user.groups: c\r\n\r\n"
	second := "GET /again HTTP/1.1\r\nHost: legacy\r\nConnection: close\r\n\r\n"
	l.Respond(func(r enrichtest.RawRequest) []byte {
		if strings.HasPrefix(r.Line, "GET /again ") {
			return []byte("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
		}
		return nil
	})
	answer, err := enrichtest.SendRaw(t.Context(), l.Addr(), []byte(sent+second))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(answer), "HTTP/1.1 200 OK") || !strings.Contains(string(answer), "HTTP/1.1 204 No Content") {
		t.Errorf("answers: %q", answer)
	}
	first, err := l.Wait(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "raw", string(first.Raw), sent)
	want(t, "line", first.Line, "POST /pay?a=1 HTTP/1.1")
	want(t, "exact", first.Exact("SM_USER"), []string{"ada"})
	want(t, "exact in another case", len(first.Exact("sm_user")), 0)
	want(t, "values", first.Values("X-USER-GROUPS"), []string{"a", "b"})
	want(t, "like", first.Like("X-User-Groups"), []enrichtest.Field{{Name: "x-user-groups", Value: "a"}, {Name: "X-User-Groups", Value: "b"}, {Name: "x_user.groups", Value: "c"}})
	want(t, "body", string(first.Body), "abcde")
	want(t, "trailers", first.Trailers, []enrichtest.Field{{Name: "X-Late", Value: "1"}, {Name: "x_user.groups", Value: "c"}})
	last, _ := l.Last()
	want(t, "last line", last.Line, "GET /again HTTP/1.1")
	want(t, "requests", len(l.Requests()), 2)
	l.Forget()
	want(t, "requests after forgetting", len(l.Requests()), 0)
}

func TestLegacyServesAnOrdinaryClientAndAProxy(t *testing.T) {
	l := enrichtest.NewLegacy(t)
	target, err := url.Parse(l.URL())
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	proxy.Transport = transport
	client := &http.Client{Transport: handlerTransport{proxy}}
	for _, body := range []string{"", "hello"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://proxy/x", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		want(t, "status", response.StatusCode, 200)
		last, _ := l.Last()
		want(t, "body", string(last.Body), body)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	l := enrichtest.NewLegacy(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Wait(ctx, 1); err == nil {
		t.Error("a request came from nowhere")
	}
}

func TestLegacyHangsUpOnWhatItCannotRead(t *testing.T) {
	for name, text := range map[string]string{
		"no number for a length": "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
		"a length over all":      "POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
		"a negative length":      "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"a bad chunk":            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"a negative chunk":       "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := enrichtest.NewLegacy(t)
			answer, err := enrichtest.SendRaw(t.Context(), l.Addr(), []byte(text))
			if len(answer) > 0 {
				t.Errorf("answered %q, %v", answer, err)
			}
			want(t, "requests", len(l.Requests()), 0)
		})
	}
}

func TestDPoPProofNamesRequestKeyAndToken(t *testing.T) {
	clock := enrichtest.NewClock(time.Time{})
	for _, alg := range []string{"ES256", "EdDSA", "RS256"} {
		k := enrichtest.NewDPoPKey(t, alg, clock.Now)
		proof := k.Proof("GET", "https://app.example/x", "token", enrichtest.Claims{"nonce": "n"})
		header, claims := open(t, proof)
		want(t, "typ", header["typ"], "dpop+jwt")
		jwk, _ := header["jwk"].(map[string]any)
		for _, private := range []string{"d", "p", "q", "kid", "use", "alg"} {
			if _, found := jwk[private]; found {
				t.Errorf("%s: the proof's key holds %s", alg, private)
			}
		}
		want(t, "htm", claims["htm"], "GET")
		want(t, "htu", claims["htu"], "https://app.example/x")
		want(t, "nonce", claims["nonce"], "n")
		want(t, "iat", claims["iat"], float64(enrichtest.Epoch.Unix()))
		// SHA-256 of the five letters, as RFC 9449 takes it.
		want(t, "ath", claims["ath"], "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A")
		_, again := open(t, k.Proof("GET", "https://app.example/x", "", nil))
		if again["jti"] == claims["jti"] {
			t.Errorf("%s: two proofs share a jti", alg)
		}
		if _, found := again["ath"]; found {
			t.Errorf("%s: a proof without a token has an ath", alg)
		}
	}
}

func TestClockMovesOnlyWhenTold(t *testing.T) {
	c := enrichtest.NewClock(time.Time{})
	want(t, "start", c.Now(), enrichtest.Epoch)
	c.Advance(time.Hour)
	c.Advance(-time.Minute)
	want(t, "after moving", c.Now(), enrichtest.Epoch.Add(59*time.Minute))
	c.Set(enrichtest.Epoch)
	want(t, "after setting", c.Now(), enrichtest.Epoch)
}

// handlerTransport hands a client's requests to a handler.
type handlerTransport struct{ handler http.Handler }

func (h handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	w := &response{header: http.Header{}, status: http.StatusOK}
	h.handler.ServeHTTP(w, r)
	return &http.Response{StatusCode: w.status, Header: w.header, Body: http.NoBody, Request: r}, nil
}

type response struct {
	header http.Header
	status int
}

func (r *response) Header() http.Header         { return r.header }
func (r *response) Write(b []byte) (int, error) { return len(b), nil }
func (r *response) WriteHeader(status int)      { r.status = status }
