package enrichtest

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
)

// Transport reaches the provider without a socket. Inside a testing/synctest
// bubble, where waiting for a real connection stops the fake time, this is
// the way in; [Cut] and [Truncated] look as they do over a connection.
func (p *Provider) Transport() http.RoundTripper { return inProcess{p} }

type inProcess struct{ p *Provider }

func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	u, err := url.Parse(t.p.base)
	if err != nil {
		return nil, err
	}
	if r.URL.Host != u.Host {
		return nil, errors.New("in-process transport: another host")
	}
	clone := r.Clone(r.Context())
	if clone.Body == nil {
		clone.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	aborted := t.serve(recorder, clone)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	response := recorder.Result()
	response.Request = r
	if !aborted {
		return response, nil
	}
	if recorder.Body.Len() == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	response.Body = io.NopCloser(io.MultiReader(bytes.NewReader(recorder.Body.Bytes()), broken{}))
	return response, nil
}

func (t inProcess) serve(w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() {
		if cause := recover(); cause != nil {
			if err, ok := cause.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(cause)
			}
			aborted = true
		}
	}()
	t.p.serve(w, r)
	return false
}

// broken is the end of a body that was cut.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
