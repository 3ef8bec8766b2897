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
	aead, err := k.aead(name)
	if err != nil {
		return nil, fmt.Errorf("sealing a cache entry: %w", err)
	}
	out, err := seal(r.rand, aead, k.id, name, plain, nil)
	if err != nil {
		return nil, fmt.Errorf("sealing a cache entry: %w", err)
	}
	return out, nil
}

// Open decrypts the envelope of that name. Every fault is an
// ErrOpen.
func (r *Ring) Open(name [32]byte, envelope []byte) ([]byte, error) {
	id, err := keyID(envelope)
	if err != nil {
		return nil, err
	}
	for i := range r.keys {
		if k := &r.keys[i]; k.id == id {
			aead, err := k.aead(name)
			if err != nil {
				return nil, ErrOpen
			}
			return open(nil, aead, name, envelope, nil)
		}
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

// seal makes an envelope.
func seal(rand io.Reader, aead cipher.AEAD, id [idSize]byte, name [32]byte, plain, data []byte) ([]byte, error) {
	out := make([]byte, headSize, len(plain)+Overhead)
	out[0] = version
	copy(out[1:], id[:])
	nonce := out[1+idSize : headSize]
	if _, err := io.ReadFull(rand, nonce); err != nil {
		return nil, err
	}
	return aead.Seal(out, nonce, plain, associated(out, name, data)), nil
}

// keyID returns the id of the key under which an envelope says that it is sealed.
func keyID(envelope []byte) (id [idSize]byte, err error) {
	if len(envelope) < Overhead || envelope[0] != version {
		return id, ErrOpen
	}
	return [idSize]byte(envelope[1:]), nil
}

// open appends the content of an envelope to dst, which may be the ciphertext's own
// beginning. Which of its parts was edited is not told.
func open(dst []byte, aead cipher.AEAD, name [32]byte, envelope, data []byte) ([]byte, error) {
	plain, err := aead.Open(dst, envelope[1+idSize:headSize], envelope[headSize:], associated(envelope, name, data))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// associated is what is authenticated beside the content: version, key id, the
// name, and further data. The parts before the data have fixed lengths.
func associated(envelope []byte, name [32]byte, data []byte) []byte {
	ad := make([]byte, 0, 1+idSize+len(name)+len(data))
	ad = append(ad, envelope[:1+idSize]...)
	ad = append(ad, name[:]...)
	return append(ad, data...)
}
