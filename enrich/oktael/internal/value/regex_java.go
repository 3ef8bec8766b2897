package value

import (
	"errors"
	"strings"
)

// CheckJava refuses a regular expression that RE2 reads without complaint but
// otherwise than Java, whose expressions Okta takes: one that was carried over
// must not come to match something else. The error says what to write instead.
func CheckJava(pattern string) error {
	inClass, first := false, false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			if strings.HasPrefix(pattern[i:], `\Q`) {
				end := strings.Index(pattern[i:], `\E`)
				if end < 0 {
					return nil
				}
				i += end
			}
			i++
			first = false
			continue
		case !inClass && c == '[':
			inClass, first = true, true
			if strings.HasPrefix(pattern[i+1:], "^") {
				i++
			}
			continue
		case !inClass && strings.HasPrefix(pattern[i:], "(?"):
			flags, _, _ := strings.Cut(pattern[i+2:], ")")
			flags, _, _ = strings.Cut(flags, ":")
			if strings.Trim(flags, "imsU-") == "" && strings.Contains(flags, "U") {
				return errors.New("the flag U means something else in RE2 than in Java; remove it")
			}
		case inClass && c == '[':
			return errors.New("a class inside a class is a union in Java and not in RE2; write one class")
		case inClass && strings.HasPrefix(pattern[i:], "&&"):
			return errors.New("&& in a class is an intersection in Java and not in RE2; write the characters out")
		case inClass && c == ']' && !first:
			inClass = false
		}
		first = false
	}
	return nil
}
