package value

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// errNotInteger is the error of a text or real that is no integer. It does not
// repeat the text, which may come from a profile.
var errNotInteger = errors.New("want an integer")

// Integer reads an integer, a real without a fraction, or a text of digits as an
// integer. It never rounds.
func Integer(v any) (int64, error) {
	switch x := v.(type) {
	case int64:
		return x, nil
	case float64:
		if x == math.Trunc(x) && x >= math.MinInt64 && x < math.MaxInt64 {
			return int64(x), nil
		}
	case string:
		if n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64); err == nil {
			return n, nil
		}
	default:
		return 0, fmt.Errorf("want an integer, not %s", KindOf(v))
	}
	return 0, errNotInteger
}
