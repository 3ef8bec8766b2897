package enrichtest

import (
	"bytes"
	"net/http"
	"strconv"
	"time"
)

// Fault answers a request in the endpoint's place; answer gives the right one.
type Fault func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc)

// standing is a fault together with how often it is still to strike; a
// negative count has no end.
type standing struct {
	fault Fault
	left  int
}

func (s *standing) next() Fault {
	if s == nil || s.left == 0 {
		return nil
	}
	s.left--
	return s.fault
}

// Break puts a fault on an endpoint until [Provider.Mend].
func (p *Provider) Break(e Endpoint, f Fault) { p.BreakTimes(e, -1, f) }

// BreakTimes puts a fault on the next n requests of an endpoint.
func (p *Provider) BreakTimes(e Endpoint, n int, f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults[e] = &standing{fault: f, left: n}
}

// Mend takes the fault off an endpoint.
func (p *Provider) Mend(e Endpoint) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.faults, e)
}

// Slow answers rightly after d, unless the caller goes first.
func Slow(d time.Duration) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			answer(w, r)
		case <-r.Context().Done():
		}
	}
}

// Hold answers rightly once gate is closed or gives a value.
func Hold(gate <-chan struct{}) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		select {
		case <-gate:
			answer(w, r)
		case <-r.Context().Done():
		}
	}
}

// Hang never answers: it ends with the caller's patience.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) { <-r.Context().Done() }
}

// Status answers with a code and a body of plain text.
func Status(code int, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(code)
		write(w, []byte(body))
	}
}

// Redirect answers with 302 to target.
func Redirect(target string) Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		http.Redirect(w, r, target, http.StatusFound)
	}
}

// ContentType returns the right answer under another media type.
func ContentType(mediaType string) Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		answer(&retyped{ResponseWriter: w, mediaType: mediaType}, r)
	}
}

type retyped struct {
	http.ResponseWriter
	mediaType string
}

func (w *retyped) WriteHeader(code int) {
	w.Header().Set("Content-Type", w.mediaType)
	w.ResponseWriter.WriteHeader(code)
}

func (w *retyped) Write(b []byte) (int, error) {
	w.Header().Set("Content-Type", w.mediaType)
	return w.ResponseWriter.Write(b)
}

// Truncated sends half of the right answer under the length of the whole, and
// then cuts the connection.
func Truncated() Fault {
	return func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		whole := &kept{header: http.Header{}}
		answer(whole, r)
		w.Header().Set("Content-Type", whole.header.Get("Content-Type"))
		w.Header().Set("Content-Length", strconv.Itoa(whole.body.Len()))
		w.WriteHeader(http.StatusOK)
		write(w, whole.body.Bytes()[:whole.body.Len()/2])
		// Without this the half would go down with the connection.
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// Cut takes the request and closes the connection without a word.
func Cut() Fault {
	return func(http.ResponseWriter, *http.Request, http.HandlerFunc) { panic(http.ErrAbortHandler) }
}

// Huge answers with a JSON string of n bytes that never says how long it is.
func Huge(n int) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", "application/json")
		write(w, []byte(`{"keys":[],"padding":"`))
		chunk := bytes.Repeat([]byte("a"), 32<<10)
		for left := n; left > 0; {
			piece := chunk[:min(left, len(chunk))]
			if _, err := w.Write(piece); err != nil {
				return
			}
			left -= len(piece)
		}
		write(w, []byte(`"}`))
	}
}

// kept holds an answer back so that it can be altered.
type kept struct {
	header http.Header
	body   bytes.Buffer
}

func (k *kept) Header() http.Header         { return k.header }
func (k *kept) Write(b []byte) (int, error) { return k.body.Write(b) }
func (k *kept) WriteHeader(int)             {}

// DecoyKeys are key set entries that no gateway can use and that stand beside
// good keys in the wild, or that an attacker would like to stand there. Each
// must be skipped by itself.
func DecoyKeys() map[string]string {
	return map[string]string{
		"null":                    `null`,
		"a number":                `7`,
		"a text":                  `"key"`,
		"a list":                  `[]`,
		"an empty object":         `{}`,
		"no kty":                  `{"kid":"d1","use":"sig"}`,
		"an unknown kty":          `{"kty":"WAT","kid":"d2"}`,
		"a post-quantum key":      `{"kty":"AKP","kid":"d3","alg":"ML-DSA-44","pub":"AAAA"}`,
		"an unknown curve":        `{"kty":"EC","kid":"d4","crv":"P-999","x":"AAAA","y":"AAAA"}`,
		"secp256k1":               `{"kty":"EC","kid":"d5","crv":"secp256k1","x":"AAAA","y":"AAAA"}`,
		"a point off the curve":   `{"kty":"EC","kid":"d6","crv":"P-256","x":"AAAA","y":"AAAA"}`,
		"an empty modulus":        `{"kty":"RSA","kid":"d7","n":"","e":"AQAB"}`,
		"a short modulus":         `{"kty":"RSA","kid":"d8","n":"wWHLNqjUYVXjLkVZ0Q","e":"AQAB"}`,
		"a bad certificate":       `{"kty":"RSA","kid":"d9","n":"AQAB","e":"AQAB","x5c":["AAAA"]}`,
		"an exponent of one":      `{"kty":"RSA","kid":"d10","n":"AQAB","e":"AQ"}`,
		"a symmetric key":         `{"kty":"oct","kid":"d11","alg":"HS256","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}`,
		"a short Ed25519 key":     `{"kty":"OKP","kid":"d12","crv":"Ed25519","x":"AAAA"}`,
		"a key agreement key":     `{"kty":"OKP","kid":"d13","crv":"X25519","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}`,
		"a kid that is no text":   `{"kty":"RSA","kid":7,"n":"AQAB","e":"AQAB"}`,
		"a member that is a list": `{"kty":["RSA"],"kid":"d14"}`,
	}
}
