package readers

import "strings"

// aspNetCookies returns the names that ASP.NET Core finds in a Cookie header,
// by the grammar that its source publishes
// (https://github.com/dotnet/aspnetcore/blob/main/src/Http/Shared/CookieHeaderParserShared.cs):
// token "=" (octets | quoted octets), between commas or semicolons and blanks;
// where no pair begins, it tries again one character later. Empty values are
// left out, and names are looked up in any case.
func aspNetCookies(header string) []string {
	names := []string{}
	for at := 0; at < len(header); {
		name, end, ok := aspNetPair(header, at)
		if !ok {
			at++
			continue
		}
		if name != "" {
			names = append(names, name)
		}
		at = end
	}
	return names
}

// aspNetPair reads a pair with the separators around it. The name is empty
// where the pair has no value.
func aspNetPair(header string, at int) (name string, end int, ok bool) {
	at = span(header, at, ",; \t")
	if at == len(header) {
		return "", at, true
	}
	begin := at
	for at < len(header) && isAspNetToken(header[at]) {
		at++
	}
	name = header[begin:at]
	if name == "" || at == len(header) || header[at] != '=' {
		return "", 0, false
	}
	at++
	begin = at
	quoted := at < len(header) && header[at] == '"'
	if quoted {
		at++
	}
	for at < len(header) && isOctet(header[at]) {
		at++
	}
	empty := at == begin
	if quoted {
		if empty = at == len(header) || header[at] != '"'; !empty {
			at++
		}
	}
	if empty {
		name = ""
	}
	at = span(header, at, " \t")
	if at < len(header) && header[at] != ',' && header[at] != ';' {
		return "", 0, false
	}
	return name, span(header, at, ",; \t"), true
}

// span returns where the run of these bytes ends.
func span(s string, at int, set string) int {
	for at < len(s) && strings.IndexByte(set, s[at]) >= 0 {
		at++
	}
	return at
}

func isAspNetToken(c byte) bool {
	return c > ' ' && c < 0x7F && strings.IndexByte(`()<>@,;:\"/[]?={}`, c) < 0
}

func isOctet(c byte) bool { return c > ' ' && c < 0x7F && strings.IndexByte(`",;\`, c) < 0 }
