package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"math/big"
)

// This file holds the closed table of signature algorithms and checks a signature
// by one of them. The table decides, never the token: an algorithm that it lacks
// does not exist here (RFC 8725, section 3.1).

// A family is the kind of key that an algorithm needs.
type family uint8

const (
	familyRSA family = iota + 1
	familyEC
	familyEd25519
	familyHMAC
)

// An Algorithm is one signature algorithm of the table. Two of them are the same
// if their pointers are equal.
type Algorithm struct {
	name   string
	family family
	hash   crypto.Hash
	pss    bool
	// size is the length of one ECDSA coordinate, in bytes. It distinguishes
	// the curves: each algorithm has its own (RFC 7518, section 3.4).
	size int
}

// algorithms is the table (RFC 7518, section 3.1; RFC 8037; RFC 9864). It has
// no "none". Names are compared byte for byte, as RFC 7515, section 4.1.1 says.
var algorithms = [...]Algorithm{
	{name: "RS256", family: familyRSA, hash: crypto.SHA256},
	{name: "RS384", family: familyRSA, hash: crypto.SHA384},
	{name: "RS512", family: familyRSA, hash: crypto.SHA512},
	{name: "PS256", family: familyRSA, hash: crypto.SHA256, pss: true},
	{name: "PS384", family: familyRSA, hash: crypto.SHA384, pss: true},
	{name: "PS512", family: familyRSA, hash: crypto.SHA512, pss: true},
	{name: "ES256", family: familyEC, hash: crypto.SHA256, size: 32},
	{name: "ES384", family: familyEC, hash: crypto.SHA384, size: 48},
	{name: "ES512", family: familyEC, hash: crypto.SHA512, size: 66},
	{name: "EdDSA", family: familyEd25519, hash: crypto.SHA512},
	{name: "HS256", family: familyHMAC, hash: crypto.SHA256},
	{name: "HS384", family: familyHMAC, hash: crypto.SHA384},
	{name: "HS512", family: familyHMAC, hash: crypto.SHA512},
}

// AlgorithmNames returns the name of each algorithm of the table, and Ed25519:
// all that LookupAlgorithm finds.
func AlgorithmNames() []string {
	names := make([]string, 0, len(algorithms)+1)
	for i := range algorithms {
		names = append(names, algorithms[i].name)
	}
	return append(names, ed25519Name)
}

// PublicKeyAlgorithmNames returns the name of each algorithm of the table whose
// key is not a secret, in the order of the table.
func PublicKeyAlgorithmNames() []string {
	var names []string
	for i := range algorithms {
		if !algorithms[i].Symmetric() {
			names = append(names, algorithms[i].name)
		}
	}
	return names
}

// Symmetric reports whether the algorithm is an HMAC, whose key is a secret:
// whoever can verify can also sign.
func (a *Algorithm) Symmetric() bool { return a.family == familyHMAC }

// ed25519Name is the fully specified name of EdDSA with Ed25519 (RFC 9864).
const ed25519Name = "Ed25519"

// LookupAlgorithm returns the algorithm of that name, or nil. Ed25519 is the same
// algorithm as EdDSA, because Ed448 is not supported (RFC 9864, section 2.2).
func LookupAlgorithm(name string) *Algorithm {
	if name == ed25519Name {
		name = "EdDSA"
	}
	for i := range algorithms {
		if algorithms[i].name == name {
			return &algorithms[i]
		}
	}
	return nil
}

// verify reports whether signature is that of a key over message. The key must
// fit the algorithm (see Key.Fits).
func (a *Algorithm) verify(public any, message, signature []byte) bool {
	switch pub := public.(type) {
	case *rsa.PublicKey:
		digest := a.digest(message)
		if !a.pss {
			return rsa.VerifyPKCS1v15(pub, a.hash, digest, signature) == nil
		}
		// RFC 7518, section 3.5: the salt is as long as the hash. The
		// library's default would take any length.
		o := rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: a.hash}
		return rsa.VerifyPSS(pub, a.hash, digest, signature, &o) == nil
	case *ecdsa.PublicKey:
		// RFC 7518, section 3.4: r and s, each exactly as long as the field.
		// ecdsa.Verify refuses those that are 0 or not below the order.
		if len(signature) != 2*a.size {
			return false
		}
		r := new(big.Int).SetBytes(signature[:a.size])
		s := new(big.Int).SetBytes(signature[a.size:])
		return ecdsa.Verify(pub, a.digest(message), r, s)
	case ed25519.PublicKey:
		return ed25519.Verify(pub, message, signature)
	case []byte:
		mac := hmac.New(a.hash.New, pub)
		mac.Write(message)
		return hmac.Equal(mac.Sum(nil), signature)
	}
	return false
}

// HalfHash returns the left half of the algorithm's hash of text, in base64url,
// as at_hash and c_hash hold it (OpenID Connect Core, sections 3.1.3.6 and
// 3.3.2.11). The hash of EdDSA is the SHA-512 that Ed25519 uses.
func (a *Algorithm) HalfHash(text string) string {
	sum := a.digest([]byte(text))
	return strictBase64.EncodeToString(sum[:len(sum)/2])
}

// digest returns the hash of message: what RSA and ECDSA sign, and HalfHash
// halves.
func (a *Algorithm) digest(message []byte) []byte {
	switch a.hash {
	case crypto.SHA384:
		sum := sha512.Sum384(message)
		return sum[:]
	case crypto.SHA512:
		sum := sha512.Sum512(message)
		return sum[:]
	default:
		sum := sha256.Sum256(message)
		return sum[:]
	}
}
