package oktael

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// kinds is a set of the kinds that a value may be of. The checker works on
// sets, because most kinds are known only once there is a user.
type kinds uint16

const (
	kindNull kinds = 1 << iota
	kindBool
	kindText
	kindInt
	kindReal
	kindBig // an integer over 64 bits
	kindList
	kindMap
	kindTime
	kindCountry
	kindUser
	kindApp
	kindAppUser
	kindGroup
	kindAccess
	kindEnd

	kindNumber = kindInt | kindReal | kindBig

	// kindValue are the canonical values: what attributes can be.
	kindValue = kindNull | kindBool | kindText | kindNumber | kindList | kindMap

	// kindPrintable are the kinds that can be written as text.
	kindPrintable = kindBool | kindText | kindNumber | kindList | kindTime | kindCountry

	kindAny = kindEnd - 1
)

// kindNames are the names of the kinds in messages, in the order of their
// bits; "a number" covers all three of its kinds.
var kindNames = [...]string{
	"null", "true or false", "a text", "a number", "a number", "a number", "a list", "a map",
	"a date and time", "a country", "a user", "an app", "an app user", "a group", "the access object",
}

// String gives the kinds in words, as in "a text or a list".
func (k kinds) String() string {
	switch k {
	case kindAny:
		return "a value"
	case kindValue, kindValue &^ kindNull:
		return "an attribute"
	default: // the kinds one by one
	}
	var names []string
	for i, name := range kindNames {
		if k&(1<<i) != 0 && (len(names) == 0 || names[len(names)-1] != name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, " or ")
}

// kindOf gives the kind of a value of the evaluator.
func kindOf(v any) kinds {
	switch v.(type) {
	case nil:
		return kindNull
	case bool:
		return kindBool
	case string:
		return kindText
	case int64:
		return kindInt
	case float64:
		return kindReal
	case json.Number:
		return kindBig
	case []any:
		return kindList
	case map[string]any:
		return kindMap
	case dateTime:
		return kindTime
	case country:
		return kindCountry
	case *identity.User:
		return kindUser
	case *identity.App:
		return kindApp
	case *identity.AppUser:
		return kindAppUser
	case *identity.Group:
		return kindGroup
	case accessObject:
		return kindAccess
	}
	return 0
}

// Inside the evaluator a value is a canonical value, a pointer to one of the
// directory's objects, or one of these.
type (
	// dateTime is a date and time in a zone.
	dateTime struct{ t time.Time }

	// accessObject is what "access" stands for; the scopes stay in the
	// context.
	accessObject struct{}
)
