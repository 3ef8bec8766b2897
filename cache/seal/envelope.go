package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
)

// An envelope is: version (1 byte), key id (8), nonce (12), then the
// ciphertext with its tag (16 more than the plaintext). All of it is
// authenticated, and its name with it.
const (
	version   = 1
	idSize    = 8
	nonceSize = 12
	tagSize   = 16
	headSize  = 1 + idSize + nonceSize
)

// Overhead is how many bytes an envelope adds.
const Overhead = headSize + tagSize

// Seal encrypts plain under a key of its own for that name, with a random
// nonce, and returns the envelope.
func (r *Ring) Seal(name [32]byte, plain []byte) ([]byte, error) {
	k := &r.keys[0]
	out := make([]byte, headSize, len(plain)+Overhead)
	out[0] = version
	copy(out[1:], k.id[:])
	nonce := out[1+idSize : headSize]
	if _, err := io.ReadFull(r.rand, nonce); err != nil {
		return nil, fmt.Errorf("sealing a cache entry: %w", err)
	}
	aead, err := k.aead(name)
	if err != nil {
		return nil, fmt.Errorf("sealing a cache entry: %w", err)
	}
	return aead.Seal(out, nonce, plain, associated(out, name)), nil
}

// Open decrypts the envelope of that name. Every fault is an
// ErrOpen.
func (r *Ring) Open(name [32]byte, envelope []byte) ([]byte, error) {
	if len(envelope) < Overhead || envelope[0] != version {
		return nil, ErrOpen
	}
	id := [idSize]byte(envelope[1:])
	for i := range r.keys {
		k := &r.keys[i]
		if k.id != id {
			continue
		}
		aead, err := k.aead(name)
		if err != nil {
			return nil, ErrOpen
		}
		plain, err := aead.Open(nil, envelope[1+idSize:headSize], envelope[headSize:], associated(envelope, name))
		if err != nil {
			return nil, ErrOpen
		}
		return plain, nil
	}
	return nil, ErrUnknownKey
}

func (k *key) aead(name [32]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.entryKey(name))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// associated is what is authenticated beside the content: version, key id and
// the name.
func associated(envelope []byte, name [32]byte) []byte {
	ad := make([]byte, 0, 1+idSize+len(name))
	ad = append(ad, envelope[:1+idSize]...)
	return append(ad, name[:]...)
}
