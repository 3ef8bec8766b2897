package identity

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"testing"
)

// What is written reads back as the same value, and as encoding/json reads it.
func FuzzAppendJSON(f *testing.F) {
	for _, s := range []string{
		`null`, `{"b":[1,2.5,-0,1e300,12345678901234567890],"a":"\u0000\"\\\u2028é"}`, `"\ud800"`, `[[[[]]]]`, `1e-7`, `123456789012345678901234567890`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := DecodeJSON(text)
		if err != nil {
			return
		}
		written, err := AppendJSON(nil, v, nil)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := DecodeJSON(written)
		if err != nil || !reflect.DeepEqual(again, whole(t, v)) {
			t.Errorf("%s is written %s and read back %v, %v", text, written, again, err)
		}
	})
}

// whole is the value in which numbers that have no fraction are integers: 0.0
// is written 0, which is the same number.
func whole(t *testing.T, v any) any {
	switch x := v.(type) {
	case float64:
		text, err := appendFloat(nil, x)
		if err != nil {
			t.Fatal(err)
		}
		n, err := DecodeJSON(text)
		if f, ok := n.(float64); err != nil || ok && f != x {
			t.Fatalf("%v is written %s", x, text)
		}
		return n
	case []any:
		for i := range x {
			x[i] = whole(t, x[i])
		}
	case map[string]any:
		for name := range x {
			x[name] = whole(t, x[name])
		}
	}
	return v
}

func TestAppendJSONRefusesWhatIsNotCanonical(t *testing.T) {
	var deep any
	for range MaxDepth + 2 {
		deep = []any{deep}
	}
	for name, v := range map[string]any{
		"NaN": math.NaN(), "infinite": math.Inf(1), "a struct": struct{}{}, "an int": 1, "bytes": []byte{1},
		"no number": json.Number("abc"), "a text as number": json.Number(`"x"`), "an injected member": json.Number(`1,"admin":true`),
		"deep": deep, "inside a list": []any{math.NaN()}, "inside an object": map[string]any{"a": math.NaN()},
	} {
		if got, err := AppendJSON(nil, v, nil); !errors.Is(err, ErrNotCanonical) {
			t.Errorf("%s: got %s, %v", name, got, err)
		}
	}
}

func TestAppendStringReplacesWhatIsNotUTF8(t *testing.T) {
	if got := string(AppendString(nil, "a\xffb\xc3")); got != "\"a\uFFFDb\uFFFD\"" {
		t.Errorf("got %s", got)
	}
}
