package cachetest

import (
	"encoding/json"
	"errors"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

// Person is a value to cache.
type Person struct {
	ID     string   `json:"id"`
	Login  string   `json:"login,omitempty"`
	Groups []string `json:"groups,omitempty"`
	Note   string   `json:"note,omitempty"`
}

// Codec is a cache.Codec for *Person.
type Codec struct{}

// Encode returns the person as JSON.
func (Codec) Encode(p *Person) ([]byte, error) { return json.Marshal(p) }

// Decode reads a person from JSON.
func (Codec) Decode(b []byte) (*Person, error) {
	var p Person
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, err
	}
	if p.ID == "" {
		return nil, errors.New("decoding a person without an id")
	}
	return &p, nil
}

// Cost counts the person's strings.
func (Codec) Cost(p *Person) int {
	n := 96 + len(p.ID) + len(p.Login) + len(p.Note)
	for _, g := range p.Groups {
		n += 16 + len(g)
	}
	return n
}

// Names lists id, login and groups.
func (Codec) Names(p *Person) []cache.ID {
	ids := []cache.ID{{Kind: cache.UserID, Value: p.ID}, {Kind: cache.UserID, Value: p.Login}}
	for _, g := range p.Groups {
		ids = append(ids, cache.ID{Kind: cache.GroupID, Value: g})
	}
	return ids
}

// Interface guard.
var _ cache.Codec[*Person] = Codec{}
