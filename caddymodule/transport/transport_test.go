package transport

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// ownedBy compiles header definitions and gives the names that they own.
func ownedBy(t *testing.T, headers ...forward.HeaderDefinition) *forward.ReservedNames {
	t.Helper()
	c, err := forward.Compile(forward.Definition{Headers: headers})
	if err != nil {
		t.Fatal(err)
	}
	return forward.NewReservedNames(c)
}

func TestExactNamesAreRespelledOnACopyOfTheRequest(t *testing.T) {
	s := newSpellings(ownedBy(t,
		forward.HeaderDefinition{Name: "SM_USER", Claim: "a", Exact: true},
		forward.HeaderDefinition{Name: "SM_GROUPS", Claim: "b", Exact: true, OnOverflow: "split"},
		forward.HeaderDefinition{Name: "X-Exact", Claim: "c", Exact: true},
		forward.HeaderDefinition{Name: "X_OTHER", Claim: "d"},
	))
	for _, tc := range []struct {
		name string
		in   []string
		want []string
	}{
		{"nothing to do", []string{"Accept", "X-Exact", "X_other"}, []string{"Accept", "X-Exact", "X_other"}},
		{"the canonical form", []string{"Sm_user", "Accept"}, []string{"SM_USER", "Accept"}},
		{"spelled already", []string{"SM_USER"}, []string{"SM_USER"}},
		{"both forms", []string{"SM_USER", "Sm_user"}, []string{"SM_USER", "Sm_user"}},
		{"numbered parts", []string{"Sm_groups", "Sm_groups-1", "Sm_groups-12"}, []string{"SM_GROUPS", "SM_GROUPS-1", "SM_GROUPS-12"}},
		{"no parts", []string{"Sm_user-1", "Sm_groups-", "Sm_groups-x", "1", "-1", "Sm_groups1"}, []string{"Sm_user-1", "Sm_groups-", "Sm_groups-x", "1", "-1", "Sm_groups1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := &http.Request{Header: http.Header{}}
			for _, name := range tc.in {
				r.Header[name] = []string{"value of " + strings.ToLower(name)}
			}
			before := maps.Clone(r.Header)
			got := s.respell(r)
			slices.Sort(tc.want)
			if names := slices.Sorted(maps.Keys(got.Header)); !slices.Equal(names, tc.want) {
				t.Errorf("names %q, want %q", names, tc.want)
			}
			for name, v := range got.Header {
				if v[0] != "value of "+strings.ToLower(name) {
					t.Errorf("%s has the %s", name, v[0])
				}
			}
			if !maps.EqualFunc(r.Header, before, slices.Equal) {
				t.Errorf("the request was changed: %v", r.Header)
			}
		})
	}
}

func TestFirstOfTwoSpellingsHolds(t *testing.T) {
	owned := forward.NewReservedNames(contractOf(t, "SM_USER"), contractOf(t, "sm_user"))
	if got, ok := newSpellings(owned).of("Sm_user"); !ok || got != "SM_USER" {
		t.Errorf("Sm_user becomes %q", got)
	}
}

func contractOf(t *testing.T, name string) *forward.HeaderPlan {
	t.Helper()
	c, err := forward.Compile(forward.Definition{Headers: []forward.HeaderDefinition{{Name: name, Claim: "a", Exact: true}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTransportHasEveryOptionOfHTTP proves that the same block gives the same
// settings as at Caddy's own transport, in the Caddyfile and as JSON.
func TestTransportHasEveryOptionOfHTTP(t *testing.T) {
	const block = ` {
		read_buffer 8KiB
		dial_timeout 7s
		tls
		tls_server_name app.example
		tls_except_ports 80
		keepalive 1m
		versions 1.1
		compression off
		max_conns_per_host 3
		network_proxy none
	}`
	ours, theirs := new(Transport), new(reverseproxy.HTTPTransport)
	if err := ours.UnmarshalCaddyfile(caddyfile.NewTestDispenser("token_enrich" + block)); err != nil {
		t.Fatal(err)
	}
	if err := theirs.UnmarshalCaddyfile(caddyfile.NewTestDispenser("http" + block)); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(ours)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.Marshal(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("settings\n%s\nwant\n%s", got, want)
	}
	again := new(Transport)
	if err := caddy.StrictUnmarshalJSON(got, again); err != nil {
		t.Fatalf("reading the settings back: %v", err)
	}
	if again.TLS == nil || again.TLS.ServerName != "app.example" || again.MaxConnsPerHost != 3 {
		t.Errorf("read back: %+v", &again.HTTPTransport)
	}
}

func BenchmarkRespell(b *testing.B) {
	c, err := forward.Compile(forward.Definition{Headers: []forward.HeaderDefinition{{Name: "SM_USER", Claim: "a", Exact: true}}})
	if err != nil {
		b.Fatal(err)
	}
	s := newSpellings(forward.NewReservedNames(c))
	for _, key := range []string{"SM_USER", "Sm_user"} {
		b.Run(key, func(b *testing.B) {
			r := &http.Request{Header: http.Header{key: {"ada"}, "Accept": {"*/*"}, "User-Agent": {"x"}, "X-Forwarded-For": {"192.0.2.1"}}}
			b.ReportAllocs()
			for b.Loop() {
				s.respell(r)
			}
		})
	}
}
