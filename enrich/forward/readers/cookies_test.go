package readers

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

const cookie = "gw_token"

// hostileCookies puts every piece before, behind and into the name, quoted and
// not, and where a value ends.
func hostileCookies() []string {
	var pairs []string
	for _, p := range pieces() {
		inside := strings.Replace(cookie, "_", p, 1)
		for i, name := range []string{
			p + cookie, cookie + p, p + cookie + p, inside, `"` + p + cookie + `"`, `"` + cookie + p + `"`, p + `"` + cookie + `"`, `"` + cookie + `"` + p,
			"=" + p + cookie, p + "=" + cookie, "a=1" + p + cookie, `a="1"` + p + cookie, `a="1` + p + cookie, "a=" + p + cookie, "a" + p + cookie, "a=1," + p + cookie, "a=1 " + cookie + p,
			cookie + "[" + p, cookie + p + "[x]", "[" + p + cookie, "a[" + p + "]" + cookie,
		} {
			if pairs = append(pairs, name+"=EVIL"); i < 4 {
				pairs = append(pairs, name)
			}
		}
		pairs = append(pairs, p+cookie+p+`="EVIL"`, cookie+p+" = EVIL", "prefs["+p+"]=dark", "prefs=a"+p+"b")
	}
	slices.Sort(pairs)
	return slices.Compact(pairs)
}

// TestNoReaderFindsOurCookieInWhatIsLeft is A14 and A15: what a scrub leaves of
// a client's cookies holds ours to no reader, and what is not ours keeps its
// bytes.
func TestNoReaderFindsOurCookieInWhatIsLeft(t *testing.T) {
	contract, err := forward.Compile(forward.Definition{}, forward.Target{Cookie: cookie})
	if err != nil {
		t.Fatal(err)
	}
	written := forward.NewOwned(contract)
	readOnly, err := forward.NewOwned().Sparing(forward.Sources{Cookies: []string{cookie}})
	if err != nil {
		t.Fatal(err)
	}
	pairs := hostileCookies()
	headers := make([]string, len(pairs))
	left := make([]string, len(pairs))
	for i, pair := range pairs {
		headers[i] = "first=1; " + pair + "; last=2"
		left[i] = scrubbed(written, headers[i])
		if again := scrubbed(readOnly, headers[i]); again != left[i] {
			t.Errorf("%q becomes %q where the cookie is written and %q where it is read", headers[i], left[i], again)
		}
		for _, other := range []string{"first=1", "last=2"} {
			if !strings.Contains(left[i], other) {
				t.Errorf("%q becomes %q", headers[i], left[i])
			}
		}
	}
	readings := read(t, cookies, slices.Concat(headers, left)...)
	tricked := map[string]int{}
	dropped := 0
	for i, header := range headers {
		if reader, found := readings[left[i]].ours(cookie); found {
			t.Errorf("%s finds our cookie in %q, which is left of %q", reader, left[i], header)
		}
		for reader := range readings[header] {
			if _, found := (reading{reader: readings[header][reader]}).ours(cookie); found {
				tricked[reader]++
			}
		}
		if left[i] == header {
			continue
		}
		dropped++
		if _, found := readings[header].ours(cookie); !found && !mayBeOurs(pairs[i]) {
			t.Errorf("%q is nobody's and becomes %q", header, left[i])
		}
	}
	t.Logf("%d of %d dropped; unscrubbed, ours was found by %v", dropped, len(headers), tricked)
	for reader := range readings[headers[0]] {
		if tricked[reader] == 0 {
			t.Errorf("%s never found our cookie: the test shows nothing of it", reader)
		}
	}
}

func scrubbed(o *forward.Owned, header string) string {
	r := &http.Request{Header: http.Header{"Cookie": {header}}}
	o.Scrub(r)
	o.ScrubCredentials(r)
	return strings.Join(r.Header["Cookie"], "\n")
}

// mayBeOurs is A15 by its words, for what no reader of this test reads: names
// that no cookie may have, and what older readers decode, cut or split.
func mayBeOurs(pair string) bool {
	for part := range strings.SplitSeq(pair, ";") {
		name, _, _ := strings.Cut(part, "=")
		name = strings.Trim(name, " \t")
		if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7F }) {
			return true
		}
		folded := strings.Trim(forward.Fold(strings.NewReplacer("%5F", "_", "%20", "", "%0", "\x00", "%1", "\x00").Replace(part)), "-")
		if strings.Contains(folded, forward.Fold(cookie)) || strings.Contains(part, "%") {
			return true
		}
	}
	return false
}
