package enrich

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// at makes a request for a target of a good caller.
func (r *rig) at(method, target string, headers ...string) *http.Request {
	r.t.Helper()
	req := bearer(r.token())
	req.Method = method
	u, err := url.ParseRequestURI(target)
	if err != nil {
		r.t.Fatal(err)
	}
	req.URL = u
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
	}
	return req
}

// P55: a requirement on the path holds in every reading or the request is
// malformed; where it holds in none it is denied. What everybody reads alike is
// not disturbed.
func TestRequirementsOnThePathHoldInEachReading(t *testing.T) {
	r := newRig(t, options{})
	const allowed, denied, malformed = "allowed", "denied", "invalid_request"
	for expression, targets := range map[string]map[string]string{
		`!String.startsWith(request.path, "/admin/")`: {
			"/x": allowed, "/admin/x": denied, "/ADMIN/x": malformed, "/%61dmin/x": malformed, "/admin%2fx": malformed, "/admin;v/x": malformed,
			"/admin%5cx": malformed, "//admin/x": malformed, "/a/../admin/x": malformed, "/%2561dmin/x": malformed, "/admin./x": malformed, "/admin%20/x": malformed,
			"/x/1%2f..%2f..%2fadmin": malformed, "/a%2fb": allowed, "/Static/Logo.PNG": allowed, "/files/a%20b": allowed, "/100%25": allowed, "/x/": allowed,
		},
		`String.startsWith(request.path, "/in/")`: {
			"/in/x": allowed, "/in/X": allowed, "/in/a%2Fb": allowed, "/in/x;v=1": allowed, "/in/%C3%89": allowed, "/IN/x": malformed, "/out": denied, "/in/../out": malformed,
		},
		// Letters are not folded where a literal has capitals, nor where the
		// path is compared with what is no literal.
		`request.path == "/Reports"`:                      {"/Reports": allowed, "/reports": denied},
		`request.path != "/Users/" + token.sub`:           {"/users/x": allowed, "/Users/00u1ada": denied},
		`request.path == "/reports"`:                      {"/reports": allowed, "/Reports": malformed, "/reports/": denied},
		`request.path == "/a" OR request.method == "GET"`: {"/ADMIN;x": allowed},
		`request.method == "GET"`:                         {"/%61;x//y": allowed, "/in/..;/y": malformed},
	} {
		p := r.policy(PolicyDefinition{Require: []string{expression}})
		for target, want := range targets {
			if a := r.send(p, r.at("GET", target)); a.kind() != want {
				t.Errorf("%s: %s is %s, want %s (%v)", expression, target, a.kind(), want, errors.Unwrap(a.err))
			}
			// Explain comes to the same.
			e, err := r.Explain(t.Context(), p, ExplainRequest{Token: r.token(), Request: r.at("GET", target)})
			if err != nil {
				t.Fatal(err)
			}
			if e.Outcome != want && !strings.Contains(expression, "request.method") {
				t.Errorf("%s: %s is explained as %s, want %s", expression, target, e.Outcome, want)
			}
		}
	}
	a := r.send(r.policy(PolicyDefinition{Require: []string{`request.path != "/admin"`}}), r.at("GET", "/Admin"))
	if cause := errors.Unwrap(a.err); !errors.Is(cause, ErrPath) || !strings.Contains(cause.Error(), `"/admin"`) || !strings.Contains(cause.Error(), `"/Admin"`) ||
		!strings.Contains(cause.Error(), "request.path") || a.err.Error() != "malformed request" {
		t.Errorf("the cause is %v, the text %v", cause, a.err)
	}
}

// P55: MOVE and COPY name a second path.
func TestTheDestinationIsJudgedToo(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{Require: []string{`!String.startsWith(request.path, "/admin/")`}})
	for _, c := range []struct {
		method, destination string
		ok                  bool
	}{
		{"MOVE", "/x", true},
		{"COPY", "http://app.example.com/x/y", true},
		{"MOVE", "/admin/x", false},
		{"COPY", "http://app.example.com/admin/x", false},
		{"move", "/admin/x", false},
		{"MOVE", "/ADMIN/x", false},
		{"MOVE", "/x/..%2fadmin/x", false},
		{"MOVE", "//admin/x", false},
		{"MOVE", "admin/x", false},
		{"MOVE", "x:admin/x", false},
		{"MOVE", "/%zz", false},
		{"MOVE", "", false},
		{"GET", "/admin/x", true},
	} {
		if a := r.send(p, r.at(c.method, "/x", "Destination", c.destination)); (a.err == nil) != c.ok || !c.ok && a.kind() != "invalid_request" {
			t.Errorf("%s to %s: %v", c.method, c.destination, a.err)
		}
	}
	if a := r.send(p, r.at("MOVE", "/x", "Destination", "/x", "Destination", "/y")); a.kind() != "invalid_request" {
		t.Errorf("two destinations: %v", a.err)
	}
	if a := r.send(p, r.at("POST", "/x", "Destination", "/admin/x", "X-Http-Method-Override", "MOVE")); a.kind() != "invalid_request" {
		t.Errorf("an overridden method: %v", a.err)
	}
	// Where nothing reads the path, a destination that leads elsewhere in one
	// reading is refused all the same.
	if a := r.send(r.usual(), r.at("MOVE", "/x", "Destination", "/x/..;/y")); a.kind() != "invalid_request" {
		t.Errorf("a hidden dot segment: %v", a.err)
	}
}

// P64: the host in one spelling.
func TestTheHostOfARequestHasOneSpelling(t *testing.T) {
	for host, want := range map[string]string{
		"app.example.com": "app.example.com", "APP.Example.com:8443": "app.example.com", "app.example.com.": "app.example.com", "App.example.com.:80": "app.example.com",
		"[::1]:80": "::1", "[2001:DB8::1]": "2001:db8::1", "": "", "app.example.com:": "app.example.com",
	} {
		if got := requestHost(host); got != want {
			t.Errorf("%q is %q, want %q", host, got, want)
		}
	}
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{Require: []string{`request.host != "admin.example.com"`}})
	for host, ok := range map[string]bool{"app.example.com": true, "Admin.example.com": false, "admin.example.com.": false, "ADMIN.example.com:80": false} {
		req := bearer(r.token())
		req.Host = host
		if a := r.send(p, req); (a.err == nil) != ok {
			t.Errorf("%s: %v", host, a.err)
		}
	}
}

// P64: where a requirement reads the method, it is the application's too.
func TestTheMethodOfARequestIsTheApplicationsToo(t *testing.T) {
	r := newRig(t, options{})
	reads := r.policy(PolicyDefinition{Require: []string{`request.method != "DELETE"`}})
	for _, method := range []string{"delete", "Delete", "DELETE ", "D\u0301ELETE", "GET2", "M-SEARCH!"} {
		if a := r.send(reads, r.at(method, "/x")); a.kind() != "invalid_request" || !errors.Is(a.err, errMethod) {
			t.Errorf("%q: %v", method, a.err)
		}
	}
	for _, method := range []string{"GET", "M-SEARCH", "X_Y"} {
		if a := r.send(reads, r.at(strings.ToUpper(method), "/x")); a.err != nil {
			t.Errorf("%q: %v", method, a.err)
		}
	}
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "x_http_method_override", "X-Http_Method", "X.Method.Override"} {
		overridden := func() *http.Request {
			req := r.at("POST", "/x")
			req.Header[name] = []string{"DELETE"}
			return req
		}
		if a := r.send(reads, overridden()); a.kind() != "invalid_request" || !errors.Is(a.err, errMethod) {
			t.Errorf("%s: %v", name, a.err)
		}
		if a := r.send(r.usual(), overridden()); a.err != nil {
			t.Errorf("%s where nothing reads the method: %v", name, a.err)
		}
	}
	if a := r.send(reads, r.at("POST", "/x", "X-Methods", "DELETE", "X-Http-Methods-Override", "x")); a.err != nil {
		t.Error(a.err)
	}
	if a := r.send(r.policy(PolicyDefinition{Require: []string{`request["meth" + "od"] != "DELETE"`}}), r.at("delete", "/x")); a.kind() != "invalid_request" {
		t.Errorf("by a computed name: %v", a.err)
	}
}

// An anonymous request whose path the readings part is malformed; one that no
// reading lets in is asked for a token.
func TestAnonymousRequestsAreJudgedInEachReading(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{Anonymous: true, Require: []string{`String.startsWith(request.path, "/open/")`}})
	for target, want := range map[string]string{"/open/x": "anonymous", "/closed": "no_token", "/open/../closed": "invalid_request", "/OPEN/x": "invalid_request"} {
		req := r.at("GET", target)
		req.Header.Del("Authorization")
		if a := r.send(p, req); a.kind() != want {
			t.Errorf("%s is %s, want %s", target, a.kind(), want)
		}
	}
}
