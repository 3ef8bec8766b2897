package tokenenrich_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// module is where our packages live; a pattern that begins with a tilde stands
// for something below it.
const module = "github.com/tokenenrich/caddy-token-enrich"

// An importRule says what packages may never reach, over however many
// imports. A pattern is an import path, or one with everything below it where
// it ends in /... .
type importRule struct {
	pkg     string
	never   []string
	allowed []string // what a pattern of never covers and is allowed all the same
	stdOnly bool     // it reaches the standard library and itself alone
	direct  bool     // only what it imports itself counts
}

// importRules returns all rules of the module, in the order in which a request
// meets the packages.
func importRules() []importRule {
	kinds := []string{"file", "ldap", "okta", "rest", "scim", "sql", "userinfo"}
	concrete := below("~/enrich/directory/", kinds)
	all := []importRule{
		{pkg: "~/enrich/...", never: []string{"github.com/caddyserver/...", "go.uber.org/zap/...", "~/caddymodule/...", "~/cmd/..."}},
		{pkg: "~/cache/...", never: []string{"github.com/caddyserver/...", "go.uber.org/zap/...", "~/caddymodule/...", "~/cmd/...", "~/enrich/..."}},
		{pkg: "~/enrich", never: concrete},
		{pkg: "~/enrich/identity", stdOnly: true},
		{pkg: "~/enrich/setting", stdOnly: true},
		{pkg: "~/enrich/pathreading", stdOnly: true},
		{pkg: "~/enrich/token", never: []string{"~/cache/...", "~/enrich/issuer/...", "~/enrich/directory/...", "github.com/redis/..."}},
		{pkg: "~/enrich/token", never: []string{"net", "net/rpc", "net/smtp", "database/sql"}, direct: true},
		{pkg: "~/enrich/jose", never: []string{"~/..."}, allowed: []string{"~/enrich/jose/...", "~/enrich/identity"}},
		{pkg: "~/enrich/issuer/...", never: []string{"~/enrich/directory/...", "~/enrich/claim/...", "~/enrich/forward/..."}},
		{pkg: "~/enrich/login/...", never: []string{"~/enrich", "~/enrich/directory/...", "~/enrich/claim/...", "~/enrich/forward/..."}},
		{pkg: "~/enrich/directory/...", never: []string{"~/enrich/issuer/...", "~/enrich/claim/...", "~/enrich/forward/...", "~/cache/..."}},
		{pkg: "~/enrich/oauthclient/...", never: []string{"~/enrich/issuer/...", "~/enrich/directory/...", "~/cache/..."}},
		{pkg: "~/enrich/oktael/...", never: []string{"net", "net/http", "os/exec", "database/sql"}},
		{pkg: "~/enrich/oktael/...", never: []string{"os", "syscall", "io/fs"}, direct: true},
		{pkg: "~/enrich/oktael/...", never: []string{"~/..."}, allowed: []string{"~/enrich/oktael/...", "~/enrich/identity", "~/enrich/suggest"}},
		{pkg: "~/enrich/oktael/syntax", never: []string{"~/..."}, allowed: []string{"~/enrich/oktael/syntax", "~/enrich/suggest"}},
		{pkg: "~/enrich/oktael/input", never: []string{"~/..."}, allowed: []string{"~/enrich/oktael/input", "~/enrich/identity", "~/enrich/suggest"}},
		{pkg: "~/enrich/oktael/internal/value", never: []string{"~/enrich/oktael/syntax", "~/enrich/oktael/input"}},
		{pkg: "~/enrich/oktael/internal/...", never: []string{"~/enrich/oktael"}},
		{pkg: "~/enrich/claim/...", never: append([]string{"net/http", "~/cache/..."}, concrete...)},
		{pkg: "~/enrich/forward/...", never: []string{"~/enrich/issuer/...", "~/enrich/directory/..."}},
		{pkg: "~/enrich/login/page", never: []string{"~/..."}, allowed: []string{"~/enrich/login/page", "~/enrich/suggest"}},
		{pkg: "~/enrich/mint/...", never: []string{"~/enrich/issuer/...", "~/enrich/directory/..."}},
		{pkg: "~/caddymodule/block/...", never: []string{"~/..."}, allowed: []string{"~/caddymodule/block/...", "~/enrich/suggest", "~/enrich/setting"}},
		{pkg: "~/caddymodule/...", never: append(onlyForTests(), "~/cmd/...")},
		{pkg: "~/caddymodule/admin", never: []string{"~/caddymodule/command/...", "~/caddymodule/check/...", "~/caddymodule/selftest/...", "~/caddymodule/directories/..."}},
		{pkg: "~/caddymodule/command", never: []string{"~/caddymodule/directories/...", "~/caddymodule/standard/..."}},
		{pkg: "~/caddymodule/...", never: []string{"github.com/quic-go/..."}, direct: true},
		{pkg: "~/caddymodule/jsontree", stdOnly: true},
		{pkg: "~/caddymodule/routes", never: []string{"~/caddymodule", "~/caddymodule/pathmatch/..."}},
		{pkg: "~/caddymodule/pathmatch", never: []string{"~/caddymodule"}},
		{pkg: "~/caddymodule/internal/telemetry", never: []string{"~/caddymodule/..."}, allowed: []string{"~/caddymodule/internal/telemetry"}},
		{pkg: "~/caddymodule/internal/telemetry", never: []string{"github.com/caddyserver/..."}},
		{pkg: "~/caddymodule/internal/pooled", never: []string{"~/caddymodule/..."}, allowed: []string{"~/caddymodule/internal/pooled"}},
		{pkg: "~/caddymodule/internal/document", never: []string{"~/caddymodule/..."}, allowed: []string{"~/caddymodule/internal/document"}},
		{pkg: "~/caddymodule", never: []string{
			"~/caddymodule/admin/...", "~/caddymodule/check/...", "~/caddymodule/selftest/...", "~/caddymodule/command/...",
			"~/caddymodule/directories/...", "~/caddymodule/endpoints/...", "~/caddymodule/transport/...", "~/caddymodule/standard/...",
		}},
		{pkg: "~/caddymodule/endpoints", never: []string{"~/caddymodule/admin/...", "~/caddymodule/check/...", "~/caddymodule/selftest/...", "~/caddymodule/command/...", "~/caddymodule/directories/..."}},
		{pkg: "~/caddymodule/transport", never: []string{"~/caddymodule/admin/...", "~/caddymodule/check/...", "~/caddymodule/selftest/...", "~/caddymodule/command/...", "~/caddymodule/directories/...", "~/caddymodule/endpoints/..."}},
		{pkg: "~/caddymodule/check", never: []string{"~/caddymodule/selftest/...", "~/caddymodule/command/..."}},
		{pkg: "~/caddymodule/selftest", never: []string{"~/caddymodule/check/...", "~/caddymodule/command/..."}},
		{pkg: "~/cmd/caddy", never: append(onlyForTests(), "~/cmd/demo/...")},
	}
	return slices.Concat(all, apart("~/enrich/directory/", kinds), apart("~/cache/", []string{"memory", "redis", "seal"}))
}

// apart returns the rules between siblings, none of which imports another.
func apart(parent string, names []string) []importRule {
	var all []importRule
	for _, name := range names {
		others := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
		all = append(all, importRule{pkg: parent + name + "/...", never: below(parent, others)})
	}
	return all
}

// below returns the patterns of these packages below parent.
func below(parent string, names []string) []string {
	var out []string
	for _, name := range names {
		out = append(out, parent+name+"/...")
	}
	return out
}

// onlyForTests is what must not ship.
func onlyForTests() []string {
	return []string{
		"testing", "net/http/httptest", "~/enrich/enrichtest/...", "~/enrich/jose/josetest/...", "~/cache/cachetest/...", "~/enrich/directory/directorytest/...",
		"github.com/alicebob/miniredis/...", "github.com/jimlambrt/gldap/...", "github.com/Shopify/toxiproxy/...", "github.com/zitadel/...", "github.com/C2SP/...", "go.uber.org/goleak",
	}
}

// imported is one package of the graph that go list prints.
type imported struct {
	ImportPath string
	Imports    []string
	Standard   bool
}

// broken lists each way in which the graph breaks a rule, as "a -> b -> c",
// and each rule about no package: one that has been renamed would
// otherwise be free.
func broken(graph []imported, rules []importRule) []string {
	byPath := make(map[string]imported, len(graph))
	for _, p := range graph {
		byPath[p.ImportPath] = p
	}
	var found []string
	for _, r := range rules {
		empty := true
		for _, p := range graph {
			if !matches(r.pkg, p.ImportPath) {
				continue
			}
			empty = false
			for _, path := range reach(byPath, p.ImportPath, r.direct) {
				if end := path[len(path)-1]; r.forbids(byPath[end], end) {
					found = append(found, r.pkg+": "+strings.Join(path, " -> "))
				}
			}
		}
		if empty {
			found = append(found, r.pkg+": there is no such package")
		}
	}
	return found
}

func (r importRule) forbids(p imported, path string) bool {
	if r.stdOnly {
		return !p.Standard && !matches(r.pkg, path)
	}
	return anyMatches(r.never, path) && !anyMatches(r.allowed, path)
}

// reach gives the shortest way from a package to each that it imports, by
// itself or through others.
func reach(byPath map[string]imported, from string, direct bool) [][]string {
	seen := map[string]bool{from: true}
	queue := [][]string{{from}}
	var out [][]string
	for len(queue) > 0 {
		way := queue[0]
		queue = queue[1:]
		if direct && len(way) == 2 {
			continue
		}
		for _, next := range byPath[way[len(way)-1]].Imports {
			if seen[next] {
				continue
			}
			seen[next] = true
			longer := append(slices.Clone(way), next)
			out = append(out, longer)
			queue = append(queue, longer)
		}
	}
	return out
}

func matches(pattern, path string) bool {
	if rest, ours := strings.CutPrefix(pattern, "~"); ours {
		pattern = module + rest
	}
	if base, below := strings.CutSuffix(pattern, "/..."); below {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return path == pattern
}

func anyMatches(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) })
}

// importGraph is every package that ours reach, tests left out, as the build
// with the release's tags has it.
func importGraph(t *testing.T) []imported {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", "nobadger,nomysql,nopgx",
		"-json=ImportPath,Imports,Standard", "./...")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, complaint.String())
	}
	var graph []imported
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p imported
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return graph
		} else if err != nil {
			t.Fatal(err)
		}
		graph = append(graph, p)
	}
}

func TestNoImportRuleIsBroken(t *testing.T) {
	for _, b := range broken(importGraph(t), importRules()) {
		t.Error(b)
	}
}

// TestEveryImportRuleIsEffective breaks each rule in a made-up graph, by a direct
// import and through a package in between, and expects to hear of it.
func TestEveryImportRuleIsEffective(t *testing.T) {
	inside := func(pattern string) string {
		return strings.Replace(strings.TrimSuffix(pattern, "/..."), "~", module, 1)
	}
	for _, r := range importRules() {
		never := r.never
		if r.stdOnly {
			never = []string{"example.com/elsewhere"}
		}
		for _, pattern := range never {
			pkg, forbidden, between := inside(r.pkg), inside(pattern), "example.com/between"
			if anyMatches(r.allowed, forbidden) {
				forbidden += "/elsewhere"
			}
			t.Run(fmt.Sprintf("%s reaches %s", r.pkg, pattern), func(t *testing.T) {
				clean := []imported{{ImportPath: pkg, Imports: []string{"fmt"}}, {ImportPath: "fmt", Standard: true}}
				if found := broken(clean, []importRule{r}); len(found) > 0 {
					t.Errorf("a clean graph is called broken: %v", found)
				}
				direct := []imported{{ImportPath: pkg, Imports: []string{forbidden}}, {ImportPath: forbidden}}
				if len(broken(direct, []importRule{r})) == 0 {
					t.Error("a direct import goes unnoticed")
				}
				through := []imported{{ImportPath: pkg, Imports: []string{between}}, {ImportPath: between, Imports: []string{forbidden}}, {ImportPath: forbidden}}
				if noticed := len(broken(through, []importRule{r})) > 0; noticed == r.direct {
					t.Errorf("an import through another package is noticed: %v", noticed)
				}
				if len(broken([]imported{{ImportPath: "fmt"}}, []importRule{r})) == 0 {
					t.Error("a package that is missing goes unnoticed")
				}
			})
		}
	}
}
