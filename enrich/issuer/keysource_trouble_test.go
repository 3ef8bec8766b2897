package issuer

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestKeyServerTroubleLeavesTheKnownKeys lets a good start be followed by every sort of
// trouble: the known keys go on, nothing is taken over, and the outcome is
// named.
func TestKeyServerTroubleLeavesTheKnownKeys(t *testing.T) {
	page := func(status int, body string, header ...string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			r := response(status, body)
			for n := 0; n < len(header); n += 2 {
				r.Header.Set(header[n], header[n+1])
			}
			return r, nil
		}
	}
	endless := func(*http.Request) (*http.Response, error) {
		r := response(http.StatusOK, "")
		r.Body = io.NopCloser(io.LimitReader(zeros{}, 100<<20))
		return r, nil
	}
	for _, c := range []struct {
		name    string
		answer  func(*http.Request) (*http.Response, error)
		outcome string
	}{
		{"no answer", func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, FetchError},
		{"an answer too late", hang, FetchTimeout},
		{"404", page(http.StatusNotFound, "gone"), FetchError},
		{"500 with a key set", page(http.StatusInternalServerError, allKeys()), FetchError},
		{"204", page(http.StatusNoContent, ""), FetchError},
		{"a redirect elsewhere", page(http.StatusFound, "", "Location", "https://evil.example/keys"), FetchRedirect},
		{"a redirect to plain http", page(http.StatusFound, "", "Location", "http://idp.example.com/keys"), FetchRedirect},
		{"a redirect to another port", page(http.StatusFound, "", "Location", "https://idp.example.com:8443/keys"), FetchRedirect},
		{"a redirect to itself", page(http.StatusFound, "", "Location", testKeysURL), FetchRedirect},
		{"100 MB", endless, FetchTooLarge},
		{"a truncated set", page(http.StatusOK, allKeys()[:len(allKeys())/2]), FetchMalformed},
		{"HTML", page(http.StatusOK, "<html>Sign in</html>"), FetchMalformed},
		{"an error object", page(http.StatusOK, `{"error":"server_error"}`), FetchMalformed},
		{"an empty body", page(http.StatusOK, ""), FetchMalformed},
		{"an empty set", page(http.StatusOK, `{"keys":[]}`), FetchNoKeys},
		{"a set of unusable keys", page(http.StatusOK, `{"keys":[{"kty":"WAT"},null]}`), FetchNoKeys},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := new(recorder)
				s := bubbleStage(t, func(_ *Config, opt *Options) { opt.Observer = o })
				raw := s.token(nowClaims())
				v, err := s.verify(raw)
				if err != nil {
					t.Fatal(err)
				}
				s.server.on(testKeysURL, c.answer)
				time.Sleep(defaultKeyMinInterval)
				_, err = s.verify(sign(t, "RS256", "new", otherRSAKey(), nil, nowClaims()))
				if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInvalidToken) {
					t.Errorf("an unknown key: got %v", err)
				}
				synctest.Wait()
				if got := o.outcomes(); !slices.Equal(got, []string{FetchOK, c.outcome}) {
					t.Errorf("outcomes are %v, want %v", got, c.outcome)
				}
				st := s.issuer.Status()
				if !st.Ready || !st.Failing || st.LastError != c.outcome || st.FetchErrors != 1 {
					t.Errorf("status is %+v", st)
				}
				if w, err := s.verify(raw); err != nil || w.KeySet != v.KeySet {
					t.Errorf("a known key: got %v", err)
				}
				if n := s.server.count("https://evil.example/keys"); n != 0 {
					t.Error("the redirect was followed")
				}
			})
		})
	}
}

func TestRedirectInsideTheOriginIsFollowed(t *testing.T) {
	s := newStage(t)
	s.server.on(testKeysURL, func(*http.Request) (*http.Response, error) {
		r := response(http.StatusFound, "")
		r.Header.Set("Location", "/keys/2")
		return r, nil
	})
	s.server.say(testKeysURL+"/2", allKeys())
	if _, err := s.verify(s.token(goodClaims())); err != nil {
		t.Error(err)
	}
}

func TestContentTypeOfKeysDoesNotMatter(t *testing.T) {
	s := newStage(t)
	s.server.on(testKeysURL, func(*http.Request) (*http.Response, error) {
		r := response(http.StatusOK, allKeys())
		r.Header.Set("Content-Type", "text/plain")
		return r, nil
	})
	if _, err := s.verify(s.token(goodClaims())); err != nil {
		t.Error(err)
	}
}
