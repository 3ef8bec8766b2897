package login

import (
	"errors"
	"testing"
)

// TestParseOriginTakesWhatBrowsersWrite is about the address that providers send people
// back to, and that decides over the cookies' names and the Secure attribute.
func TestParseOriginTakesWhatBrowsersWrite(t *testing.T) {
	for text, want := range map[string]string{
		"https://app.example.com":       "https://app.example.com",
		"https://app.example.com/":      "https://app.example.com",
		"HTTPS://App.Example.com:443":   "https://app.example.com",
		"https://app.example.com:444":   "https://app.example.com:444",
		"https://xn--mller-kva.example": "https://xn--mller-kva.example",
		"https://intra_net":             "https://intra_net",
		"https://192.0.2.1":             "https://192.0.2.1",
		"https://[2001:db8::1]:8443":    "https://[2001:db8::1]:8443",
		"http://localhost:80":           "http://localhost",
		"http://localhost:8080":         "http://localhost:8080",
		"http://127.0.0.1:443":          "http://127.0.0.1:443",
		"http://[::1]":                  "http://[::1]",
	} {
		o, err := ParseOrigin(text)
		if err != nil || o.String() != want {
			t.Errorf("%q: %q, %v; want %q", text, o, err, want)
		}
		if again, err := ParseOrigin(o.String()); err != nil || again != o {
			t.Errorf("%q: its text is %q, which is read as %q, %v", text, o, again, err)
		}
	}
	for text, want := range map[string]error{
		"":                              errOrigin,
		"app.example.com":               errOrigin,
		"//app.example.com":             errOrigin,
		"ftp://app.example.com":         errOrigin,
		"https://":                      errOrigin,
		"https:app.example.com":         errOrigin,
		"https://app.example.com/x":     errOrigin,
		"https://app.example.com//":     errOrigin,
		"https://app.example.com?":      errOrigin,
		"https://app.example.com#":      errOrigin,
		"https://app.example.com/?a=b":  errOrigin,
		"https://u@app.example.com":     errOrigin,
		"https://app.example.com:":      errOrigin,
		"https://app.example.com:0":     errOrigin,
		"https://app.example.com:0443":  errOrigin,
		"https://app.example.com:65536": errOrigin,
		"https://app.example.com:http":  errOrigin,
		"https://app.example.com.":      errOrigin,
		"https://.example.com":          errOrigin,
		"https://*.example.com":         errOrigin,
		"https://a b":                   errOrigin,
		"https://a\"b":                  errOrigin,
		"https://a,b":                   errOrigin,
		"https://a%2fb":                 errOrigin,
		"https://müller.example":        errOrigin,
		"https://[fe80::1%25eth0]":      errOrigin,
		"http://app.example.com":        errPlainHTTP,
		"http://localhost.evil.example": errPlainHTTP,
		"http://10.0.0.1":               errPlainHTTP,
	} {
		if o, err := ParseOrigin(text); !errors.Is(err, want) {
			t.Errorf("%q: %q, %v; want %v", text, o, err, want)
		}
	}
}
