package oktael

import (
	"slices"
	"strings"
)

// library holds all functions. It never changes after init; it is built
// there, and not where it is declared, because the functions that compile
// expressions look into it.
var library *functions

func init() { library = buildLibrary() }

type functions struct {
	// static are the functions by full name.
	static map[string]*function

	// methods are the methods by name; one name may belong to several kinds
	// of value.
	methods map[string][]*function

	// families are the words before the point of a static function.
	families map[string]bool
}

func buildLibrary() *functions {
	l := &functions{static: map[string]*function{}, methods: map[string][]*function{}, families: map[string]bool{}}
	for _, table := range [][]function{
		stringFunctions, stringMethods, arrayFunctions, arrayMethods, convertFunctions, countryFunctions, countryMethods,
		groupFunctions, userMethods, directoryFunctions, timeFunctions, timeMethods,
	} {
		for i := range table {
			f := &table[i]
			if f.receiver != 0 {
				l.methods[f.name] = append(l.methods[f.name], f)
				continue
			}
			l.static[f.name] = f
			if family, _, ok := strings.Cut(f.name, "."); ok {
				l.families[family] = true
			}
		}
	}
	return l
}

// isFamily reports whether a name is a family of functions, as String is.
func isFamily(name string) bool { return library.families[name] }

// names gives the names of the static functions of a dialect, sorted.
func (l *functions) names(d Dialect) []string {
	var names []string
	for name, f := range l.static {
		if d.has(f.dialect) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// methodNames gives the names of the methods of a dialect, sorted.
func (l *functions) methodNames(d Dialect) []string {
	var names []string
	for name, overloads := range l.methods {
		if slices.ContainsFunc(overloads, func(f *function) bool { return d.has(f.dialect) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
