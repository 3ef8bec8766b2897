package forward

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func groups(n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = fmt.Sprintf("group-%02d", i)
	}
	return out
}

func TestAValueThatIsTooLongIsTreatedAsConfigured(t *testing.T) {
	const name = "X-User"
	for _, tc := range []struct {
		name  string
		d     HeaderDefinition
		claim any
		want  map[string][]string
		note  Outcome
	}{
		{"as long as it may be", HeaderDefinition{MaxBytes: 5}, "abcde", map[string][]string{name: {"abcde"}}, 0},
		{"omit", HeaderDefinition{MaxBytes: 4, OnOverflow: "omit"}, "abcde", map[string][]string{}, OmittedOverflow},
		{
			"truncate",
			HeaderDefinition{MaxBytes: 26, OnOverflow: "truncate_list"},
			groups(5),
			map[string][]string{name: {"group-00,group-01,group-02"}},
			Truncated,
		},
		{
			"truncate by the encoded length",
			HeaderDefinition{MaxBytes: 26, OnOverflow: "truncate_list", Encode: "base64"},
			groups(5),
			map[string][]string{name: {"Z3JvdXAtMDAsZ3JvdXAtMDE="}},
			Truncated,
		},
		{
			"truncate repeated lines",
			HeaderDefinition{MaxBytes: 16, OnOverflow: "truncate_list", List: "repeat"},
			groups(5),
			map[string][]string{name: {"group-00", "group-01"}},
			Truncated,
		},
		{
			"truncate json",
			HeaderDefinition{MaxBytes: 25, OnOverflow: "truncate_list", List: "json"},
			groups(5),
			map[string][]string{name: {`["group-00","group-01"]`}},
			Truncated,
		},
		{
			"split a list",
			HeaderDefinition{MaxBytes: 20, OnOverflow: "split"},
			groups(5),
			map[string][]string{name + "-1": {"group-00,group-01"}, name + "-2": {"group-02,group-03"}, name + "-3": {"group-04"}},
			Split,
		},
		{
			"split json",
			HeaderDefinition{MaxBytes: 25, OnOverflow: "split", List: "json"},
			groups(3),
			map[string][]string{name + "-1": {`["group-00","group-01"]`}, name + "-2": {`["group-02"]`}},
			Split,
		},
		{
			"split a text between characters",
			HeaderDefinition{MaxBytes: 5, OnOverflow: "split"},
			"日本語",
			map[string][]string{name + "-1": {"日"}, name + "-2": {"本"}, name + "-3": {"語"}},
			Split,
		},
		{
			"split a text not at white space",
			HeaderDefinition{MaxBytes: 6, OnOverflow: "split"},
			"abcde fgh",
			map[string][]string{name + "-1": {"abcd"}, name + "-2": {"e fgh"}},
			Split,
		},
		{
			"split an encoded text",
			HeaderDefinition{MaxBytes: 8, OnOverflow: "split", Encode: "base64"},
			"abcdefgh",
			map[string][]string{name + "-1": {"YWJjZGVm"}, name + "-2": {"Z2g="}},
			Split,
		},
		{
			"split a text whose parts encode to different lengths",
			HeaderDefinition{MaxBytes: 16, OnOverflow: "split", Encode: "rfc2047"},
			"aaaaaaaaaaaaaa é",
			map[string][]string{name + "-1": {"aaaaaaaaaaaaaa"}, name + "-2": {"=?UTF-8?b?IMOp?="}},
			Split,
		},
		{"what need not be split is not", HeaderDefinition{OnOverflow: "split"}, groups(2), map[string][]string{name: {"group-00,group-01"}}, 0},
	} {
		r, err := mustCompile(t, header1(tc.d)).Render(map[string]any{"c": tc.claim})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		h := map[string][]string{}
		r.Write(h)
		if len(h) != len(tc.want) {
			t.Errorf("%s: writes %q", tc.name, h)
		}
		for name, lines := range tc.want {
			if !slices.Equal(h[name], lines) {
				t.Errorf("%s: %s = %q, want %q", tc.name, name, h[name], lines)
			}
		}
		outcomes := r.Outcomes()
		if len(outcomes) == 1 && outcomes[0].Outcome.String() == Outcome(0).String() {
			t.Errorf("%s: the note says %s", tc.name, outcomes[0].Outcome)
		}
		if tc.note == 0 && len(outcomes) > 0 || tc.note != 0 && (len(outcomes) != 1 || outcomes[0] != HeaderOutcome{name, tc.note} || !outcomes[0].Overflowed()) {
			t.Errorf("%s: outcomes %v, want %v", tc.name, outcomes, tc.note)
		}
	}
}

func TestOverflowThatFailsTheRequest(t *testing.T) {
	for _, tc := range []struct {
		name  string
		d     HeaderDefinition
		claim any
		err   error
		size  int
	}{
		{"text", HeaderDefinition{MaxBytes: 4}, "abcde", errTooLarge, 5},
		{"list", HeaderDefinition{MaxBytes: 10}, groups(2), errTooLarge, 17},
		{"encoded", HeaderDefinition{MaxBytes: 4, Encode: "base64"}, "abcd", errTooLarge, 8},
		{"a text has no elements to leave out", HeaderDefinition{MaxBytes: 4, OnOverflow: "truncate_list"}, "abcde", errTooLarge, 5},
		{"not one element fits", HeaderDefinition{MaxBytes: 4, OnOverflow: "truncate_list"}, groups(2), errTooLarge, 17},
		{"an empty element alone would read as nothing", HeaderDefinition{MaxBytes: 4, OnOverflow: "truncate_list"}, list("", "abcdef"), errTooLarge, 7},
		{"one element does not fit a part", HeaderDefinition{MaxBytes: 4, OnOverflow: "split"}, groups(2), errTooLarge, 17},
		{"an object cannot be split", HeaderDefinition{MaxBytes: 4, OnOverflow: "split", List: "json"}, map[string]any{"a": "b"}, errTooLarge, 9},
		{"a character does not fit a part", HeaderDefinition{MaxBytes: 2, OnOverflow: "split"}, "日本", errTooLarge, 6},
	} {
		_, err := mustCompile(t, header1(tc.d)).Render(map[string]any{"c": tc.claim})
		var he *headerError
		if !errors.Is(err, tc.err) || !errors.As(err, &he) || he.Size != tc.size || he.Limit != tc.d.MaxBytes {
			t.Errorf("%s: %v, want %v with %d bytes", tc.name, err, tc.err, tc.size)
		}
		if header, ok := Overflowed(err); !ok || header != "X-User" {
			t.Errorf("%s: counted for %q, %v", tc.name, header, ok)
		}
	}
	if _, ok := Overflowed(&headerError{Header: "X", Err: errRefused}); ok {
		t.Error("a refusal counts as an overflow")
	}
}

func TestHeadersStayWithinTheBudget(t *testing.T) {
	value := strings.Repeat("v", 50) // X-A: takes 3+4+50 = 57 bytes
	two := func(second HeaderDefinition) Definition {
		second.Name, second.Claim = "X-B", "b"
		return Definition{Budget: 100, Headers: []HeaderDefinition{{Name: "X-A", Claim: "a"}, second}}
	}
	render := func(d Definition, b any) (*RenderedHeaders, error) {
		return mustCompile(t, d).Render(map[string]any{"a": value, "b": b})
	}

	r, err := render(two(HeaderDefinition{}), value[:36])
	if err != nil || r.bytes != 100 {
		t.Errorf("what fits to the byte: %v, %d bytes", err, r.bytes)
	}
	wire := 0
	for _, f := range r.Fields() {
		for _, v := range f.Values {
			wire += len(f.Name + ": " + v + "\r\n")
		}
	}
	if wire != r.bytes {
		t.Errorf("counts %d bytes, HTTP/1.1 writes %d", r.bytes, wire)
	}

	_, err = render(two(HeaderDefinition{}), value[:37])
	var he *headerError
	if !errors.Is(err, errBudget) || !errors.As(err, &he) || he.Header != "X-B" || he.Size != 101 || he.Limit != 100 {
		t.Errorf("one byte more: %v", err)
	}
	_, err = render(two(HeaderDefinition{OnOverflow: "split"}), value)
	if !errors.Is(err, errBudget) {
		t.Errorf("a split cannot stretch the budget: %v", err)
	}
	// Here also the header's own bound is broken; the budget is what cannot
	// be helped.
	_, err = render(two(HeaderDefinition{OnOverflow: "split", MaxBytes: 10}), value)
	if !errors.Is(err, errBudget) {
		t.Errorf("a split of what is over the budget anyway: %v", err)
	}
	// The value fits, the names of its parts do not.
	_, err = render(two(HeaderDefinition{OnOverflow: "split", MaxBytes: 4}), value[:30])
	if !errors.Is(err, errTooLarge) {
		t.Errorf("a split whose parts are over the budget: %v", err)
	}
	r, err = render(two(HeaderDefinition{OnOverflow: "omit"}), value)
	if err != nil || len(r.Fields()) != 1 || r.Outcomes()[0].Outcome != OmittedOverflow {
		t.Errorf("omit: %v", err)
	}
	r, err = render(two(HeaderDefinition{OnOverflow: "truncate_list"}), groups(20))
	if err != nil || r.Fields()[1].Values[0] != "group-00,group-01,group-02,group-03" || r.bytes > 100 {
		t.Errorf("truncate: %v", err)
	}
	if _, err = render(two(HeaderDefinition{OnEmpty: "default", Default: value}), nil); !errors.Is(err, errBudget) {
		t.Errorf("a default text that does not fit: %v", err)
	}
	for _, o := range []string{"truncate_list", "split"} {
		if _, err = render(two(HeaderDefinition{OnEmpty: "default", Default: value, OnOverflow: o}), nil); !errors.Is(err, errBudget) {
			t.Errorf("a default text that does not fit, %s: %v", o, err)
		}
	}
}

// TestNoClaimTakesThePlaceOfAPart holds that headers_from, too, leaves the
// numbered names of a split header alone, whatever claims a token brings.
func TestNoClaimTakesThePlaceOfAPart(t *testing.T) {
	c := mustCompile(t, Definition{
		Headers:     []HeaderDefinition{{Name: "X-Claim-Groups", Claim: "groups", MaxBytes: 20, OnOverflow: "split"}},
		HeadersFrom: []HeadersFrom{{Prefix: "X-Claim-"}},
	})
	for _, claim := range []string{"groups-1", "Groups_1", "groups.2", "groups-9"} {
		r, err := c.Render(map[string]any{"groups": groups(5), claim: "admin"})
		if err != nil {
			t.Fatalf("%s: %v", claim, err)
		}
		h := http.Header{}
		r.Write(h)
		if len(h) != 3 || h.Get("X-Claim-Groups-1") != "group-00,group-01" || h.Get("X-Claim-Groups-2") != "group-02,group-03" {
			t.Errorf("with a claim %s: %q", claim, h)
		}
		if err := c.CheckClaims([]string{claim}); err == nil {
			t.Errorf("a rule named %s passes", claim)
		}
	}
	if err := c.CheckClaims([]string{"groups-x", "other-1"}); err != nil {
		t.Error(err)
	}
}

func TestEveryPartIsCompleteInItself(t *testing.T) {
	long := strings.Repeat("Ærø & 日本 🙂, ", 20) + "end"
	for encode := range decoders {
		for _, d := range []HeaderDefinition{
			{Encode: encode, OnOverflow: "split", MaxBytes: 100},
			{Encode: encode, OnOverflow: "split", MaxBytes: 100, Escape: "percent"},
			{Encode: encode, OnOverflow: "split", MaxBytes: 100, List: "json"},
		} {
			c := mustCompile(t, header1(d))
			text := long
			if encode == "ascii" || encode == "latin1" {
				text = strings.Repeat("a & b, ", 40) + "end"
			}
			if d.Escape == "" && d.List == "" {
				r, err := c.Render(map[string]any{"c": text})
				if err != nil {
					t.Errorf("%+v: %v", d, err)
					continue
				}
				var got strings.Builder
				for _, f := range r.Fields() {
					part, err := decoders[encode][0](overTheWire(f.Values[0]))
					if err != nil || len(f.Values[0]) > d.MaxBytes {
						t.Errorf("%+v: %s has %d bytes (%v)", d, f.Name, len(f.Values[0]), err)
					}
					got.WriteString(part)
				}
				if got.String() != text || len(r.Fields()) < 3 {
					t.Errorf("%+v: %d parts read back as %q", d, len(r.Fields()), got.String())
				}
				continue
			}
			elements := make([]any, 0, 40)
			for i := range 40 {
				elements = append(elements, fmt.Sprintf("%d, %s", i, text[:8]))
			}
			r, err := c.Render(map[string]any{"c": elements})
			if err != nil {
				t.Errorf("%+v: %v", d, err)
				continue
			}
			at := 0
			for _, f := range r.Fields() {
				n := 0
				for ; at+n < len(elements); n++ {
					want := make([]string, 0, n+1)
					for _, e := range elements[at : at+n+1] {
						want = append(want, e.(string))
					}
					if read(d, f.Values[0], want) == nil {
						n++
						break
					}
				}
				at += n
			}
			if at != len(elements) || len(r.Fields()) < 3 {
				t.Errorf("%+v: %d of %d elements read back from %d parts", d, at, len(elements), len(r.Fields()))
			}
		}
	}
}
