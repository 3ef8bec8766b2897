package value

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// The kinds of value, which messages name and the compiler checks.

// Kinds is a set of the kinds that a value may be of. The compiler works on
// sets, because most kinds are known only once there is a user.
type Kinds uint16

// The comments name the Go type of each kind.
const (
	KindNull    Kinds = 1 << iota // nil
	KindBool                      // bool
	KindText                      // string
	KindInt                       // int64
	KindReal                      // float64
	KindBig                       // json.Number, an integer over 64 bits
	KindList                      // []any
	KindMap                       // map[string]any
	KindTime                      // DateTime
	KindCountry                   // Country
	KindUser                      // *identity.User
	KindApp                       // *identity.App
	KindAppUser                   // *identity.AppUser
	KindGroup                     // *identity.Group
	KindAccess                    // Access
	kindEnd

	// KindNumber are the kinds of number. They are compared by value.
	KindNumber = KindInt | KindReal | KindBig

	// KindValue are the canonical values: what attributes can be.
	KindValue = KindNull | KindBool | KindText | KindNumber | KindList | KindMap

	// KindPrintable are the kinds that can be written as text.
	KindPrintable = KindBool | KindText | KindNumber | KindList | KindTime | KindCountry

	// KindAny are all kinds.
	KindAny = kindEnd - 1
)

// kindNames are the names of the kinds in messages, in the order of their
// bits; "a number" covers all three of its kinds.
var kindNames = [...]string{
	"null", "true or false", "a string", "a number", "a number", "a number", "a list", "a map",
	"a date and time", "a country", "a user", "an app", "an app user", "a group", "the access object",
}

// String returns the kinds in words, as in "a text or a list".
func (k Kinds) String() string {
	switch k {
	case KindAny:
		return "a value"
	case KindValue, KindValue &^ KindNull:
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

// KindOf returns the kind of a value; 0 for a Go type that no value has.
func KindOf(v any) Kinds {
	switch v.(type) {
	case nil:
		return KindNull
	case bool:
		return KindBool
	case string:
		return KindText
	case int64:
		return KindInt
	case float64:
		return KindReal
	case json.Number:
		return KindBig
	case []any:
		return KindList
	case map[string]any:
		return KindMap
	case DateTime:
		return KindTime
	case Country:
		return KindCountry
	case *identity.User:
		return KindUser
	case *identity.App:
		return KindApp
	case *identity.AppUser:
		return KindAppUser
	case *identity.Group:
		return KindGroup
	case Access:
		return KindAccess
	}
	return 0
}

// DateTime is a date and time in a zone. In the Classic dialect times are texts.
type DateTime struct{ Time time.Time }

// Access is what "access" reads; the scopes are in the context.
type Access struct{}
