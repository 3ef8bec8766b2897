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

// A wall says what packages of a room may never reach, over however many
// imports. A pattern is an import path, or one with everything below it where
// it ends in /... .
type wall struct {
	room    string
	never   []string
	allowed []string // what a pattern of never covers and is allowed all the same
	stdOnly bool     // the room reaches the standard library and itself alone
	direct  bool     // only what the room itself imports counts
}

// walls are all the walls of the module, in the order in which a request
// meets the rooms.
func walls() []wall {
	kinds := []string{"file", "ldap", "okta", "rest", "scim", "sql", "userinfo"}
	concrete := below("~/enrich/directory/", kinds)
	all := []wall{
		{room: "~/enrich/...", never: []string{"github.com/caddyserver/...", "go.uber.org/zap/...", "~/caddymodule/...", "~/cmd/..."}},
		{room: "~/cache/...", never: []string{"github.com/caddyserver/...", "go.uber.org/zap/...", "~/caddymodule/...", "~/cmd/...", "~/enrich/..."}},
		{room: "~/enrich", never: concrete},
		{room: "~/enrich/identity", stdOnly: true},
		{room: "~/enrich/setting", stdOnly: true},
		{room: "~/enrich/pathreading", stdOnly: true},
		{room: "~/enrich/token", never: []string{"~/cache/...", "~/enrich/issuer/...", "~/enrich/directory/...", "github.com/redis/..."}},
		{room: "~/enrich/token", never: []string{"net", "net/rpc", "net/smtp", "database/sql"}, direct: true},
		{room: "~/enrich/jose", never: []string{"~/..."}, allowed: []string{"~/enrich/jose/...", "~/enrich/identity"}},
		{room: "~/enrich/issuer/...", never: []string{"~/enrich/directory/...", "~/enrich/claim/...", "~/enrich/forward/..."}},
		{room: "~/enrich/directory/...", never: []string{"~/enrich/issuer/...", "~/enrich/claim/...", "~/enrich/forward/...", "~/cache/..."}},
		{room: "~/enrich/oauthclient/...", never: []string{"~/enrich/issuer/...", "~/enrich/directory/...", "~/cache/..."}},
		{room: "~/enrich/oktael/...", never: []string{"net", "net/http", "os/exec", "database/sql"}},
		{room: "~/enrich/oktael/...", never: []string{"os", "syscall", "io/fs"}, direct: true},
		{room: "~/enrich/oktael/...", never: []string{"~/..."}, allowed: []string{"~/enrich/oktael/...", "~/enrich/identity", "~/enrich/suggest"}},
		{room: "~/enrich/oktael/syntax", never: []string{"~/..."}, allowed: []string{"~/enrich/oktael/syntax", "~/enrich/suggest"}},
		{room: "~/enrich/oktael/input", never: []string{"~/..."}, allowed: []string{"~/enrich/oktael/input", "~/enrich/identity", "~/enrich/suggest"}},
		{room: "~/enrich/oktael/internal/value", never: []string{"~/enrich/oktael/syntax", "~/enrich/oktael/input"}},
		{room: "~/enrich/oktael/internal/...", never: []string{"~/enrich/oktael"}},
		{room: "~/enrich/claim/...", never: append([]string{"net/http", "~/cache/..."}, concrete...)},
		{room: "~/enrich/forward/...", never: []string{"~/enrich/issuer/...", "~/enrich/directory/..."}},
		{room: "~/enrich/mint/...", never: []string{"~/enrich/issuer/...", "~/enrich/directory/..."}},
		{room: "~/caddymodule/block/...", never: []string{"~/..."}, allowed: []string{"~/caddymodule/block/...", "~/enrich/suggest", "~/enrich/setting"}},
		{room: "~/caddymodule/...", never: append(onlyForTests(), "~/cmd/...")},
		{room: "~/caddymodule/admin", never: []string{"~/caddymodule/command/...", "~/caddymodule/check/...", "~/caddymodule/selftest/...", "~/caddymodule/directories/..."}},
		{room: "~/caddymodule/command", never: []string{"~/caddymodule/directories/...", "~/caddymodule/standard/..."}},
		{room: "~/caddymodule/...", never: []string{"github.com/quic-go/..."}, direct: true},
		{room: "~/caddymodule/jsontree", stdOnly: true},
		{room: "~/caddymodule/routes", never: []string{"~/caddymodule", "~/caddymodule/pathmatch/..."}},
		{room: "~/caddymodule/pathmatch", never: []string{"~/caddymodule"}},
		{room: "~/caddymodule/internal/telemetry", never: []string{"~/caddymodule/..."}, allowed: []string{"~/caddymodule/internal/telemetry"}},
		{room: "~/caddymodule/internal/telemetry", never: []string{"github.com/caddyserver/..."}},
		{room: "~/caddymodule/internal/pooled", never: []string{"~/caddymodule/..."}, allowed: []string{"~/caddymodule/internal/pooled"}},
		{room: "~/caddymodule/internal/document", never: []string{"~/caddymodule/..."}, allowed: []string{"~/caddymodule/internal/document"}},
		{room: "~/caddymodule", never: []string{
			"~/caddymodule/admin/...", "~/caddymodule/check/...", "~/caddymodule/selftest/...", "~/caddymodule/command/...",
			"~/caddymodule/directories/...", "~/caddymodule/endpoints/...", "~/caddymodule/transport/...", "~/caddymodule/standard/...",
		}},
		{room: "~/caddymodule/endpoints", never: []string{"~/caddymodule/admin/...", "~/caddymodule/check/...", "~/caddymodule/selftest/...", "~/caddymodule/command/...", "~/caddymodule/directories/..."}},
		{room: "~/caddymodule/transport", never: []string{"~/caddymodule/admin/...", "~/caddymodule/check/...", "~/caddymodule/selftest/...", "~/caddymodule/command/...", "~/caddymodule/directories/...", "~/caddymodule/endpoints/..."}},
		{room: "~/caddymodule/check", never: []string{"~/caddymodule/selftest/...", "~/caddymodule/command/..."}},
		{room: "~/caddymodule/selftest", never: []string{"~/caddymodule/check/...", "~/caddymodule/command/..."}},
		{room: "~/cmd/caddy", never: append(onlyForTests(), "~/cmd/demo/...")},
	}
	return slices.Concat(all, apart("~/enrich/directory/", kinds), apart("~/cache/", []string{"memory", "redis", "seal"}))
}

// apart are the walls between siblings, none of which knows another.
func apart(parent string, names []string) []wall {
	var all []wall
	for _, name := range names {
		others := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == name })
		all = append(all, wall{room: parent + name + "/...", never: below(parent, others)})
	}
	return all
}

// below are the patterns of what stands below parent under these names.
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

// broken lists each way in which the graph breaks a wall, as "a -> b -> c",
// and each wall that stands around nothing: a room that has been renamed would
// otherwise be free.
func broken(graph []imported, walls []wall) []string {
	byPath := make(map[string]imported, len(graph))
	for _, p := range graph {
		byPath[p.ImportPath] = p
	}
	var found []string
	for _, w := range walls {
		empty := true
		for _, p := range graph {
			if !matches(w.room, p.ImportPath) {
				continue
			}
			empty = false
			for _, path := range reach(byPath, p.ImportPath, w.direct) {
				if end := path[len(path)-1]; w.forbids(byPath[end], end) {
					found = append(found, w.room+": "+strings.Join(path, " -> "))
				}
			}
		}
		if empty {
			found = append(found, w.room+": there is no such package")
		}
	}
	return found
}

func (w wall) forbids(p imported, path string) bool {
	if w.stdOnly {
		return !p.Standard && !matches(w.room, path)
	}
	return anyMatches(w.never, path) && !anyMatches(w.allowed, path)
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

func TestNoWallIsBroken(t *testing.T) {
	for _, b := range broken(importGraph(t), walls()) {
		t.Error(b)
	}
}

// TestEveryWallWouldBeMissed breaks each wall in a made-up graph, by a direct
// import and through a package in between, and expects to hear of it.
func TestEveryWallWouldBeMissed(t *testing.T) {
	inside := func(pattern string) string {
		return strings.Replace(strings.TrimSuffix(pattern, "/..."), "~", module, 1)
	}
	for _, w := range walls() {
		never := w.never
		if w.stdOnly {
			never = []string{"example.com/elsewhere"}
		}
		for _, pattern := range never {
			room, forbidden, between := inside(w.room), inside(pattern), "example.com/between"
			if anyMatches(w.allowed, forbidden) {
				forbidden += "/elsewhere"
			}
			t.Run(fmt.Sprintf("%s reaches %s", w.room, pattern), func(t *testing.T) {
				clean := []imported{{ImportPath: room, Imports: []string{"fmt"}}, {ImportPath: "fmt", Standard: true}}
				if found := broken(clean, []wall{w}); len(found) > 0 {
					t.Errorf("a clean graph is called broken: %v", found)
				}
				direct := []imported{{ImportPath: room, Imports: []string{forbidden}}, {ImportPath: forbidden}}
				if len(broken(direct, []wall{w})) == 0 {
					t.Error("a direct import goes unnoticed")
				}
				through := []imported{{ImportPath: room, Imports: []string{between}}, {ImportPath: between, Imports: []string{forbidden}}, {ImportPath: forbidden}}
				if noticed := len(broken(through, []wall{w})) > 0; noticed == w.direct {
					t.Errorf("an import through another package is noticed: %v", noticed)
				}
				if len(broken([]imported{{ImportPath: "fmt"}}, []wall{w})) == 0 {
					t.Error("a room that is gone goes unnoticed")
				}
			})
		}
	}
}
