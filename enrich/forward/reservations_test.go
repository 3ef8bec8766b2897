package forward

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// covers reports whether a header of that name is owned by n: name by name, as
// the index must find it at once.
func covers(n ReservedName, header string) bool {
	canonical := Canonicalize(header)
	switch n.Kind {
	case ReservedHeader:
		return canonical == n.Canonical
	case ReservedPrefix:
		return strings.HasPrefix(canonical, n.Canonical)
	case ReservedParts:
		base, isPart := partOf(canonical)
		return isPart && base == n.Canonical
	default: // a cookie is no header
		return false
	}
}

// reserve compares all pairs of names and sources. It is what Reservations.Add
// is measured by.
func reserve(names []ReservedName, headers []string) error {
	for _, name := range headers {
		for _, n := range names {
			if !n.Token && covers(n, name) {
				return sourceError(name, n)
			}
		}
	}
	return nil
}

// someName is a header's name made of few pieces, so that many of them are
// alike.
func someName(r *rand.Rand) string {
	pieces := []string{"User", "user", "Mail", "1", "12"}
	separators := []string{"-", "_", "."}
	name := "X-App"
	for range r.IntN(3) {
		name += separators[r.IntN(len(separators))] + pieces[r.IntN(len(pieces))]
	}
	return name
}

// somePlan is a plan of a few such names of all kinds, nil where they
// do not go together.
func somePlan(r *rand.Rand) *HeaderPlan {
	var d Definition
	for range r.IntN(3) {
		h := HeaderDefinition{Name: someName(r), Claim: "c"}
		if r.IntN(3) == 0 {
			h.OnOverflow = "split"
		}
		d.Headers = append(d.Headers, h)
	}
	if r.IntN(5) == 0 {
		d.HeadersFrom = append(d.HeadersFrom, HeadersFrom{Prefix: someName(r) + "-"})
	}
	var targets []Target
	switch r.IntN(4) {
	case 0:
		targets = append(targets, Target{Header: someName(r)})
	case 1:
		targets = append(targets, Target{Cookie: someName(r)})
	}
	c, err := Compile(d, targets...)
	if err != nil {
		return nil
	}
	return c
}

func TestReservationsFindWhatComparingAllPairsFinds(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	outcomes := map[bool]int{}
	for range 3000 {
		var (
			all     Reservations
			taken   []*HeaderPlan
			headers []string
			cookies []string
		)
		for range 6 {
			c := somePlan(r)
			if c == nil {
				continue
			}
			var read Sources
			for range r.IntN(3) {
				read.Headers = append(read.Headers, someName(r))
				read.Cookies = append(read.Cookies, someName(r))
			}
			every := slices.Concat(headers, read.Headers)
			want := reserve(NewReservedNames(append(slices.Clip(taken), c)...).Names(), every)
			got := all.Add(c, read)
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			if _, err := NewReservedNames(append(slices.Clip(taken), c)...).Except(Sources{Headers: every}); fmt.Sprint(err) != fmt.Sprint(want) {
				t.Fatalf("Except: got %v, want %v", err, want)
			}
			outcomes[got == nil]++
			if got != nil {
				continue
			}
			taken, headers, cookies = append(taken, c), every, append(cookies, read.Cookies...)
		}
		want, err := NewReservedNames(taken...).Except(Sources{Headers: headers, Cookies: cookies})
		if err != nil {
			t.Fatal(err)
		}
		got := all.Union()
		if !slices.Equal(got.Names(), want.Names()) || !slices.Equal(got.CredentialHeaders(), want.CredentialHeaders()) || !slices.Equal(got.credentialCookies, want.credentialCookies) {
			t.Fatalf("got %v, %v, %v; want %v, %v, %v", got.Names(), got.CredentialHeaders(), got.credentialCookies, want.Names(), want.CredentialHeaders(), want.credentialCookies)
		}
		for range 20 {
			if name := someName(r); got.Contains(name) != want.Contains(name) {
				t.Fatalf("%s: owned %v", name, got.Contains(name))
			}
		}
	}
	if outcomes[true] < 2000 || outcomes[false] < 2000 {
		t.Errorf("%d reservations and %d refusals show little", outcomes[true], outcomes[false])
	}
}
