package caddymodule_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/tokenenrich/caddy-token-enrich/cache/memory"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/directories"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/endpoints"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/file"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/ldap"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/okta"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/rest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/scim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/sql"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/userinfo"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
	tokens "github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// referencePage is the user's manual of every option.
const referencePage = "../docs/reference.md"

// blocksOfParsers says in which section of the reference the options stand
// that a function reads.
var blocksOfParsers = map[string]string{
	"caddyfile.go parseApp": "Global options", "app.go enums": "Global options",
	"issuer.go UnmarshalCaddyfile": "issuer", "issuer.go unmarshalIntrospect": "introspect",
	"cache.go UnmarshalCaddyfile":   "cache and redis and tls",
	"signing.go UnmarshalCaddyfile": "signing", "caddyfile_forward.go unmarshalToken": "token",
	"directory.go ParseDirectory":                "every kind",
	"caddyfile_policy.go UnmarshalCaddyfile":     "token_enrich",
	"handler.go enums":                           "token_enrich",
	"issuer.go unmarshalLogin":                   "login",
	"caddyfile_login.go unmarshalSession":        "session",
	"caddyfile_login.go loginOptions":            "token_enrich",
	"caddyfile_claim.go parseClaim":              "claim",
	"caddyfile_forward.go unmarshalHeader":       "header",
	"endpoints/caddyfile.go parseHook":           "token_enrich_hook",
	"policytest.go unmarshalTest":                "test",
	"directories/file.go UnmarshalCaddyfile":     "file",
	"directories/okta.go UnmarshalCaddyfile":     "okta",
	"directories/scim.go UnmarshalCaddyfile":     "scim",
	"directories/ldap.go UnmarshalCaddyfile":     "ldap",
	"directories/sql.go UnmarshalCaddyfile":      "sql",
	"directories/http.go UnmarshalCaddyfile":     "http",
	"directories/userinfo.go UnmarshalCaddyfile": "userinfo",
}

// readers are the functions that make an option of the name that is their
// first argument.
var readers = []string{
	"Text", "Texts", "Flag", "Enum", "Enums", "OnOff", "Duration", "OptionalDuration", "Number", "Count", "ByteSize",
}

// TestTheReferenceNamesEveryOption reads the names of the options out of the
// parsers and holds the reference's tables to them, both ways.
func TestTheReferenceNamesEveryOption(t *testing.T) {
	sections := referenceSections(t)
	known := map[string][]string{}
	for where, names := range parsedOptions(t) {
		heading, ok := blocksOfParsers[where]
		if !ok {
			t.Errorf("%s reads options (%s): say in blocksOfParsers in which section of the reference they stand", where, strings.Join(names, ", "))
			continue
		}
		known[heading] = append(known[heading], names...)
	}
	for heading, names := range known {
		var documented []string
		for one := range strings.SplitSeq(heading, " and ") {
			text, ok := sections[one]
			if !ok {
				t.Errorf("the reference has no section %q", one)
			}
			documented = append(documented, documentedOptions(text)...)
		}
		for _, name := range names {
			if !slices.Contains(documented, name) {
				t.Errorf("the reference's section %s lacks the option %s", heading, name)
			}
		}
		for _, name := range documented {
			if !slices.Contains(names, name) && name != heading {
				t.Errorf("the reference's section %s tells of an option %s that there is not", heading, name)
			}
		}
	}
}

// TestTheReferenceNamesEveryField holds the reference to the JSON.
func TestTheReferenceNamesEveryField(t *testing.T) {
	sections := referenceSections(t)
	for heading, values := range map[string][]any{
		"Global options": {caddymodule.App{}}, "issuer": {issuer.Config{}, caddymodule.Issuer{}}, "introspect": {issuer.Introspection{}},
		"login": {login.Config{}, login.Certificate{}, login.Parameter{}}, "session": {login.SessionConfig{}},
		"cache": {caddymodule.Cache{}}, "redis": {redis.Config{}}, "tls": {redis.TLS{}}, "signing": {mint.Config{}},
		"every kind": {caddymodule.DirectorySettings{}}, "file": {file.Config{}}, "okta": {okta.Config{}},
		"scim": {scim.Config{}}, "ldap": {ldap.Config{}}, "sql": {directories.SQL{}, sql.Config{}}, "http": {rest.Config{}},
		"userinfo": {userinfo.Config{}},
		"token_enrich": {
			caddymodule.Handler{}, forward.Definition{}, login.Endpoints{}, tokens.Place{}, caddymodule.OktaClaims{}, caddymodule.RequireACR{}, forward.HeadersFrom{},
		},
		"claim":  {claim.Definition{}, claim.GroupFilter{}, claim.AllowList{}},
		"header": {forward.HeaderDefinition{}}, "token": {mint.TokenDefinition{}},
		"test": {caddymodule.Test{}, caddymodule.Expectation{}}, "token_enrich_hook": {endpoints.Hook{}},
	} {
		for _, v := range values {
			for field := range reflect.TypeOf(v).Fields() {
				name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
				if name == "" || name == "-" {
					continue // embedded, or not of the configuration
				}
				if !regexp.MustCompile("`([a-z_]+\\[\\]\\.)?" + name + "(\\[\\])?`").MatchString(sections[heading]) {
					t.Errorf("the reference's section %s lacks the field %s", heading, name)
				}
			}
		}
	}
}

// TestTheReferenceNamesEveryMetric reads the names of the metrics out of
// metrics.go.
func TestTheReferenceNamesEveryMetric(t *testing.T) {
	source, err := os.ReadFile("internal/telemetry/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	text := referenceSections(t)["Metrics"]
	var names []string
	for _, m := range regexp.MustCompile(`"_?([a-z_]+_(?:total|seconds|bytes|entries|state))"`).FindAllStringSubmatch(string(source), -1) {
		names = append(names, m[1])
	}
	if len(names) < 18 {
		t.Fatalf("metrics.go names %d metrics only", len(names))
	}
	documented := documentedOptions(text)
	for _, name := range names {
		if !slices.Contains(documented, name) {
			t.Errorf("the reference lacks the metric %s", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(names, name) {
			t.Errorf("the reference tells of a metric %s that there is not", name)
		}
	}
}

// TestTheReadmesLimitsAreTheCodes holds the README's paragraph on limits to the
// constants.
func TestTheReadmesLimitsAreTheCodes(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(readme), "## Limits\n\n")
	paragraph, _, _ := strings.Cut(after, "\n\n")
	documented := strings.Split(strings.TrimSuffix(strings.ReplaceAll(paragraph, "\n", " "), "."), " · ")
	kib := func(n int) string { return humanize.IBytes(uint64(n)) } // #nosec G115 -- constants
	for _, want := range []string{
		"token " + kib(tokens.DefaultMaxBytes),
		"headers written " + kib(forward.DefaultBudget) + " in all",
		"expression " + humanize.Comma(oktael.DefaultMaxLength) + " bytes (" + humanize.Comma(claim.MaxImportedExpression) + " characters where imported from Okta)",
		"groups of one user " + humanize.Comma(directory.MaxGroups),
		"record " + kib(directory.MaxRecord),
		"directory answer " + kib(directory.MaxResponse),
		"key set 1.0 MiB",
		humanize.Comma(oktael.DefaultMaxSteps) + " steps per expression",
		"decision cache " + kib(enrich.DefaultDecisionMemory),
		"record cache " + kib(memory.DefaultBytes),
		"directory call " + spaced(directory.DefaultTimeout),
		"Redis call " + spaced(redis.DefaultTimeout),
		strconv.Itoa(directory.DefaultConcurrency) + " calls at once per directory",
	} {
		want = strings.Replace(want, ".0 ", " ", 1)
		if !slices.ContainsFunc(documented, func(s string) bool { return strings.EqualFold(s, want) }) {
			t.Errorf("the README's limits do not say %q", want)
		}
	}
}

// spaced gives a duration as the README writes it: 100 ms.
func spaced(d time.Duration) string {
	return regexp.MustCompile(`[a-z]+$`).ReplaceAllString(d.String(), " $0")
}

// referenceSections gives the text below each heading of the reference.
func referenceSections(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, part := range regexp.MustCompile(`(?m)^##+ `).Split(string(text), -1)[1:] {
		heading, body, _ := strings.Cut(part, "\n")
		if _, twice := sections[heading]; twice {
			t.Errorf("the reference has two sections %q", heading)
		}
		sections[heading] = body
	}
	return sections
}

// documentedOptions returns the first word of every text in code in the first column
// of a section's tables.
func documentedOptions(section string) []string {
	var names []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`.*?) \\|( |$)").FindAllStringSubmatch(section, -1) {
		for _, code := range regexp.MustCompile("`([a-z_]+)[^`]*`").FindAllStringSubmatch(row[1], -1) {
			// The other places of token_from, which share its row.
			if code[1] != "cookie" && code[1] != "query" && !slices.Contains(names, code[1]) {
				names = append(names, code[1])
			}
		}
	}
	return names
}

// parsedOptions gives the options that each function of the parsers reads, by
// file and function, as their source has them.
func parsedOptions(t *testing.T) map[string][]string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.go", "directories/*.go", "endpoints/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	options := map[string][]string{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") || filepath.Base(name) == "options.go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			where := filepath.ToSlash(name) + " " + f.Name.Name
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && calledName(call) == "CheckValues" {
					return false // the same options once more, for what came by JSON
				}
				if option, ok := optionName(n); ok && !slices.Contains(options[where], option) {
					options[where] = append(options[where], option)
				}
				return true
			})
		}
	}
	return options
}

// calledName returns the name of the function that is called.
func calledName(call *ast.CallExpr) string {
	switch called := call.Fun.(type) {
	case *ast.SelectorExpr:
		return called.Sel.Name
	case *ast.Ident:
		return called.Name
	}
	return ""
}

// optionName gives the name of an option that is made at a node.
func optionName(n ast.Node) (string, bool) {
	var first ast.Expr
	switch x := n.(type) {
	case *ast.CallExpr:
		if len(x.Args) == 0 || !slices.Contains(readers, calledName(x)) {
			return "", false
		}
		first = x.Args[0]
	case *ast.CompositeLit:
		fields := map[string]ast.Expr{}
		for _, element := range x.Elts {
			if pair, ok := element.(*ast.KeyValueExpr); ok {
				if key, ok := pair.Key.(*ast.Ident); ok {
					fields[key.Name] = pair.Value
				}
			}
		}
		if fields["Parse"] == nil {
			return "", false
		}
		first = fields["Name"]
	}
	literal, ok := first.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	return text, err == nil && text != ""
}
