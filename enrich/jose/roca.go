package jose

import "math/big"

// isROCA reports whether an RSA modulus has the fingerprint of a key generator
// whose keys can be factored (CVE-2017-15361): modulo each of many small primes,
// such a modulus is a power of 65537. The chance that another modulus has the
// fingerprint is below one in a hundred million.
func isROCA(n *big.Int) bool {
	var p, r big.Int
	for _, prime := range [...]int64{
		3, 5, 7, 11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
	} {
		if !isPower(r.Mod(n, p.SetInt64(prime)).Int64(), 65537%prime, prime) {
			return false
		}
	}
	return true
}

// isPower reports whether v is a power of base modulo the prime.
func isPower(v, base, prime int64) bool {
	for x, i := int64(1), int64(0); i < prime; i++ {
		if x == v {
			return true
		}
		x = x * base % prime
	}
	return false
}
