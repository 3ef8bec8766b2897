package value

import (
	"errors"
	"fmt"
)

// ErrLimit says that an evaluation hit one of the bounds of the language.
var ErrLimit = errors.New("over the limit")

// The cost of an evaluation is counted in steps. Evaluating a part of the
// expression costs one, which bounds small values. What grows with a value
// consumes further steps in proportion to the bytes or elements it goes over;
// otherwise an expression of a few parts could keep a processor busy for minutes
// with a long profile. The rates are set so that honest expressions over 5,000
// groups need some hundred steps.

// Bounds on the values that an evaluation makes.
const (
	// MaxList is how many elements a list may have: the most groups that are
	// held for one user.
	MaxList = 10_000

	// MaxText is how many bytes a text made by an expression may have: eight
	// times what all headers together may take.
	MaxText = 1 << 16

	// MaxRegex is how many bytes a regular expression may have; it is the
	// bound of the language that Okta built on.
	MaxRegex = 1000

	// MaxRegexSize is how many instructions a regular expression may compile
	// to: a thousand bytes of alternatives need about as many, nested counted
	// repetition a hundred times that.
	MaxRegexSize = 10_000

	// MaxCompiled is how many regular expressions, and how many group
	// expressions, that are not literals one evaluation may compile.
	MaxCompiled = 32
)

// Work that one step pays for, in whatever goes over long values.
// UnitsPerStep divides by each of these numbers.
const (
	TextPerStep  = 512   // bytes copied or compared
	ListPerStep  = 64    // elements copied or compared
	regexPerStep = 4_096 // bytes matched, times instructions

	LiteralPerStep  = 4 // elements of a list that the expression writes out
	PropertyPerStep = 4 // properties read
	SourcePerStep   = 4 // bytes compiled, where an expression is not a literal

	// UnitsPerStep are the parts into which a step is divided: the largest
	// number above, which all others divide.
	UnitsPerStep = regexPerStep
)

// Meter counts the steps of one evaluation down. Whatever takes longer for a
// longer value consumes steps in proportion, so that every evaluation ends.
type Meter struct {
	// left is what remains of the steps, in units of UnitsPerStep.
	left int64
}

// errSteps is the error of an evaluation that has used up its steps.
var errSteps = fmt.Errorf("the evaluation takes too many steps: %w", ErrLimit)

// NewMeter returns a meter of so many steps.
func NewMeter(steps int) Meter { return Meter{int64(steps) * UnitsPerStep} }

// Consume takes the steps for going over n parts, of which one step pays for
// so many as per says: a power of two up to UnitsPerStep, so that nothing is
// lost in rounding.
func (m *Meter) Consume(n, per int) error {
	return m.ConsumeUnits(int64(n) * int64(UnitsPerStep/per))
}

// ConsumeUnits takes steps in units of UnitsPerStep.
func (m *Meter) ConsumeUnits(units int64) error {
	if m.left -= units; m.left < 0 {
		return errSteps
	}
	return nil
}

// ConsumeArgument takes the steps for an argument, of which every function may
// look at all. What costs more than that, the function consumes itself.
func (m *Meter) ConsumeArgument(v any) error {
	switch x := v.(type) {
	case string:
		return m.Consume(len(x), TextPerStep)
	case []any:
		return m.Consume(len(x), ListPerStep)
	}
	return nil
}
