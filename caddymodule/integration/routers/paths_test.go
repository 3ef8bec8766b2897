package routers

import (
	"slices"
	"strings"
)

// This file makes the spellings of paths that are tried: those of SECURITY P55
// and their combinations.

// maxPaths bounds how many spellings go to each application. Beyond the single
// ones, combinations are taken at even distances.
const maxPaths = 3000

// guarded are the plain paths whose spellings are tried.
var guarded = []string{"/admin/users", "/admin", "/admin/", "/admin/users/1/delete", "/other/x"}

// slashes stand where a slash stood.
var slashes = []string{
	"//", "///", "/./", "/.//", `\`, `/\`, `\/`, `\\`, "%2f", "%2F", "%5c", "%5C", "/%2f", "%2f/", "%2f%2f", "/%5c", "%5c/", "%252f", "%252F", "%255c", "%25252f",
	"/;/", "/;x/", "/;x=1/", ";/", ";x/", ";x=1/", "%3b/", "%3bx/", "%253b/", "/.;/", "/.;x/", "/%2e/", "/%2E/", "/%252e/", "/%2e%2f", "/.%2f", "/.%5c", "/x/../", "/x/%2e%2e/", "/x/..%2f", "/x/..%5c",
	"/x/..;/", "/x/..;x/", "/x/.%2e/", "/x%2f../", "/x%2f..%2f", "/x%5c..%5c", `/x\..\`, "/x;/../", "/x/%252e%252e/", "/x/%252e%252e%252f", "/x/..%252f", "/x/.. /", "/x/..%20/", "/x/..%00/", "/x/../;/",
	"./", "%2e/", "%20/", "+/", "%09/", "%00/", "/%20/", "/%00/", "%c0%af", "%e0%80%af", "%ef%bc%8f", "%e2%88%95", "/%c0%ae/", "%u002f", "%0a/", "%0d/",
}

// ends stand behind the last segment.
var ends = []string{
	"/", "//", "/.", "/./", "/x/..", "/%2e", "%2f", "%2F", "%5c", `\`, "%252f", "%255c", ";", ";x", ";x=1;y=2", "%3b", "%3bx", "%253bx", ".", "..", "...", "%2e", "%2E", "%252e", "%20", "%2520", "%09", "+", "%00", "%00.html", "%2500",
	"%c0%ae", "%a0", "%e3%80%80", "%0a", "%0d%0a", "?", "?x=/../public", "?/../../public/a", "%3f", "%3fx", "%23", "#", "#/../public", "::$DATA", "~", "~1", "%", "%zz", "%u0000", "/index.html", ".html", ".json", "/;/", "/;x", "%26", "%7f", "%ff", "%c3%a9",
}

// words stand where a segment stood, at least its first letter.
var words = []func(string) string{
	strings.ToUpper,
	func(s string) string { return strings.ToUpper(s[:1]) + s[1:] },
	func(s string) string { return s[:len(s)-1] + strings.ToUpper(s[len(s)-1:]) },
	func(s string) string { return escaped(s[:1]) + s[1:] },
	func(s string) string { return s[:len(s)-1] + escaped(s[len(s)-1:]) },
	escaped,
	func(s string) string { return strings.ToLower(escaped(s)) },
	func(s string) string { return escaped(strings.ToUpper(s)) },
	func(s string) string { return strings.ReplaceAll(escaped(s), "%", "%25") },
	func(s string) string { return strings.ReplaceAll(escaped(s), "%", "%2525") },
	func(s string) string { return strings.ReplaceAll(s, "i", "%c4%b1") }, // the i of Turkish without its dot
	func(s string) string { return strings.ReplaceAll(s, "s", "%c5%bf") }, // the long s
	func(s string) string { return "%c0" + escaped(string(s[0]|0x80)) + s[1:] },
	func(s string) string { return "%u00" + escaped(s[:1])[1:] + s[1:] },
	func(s string) string { return "%20" + s },
	func(s string) string { return "%00" + s },
	func(s string) string { return "." + s },
	func(s string) string { return "%2e" + s },
	func(s string) string { return ";" + s },
	func(s string) string { return ";x=/" + s },
	func(s string) string { return "x;" + s },
}

// starts lead to the path by way of another one, which AREA names.
var starts = []string{
	"/AREA/..", "/AREA/%2e%2e", "/AREA/%2E.", "/AREA/.%2e", "/AREA//..", "/AREA/./..", "/AREA/x/../..", "/AREA/x/%2e%2e/%2e%2e", "/AREA/..;", "/AREA/..;x", "/AREA/..;/", "/AREA;/..", "/AREA;x/..", "/AREA/;/..", "/AREA/;/../..", "/AREA/%2e%2e;",
	`/AREA\..`, `/AREA/..\`, "/AREA%5c..", "/AREA/..%5c", "/AREA/x%5c..%5c..", "/AREA%2f..", "/AREA/..%2f", "/AREA/x%2f..%2f..", "/AREA/x/..%2f..", "/AREA%2f..%2f", "/AREA/%2e%2e%2f", "/AREA/%252e%252e", "/AREA/..%252f", "/AREA%252f..", "/AREA/%252e%252e%252f", "/AREA/..%255c",
	"/AREA/.. ", "/AREA/..%20", "/AREA/..%09", "/AREA/..%00", "/AREA/..%00/", "/AREA/...", "/AREA/....", "/AREA/.../..", "/AREA/..%2e", "/AREA/..%c0%af", "/AREA/%c0%ae%c0%ae", "/AREA/%c0%2e", "/AREA/%e0%80%ae%e0%80%ae", "/AREA/%u002e%u002e", "/AREA/%ef%bc%8e%ef%bc%8e",
	"//AREA", "///AREA", `/\AREA`, "/%2fAREA", "/%5cAREA", "//AREA/..", "//AREA@x", "//AREA:80", "/.//AREA", "/;/AREA", "/;AREA", "/x:AREA", "/AREA%00", "/AREA%0a", "/AREA%3f", "/AREA%23", "/AREA?/..", "/AREA#/..", "/AREA%3f/..", "/AREA%23/..", "/..", "/../..", "/%2e%2e", "/..%2f", "/..;", "/.", "/./.", "/%2e", "/;", "/;x", "/%20", "/AREA/%2e%2e/AREA/%2e%2e",
}

// tails hide a path behind another one.
var tails = []string{
	"/1%2f..%2f..%2f..%2f..%2fx/delete", "/..%2f..%2fpublic/a", "/..%2f../public/a", "/%2e%2e/%2e%2e/public/a", "/../../public/a", "/..;/..;/public/a", `/..\..\public\a`, "/..%5c..%5cpublic%5ca", "/%252e%252e/%252e%252e/public/a", "%2f..%2f..%2fpublic", "/..%2f..", "/x/..;/..;/..;/public",
	"/1%2f2/delete", "/1%5c2/delete", "/1%252f2/delete", "//delete", "/%2e/delete", "/1;x/delete;y", "/%2f/delete", "/1/delete%2f", "/1/delete%20", "/1/DELETE", "/x%2f..%2f1/delete", "/1%2f..%2f1/delete", "/1/%64elete", "/1/x/../delete", "/1%00/delete", "/%20/delete", "/1%3fx/delete", "/a%2f%2e%2e/delete", "/..%2fx/delete", "/..;/x/delete", "/%2e%2e%2fx/delete",
}

// others are targets that are no path, or that no rule makes.
var others = []string{
	"*", "/", "//", "///", "/;", "/?", "/%2f", "/%5c", `/\`, "/..", "/%2e%2e", "/%00", "/?/admin/users", "/?path=/admin", "admin/users", "admin", "?/admin/users", "#/admin/users", ".", "..", "../admin/users", `\admin\users`, "%2fadmin%2fusers",
	"http://app.test/admin/users", "http://app.test/public/../admin/users", "http://app.test/public/..%2fadmin/users", "http://app.test//admin/users", "http://app.test/%61dmin/users", "http://app.test/admin;x/users", "http://app.test?/admin/users", "http://app.test", "http:///admin/users", "http:/admin/users", "http:admin/users",
	"http://public/admin/users", "https://app.test/admin/users", "x:http://app.test/admin/users", "x:/admin/users", "x:admin/users", "x:%2fadmin/users", "x://app.test/admin/users", "http://app.test/public/http://app.test/admin/users", "/public/http://app.test/admin/users", "/http://app.test/admin/users", "http://u:p@app.test/admin/users",
	"http://app.test%2f/admin/users", `http://app.test\admin\users`, `http://app.test/\admin/users`, "//app.test/admin/users", "//public/admin/users", "//x/admin/users", "//x:80/admin/users", "//x@y/admin/users", "///x/admin/users", `/\x/admin/users`, `\\x\admin\users`, "/%2f%2fx/admin/users",
	"/admin/users/%20/%00/delete", "/admin/users/%20/%20./delete",
	"/public/\xc0\xae\xc0\xae/admin/users", "/public/..\xc0\xafadmin/users", "/\xa0admin/users", "/admin\xa0/users", "/adm\xc4\xb1n/users", "/%2561dmin/users", "/%25%36%31dmin/users", "/public/..%25%32%66admin/users",
}

// hostile lists the spellings, without repeats and in a fixed order.
func hostile() []string {
	list := slices.Clone(others)
	var pairs []string
	for _, path := range guarded {
		list = append(list, path)
		for _, t := range tails {
			list = append(list, path+t)
			list = append(list, strings.Replace(path, "/", "/public/../", 1)+t)
			pairs = append(pairs, respelled(path+t)...)
		}
		for _, area := range []string{public, "x", other} {
			for _, s := range starts {
				led := strings.ReplaceAll(s, "AREA", area) + path
				list = append(list, led)
				pairs = append(pairs, respelled(led)...)
			}
		}
		for _, once := range respelled(path) {
			list = append(list, once)
			pairs = append(pairs, respelled(once)...)
		}
	}
	list = distinct(list)
	pairs = slices.DeleteFunc(distinct(pairs), func(p string) bool { return slices.Contains(list, p) })
	for i, room := 0, max(0, maxPaths-len(list)); i < room && len(pairs) > 0; i++ {
		list = append(list, pairs[i*len(pairs)/room])
	}
	return distinct(list)
}

// respelled changes a path in one place, or in each place alike.
func respelled(path string) []string {
	var list []string
	segments := strings.Split(path, "/")[1:]
	join := func(at int, slash string) string {
		var b strings.Builder
		for i, s := range segments {
			switch {
			case i > 0 && (i == at || at < 0):
				b.WriteString(slash)
			case i == 0 && at == 0 && !strings.HasPrefix(slash, "/"):
				b.WriteString("/" + slash) // what does not begin with a slash is no path
			case i == at:
				b.WriteString(slash)
			default:
				b.WriteString("/")
			}
			b.WriteString(s)
		}
		return b.String()
	}
	for _, slash := range slashes {
		for at := range segments {
			list = append(list, join(at, slash))
		}
		list = append(list, join(-1, slash))
	}
	for _, end := range ends {
		list = append(list, path+end)
	}
	for i, s := range segments {
		if s == "" {
			continue
		}
		for _, word := range words {
			changed := slices.Clone(segments)
			changed[i] = word(s)
			list = append(list, "/"+strings.Join(changed, "/"))
		}
		for _, end := range []string{";", ";x=1", ".", "%20", "%2e", "%3bx", "%00", "%09"} {
			changed := slices.Clone(segments)
			changed[i] += end
			list = append(list, "/"+strings.Join(changed, "/"))
		}
	}
	return list
}

// escaped writes every byte as an escape.
func escaped(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		b.WriteString("%" + string(digits[s[i]>>4]) + string(digits[s[i]&15]))
	}
	return b.String()
}

// distinct drops repeats, and what cannot stand in a request line.
func distinct(list []string) []string {
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(p string) bool {
		known := seen[p] || strings.ContainsAny(p, " \r\n")
		seen[p] = true
		return known
	})
}
