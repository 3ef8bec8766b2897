package cache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"strings"
	"sync"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// The versions are the first part of every key and of every name. keyVersion
// changes when the meaning of keys, the encoding of entries, or what is read out
// of a directory's answer changes, so that old entries are not found.
// nameVersion stays, because nodes of two versions could not apply each other's
// purges and denials.
const (
	keyVersion  = "2"
	nameVersion = "1"
)

// Purposes of the secrets that the cache derives, one label each.
const (
	purposeKeys    = "token-enrich cache keys"
	purposeNames   = "token-enrich purge names"
	purposeDenials = "token-enrich denials"
)

// Key names an entry. It is a keyed hash, so it reveals nothing about what it
// names and cannot be confirmed by guessing.
type Key [sha256.Size]byte

// IDKind is what an id names in a directory.
type IDKind uint8

const (
	// UserID is any id that names a user: subject, user id, login or e-mail.
	// A purge may come with any of them.
	UserID IDKind = iota + 1
	// GroupID names a group.
	GroupID
	// AppID names an app.
	AppID
)

// ID is one id that a cached value depends on: a purge that names it
// makes the value unusable.
type ID struct {
	// Kind says what Value is the id of.
	Kind  IDKind
	Value string
}

// Secrets derives one secret per purpose from a key that all nodes share. It
// must give the same secret for the same purpose for as long as entries are to
// be found again. *seal.Ring is one.
type Secrets interface {
	Derive(purpose string) [32]byte
}

// KeyDeriver makes keys and names.
type KeyDeriver struct {
	keys, names, denials macs
}

// NewKeyDeriver returns a key deriver over three secrets derived from s.
func NewKeyDeriver(s Secrets) *KeyDeriver {
	return &KeyDeriver{
		keys:    newMACs(s.Derive(purposeKeys)),
		names:   newMACs(s.Derive(purposeNames)),
		denials: newMACs(s.Derive(purposeDenials)),
	}
}

// Key is the key of one value: its kind ("person", "app", …), a fingerprint of
// the directory it comes from with all settings that shape an answer, and the
// ids that name it there, with the issuer first where subjects are issuer's.
// Every part enters with its length, so that no two lists collide.
func (k *KeyDeriver) Key(kind string, fingerprint []byte, ids ...string) Key {
	m := k.keys.get()
	defer k.keys.put(m)
	m.part(keyVersion)
	m.part(kind)
	m.bytes(fingerprint)
	for _, id := range ids {
		m.part(id)
	}
	return Key(m.sum())
}

// NameHash is the name under which the purge log speaks of id. Case does not
// matter: a purge that names too much costs a look-up, one that names too
// little leaves a removed right in place.
func (k *KeyDeriver) NameHash(id ID) purgelog.NameHash {
	m := k.names.get()
	defer k.names.put(m)
	m.part(nameVersion)
	m.kind(byte(id.Kind))
	m.part(strings.ToLower(id.Value))
	return m.name()
}

// hashAll returns the hash of each id's name.
func (k *KeyDeriver) hashAll(ids []ID) []purgelog.NameHash {
	names := make([]purgelog.NameHash, len(ids))
	for i, id := range ids {
		names[i] = k.NameHash(id)
	}
	return names
}

// DenialHash is the name under which the deny list holds one value of one claim
// ("jti", "sid", "sub") of one issuer's tokens, compared exactly.
func (k *KeyDeriver) DenialHash(issuer, claim, value string) purgelog.NameHash {
	m := k.denials.get()
	defer k.denials.put(m)
	m.part(nameVersion)
	m.part(issuer)
	m.part(claim)
	m.part(value)
	return m.name()
}

// macs lends out HMAC states: setting one up costs more than using it.
type macs struct{ pool *sync.Pool }

func newMACs(secret [32]byte) macs {
	return macs{pool: &sync.Pool{New: func() any {
		return &mac{h: hmac.New(sha256.New, secret[:])}
	}}}
}

func (p macs) get() *mac {
	m, _ := p.pool.Get().(*mac)
	m.h.Reset()
	return m
}

func (p macs) put(m *mac) { p.pool.Put(m) }

// mac hashes length-prefixed parts. Its buffer keeps short parts off the heap.
type mac struct {
	h   hash.Hash
	buf []byte
	out [sha256.Size]byte
}

func (m *mac) part(s string) {
	m.buf = binary.BigEndian.AppendUint64(m.buf[:0], uint64(len(s)))
	m.buf = append(m.buf, s...)
	m.h.Write(m.buf)
}

func (m *mac) bytes(b []byte) {
	m.buf = binary.BigEndian.AppendUint64(m.buf[:0], uint64(len(b)))
	m.buf = append(m.buf, b...)
	m.h.Write(m.buf)
}

func (m *mac) kind(k byte) {
	m.buf = append(m.buf[:0], k)
	m.h.Write(m.buf)
}

func (m *mac) sum() [sha256.Size]byte {
	m.h.Sum(m.out[:0])
	return m.out
}

func (m *mac) name() purgelog.NameHash {
	m.h.Sum(m.out[:0])
	return purgelog.NameHash(m.out[:len(purgelog.NameHash{})])
}
