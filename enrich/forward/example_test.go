package forward_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// The way of one request: what the client made up is deleted, the claims of its
// token are written.
func Example() {
	plan, err := forward.Compile(forward.Definition{Headers: []forward.HeaderDefinition{
		{Name: "X-User", Claim: "login"},
		{Name: "X-User-Groups", Claim: "groups", Delimiter: "|"},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	names := forward.NewReservedNames(plan)

	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header["X_user.groups"] = []string{"admins"} // many servers take this for X-User-Groups
	fmt.Println("deleted:", names.Scrub(r))

	headers, err := plan.Render(map[string]any{"login": "ada", "groups": []any{"Engineers", "Research"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	headers.Write(r.Header)
	fmt.Println("X-User:", r.Header.Get("X-User"))
	fmt.Println("X-User-Groups:", r.Header.Get("X-User-Groups"))
	// Output:
	// deleted: 1
	// X-User: ada
	// X-User-Groups: Engineers|Research
}

// Options that contradict each other do not compile.
func ExampleCompile() {
	_, err := forward.Compile(forward.Definition{Headers: []forward.HeaderDefinition{
		{Name: "X-User-Groups", Claim: "groups", List: "json", Delimiter: ";"},
	}})
	fmt.Println(err)
	// Output:
	// header "X-User-Groups": list json and delimiter cannot be combined
}

// A value that could be read as something else is refused, whoever wrote it.
func ExampleHeaderPlan_Render() {
	plan, err := forward.Compile(forward.Definition{Headers: []forward.HeaderDefinition{{Name: "X-User-Groups", Claim: "groups", Delimiter: ","}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = plan.Render(map[string]any{"groups": []any{"Guests,Admins"}})
	fmt.Println(err)
	// Output:
	// rendering header "X-User-Groups": value refused: an element contains the delimiter (use escape percent or backslash)
}

// The header that a token is read from is reserved too, but stays until it has
// been read.
func ExampleReservedNames_Except() {
	names, err := forward.NewReservedNames().Except(forward.Sources{Headers: []string{"X-Auth-Token"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-Auth-Token", "eyJhbGciOiJSUzI1NiJ9")
	names.Scrub(r)
	fmt.Println("before it is read:", r.Header.Get("X-Auth-Token") != "")
	names.ScrubCredentials(r)
	fmt.Println("after:", r.Header.Get("X-Auth-Token") != "")
	// Output:
	// before it is read: true
	// after: false
}

// Canonicalize tells which names an application could take for one.
func ExampleCanonicalize() {
	for _, name := range []string{"X-User-Groups", "x_user.groups", "X-UserGroups"} {
		fmt.Println(forward.Canonicalize(name))
	}
	// Output:
	// x-user-groups
	// x-user-groups
	// x-usergroups
}
