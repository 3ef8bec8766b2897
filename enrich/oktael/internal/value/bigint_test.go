package value

import mathbig "math/big"

// bigInt is arithmetic that cannot overflow, to check against.
type bigInt struct{ v *mathbig.Int }

func big(n int64) bigInt              { return bigInt{mathbig.NewInt(n)} }
func (a bigInt) add(b bigInt) bigInt  { return bigInt{new(mathbig.Int).Add(a.v, b.v)} }
func (a bigInt) sub(b bigInt) bigInt  { return bigInt{new(mathbig.Int).Sub(a.v, b.v)} }
func (a bigInt) mul(b bigInt) bigInt  { return bigInt{new(mathbig.Int).Mul(a.v, b.v)} }
func (a bigInt) int64() (int64, bool) { return a.v.Int64(), a.v.IsInt64() }
