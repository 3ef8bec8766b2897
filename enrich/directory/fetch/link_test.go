package fetch

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

func TestNextPage(t *testing.T) {
	from, err := url.Parse("https://host/api/v1/users?limit=1")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		links []string
		want  string
	}{
		{nil, ""},
		{[]string{""}, ""},
		{[]string{`<https://host/api?after=2>; rel="next"`}, "https://host/api?after=2"},
		{[]string{`<https://host/api>; rel="self"`, `<https://host/api?after=a,b;c>; rel="next"`}, "https://host/api?after=a,b;c"},
		{[]string{`<https://host/api>; rel="self", <?after=3>; title="x"; rel=next`}, "https://host/api/v1/users?after=3"},
		{[]string{`<https://host/api>;rel=self,,<?after=4>;rel=next`}, "https://host/api/v1/users?after=4"},
		{[]string{`<https://evil.example/>; rel="next"`}, "https://evil.example/"},
		{[]string{`<https://host/a>; REL="prev NEXT"`}, "https://host/a"},
		{[]string{`<https://host/a> ; rel = "next" ; x`}, "https://host/a"},
		{[]string{`<https://host/a>; rel='next'`}, "https://host/a"},
		{[]string{`<https://host/a>; title="an \"<https://evil.example>; rel=next\", not one"; rel="self", </b>; rel="next"`}, "https://host/b"},
		{[]string{`<https://host/a>; rel="self"; rel="next"`}, ""},
		{[]string{`<https://host/a>; rel="nextish"`}, ""},
		{[]string{`<https://host/a>; title=next`}, ""},
	} {
		r := &Response{URL: from, Header: http.Header{"Link": c.links}}
		if got, err := r.Next(); got != c.want || err != nil {
			t.Errorf("%q: %q, %v, want %q", c.links, got, err, c.want)
		}
	}
}

// A link that cannot be read might lead to the rest of the list, which is not
// at its end.
func TestALinkThatCannotBeReadIsNoEnd(t *testing.T) {
	for _, link := range []string{
		`<https://host/a; rel="next"`, `https://host/a; rel="next"`, `rel="next"`, `>`, `; rel="next"`, `<https://host/a> rel="next"`,
		`<https://host/a>; rel="next`, `<https://host/a>; rel=prev next`, `<https://host/a>; rel="self", https://host/b; rel="next"`,
	} {
		r := &Response{Header: http.Header{"Link": {link}}}
		if next, err := r.Next(); next != "" || !errors.Is(err, directory.ErrMalformed) {
			t.Errorf("%q: %q, %v", link, next, err)
		}
	}
}
