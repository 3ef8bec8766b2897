package forward

import (
	"errors"
	"strconv"
)

// Reasons for which the claims of a decision cannot be written. [HeaderPlan.Render]
// wraps them in a [*headerError].
var (
	// errRefused says that a value has no safe form under the header's
	// options: a control character, a delimiter inside an element, text
	// outside the encoding, an object without JSON.
	errRefused = errors.New("value refused")

	// errTooLarge says that a value is longer than the header's max_bytes.
	errTooLarge = errors.New("value over max_bytes")

	// errBudget says that the headers together are longer than the budget.
	errBudget = errors.New("headers over budget")

	// errEmptyDenied says that a claim is empty and the header's on_empty is
	// deny.
	errEmptyDenied = errors.New("claim is empty")
)

// errHeaderName says that a configured header or cookie name cannot be used.
var errHeaderName = errors.New("name cannot be used")

// headerError says which header could not be written, and why. It never holds the
// value.
type headerError struct {
	// Header is the configured name.
	Header string

	// Reason says more about an errRefused; otherwise it is empty.
	Reason string

	// Size and Limit are in bytes; they are set with errTooLarge and errBudget.
	Size, Limit int

	// Err is one of the sentinels above.
	Err error
}

func (e *headerError) Error() string {
	s := "rendering header " + strconv.Quote(e.Header) + ": " + e.Err.Error()
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.Limit > 0 {
		s += ": " + strconv.Itoa(e.Size) + " bytes, limit " + strconv.Itoa(e.Limit)
	}
	return s
}

func (e *headerError) Unwrap() error { return e.Err }

// Overflowed returns the header that was too large for its own bound or for
// the budget, for a metric's label; ok is false for other errors.
func Overflowed(err error) (header string, ok bool) {
	var he *headerError
	if errors.As(err, &he) && (errors.Is(he.Err, errTooLarge) || errors.Is(he.Err, errBudget)) {
		return he.Header, true
	}
	return "", false
}

// refusal is the reason of an errRefused before the header's name is known.
type refusal string

func (r refusal) Error() string { return string(r) }

// The reasons; each names the option that would take the value.
const (
	errControl   refusal = "contains a control character or a line separator (use encode percent, base64 or rfc8187)"
	errEdge      refusal = "begins or ends with white space, which HTTP strips (use encode percent, base64 or rfc8187)"
	errUTF8      refusal = "is not valid UTF-8"
	errASCII     refusal = "contains a character outside ASCII (use encode utf8, percent or rfc8187)"
	errLatin1    refusal = "contains a character outside ISO 8859-1 (use encode utf8, percent or rfc8187)"
	errDelimiter refusal = "an element contains the delimiter (use escape percent or backslash)"
	errElement   refusal = "an element begins or ends with white space (use escape percent)"
	errObject    refusal = "is or contains an object (use list json)"
	errNested    refusal = "is a list of lists (use list json)"
	errCount     refusal = "an object has no elements to count"
	errKind      refusal = "has a type that cannot be written as text"
	errName      refusal = "is not a distinguished name whose first part has a common name"
	errTwice     refusal = "two claims map to the same header name"
	errLong      refusal = "the claim's name makes the header's name too long"
	errComma     refusal = "a repeated line contains a comma, which servers use to join lines (use escape or encode)"
)
