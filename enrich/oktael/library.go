package oktael

import (
	"slices"
	"strings"
)

// tables hold all functions. They never change.
var tables = buildTables()

type functionTables struct {
	// static are the functions by full name.
	static map[string]*function

	// methods are the methods by name; one name may belong to several kinds
	// of value.
	methods map[string][]*function

	// families are the words before the point of a static function.
	families map[string]bool
}

func buildTables() *functionTables {
	t := &functionTables{static: map[string]*function{}, methods: map[string][]*function{}, families: map[string]bool{}}
	for _, table := range [][]function{
		stringFunctions, stringMethods, arrayFunctions, arrayMethods, convertFunctions, countryFunctions, countryMethods,
		groupFunctions, userMethods, directoryFunctions, timeFunctions, timeMethods,
	} {
		for i := range table {
			f := &table[i]
			if f.receiver != 0 {
				t.methods[f.name] = append(t.methods[f.name], f)
				continue
			}
			t.static[f.name] = f
			if family, _, ok := strings.Cut(f.name, "."); ok {
				t.families[family] = true
			}
		}
	}
	return t
}

// staticFunction returns the function of a full name.
func staticFunction(name string) (*function, bool) {
	f, ok := tables.static[name]
	return f, ok
}

// methodsNamed returns the methods of a name, one for each kind of receiver.
func methodsNamed(name string) ([]*function, bool) {
	overloads, ok := tables.methods[name]
	return overloads, ok
}

// isFamily reports whether a name is a family of functions, as String is.
func isFamily(name string) bool { return tables.families[name] }

// functionNames returns the names of the static functions of a dialect, sorted.
func functionNames(d Dialect) []string {
	var names []string
	for name, f := range tables.static {
		if d.has(f.dialect) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// methodNames returns the names of the methods of a dialect, sorted.
func methodNames(d Dialect) []string {
	var names []string
	for name, overloads := range tables.methods {
		if slices.ContainsFunc(overloads, func(f *function) bool { return d.has(f.dialect) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
