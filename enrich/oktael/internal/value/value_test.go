package value

import (
	"encoding/json"
	"math"
	"testing"
	"time"
)

// The spellings are those of java.lang.Double.toString (JDK 19 and later).
func TestRealsAreWrittenAsJavaDoes(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0.0", 1: "1.0", -1.5: "-1.5", 100: "100.0", 0.1: "0.1", 0.001: "0.001", 0.00099: "9.9E-4", 9999999: "9999999.0",
		1e7: "1.0E7", 12345678.9: "1.23456789E7", 1e21: "1.0E21", 2e-323: "2.0E-323", math.MaxFloat64: "1.7976931348623157E308",
		math.Copysign(0, -1): "-0.0", 1.0 / 3: "0.3333333333333333", 123456.789: "123456.789",
	} {
		if got := string(appendReal(nil, f)); got != want {
			t.Errorf("%g is %q, want %q", f, got, want)
		}
	}
}

// Property: order is antisymmetric and transitive over everything that can be
// ordered, and agrees with equality.
func TestOrderIsAnOrder(t *testing.T) {
	now := time.Unix(1700000000, 0)
	kinds := [][]any{
		{
			nil, int64(math.MinInt64), -1e300, int64(-1), -0.5, int64(0), 0.0, 0.5, int64(1), 1.0, int64(1 << 53), float64(1 << 53), int64(1<<53 + 1),
			int64(math.MaxInt64), float64(math.MaxInt64), 1e300,
		},
		{nil, "", "A", "a", "aa", "ß"},
		{nil, DateTime{now}, DateTime{now.Add(time.Second)}, DateTime{now.UTC()}},
	}
	e := NewMeter(1000000)
	for _, values := range kinds {
		for _, a := range values {
			for _, b := range values {
				ab, err := Compare(a, b)
				if err != nil {
					t.Fatalf("%v, %v: %v", a, b, err)
				}
				if ba, _ := Compare(b, a); ba != -ab {
					t.Errorf("%v, %v: %d one way, %d the other", a, b, ab, ba)
				}
				if same, err := e.Equal(a, b); err != nil || same != (ab == 0) {
					t.Errorf("%v, %v: order %d, equal %v, %v", a, b, ab, same, err)
				}
				for _, c := range values {
					bc, _ := Compare(b, c)
					if ac, _ := Compare(a, c); ab <= 0 && bc <= 0 && ac > 0 {
						t.Errorf("%v <= %v <= %v, but not the ends", a, b, c)
					}
				}
			}
		}
	}
}

func TestOtherKindsCannotBeOrdered(t *testing.T) {
	for _, pair := range [][2]any{
		{"a", int64(1)}, {true, false}, {[]any{}, []any{}}, {json.Number("99999999999999999999"), int64(1)}, {map[string]any{}, "a"},
	} {
		if n, err := Compare(pair[0], pair[1]); err == nil {
			t.Errorf("%v: ordered %d", pair, n)
		}
	}
}

// Integers never wrap: where the exact result does not fit there is an error,
// and where it fits it is exact.
func TestIntegerArithmeticIsExactOrAnError(t *testing.T) {
	edges := []int64{math.MinInt64, math.MinInt64 + 1, -1 << 32, -3037000500, -2, -1, 0, 1, 2, 3, 1 << 31, 3037000499, 3037000500, math.MaxInt64 - 1, math.MaxInt64}
	for _, x := range edges {
		for _, y := range edges {
			for operator, exact := range map[byte]func(a, b bigInt) bigInt{'+': bigInt.add, '-': bigInt.sub, '*': bigInt.mul} {
				want, fits := exact(big(x), big(y)).int64()
				got, err := calculateInt(operator, x, y)
				if fits != (err == nil) || fits && got != want {
					t.Errorf("%d %c %d = %v, %v; want %v, %v", x, operator, y, got, err, want, fits)
				}
			}
			if y != 0 && !(x == math.MinInt64 && y == -1) {
				q, err1 := calculateInt('/', x, y)
				r, err2 := calculateInt('%', x, y)
				if err1 != nil || err2 != nil || q.(int64)*y+r.(int64) != x {
					t.Errorf("%d / %d = %v rest %v (%v, %v)", x, y, q, r, err1, err2)
				}
			}
		}
	}
	for x := int64(-12); x <= 12; x++ {
		power, fits := big(1), true
		for y := range int64(70) {
			want, ok := power.int64()
			fits = fits && ok
			got, err := calculateInt('^', x, y)
			if fits != (err == nil) || fits && got != want {
				t.Errorf("%d ^ %d = %v, %v; want %v, %v", x, y, got, err, want, fits)
			}
			power = power.mul(big(x))
			if !fits {
				break
			}
		}
	}
}
