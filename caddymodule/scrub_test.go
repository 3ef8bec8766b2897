package caddymodule

import (
	"errors"
	"net/http"
	"reflect"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// credentialNames reserves what tests of credentials read tokens from.
func credentialNames(t *testing.T) *forward.ReservedNames {
	t.Helper()
	contract, err := forward.Compile(forward.Definition{}, forward.Target{Header: "Authorization"})
	if err != nil {
		t.Fatal(err)
	}
	reserved, err := forward.NewReservedNames(contract).Except(forward.Sources{
		Headers: []string{"Authorization", "X-Token"}, Cookies: []string{"session"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return reserved
}

// TestCredentialsAreTakenOutOfARequest follows a request past several handlers:
// what each of them and the application see, what a matcher is shown, and what
// the policy that decides takes.
func TestCredentialsAreTakenOutOfARequest(t *testing.T) {
	reserved := credentialNames(t)
	sent := http.Header{"Authorization": {"Bearer a"}, "X-Token": {"t"}, "Cookie": {"a=1; session=s", "session=s"}, "Accept": {"*/*"}}
	without := http.Header{"Cookie": {"a=1"}, "Accept": {"*/*"}}
	credentials := http.Header{"Authorization": {"Bearer a"}, "X-Token": {"t"}, "Cookie": {"a=1; session=s", "session=s"}}
	for name, tc := range map[string]struct {
		sent    http.Header
		except  []token.Place       // of the first time
		between func(h http.Header) // what a handler does after it
		first   http.Header         // what it sees
		matcher http.Header         // what a matcher is shown afterwards
		after   http.Header         // what handlers see that follow
		taken   http.Header         // what the policy takes
	}{
		"all of it": {
			sent: sent, first: without, matcher: sent, after: without, taken: credentials,
		},
		"nothing": {
			sent: http.Header{"Accept": {"*/*"}}, first: http.Header{"Accept": {"*/*"}},
			matcher: http.Header{"Accept": {"*/*"}}, after: http.Header{"Accept": {"*/*"}},
		},
		"Authorization stays for basic_auth until a policy decides": {
			sent: sent, except: []token.Place{basicAuth},
			first:   http.Header{"Authorization": {"Bearer a"}, "Cookie": {"a=1"}, "Accept": {"*/*"}},
			matcher: sent, after: without, taken: credentials,
		},
		"a handler in between writes a header": {
			sent: sent, first: without, between: func(h http.Header) { h.Set("X-Token", "of the handler") },
			matcher: http.Header{"Authorization": {"Bearer a"}, "X-Token": {"of the handler"}, "Cookie": sent["Cookie"], "Accept": {"*/*"}},
			after:   without,
			taken:   http.Header{"Authorization": {"Bearer a"}, "X-Token": {"of the handler"}, "Cookie": sent["Cookie"]},
		},
		"a handler in between writes cookies": {
			sent: sent, first: without, between: func(h http.Header) { h.Set("Cookie", "b=2; session=h") },
			matcher: http.Header{"Authorization": {"Bearer a"}, "X-Token": {"t"}, "Cookie": {"b=2; session=h"}, "Accept": {"*/*"}},
			after:   http.Header{"Cookie": {"b=2"}, "Accept": {"*/*"}},
			taken:   http.Header{"Authorization": {"Bearer a"}, "X-Token": {"t"}, "Cookie": {"b=2; session=h"}},
		},
		"a handler in between deletes the cookies": {
			sent: sent, first: without, between: func(h http.Header) { h.Del("Cookie") },
			matcher: http.Header{"Authorization": {"Bearer a"}, "X-Token": {"t"}, "Accept": {"*/*"}},
			after:   http.Header{"Accept": {"*/*"}},
			taken:   http.Header{"Authorization": {"Bearer a"}, "X-Token": {"t"}},
		},
		"nothing is left of the cookies": {
			sent: http.Header{"Cookie": {"session=s"}}, first: http.Header{},
			matcher: http.Header{"Cookie": {"session=s"}}, after: http.Header{}, taken: http.Header{"Cookie": {"session=s"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := &http.Request{Header: tc.sent.Clone()}
			see := func(what string, want http.Header) {
				t.Helper()
				if !reflect.DeepEqual(r.Header, want) {
					t.Errorf("%s: %q, want %q", what, r.Header, want)
				}
			}
			s := new(requestState)
			s.detach(r, reserved, tc.except...)
			see("the first handler", tc.first)
			if tc.between != nil {
				tc.between(r.Header)
			}
			s.detach(r, reserved)
			wanted := errors.New("of the matcher")
			if match, err := s.attached(r, func(r *http.Request) (bool, error) {
				see("the matcher", tc.matcher)
				return true, wanted
			}); !match || !errors.Is(err, wanted) {
				t.Errorf("the matcher's result became %t, %v", match, err)
			}
			see("behind the matcher", tc.after)
			s.detach(r, reserved)
			see("once more", tc.after)
			if got := s.takeCredentials(); !reflect.DeepEqual(got, tc.taken) {
				t.Errorf("taken are %q, want %q", got, tc.taken)
			}
			if s.takeCredentials() != nil {
				t.Error("they can be taken twice")
			}
		})
	}
}

// TestAuthorizationReturnsForBasicAuth holds that a scrub behind a policy that
// did not decide returns Authorization to the request.
func TestAuthorizationReturnsForBasicAuth(t *testing.T) {
	reserved := credentialNames(t)
	r := &http.Request{Header: http.Header{"Authorization": {"Basic x"}, "X-Token": {"t"}}}
	s := new(requestState)
	s.detach(r, reserved)
	s.detach(r, reserved, basicAuth)
	if want := (http.Header{"Authorization": {"Basic x"}}); !reflect.DeepEqual(r.Header, want) {
		t.Errorf("%q, want %q", r.Header, want)
	}
	s.detach(r, reserved)
	if want := (http.Header{"Authorization": {"Basic x"}, "X-Token": {"t"}}); !reflect.DeepEqual(s.takeCredentials(), want) || len(r.Header) > 0 {
		t.Errorf("left on the request are %q", r.Header)
	}
}
