package token

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

var everywhere = []Place{
	{Kind: Header, Name: "Authorization", Scheme: "Bearer"},
	{Kind: Header, Name: "X-Token"},
	{Kind: Cookie, Name: "session"},
	{Kind: Query, Name: "access_token"},
}

// request makes a request from lines "Name: value" and a query.
func request(query string, lines ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "https://app.example.com/p", http.NoBody)
	r.URL.RawQuery = query
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[http.CanonicalHeaderKey(name)] = append(r.Header[http.CanonicalHeaderKey(name)], value)
	}
	return r
}

func TestATokenIsFoundInExactlyOnePlace(t *testing.T) {
	for _, c := range []struct {
		name   string
		query  string
		lines  []string
		token  string
		scheme string
		want   error
	}{
		{name: "nothing", want: ErrNone},
		{name: "bearer", lines: []string{"Authorization: Bearer abc"}, token: "abc", scheme: "Bearer"},
		{name: "bearer in lower case", lines: []string{"Authorization: bearer abc"}, token: "abc", scheme: "Bearer"},
		{name: "bearer with more spaces", lines: []string{"Authorization:  Bearer   abc "}, token: "abc", scheme: "Bearer"},
		{name: "another scheme", lines: []string{"Authorization: Basic abc"}, want: ErrNone},
		{name: "a scheme that begins alike", lines: []string{"Authorization: BearerX abc"}, want: ErrNone},
		{name: "another scheme without credentials", lines: []string{"Authorization: Negotiate"}, want: ErrNone},
		{name: "an empty header", lines: []string{"Authorization: "}, want: ErrNone},
		{name: "scheme alone", lines: []string{"Authorization: Bearer"}, want: ErrMalformedRequest},
		{name: "scheme and spaces", lines: []string{"Authorization: Bearer   "}, want: ErrMalformedRequest},
		{name: "scheme and a tab", lines: []string{"Authorization: Bearer\tabc"}, want: ErrMalformedRequest},
		{name: "scheme and a comma", lines: []string{"Authorization: Bearer,abc"}, want: ErrMalformedRequest},
		{name: "header twice", lines: []string{"Authorization: Bearer a", "Authorization: Bearer b"}, want: ErrMalformedRequest},
		{name: "header twice, the same", lines: []string{"Authorization: Bearer a", "Authorization: Bearer a"}, want: ErrMalformedRequest},
		{name: "header twice, another scheme", lines: []string{"Authorization: Basic a", "Authorization: Bearer b"}, want: ErrMalformedRequest},
		{name: "header twice, empty", lines: []string{"Authorization: ", "Authorization: Bearer b"}, want: ErrMalformedRequest},
		{name: "header of its own", lines: []string{"X-Token:  abc "}, token: "abc"},
		{name: "header of its own, empty", lines: []string{"X-Token: "}, want: ErrNone},
		{name: "header of its own twice", lines: []string{"X-Token: a", "X-Token: b"}, want: ErrMalformedRequest},
		{name: "two headers", lines: []string{"X-Token: a", "Authorization: Bearer a"}, want: ErrMalformedRequest},
		{name: "cookie", lines: []string{"Cookie: a=1; session=abc; b=2"}, token: "abc"},
		{name: "cookie with quotes", lines: []string{`Cookie: session="abc"`}, token: "abc"},
		{name: "cookie of another case", lines: []string{"Cookie: Session=abc"}, want: ErrNone},
		{name: "cookie without a value", lines: []string{"Cookie: session="}, want: ErrNone},
		{name: "cookie without an equals sign", lines: []string{"Cookie: session"}, want: ErrNone},
		{name: "cookie whose name is the end of another", lines: []string{"Cookie: xsession=abc"}, want: ErrNone},
		{name: "cookie on a second line", lines: []string{"Cookie: a=1", "Cookie: session=abc"}, token: "abc"},
		{name: "cookie with an equals sign inside", lines: []string{"Cookie: session=abc="}, token: "abc="},
		{name: "cookie twice", lines: []string{"Cookie: session=a; session=b"}, want: ErrMalformedRequest},
		{name: "cookie twice, one empty", lines: []string{"Cookie: session=; session=b"}, want: ErrMalformedRequest},
		{name: "cookie twice on two lines", lines: []string{"Cookie: session=a", "Cookie: session=b"}, want: ErrMalformedRequest},
		{name: "cookie twice without spaces", lines: []string{"Cookie: session=a;session=b"}, want: ErrMalformedRequest},
		{name: "cookie and header", lines: []string{"Cookie: session=a", "Authorization: Bearer a"}, want: ErrMalformedRequest},
		{name: "query", query: "a=1&access_token=abc&b=2", token: "abc"},
		{name: "query, encoded", query: "access%5Ftoken=a%2Ebc", token: "a.bc"},
		{name: "query, empty", query: "access_token=", want: ErrNone},
		{name: "query without an equals sign", query: "access_token", want: ErrNone},
		{name: "query twice", query: "access_token=a&access_token=b", want: ErrMalformedRequest},
		{name: "query twice, one encoded", query: "access_token=a&access%5ftoken=b", want: ErrMalformedRequest},
		{name: "query twice, one empty", query: "access_token&access_token=b", want: ErrMalformedRequest},
		{name: "query with a broken escape", query: "access_token=%zz", want: ErrMalformedRequest},
		{name: "query of another name with a broken escape", query: "%zz=1&access_token=a", token: "a"},
		{name: "query, a dot for the underscore (A16)", query: "access.token=a", want: ErrMalformedRequest},
		{name: "query, an alias beside the token", query: "access_token=a&access.token=b", want: ErrMalformedRequest},
		{name: "query, an alias before the token", query: "access+token=b&access_token=a", want: ErrMalformedRequest},
		{name: "query, an array", query: "access_token=a&access_token[]=b", want: ErrMalformedRequest},
		{name: "query, an array, encoded", query: "access_token=a&access_token%5B0%5D=b", want: ErrMalformedRequest},
		{name: "query, an open bracket", query: "access_token=a&access[token=b", want: ErrMalformedRequest},
		{name: "query, brackets around", query: "access_token=a&[access_token]=b", want: ErrMalformedRequest},
		{name: "query, an encoded dot", query: "access_token=a&access%2Etoken=b", want: ErrMalformedRequest},
		{name: "query, an encoded underscore of old servers", query: "access_token=a&access%u005Ftoken=b", want: ErrMalformedRequest},
		{name: "query, another case", query: "access_token=a&Access_Token=b", want: ErrMalformedRequest},
		{name: "query, behind a semicolon", query: "access_token=a&x=1;access_token=b", want: ErrMalformedRequest},
		{name: "query, an alias behind a semicolon", query: "access_token=a&x;access.token=b", want: ErrMalformedRequest},
		{name: "query, before a semicolon", query: "access_token;x=b", want: ErrMalformedRequest},
		{name: "query, twice in one parameter", query: "access_token=a;access_token=b", want: ErrMalformedRequest},
		{name: "query, white space of another script", query: "access_token=a&access_token%E2%80%83=b", want: ErrMalformedRequest},
		{name: "query, a NUL", query: "access_token=a&access_token%00x=b", want: ErrMalformedRequest},
		{name: "query, a number sign", query: "access_token=a&access.token#=b", want: ErrMalformedRequest},
		{name: "query, names that are others", query: "access_tokens=1&x[access_token]=2&xaccess_token=3&access__token=4&a=access.token&access_token=a", token: "a"},
		{name: "query, names of nothing", query: "=access.token&&=&%20=1&[=2&access_token=a", token: "a"},
		{name: "query and header", query: "access_token=a", lines: []string{"Authorization: Bearer a"}, want: ErrMalformedRequest},
		{name: "query and another scheme", query: "access_token=a", lines: []string{"Authorization: Basic a"}, token: "a"},
		{name: "as long as allowed", lines: []string{"Authorization: Bearer " + strings.Repeat("a", 64)}, token: strings.Repeat("a", 64), scheme: "Bearer"},
		{name: "header too long", lines: []string{"Authorization: Bearer " + strings.Repeat("a", 65)}, want: ErrTooLong},
		{name: "cookie too long", lines: []string{"Cookie: session=" + strings.Repeat("a", 65)}, want: ErrTooLong},
		{name: "query too long", query: "access_token=" + strings.Repeat("a", 65), want: ErrTooLong},
		{name: "query far too long", query: "access_token=" + strings.Repeat("%41", 1<<16), want: ErrTooLong},
		{name: "query as long as allowed, encoded", query: "access_token=" + strings.Repeat("%41", 64), token: strings.Repeat("A", 64)},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := Find(request(c.query, c.lines...), nil, everywhere, 64)
			if !errors.Is(err, c.want) || f.Token != c.token || f.Scheme != c.scheme {
				t.Fatalf("got %+v, %v; want %q, %v", f, err, c.token, c.want)
			}
			if (f.Place == nil) != (err != nil) {
				t.Errorf("place is %v", f.Place)
			}
		})
	}
}

func TestFindLooksOnlyWhereItIsTold(t *testing.T) {
	r := request("access_token=q&access_token=q2", "Cookie: session=c; session=c2", "X-Token: x", "X-Token: y", "Authorization: Bearer abc")
	f, err := Find(r, nil, DefaultPlaces(), 0)
	if err != nil || f.Token != "abc" {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err := Find(r, nil, nil, 0); !errors.Is(err, ErrNone) {
		t.Errorf("with no place: got %v", err)
	}
}

func TestFindNeverReadsTheBody(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("access_token=abc"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if _, err := Find(r, nil, everywhere, 0); !errors.Is(err, ErrNone) {
		t.Errorf("got %v", err)
	}
	if r.Form != nil || r.PostForm != nil {
		t.Error("the form was parsed")
	}
}

func TestFindTakesTwoSchemesOfOneHeader(t *testing.T) {
	places := []Place{{Kind: Header, Name: "Authorization", Scheme: "Bearer"}, {Kind: Header, Name: "Authorization", Scheme: "DPoP"}}
	for value, scheme := range map[string]string{"Bearer abc": "Bearer", "dpop abc": "DPoP"} {
		f, err := Find(request("", "Authorization: "+value), nil, places, 0)
		if err != nil || f.Scheme != scheme || f.Token != "abc" {
			t.Errorf("%s: got %+v, %v", value, f, err)
		}
	}
}

func TestFindOfABearerHeaderDoesNotAllocate(t *testing.T) {
	r := request("a=1", "Cookie: a=1", "Authorization: Bearer "+strings.Repeat("a", 1290))
	places := DefaultPlaces()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Find(r, nil, places, 0); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDropRemovesTheTokenAlone(t *testing.T) {
	for _, c := range []struct {
		name             string
		query, wantQuery string
		lines, wantLines []string
	}{
		{name: "header", lines: []string{"Authorization: Bearer abc", "X-A: 1"}, wantLines: []string{"X-A: 1"}},
		{name: "header of its own", lines: []string{"X-Token: abc", "Authorization: Basic x"}, wantLines: []string{"Authorization: Basic x"}},
		{name: "the only cookie", lines: []string{"Cookie: session=abc"}},
		{name: "the first cookie", lines: []string{"Cookie: session=abc; a=1;b=2"}, wantLines: []string{"Cookie: a=1;b=2"}},
		{name: "a cookie in between", lines: []string{`Cookie: a="x y";  session=abc ;b=2;; c`}, wantLines: []string{`Cookie: a="x y";b=2;; c`}},
		{name: "the last cookie", lines: []string{"Cookie: a=1; b=2; session=abc"}, wantLines: []string{"Cookie: a=1; b=2"}},
		{name: "a cookie with a semicolon behind", lines: []string{"Cookie: a=1; session=abc;"}, wantLines: []string{"Cookie: a=1;"}},
		{name: "a cookie on a line of its own", lines: []string{"Cookie: a=1", "Cookie: session=abc", "Cookie: b=2"}, wantLines: []string{"Cookie: a=1", "Cookie: b=2"}},
		{name: "the only parameter", query: "access_token=abc"},
		{name: "the first parameter", query: "access_token=abc&b=2&c", wantQuery: "b=2&c"},
		{name: "a parameter in between", query: "a=%41+&&access%5Ftoken=abc&b=2;c=3&", wantQuery: "a=%41+&&b=2;c=3&"},
		{name: "the last parameter", query: "a=1&access_token=abc", wantQuery: "a=1"},
		{name: "names that are others", query: "a.b=1&access_token=abc&access_tokens[]=2;c", wantQuery: "a.b=1&access_tokens[]=2;c"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := request(c.query, c.lines...)
			before := r.Header.Clone()
			shared := make(http.Header)
			// the same slices, as a shallow copy of the request has
			maps.Copy(shared, r.Header)
			f, err := Find(r, nil, everywhere, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.Drop(r)
			want := request(c.wantQuery, c.wantLines...)
			if !reflect.DeepEqual(r.Header, want.Header) || r.URL.RawQuery != c.wantQuery {
				t.Errorf("left is %q and %q", r.Header, r.URL.RawQuery)
			}
			if !reflect.DeepEqual(shared, before) {
				t.Error("a copy of the header changed")
			}
			if _, err := Find(r, nil, everywhere, 0); !errors.Is(err, ErrNone) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	Found{}.Drop(request("a=1")) // nothing found, nothing dropped
}

// A16: what is left of a refused request may reach an error route's application.
func TestDropRemovesAliasesOfAParameter(t *testing.T) {
	r := request("a=1&access.token=x&access_token[]=x&b;access_token=x&access_token=x&c=2")
	Found{Place: &everywhere[3]}.Drop(r)
	if r.URL.RawQuery != "a=1&c=2" {
		t.Errorf("left is %q", r.URL.RawQuery)
	}
}

// A query may have a megabyte. What is not linear in it would not end here.
func TestLongQueriesTakeNoLongerThanTheyAre(t *testing.T) {
	for _, part := range []string{"a", ";", "&", "=", "%20", "[", "+", "a;", ";a=", "#", "%u0020"} {
		r := request(strings.Repeat(part, 1<<20/len(part)) + "&access.token=x")
		if _, err := Find(r, nil, everywhere, 0); !errors.Is(err, ErrMalformedRequest) {
			t.Errorf("many %q: %v", part, err)
		}
	}
}

func TestPlacesAreNormalizedOrRefused(t *testing.T) {
	for _, c := range []struct {
		in   Place
		name string
		good bool
	}{
		{Place{Kind: Header, Name: "authorization", Scheme: "Bearer"}, "Authorization", true},
		{Place{Kind: Header, Name: "x-token"}, "X-Token", true},
		{Place{Kind: Cookie, Name: "__Host-session"}, "__Host-session", true},
		{Place{Kind: Query, Name: "access_token"}, "access_token", true},
		{Place{Kind: Header, Name: "Authorization"}, "", false},
		{Place{Kind: Header, Name: "Cookie"}, "", false},
		{Place{Kind: Header, Name: "a b"}, "", false},
		{Place{Kind: Header}, "", false},
		{Place{Kind: Header, Name: "X-Token", Scheme: "a b"}, "", false},
		{Place{Kind: Cookie, Name: "a;b"}, "", false},
		{Place{Kind: Cookie, Name: "a", Scheme: "Bearer"}, "", false},
		{Place{Kind: Query}, "", false},
		{Place{Kind: Query, Name: "a[b]"}, "", false},
		{Place{Kind: Query, Name: "a%20b"}, "", false},
		{Place{Kind: Query, Name: " a"}, "", false},
		{Place{Kind: Query, Name: strings.Repeat("a", MaxNameBytes+1)}, "", false},
		{Place{Kind: Query, Name: "a+b.c"}, "a+b.c", true},
		{Place{Kind: Cookie, Name: strings.Repeat("a", MaxNameBytes+1)}, "", false},
		{Place{Kind: Header, Name: strings.Repeat("a", MaxNameBytes+1)}, "", false},
		{Place{Kind: Query, Name: "a", Scheme: "Bearer"}, "", false},
		{Place{Kind: "body", Name: "a"}, "", false},
		{Place{}, "", false},
	} {
		got, err := c.in.Normalize()
		if (err == nil) != c.good || c.good && got.Name != c.name || err != nil && !errors.Is(err, ErrPlace) {
			t.Errorf("%v: got %v, %v", c.in, got, err)
		}
	}
	if got := everywhere[0].String() + "|" + everywhere[2].String(); got != "header Authorization Bearer|cookie session" {
		t.Errorf("got %q", got)
	}
}

// FuzzFind holds for every request that Find takes: the token stands in the
// request, it is within its bound, and once dropped nothing is found any
// more while all other cookies and parameters are what they were.
func FuzzFind(f *testing.F) {
	f.Add("Bearer abc", "a=1; session=x", "access_token=y&b=1", "t")
	f.Add("Bearer  ", ";session=;; session=1", "access%5ftoken=%41&access_token", "")
	f.Add("Basic x", `session="a;b"`, "a;access_token=1", " ")
	f.Fuzz(func(t *testing.T, authorization, cookie, query, named string) {
		for _, places := range [][]Place{everywhere, everywhere[:1], everywhere[1:2], everywhere[2:3], everywhere[3:]} {
			r := &http.Request{Header: http.Header{}, URL: &url.URL{RawQuery: query}}
			for name, v := range map[string]string{"Authorization": authorization, "Cookie": cookie, "X-Token": named} {
				if v != "" {
					r.Header[name] = []string{v}
				}
			}
			found, err := Find(r, nil, places, 32)
			if err != nil {
				if found != (Found{}) || !errors.Is(err, ErrNone) && !errors.Is(err, ErrMalformedRequest) && !errors.Is(err, ErrTooLong) {
					t.Fatalf("got %+v, %v", found, err)
				}
				continue
			}
			if found.Token == "" || len(found.Token) > 32 {
				t.Fatalf("got a token of %d bytes", len(found.Token))
			}
			cookies, parameters := without(split(cookie, ";"), found), without(split(query, "&"), found)
			found.Drop(r)
			if got := split(r.Header.Get("Cookie"), ";"); found.Place.Kind == Cookie && !reflect.DeepEqual(got, cookies) {
				t.Fatalf("cookies are %q, want %q", got, cookies)
			}
			if got := split(r.URL.RawQuery, "&"); found.Place.Kind == Query && !reflect.DeepEqual(got, parameters) {
				t.Fatalf("parameters are %q, want %q", got, parameters)
			}
			if _, err := Find(r, nil, places, 32); !errors.Is(err, ErrNone) {
				t.Fatalf("afterwards: %v", err)
			}
		}
	})
}

// split gives the parts that say anything, without the blanks around them.
func split(s, separator string) []string {
	var out []string
	for part := range strings.SplitSeq(s, separator) {
		if part = strings.Trim(part, " \t"); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// without leaves out the parts that name the place of the token.
func without(parts []string, found Found) []string {
	var out []string
	for _, part := range parts {
		name, _, _ := strings.Cut(part, "=")
		switch found.Place.Kind {
		case Cookie:
			if _, ok := cookieValue(part, found.Place.Name); ok {
				continue
			}
		case Query:
			if decoded, err := url.QueryUnescape(name); err == nil && decoded == found.Place.Name {
				continue
			}
		}
		out = append(out, part)
	}
	return out
}

func BenchmarkFindBearer(b *testing.B) {
	r := request("", "Authorization: Bearer "+strings.Repeat("a", 1290))
	places := DefaultPlaces()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Find(r, nil, places, 0); err != nil {
			b.Fatal(err)
		}
	}
}
