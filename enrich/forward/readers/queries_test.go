package readers

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

const parameter = "access_token"

// hostileQueries puts every piece around and into a parameter's name.
func hostileQueries() []string {
	var queries []string
	for _, p := range pieces() {
		for _, name := range []string{
			p + parameter, parameter + p, strings.Replace(parameter, "_", p, 1), p + parameter + p, "[" + p + parameter, parameter + "[" + p, parameter + p + "[x]", p + "[" + parameter + "]",
			"a=1;" + p + parameter, "a;" + parameter + p, "a=1" + p + parameter, strings.ToUpper(parameter) + p,
		} {
			queries = append(queries, "first=1&"+name+"=EVIL&last=2")
		}
	}
	slices.Sort(queries)
	return slices.Compact(queries)
}

// TestNoReaderFindsOurParameterInWhatIsNone is A16: a query in which the gateway
// finds neither a token nor an alias of its parameter holds none to any reader,
// and neither does what is left of a refused one.
func TestNoReaderFindsOurParameterInWhatIsNone(t *testing.T) {
	place := token.Place{Kind: token.Query, Name: parameter}
	queries := hostileQueries()
	left := make([]string, len(queries))
	verdicts := make([]error, len(queries))
	for i, q := range queries {
		r := &http.Request{URL: &url.URL{RawQuery: q}, Header: http.Header{}}
		_, verdicts[i] = token.Find(r, nil, []token.Place{place}, 0)
		left[i] = q
		if !errors.Is(verdicts[i], token.ErrNone) {
			token.Found{Place: &place}.Drop(r)
			left[i] = r.URL.RawQuery
		}
		if !strings.HasPrefix(left[i], "first=1") || !strings.HasSuffix(left[i], "last=2") {
			t.Errorf("%q becomes %q", q, left[i])
		}
	}
	readings := read(t, query, slices.Concat(queries, left)...)
	tricked := map[string]int{}
	refused := 0
	for i, q := range queries {
		// An empty one is none (B33), and stays.
		empty := strings.Contains(q, "&"+parameter+"&") || strings.Contains(q, "&"+parameter+"=&")
		if reader, found := readings[left[i]].ours(parameter); found && !empty {
			t.Errorf("%s finds our parameter in %q, which is left of %q (%v)", reader, left[i], q, verdicts[i])
		}
		for reader := range readings[q] {
			if _, found := (reading{reader: readings[q][reader]}).ours(parameter); found {
				tricked[reader]++
			}
		}
		if !errors.Is(verdicts[i], token.ErrMalformedRequest) {
			continue
		}
		refused++
		_, found := readings[q].ours(parameter)
		if !found && !strings.Contains(strings.Trim(forward.Canonicalize(q), "-"), forward.Canonicalize(parameter)) && !strings.Contains(q, "%") {
			t.Errorf("%q is nobody's and refused", q)
		}
	}
	t.Logf("%d of %d refused; ours was found by %v", refused, len(queries), tricked)
	for reader := range readings[queries[0]] {
		if tricked[reader] == 0 {
			t.Errorf("%s never found our parameter: the test shows nothing of it", reader)
		}
	}
}
