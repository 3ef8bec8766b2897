package seal

import (
	"crypto/cipher"
	"fmt"
	"io"
)

// Named seals and opens many envelopes under one name. Their key is made once,
// which costs more than a short envelope does. What would be a name of its own in a
// Ring is associated data here (RFC 5116, section 2.1). Nonces are random, so one name
// is good for some four thousand million envelopes before its key should leave the
// ring (NIST SP 800-38D, section 8.3). A Named is safe for concurrent use where the
// ring's source of randomness is.
type Named struct {
	rand io.Reader
	name [32]byte
	keys []namedKey
}

type namedKey struct {
	id   [idSize]byte
	aead cipher.AEAD
}

// Named returns the ring's keys for that name. With empty associated data its
// envelopes are those of Ring.Seal and Ring.Open.
func (r *Ring) Named(name [32]byte) *Named {
	n := &Named{rand: r.rand, name: name, keys: make([]namedKey, len(r.keys))}
	for i := range r.keys {
		aead, err := r.keys[i].aead(name)
		if err != nil {
			panic(err) // it fails only for lengths of keys that AES does not have
		}
		n.keys[i] = namedKey{id: r.keys[i].id, aead: aead}
	}
	return n
}

// Seal encrypts plain with a random nonce, authenticates the associated data with it,
// and returns the envelope, which does not hold the data.
func (n *Named) Seal(plain, data []byte) ([]byte, error) {
	out, err := seal(n.rand, n.keys[0].aead, n.keys[0].id, n.name, plain, data)
	if err != nil {
		return nil, fmt.Errorf("sealing: %w", err)
	}
	return out, nil
}

// Open decrypts an envelope in place and returns its content, which shares the
// envelope's memory. Every fault is an ErrOpen, other associated data among them.
func (n *Named) Open(envelope, data []byte) ([]byte, error) {
	id, err := keyID(envelope)
	if err != nil {
		return nil, err
	}
	for i := range n.keys {
		if n.keys[i].id == id {
			return open(envelope[headSize:headSize], n.keys[i].aead, n.name, envelope, data)
		}
	}
	return nil, ErrUnknownKey
}
