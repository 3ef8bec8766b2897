package forward

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

func tlsDial(ctx context.Context, address string, config *tls.Config) (net.Conn, error) {
	return (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", address)
}

// cookiesOf gives the names of the cookies as net/http reads them.
func cookiesOf(r *http.Request) []string {
	var names []string
	for _, c := range r.Cookies() {
		names = append(names, c.Name)
	}
	return names
}

func cookieRequest(lines ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	if len(lines) > 0 {
		r.Header["Cookie"] = lines
	}
	return r
}

func TestSetCookieDisplacesEveryAlias(t *testing.T) {
	for _, alias := range []string{
		"app_token", "app.token", "APP_TOKEN", "app token", "app-token", "app~token", // as PHP and others fold names
		"app_token[x]", "app.token[]", "app%5ftoken", "app%2Etoken", "%61pp_token", "+app_token", "%20app_token", // as PHP reads names, or did
		"app_token%00x", "app_token%5Bx%5D",
		"=app_token", " = app.token", "==app_token", // as Werkzeug read names
	} {
		r := cookieRequest("a=1; " + alias + "=forged; b=2")
		if err := SetCookie(r, "app_token", "ours"); err != nil {
			t.Fatal(err)
		}
		if got := r.Header["Cookie"]; !slices.Equal(got, []string{"app_token=ours; a=1; b=2"}) {
			t.Errorf("%q: %q", alias, got)
		}
	}
}

func TestSetCookieLeavesOthersByteForByte(t *testing.T) {
	for _, tc := range []struct{ in, want []string }{
		{nil, []string{"t=ours"}},
		{[]string{""}, []string{"t=ours"}},
		{[]string{"t=1"}, []string{"t=ours"}},
		{[]string{"t=1; T=2", "a=1;t=3"}, []string{"t=ours; a=1"}},
		{[]string{"a=1;  b = \"x y\" ;c"}, []string{"t=ours; a=1;  b = \"x y\" ;c"}},
		{[]string{"a=1; t=x; b=2"}, []string{"t=ours; a=1; b=2"}},
		{[]string{"tt=1; at=2; t2=3"}, []string{"t=ours; tt=1; at=2; t2=3"}},
		{[]string{"a=1", "b=2"}, []string{"t=ours; a=1; b=2"}},
		{[]string{"t"}, []string{"t=ours"}}, // a cookie without a value
		{[]string{"a=t; b=x=y; c=t=z"}, []string{"t=ours; a=t; b=x=y; c=t=z"}},
		{[]string{"a=1, t=forged; b=2"}, []string{"t=ours; b=2"}}, // readers that end a cookie at a comma
		{[]string{"a=1, =t=forged; b=2"}, []string{"t=ours; b=2"}},
		{[]string{"a=1, \"t\" =forged; b=2"}, []string{"t=ours; b=2"}},
		{[]string{"a= t=forged; b=2"}, []string{"t=ours; b=2"}},
		{[]string{"a==t; b=x =y z=t; =c=t=1"}, []string{"t=ours; a==t; b=x =y z=t; =c=t=1"}},
		{[]string{"a=1 t=forged; b=2"}, []string{"t=ours; b=2"}},           // or at white space
		{[]string{"a=\"; t=forged; b=\""}, []string{"t=ours; a=\"; b=\""}}, // or inside quotation marks
		{[]string{"\"t\"=forged; b=2"}, []string{"t=ours; b=2"}},
		{[]string{"t =forged; b=2"}, []string{"t=ours; b=2"}},
	} {
		r := cookieRequest(slices.Clone(tc.in)...)
		shared := r.Header["Cookie"]
		if err := SetCookie(r, "t", "ours"); err != nil {
			t.Fatal(err)
		}
		if got := r.Header["Cookie"]; !slices.Equal(got, tc.want) {
			t.Errorf("%q becomes %q, want %q", tc.in, got, tc.want)
		}
		if !slices.Equal(shared, tc.in) {
			t.Errorf("the caller's slice was edited: %q", shared)
		}
	}
}

// A15: what some reader decodes, trims, cuts or splits into our cookie is
// dropped, and so is a name that no cookie may have; nothing else is.
func TestCookiesAreToldApartAsEveryReaderDoes(t *testing.T) {
	long := strings.Repeat("t", maxNameBytes)
	for _, tc := range []struct{ name, in, want string }{
		{"t", "a=1; t\xa0=x; \u2003t=x; t\u3000=x; b=2", "a=1; b=2"},
		{"t", "a=1; \xe9=x; b c=x; b\tc=x; b\x01=x; \x7f=x; b=2", "a=1; b=2"},
		{"t", "a=1; b=\xe9 \xa0 c; d", "a=1; b=\xe9 \xa0 c; d"},
		{"t", "prefs[theme]=dark; prefs[t]=1; t2[t]=1", "prefs[theme]=dark; prefs[t]=1; t2[t]=1"},
		{"t", "a=1; t[=x; [t=x; [t]=x; a[b]t=x; t%5B0=x; %5Bt=x; b=2", "a=1; b=2"},
		{"t", "a=1; (t=x; a/t=x; (=t=x; a[0]=t=x; b=(t=1", "a=1; b=(t=1"},
		{"t", "a=1; a=\"1\"=t=x; a=\"t=x; a=1\\t=x; a=1,(t=x; b=2", "a=1; b=2"},
		{"t", "a=1; =t; ==t; = t = x; =c; =; b=2", "a=1; =c; =; b=2"},
		{"t", "a=1; t; %74; +t; t%00=x; t%u0020=x; %u0074=x; b t; b=2", "a=1; b=2"},
		{"t", "a=1; \"t\"; $Version=1,t=x; b=2", "a=1; b=2"},
		{"t_t", "t[t=1; t%5Bt=1; t[t]=1; t%5Ft%5B=1; b=2", "t[t]=1; b=2"},
		{long, "a=1; " + long + "[0]=x; " + long + "%20%20=x; %20" + long + "=x; " + long + "t=1", "a=1; " + long + "t=1"},
	} {
		r := cookieRequest(tc.in)
		DropCookies(r, tc.name)
		if got := r.Header.Get("Cookie"); got != tc.want {
			t.Errorf("%q becomes %q, want %q", tc.in, got, tc.want)
		}
	}
	r := cookieRequest("\xe9=1; b c=2; (t=3")
	if NewReservedNames().Scrub(r) != 0 { // no policy reads or writes a cookie
		t.Errorf("left is %q", r.Header)
	}
}

func TestSetCookieRefusesWhatIsNoCookie(t *testing.T) {
	for _, tc := range [][2]string{
		{"t", ""},
		{"t", "a b"},
		{"t", "a;b"},
		{"t", "a,b"},
		{"t", "a\"b"},
		{"t", "a\\b"},
		{"t", "a\r\nb"},
		{"t", "ü"},
		{"", "a"},
		{"a b", "a"},
		{"a=b", "a"},
		{strings.Repeat("t", maxNameBytes+1), "a"},
	} {
		r := cookieRequest("a=1")
		if err := SetCookie(r, tc[0], tc[1]); err == nil || r.Header.Get("Cookie") != "a=1" {
			t.Errorf("%q=%q: %v, %q", tc[0], tc[1], err, r.Header)
		}
	}
}

func TestCookiesAreDroppedByTheirFoldedNames(t *testing.T) {
	r := cookieRequest("a=1; B=2; b.x=3", "c=4; b=5")
	if n := DropCookies(r, "b", "B_X"); n != 3 || !slices.Equal(r.Header["Cookie"], []string{"a=1", "c=4"}) {
		t.Errorf("%d dropped, %q left", n, r.Header)
	}
	if n := DropCookies(r, "a", "c"); n != 2 || len(r.Header) != 0 {
		t.Errorf("%d dropped, %q left", n, r.Header)
	}
	if n := DropCookies(r, "a"); n != 0 {
		t.Errorf("%d dropped of none", n)
	}
}

func TestScrubDropsOwnedCookies(t *testing.T) {
	o := reservedNames(t)
	r := cookieRequest("a=1; APP_TOKEN=forged", "app.token=forged")
	if n := o.Scrub(r); n != 2 || !slices.Equal(r.Header["Cookie"], []string{"a=1"}) {
		t.Errorf("%d removed, %q left", n, r.Header)
	}
}

// A header may have a megabyte. What is not linear in it would not end here.
func TestLongCookiesTakeNoLongerThanTheyAre(t *testing.T) {
	for _, part := range []string{"=", "a=", "a,=", "+=", "\"=", "%20", " =", "a b", "==;", "t", "[=", "(=", "[x", "%5B=", "\xa0=", "\"a=", "a/t"} {
		r := cookieRequest("b=" + strings.Repeat(part, 1<<20/len(part)) + "; t=forged")
		if DropCookies(r, "t"); strings.Contains(r.Header.Get("Cookie"), "forged") {
			t.Errorf("many %q hide a cookie", part)
		}
	}
}

func FuzzSetCookie(f *testing.F) {
	for _, line := range []string{"a=1; t=2", "t", "a=\"; t=1", "%74=1", "a, t=1", "t[0]=1", "+t=2;;; =;", "=t=1; ==; =t"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := cookieRequest(line)
		if err := SetCookie(r, "t", "ours"); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, c := range r.Cookies() {
			if Canonicalize(c.Name) == "t" {
				n++
				if c.Value != "ours" {
					t.Errorf("%q leaves the cookie %v", line, c)
				}
			}
		}
		if n != 1 || !strings.HasPrefix(r.Header.Get("Cookie"), "t=ours") {
			t.Errorf("%q becomes %q", line, r.Header["Cookie"])
		}
	})
}
