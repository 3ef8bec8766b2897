package library

import (
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// The functions by name, for the compiler. A static function is called by its
// full name, a method on a value of its kind.

// tables hold all functions. They never change after they are built.
var tables = buildTables()

// functionTables are the tables of the families, by name.
type functionTables struct {
	// static are the functions by full name.
	static map[string]*Function

	// methods are the methods by name; one name may belong to several kinds
	// of value.
	methods map[string][]*Function

	// families are the words before the point of a static function.
	families map[string]bool
}

// buildTables puts the tables of the families together.
func buildTables() *functionTables {
	t := &functionTables{static: map[string]*Function{}, methods: map[string][]*Function{}, families: map[string]bool{}}
	for _, table := range [][]Function{
		stringFunctions, stringMethods, arrayFunctions, arrayMethods, convertFunctions, countryFunctions, countryMethods,
		groupFunctions, userMethods, directoryFunctions, timeFunctions, timeMethods,
	} {
		for i := range table {
			f := &table[i]
			if f.Receiver != 0 {
				t.methods[f.Name] = append(t.methods[f.Name], f)
				continue
			}
			t.static[f.Name] = f
			if family, _, ok := strings.Cut(f.Name, "."); ok {
				t.families[family] = true
			}
		}
	}
	return t
}

// Static returns the function of a full name.
func Static(name string) (*Function, bool) {
	f, ok := tables.static[name]
	return f, ok
}

// Methods returns the methods of a name, one for each kind of receiver.
func Methods(name string) ([]*Function, bool) {
	overloads, ok := tables.methods[name]
	return overloads, ok
}

// IsFamily reports whether a name is a family of functions, as String is.
func IsFamily(name string) bool { return tables.families[name] }

// Names returns the names of the static functions of a dialect, sorted.
func Names(d syntax.Dialect) []string {
	var names []string
	for name, f := range tables.static {
		if d.Has(f.Dialect) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// MethodNames returns the names of the methods of a dialect, sorted.
func MethodNames(d syntax.Dialect) []string {
	var names []string
	for name, overloads := range tables.methods {
		if slices.ContainsFunc(overloads, func(f *Function) bool { return d.Has(f.Dialect) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
